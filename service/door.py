"""The door of every face that takes a key or a guest's token: who comes in, how often, and who was sent away."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from domain.caller import Caller
from domain.errors import RateLimited, Verdict
from service.admission.denials import Denial
from service.factory import Factory
from service.identity import authenticate


async def known(factory: Factory, credential: str | None, guest: str | None, *, network: str, place: str) -> Caller:
    """Return the caller of these credentials.

    Raises:
        Verdict: they are none (`service.identity.authenticate`); `RateLimited` instead for a network that tries often.
        Fault: what knows guests does not answer.

    """
    try:
        return await authenticate(factory, credential, guest)
    except Verdict as verdict:
        refusal = verdict
    try:
        factory.limits.refuse_stranger(network)
    except RateLimited as limited:
        refusal = limited
    factory.denials.note(Denial(refusal.code, place, "", "", network))
    raise refusal


@contextmanager
def entered(factory: Factory, caller: Caller, *, network: str, place: str) -> Generator[None]:
    """Count one request of a caller for as long as it is open.

    Raises:
        RateLimited: there are too many.

    """
    with ExitStack() as stack:
        try:
            stack.enter_context(factory.limits.entered(caller, network))
        except RateLimited as limited:
            factory.denials.note(Denial(limited.code, place, caller.org_id, caller.subject, network))
            raise
        yield


def sent(factory: Factory, caller: Caller, size: int, *, network: str, place: str) -> None:
    """Count the bytes of a request whose caller is known.

    Raises:
        RateLimited: there are too many.

    """
    try:
        factory.limits.sent(caller, size, network)
    except RateLimited as limited:
        factory.denials.note(Denial(limited.code, place, caller.org_id, caller.subject, network))
        raise


def challenge(code: str) -> dict[str, str]:
    """Make the header that an answer 401 has (RFC 6750, 3); `code` is the problem's."""
    error = "" if code == "auth.required" else ', error="invalid_token"'
    return {"WWW-Authenticate": f'Bearer realm="openfactory"{error}'}


def bearer(header: str | None) -> str | None:
    """Read the credential of an `Authorization` header (RFC 6750)."""
    scheme, _, credential = (header or "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None
