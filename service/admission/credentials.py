"""The local operator's key: the one credential of a factory without accounts."""

import hashlib
import hmac

from domain.caller import Caller, Permission

LOCAL_ORG = "local"
OPERATOR = Caller(org_id=LOCAL_ORG, subject="operator", plan="self-hosted", permissions=frozenset(Permission))


class OperatorKeyVerifier:
    """Knows one key, as a digest only, and the caller it stands for."""

    def __init__(self, key: str, caller: Caller = OPERATOR) -> None:
        if not key:
            raise ValueError("an operator key cannot be empty")
        self._digest = _digest(key)
        self._caller = caller

    async def verify(self, credential: str) -> Caller | None:
        """Return the operator if the credential is the key; digests of equal length are compared in constant time."""
        return self._caller if hmac.compare_digest(_digest(credential), self._digest) else None


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode(errors="surrogatepass")).digest()
