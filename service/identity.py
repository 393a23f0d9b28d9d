"""Who is asking."""

from domain.caller import Caller
from domain.errors import Verdict
from domain.views import WhoAmI
from service.factory import Factory
from service.permissions import require

_LONGEST_CREDENTIAL = 4096


async def authenticate(factory: Factory, credential: str | None) -> Caller:
    """Return the caller that the credential stands for.

    Raises:
        Verdict: `auth.required` without a credential, `auth.invalid` for one that is not valid.

    """
    if not credential:
        raise Verdict.because(
            "auth.required",
            "This factory needs an API key.",
            next="Send the header 'Authorization: Bearer <your key>'. The local operator's key is in the "
            "file secrets/operator.key of the data folder.",
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
    """Tell the caller who the factory thinks they are."""
    require(caller, "whoami")
    return WhoAmI(
        subject=caller.subject,
        org_id=caller.org_id,
        plan=caller.plan,
        permissions=tuple(sorted(p.value for p in caller.permissions)),
        factory_version=factory.version,
    )
