"""Public keys of SSH as they stand in an authorized_keys file (sshd(8), RFC 4253 section 6.6)."""

import base64
import binascii
import struct

_FIELDS: dict[str, int] = {  # key type -> number of length-prefixed fields after the type's own name
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_ED25519_BYTES = 32
_RSA_LEAST_BITS = 1024  # sshd_config(5), RequiredRSASize


def fault_of_public_key(text: str) -> str | None:
    """Say in words what is wrong with one line of authorized_keys, or nothing if it is a key that sshd takes."""
    if "PRIVATE KEY" in text or text.startswith("PuTTY-User-Key-File"):
        return "is a private key: it must stay with its owner, and should be replaced now; give the public one (`.pub`)"
    if any(ord(c) < ord(" ") or ord(c) == 0x7F for c in text):  # noqa: PLR2004 - DEL
        return "must be one line without control characters"
    kind, _, rest = text.strip().partition(" ")
    if kind not in _FIELDS:
        return f"must begin with the key's type, one of: {', '.join(_FIELDS)}"
    try:
        blob = base64.b64decode(rest.strip().partition(" ")[0], validate=True)
        fields = _split(blob)
    except (binascii.Error, ValueError, struct.error):
        return "is damaged: what follows the type is not a whole base64 key"
    return _fault_of_fields(kind, fields)


def _fault_of_fields(kind: str, fields: list[bytes]) -> str | None:
    if not fields or fields[0] != kind.encode():
        return f"says `{kind}`, but the key inside is of another type"
    if len(fields) != 1 + _FIELDS[kind] or not all(fields):
        return "is damaged: the key inside is not complete"
    if "ed25519" in kind and len(fields[1]) != _ED25519_BYTES:
        return "is damaged: an Ed25519 key has 32 bytes"
    if kind == "ssh-rsa" and int.from_bytes(fields[2], "big").bit_length() < _RSA_LEAST_BITS:
        return "is an RSA key of less than 1024 bits, which sshd refuses"
    return None


def _split(blob: bytes) -> list[bytes]:
    """Split into `string` fields (RFC 4251 section 5): a 32-bit big-endian length, then that many bytes."""
    fields: list[bytes] = []
    at = 0
    while at < len(blob):
        (length,) = struct.unpack_from(">I", blob, at)
        at += 4
        if at + length > len(blob):
            raise ValueError("a field is longer than the key")
        fields.append(blob[at : at + length])
        at += length
    return fields
