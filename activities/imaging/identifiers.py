"""Every identifier inside an image, derived from what the image is made of (RFC 9562, version 5).

A random partition or file system id would make two assemblies of the same layer differ.
"""

import uuid

_NAMESPACE = uuid.UUID("5d0b6f6e-6a1c-5b0e-9d5e-0f4b1f0c7a11")


def image_uuid(digest: str, role: str) -> uuid.UUID:
    """Name the part of an image that plays `role` (`root`, `esp partition`); `digest` is the layer's."""
    return uuid.uuid5(_NAMESPACE, f"{digest}:{role}")


def fat_serial(digest: str, role: str) -> str:
    """Name a FAT volume: its serial number is 32 bits, as 8 hexadecimal digits for mkfs.fat(8)."""
    return image_uuid(digest, role).hex[:8]


def volume_label(name: str) -> str:
    """Spell a recipe's name as an ISO 9660 volume identifier: at most 32 of A-Z, 0-9 and _ (ECMA-119, 8.4.8)."""
    letters = (c if c.isascii() and c.isalnum() else "_" for c in name.upper())
    return "".join(letters)[:32]
