"""Locks made by hand."""

import hashlib

from activities.imaging.lock import Lock, LockedPackage


def locked(name: str, *, version: str = "1.0-1", arch: str = "amd64", **control: str) -> LockedPackage:
    """A package whose digest follows from its name and version."""
    return LockedPackage(
        name=name,
        version=version,
        arch=arch,
        sha256=hashlib.sha256(f"{name} {version}".encode()).hexdigest(),
        bytes=1000,
        installed_kib=2048,
        archive="main",
        path=f"pool/main/{name[0]}/{name}/{name}_{version}_{arch}.deb",
        control=control,
    )


def lock(*packages: LockedPackage, base: tuple[LockedPackage, ...] = ()) -> Lock:
    """A bookworm lock."""
    return Lock(
        suite="bookworm",
        arch="amd64",
        epoch=1_783_764_997,
        index="2026-11-21T20:00:00+00:00",
        base=base,
        packages=packages,
        wanted=tuple(package.name for package in packages),
    )


class Notes:
    """A step log that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.percents: list[float] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, percent: float, text: str) -> None:
        self.percents.append(percent)
