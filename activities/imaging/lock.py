"""The lock: what a recipe was solved into. A canonical JSON document in the blob store.

It names no mirror, so the same index gives the same lock wherever it was fetched from. It carries
what apt must know of each package, so layers are built from the stored files without any index.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

from activities.imaging.ports import BlobStore
from domain.artifacts import Blob
from domain.canonical import canonical_json, digest
from domain.errors import Fault
from domain.model import Value

# The fields by which apt and dpkg decide (deb-control(5)), and those that a manifest wants.
CONTROL_FIELDS = (
    "Source",
    "Section",
    "Priority",
    "Essential",
    "Important",
    "Protected",
    "Multi-Arch",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Provides",
)


class LockedPackage(Value):
    """One package file, exactly.

    `sha256` and `bytes` are of the .deb; `archive` and `path` say where it was, below whatever mirror
    is used; `control` holds the fields of `CONTROL_FIELDS` that it has.
    """

    name: str
    version: str
    arch: str
    sha256: str
    bytes: int
    installed_kib: int
    archive: Literal["main", "security"]
    path: str
    control: dict[str, str]

    @property
    def target(self) -> str:
        """The package as apt is told to install it."""
        return f"{self.name}:{self.arch}={self.version}" if self.arch != "all" else f"{self.name}={self.version}"

    @property
    def file_name(self) -> str:
        """The usual name of its file; the epoch's colon is escaped as apt does."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.arch}.deb"


class Lock(Value):
    """A solved recipe.

    `epoch` is the SOURCE_DATE_EPOCH of the image, in seconds: when the suite's Release file was signed.
    `index` is when the newest index was signed (ISO 8601). `base` is the bare system, `system` what the
    factory adds to nearly every image, `packages` all that comes on top of it, each sorted; `wanted` are
    the names that were asked for. `system` is empty where the recipe's packages change it, and in locks of
    releases that did not know it: then all of it is in `packages`.
    """

    format: Literal[1] = 1
    suite: str
    arch: str
    epoch: int
    index: str
    base: tuple[LockedPackage, ...]
    system: tuple[LockedPackage, ...] = ()
    packages: tuple[LockedPackage, ...]
    wanted: tuple[str, ...]

    @property
    def shared(self) -> tuple[LockedPackage, ...]:
        """What is in the base layer: the same for all recipes of the suite but a few."""
        return (*self.base, *self.system)

    @property
    def everything(self) -> tuple[LockedPackage, ...]:
        """Every package of the image."""
        return (*self.shared, *self.packages)

    @property
    def installed_bytes(self) -> int:
        """The size of all unpacked packages, as they say themselves."""
        return sum(p.installed_kib for p in self.everything) * 1024


async def store_lock(store: BlobStore, lock: Lock) -> Blob:
    """Keep the lock; the same lock is the same blob."""
    return await store.add(canonical_json(lock))


def read_lock(store: BlobStore, blob: Blob) -> Lock:
    """Read a lock back.

    Raises:
        Fault: `lock.missing`, when the blob is not on this host.

    """
    if not store.has(blob):
        raise Fault.because(
            "lock.missing",
            f"The lock {blob.digest[:12]} is not on this host.",
            next="Retry; the recipe is solved again when its lock cannot be had.",
        )
    return Lock.model_validate_json(store.path(blob).read_bytes())


def packages_digest(packages: Sequence[LockedPackage]) -> str:
    """Digest which package files these are, and nothing else about them."""
    return digest(sorted((p.name, p.version, p.arch, p.sha256) for p in packages))


def packages_text(packages: Iterable[LockedPackage]) -> bytes:
    """Write the `Packages` file of a flat repository that holds just these (sources.list(5))."""
    stanzas: list[str] = []
    for package in packages:
        fields = {
            "Package": package.name,
            "Version": package.version,
            "Architecture": package.arch,
            **{key: package.control[key] for key in CONTROL_FIELDS if key in package.control},
            "Installed-Size": str(package.installed_kib),
            "Filename": f"./{package.file_name}",
            "Size": str(package.bytes),
            "SHA256": package.sha256,
        }
        stanzas.append("".join(f"{key}: {value}\n" for key, value in fields.items()))
    return "\n".join(stanzas).encode()


def release_text(suite: str, arch: str, packages: bytes) -> bytes:
    """Write the `Release` file of a flat repository with this `Packages` file (apt-secure(8)).

    Unsigned, it is only there to name the suite, by which mmdebstrap chooses.
    """
    entry = f"{hashlib.sha256(packages).hexdigest()} {len(packages)} Packages"
    return f"Suite: {suite}\nCodename: {suite}\nArchitectures: {arch}\nSHA256:\n {entry}\n".encode()
