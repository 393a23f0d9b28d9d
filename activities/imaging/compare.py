"""Compares what a recipe is solved into today with the list of packages that a build published (`ports.Comparer`)."""

import json
from collections.abc import Iterable, Mapping
from typing import Protocol

from activities.imaging.lock import Lock, LockedPackage, packages_digest
from activities.imaging.models import CompareInput, CompareResult
from activities.imaging.publish_copy import object_key
from activities.step_log import StepLog
from domain.artifacts import Blob
from domain.build.compare import PackageChange
from domain.errors import Problem, Verdict
from infra.ports import ObjectStore

_MOST_CHANGES = 50

_Key = tuple[str, str]


class Solver(Protocol):
    """Solves a recipe without storing anything."""

    async def solve(self, recipe: dict[str, object], log: StepLog) -> tuple[Lock | None, tuple[Problem, ...]]:
        """Return the lock, or everything that is wrong."""
        ...


class PackageComparer:
    """Solves on this host, and reads the list from the object store. Nothing is kept."""

    def __init__(self, solver: Solver, objects: ObjectStore) -> None:
        self._solver = solver
        self._objects = objects

    async def compare(self, request: CompareInput, log: StepLog) -> CompareResult:
        """Compare versions and files, package by package; a list that is gone is told.

        Raises:
            Fault: as `Resolver.resolve`, or `objects.unavailable`.

        """
        lock, problems = await self._solver.solve(request.recipe, log)
        if lock is None:
            return CompareResult(problems=problems)
        packages = lock.everything
        before = await self._before(request.manifest)
        changes = tuple(_changes(before or {}, packages))
        return CompareResult(
            packages=packages_digest(packages),
            total=len(packages),
            changed=len(changes),
            changes=changes[:_MOST_CHANGES],
            gone=before is None,
        )

    async def _before(self, manifest: str | None) -> Mapping[_Key, tuple[str, str]] | None:
        if manifest is None:
            return {}
        try:
            document = json.loads(await self._objects.get(object_key(Blob(digest=manifest, bytes=0))))
        except Verdict:
            return None
        return {(p["name"], p["arch"]): (p["version"], p["sha256"]) for p in document["packages"]}


def _changes(before: Mapping[_Key, tuple[str, str]], packages: Iterable[LockedPackage]) -> Iterable[PackageChange]:
    today = {(p.name, p.arch): (p.version, p.sha256) for p in packages}
    for name, arch in sorted({*before, *today}):
        then, now = before.get((name, arch)), today.get((name, arch))
        if then != now:
            yield PackageChange(name=name, before=then and then[0], after=now and now[0])
