"""The scripts and style sheets of the consoles' pages: our own, and unmodified files of others."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

STATIC: Final = Path(__file__).resolve().parent / "static"
VENDOR: Final = STATIC / "vendor"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript"}
# The version is in the address, so what is there never changes.
_FOR_EVER: Final = f"public, max-age={365 * 24 * 3600}, immutable"


class Asset(NamedTuple):
    """A file that pages load."""

    body: bytes
    kind: str
    tag: str
    caching: str


class Assets:
    """All of them, read once. Of other people's files only those are served that `vendor.json` lists."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}
        for path in (STATIC / "console").iterdir():
            self._add(f"console/{path.name}", path, "no-cache")
        for package in json.loads((VENDOR / "vendor.json").read_text())["packages"]:
            for name in package["files"]:
                path = VENDOR / package["folder"] / name
                self._add(f"vendor/{package['folder']}/{name}", path, _FOR_EVER)

    def find(self, address: str) -> Asset | None:
        """Return what is at an address below `/static/`."""
        return self._assets.get(address)

    def _add(self, address: str, path: Path, caching: str) -> None:
        kind = _TYPES.get(path.suffix)
        if kind is not None:
            body = path.read_bytes()
            self._assets[address] = Asset(body, kind, f'"{sha256(body).hexdigest()[:32]}"', caching)
