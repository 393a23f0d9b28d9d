"""Who is asking."""

from domain.caller import Caller
from domain.errors import Verdict
from domain.metering import quotas
from domain.plan import plan_of
from domain.views import WhoAmI
from service.factory import Factory
from service.guests import authenticate_guest
from service.permissions import require

_LONGEST_CREDENTIAL = 4096


async def authenticate(factory: Factory, credential: str | None, guest: str | None = None) -> Caller:
    """Return the caller that the credential stands for, or without one the guest of this token.

    Raises:
        Verdict: `auth.required` without either, `auth.invalid` for a credential that is not valid,
            `guest.…` for a token that is not.

    """
    if not credential and guest:
        return await authenticate_guest(factory, guest)
    if not credential:
        raise Verdict.because(
            "auth.required",
            "This factory needs an API key."
            if factory.guests is None
            else "This factory needs an API key or a guest token.",
            next="Send the header 'Authorization: Bearer <your key>'. The local operator's key is in the "
            "file secrets/operator.key of the data folder."
            + ("" if factory.guests is None else " A guest sends 'X-Guest-Id: <token>', made on the front page."),
        )
    caller = await factory.credentials.verify(credential) if len(credential) <= _LONGEST_CREDENTIAL else None
    if caller is None:
        raise Verdict.because(
            "auth.invalid",
            "The API key is not valid here.",
            next="Check that the whole key was copied, and that it belongs to this factory.",
        )
    return caller


async def whoami(factory: Factory, caller: Caller) -> WhoAmI:
    """Tell the caller who the factory thinks they are, and what is left of what they may spend."""
    require(caller, "whoami")
    allowance, left = plan_of(caller.plan).allowance, ()
    if allowance is not None:
        async with factory.reads.org(caller.org_id) as reads:
            left = quotas(allowance, await reads.meters.spent())
    return WhoAmI(
        subject=caller.subject,
        org_id=caller.org_id,
        plan=caller.plan,
        permissions=tuple(sorted(p.value for p in caller.permissions)),
        factory_version=factory.version,
        expires_at=caller.expires_at,
        quotas=left,
    )
