"""From a recipe to exact packages: everything wrong is found before anything is downloaded."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from activities.imaging.apt_debs import DebCache
from activities.imaging.apt_index import AptIndex, Choice, Stanza, Unsolvable, open_index
from activities.imaging.apt_problems import conflicts, not_found, paths_of, virtual
from activities.imaging.apt_root import AptRoot
from activities.imaging.apt_sources import Mirrors, find_mirrors
from activities.imaging.lock import CONTROL_FIELDS, Lock, LockedPackage, read_lock, store_lock
from activities.imaging.models import ResolveInput, ResolveResult
from activities.imaging.pinned import bring_lock, require_packages, require_wanted
from activities.imaging.ports import BlobStore
from activities.imaging.solutions import Question, Solutions
from activities.imaging.tools import tool_versions
from activities.imaging.workspace import open_workspace
from activities.job import Job
from activities.step_log import StepLog
from domain.artifacts import Blob
from domain.errors import Fault, Problem, Verdict
from domain.recipe.defaults import default_packages, system_packages
from domain.recipe.schema import SUITES, Recipe
from infra.ports import ObjectStore
from infra.settings import Settings
from infra.sources import source_digest

ARCHITECTURE = "amd64"
# What mmdebstrap(1) calls minbase; usr-is-merged keeps usrmerge and all of perl out of bookworm's.
_BASE_PATTERNS = ("?essential", "?priority(required)", "apt")
_MERGED_USR = "usr-is-merged"
_INITRD_BYTES = 100 << 20
_SOURCES = tuple(Path(__file__).with_name(name) for name in ("apt_index.py", "apt_root.py", "lock.py", "resolve.py"))


@dataclass(frozen=True)
class AptResolver:
    """Solves recipes with apt in a private root (`ports.Resolver`)."""

    settings: Settings
    store: BlobStore
    objects: ObjectStore

    async def resolve(self, request: ResolveInput, log: StepLog) -> ResolveResult:
        """Solve the recipe and store its lock. The same index and recipe give the same lock.

        With the lock of an earlier build nothing is solved: that one is taken, if its packages can still be had.

        Raises:
            Verdict: `package.not_found`, `package.virtual`, `package.conflict`: all there are. Of an earlier lock:
                `package.superseded` (all there are), `lock.gone`, `lock.outdated`.
            Fault: `mirror.unreachable`, `mirror.unknown`, `mirror.no_keyring`, `apt.busy`.

        """
        recipe = Recipe.model_validate(request.recipe)
        mirrors = await find_mirrors(self.settings)
        if request.lock is not None:
            await self._require_pinned(request.lock, request.job, recipe, mirrors, log)
            return self._result(request.lock, mirrors, log)
        log.progress(0, "reading the package index")
        async with open_index(self._root(recipe.suite), mirrors, log) as index:
            blob = await self._lock_of(recipe, index, log)
        return self._result(blob, mirrors, log)

    async def _require_pinned(self, blob: Blob, job: Job, recipe: Recipe, mirrors: Mirrors, log: StepLog) -> None:
        log.progress(0, "looking for the packages of the earlier build")
        lock = await bring_lock(self.store, self.objects, blob)
        require_wanted(lock, _wanted(recipe))
        cache = DebCache(self.settings.home)
        if not cache.missing(lock.everything):
            return  # no archive is needed, nor an index
        async with (
            open_workspace(self.settings.home, job.job_id, "resolve") as workspace,
            open_index(self._root(recipe.suite), mirrors, log) as index,
        ):
            await require_packages(lock, index, cache, workspace, log)

    async def _lock_of(self, recipe: Recipe, index: AptIndex, log: StepLog) -> Blob:
        solutions = Solutions(self.settings.home, self.store)
        question = Question(
            suite=index.root.suite,
            arch=index.root.arch,
            wanted=_wanted(recipe),
            system=system_packages(recipe),
            mirrors=index.mirrors.model_dump(),
            index=index.digest(),
            tools=await tool_versions(("apt", "dpkg")),
            sources=source_digest(_SOURCES),
        )
        if (found := solutions.find(question)) is not None:
            log.line("Solved before, with this very index.")
            return found
        log.progress(40, "solving")
        lock, problems = await self._solve(recipe, index)
        if problems or lock is None:
            raise Verdict(*problems)
        blob = await store_lock(self.store, lock)
        solutions.record(question, blob)
        return blob

    async def check(self, recipe: dict[str, object], log: StepLog) -> tuple[Problem, ...]:
        """Name everything wrong with the recipe's packages; nothing is stored or downloaded but indexes.

        Raises:
            Fault: as `resolve`.

        """
        _, problems = await self.solve(recipe, log)
        return problems

    async def solve(self, recipe: dict[str, object], log: StepLog) -> tuple[Lock | None, tuple[Problem, ...]]:
        """Solve without storing anything: the lock, or everything that is wrong.

        Raises:
            Fault: as `resolve`.

        """
        parsed = Recipe.model_validate(recipe)
        mirrors = await find_mirrors(self.settings)
        async with open_index(self._root(parsed.suite), mirrors, log) as index:
            return await self._solve(parsed, index)

    def _root(self, suite: str) -> AptRoot:
        return AptRoot(self.settings.home, suite, ARCHITECTURE)

    async def _solve(self, recipe: Recipe, index: AptIndex) -> tuple[Lock | None, tuple[Problem, ...]]:
        names = await index.names()
        wanted = _wanted(recipe)
        problems = await self._unknown(recipe, index, [name for name in wanted if name not in names], names)
        base, system = await self._shared(recipe, index, names)
        try:
            choices, shared = await self._choices(index, base, system, [name for name in wanted if name in names])
        except Unsolvable as unsolvable:
            return None, (*problems, *conflicts(unsolvable.output, paths_of(recipe)))
        if problems:
            return None, problems
        stanzas = await index.stanzas({choice.name for choice in choices})
        return _lock(index, wanted, *(_locked(part, stanzas) for part in (base, shared, choices))), ()

    async def _shared(
        self, recipe: Recipe, index: AptIndex, names: frozenset[str]
    ) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
        """Solve side by side for the bare system, and for it with the factory's own packages."""
        try:
            async with asyncio.TaskGroup() as group:
                base = group.create_task(self._base(index, names))
                system = group.create_task(self._system(recipe, index, names))
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        return base.result(), system.result()

    async def _choices(
        self, index: AptIndex, base: Sequence[Choice], system: Sequence[Choice], wanted: Sequence[str]
    ) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
        """Solve for all that is wanted: the choices, and what of them the base layer may have from `system`.

        Which packages a recipe names can make apt choose others for the system too. Such a recipe has all but
        the bare system in its package layer.
        """
        if system:
            targets = dict.fromkeys((*(choice.name for choice in (*base, *system)), *wanted))
            with contextlib.suppress(Unsolvable):
                choices = await index.solve([*_BASE_PATTERNS, *targets])
                if {choice.path for choice in (*base, *system)} <= {choice.path for choice in choices}:
                    return choices, tuple(system)
        targets = dict.fromkeys((*(choice.name for choice in base), *wanted))
        return await index.solve([*_BASE_PATTERNS, *targets]), ()

    async def _system(self, recipe: Recipe, index: AptIndex, names: frozenset[str]) -> tuple[Choice, ...]:
        """Solve for the factory's own packages alone; nothing if they cannot be had, which the recipe is told."""
        try:
            return await index.solve([*_BASE_PATTERNS, *_merged(names), *system_packages(recipe)])
        except Unsolvable:
            return ()

    async def _base(self, index: AptIndex, names: frozenset[str]) -> tuple[Choice, ...]:
        try:
            return await index.solve([*_BASE_PATTERNS, *_merged(names)])
        except Unsolvable as unsolvable:
            raise Fault.because(
                "mirror.broken",
                f"The base of {index.root.suite} cannot be solved: {unsolvable.output[-1:]}",
                next="The mirror may be in the middle of an update: retry in a few minutes.",
            ) from unsolvable

    async def _unknown(
        self, recipe: Recipe, index: AptIndex, unknown: Sequence[str], names: frozenset[str]
    ) -> tuple[Problem, ...]:
        if not unknown:
            return ()
        paths = paths_of(recipe)
        others = await self._other_suites(recipe.suite, index)
        day = index.dates().newest.date().isoformat()
        where = f"{recipe.suite}/main {ARCHITECTURE} ({len(names):,} names, index {day})"
        problems: list[Problem] = []
        for name in unknown:
            if providers := await index.providers(name):
                problems.append(virtual(name, paths.get(name), providers))
            else:
                available = [suite for suite, known in others.items() if name in known]
                problems.append(not_found(name, paths.get(name), where, names, available))
        return tuple(sorted(problems, key=lambda problem: _order(problem.path)))

    async def _other_suites(self, suite: str, index: AptIndex) -> Mapping[str, frozenset[str]]:
        """Names in the suites whose index is here already; none is fetched just to give a hint."""
        roots = [self._root(other) for other in sorted(SUITES.values()) if other != suite]
        return {root.suite: await AptIndex(root, index.mirrors).names() for root in roots if root.stamp.exists()}

    def _result(self, blob: Blob, mirrors: Mirrors, log: StepLog) -> ResolveResult:
        lock = read_lock(self.store, blob)
        everything = lock.everything
        missing = DebCache(self.settings.home).missing(everything)
        download = sum(package.bytes for package in missing)
        log.line(
            f"{len(everything)} packages from {'three' if mirrors.security else 'two'} suites, "
            f"{len(missing)} of them to download ({download / 1e6:.1f} MB); lock {blob.digest[:12]}."
        )
        log.progress(100, "solved")
        return ResolveResult(
            lock=blob,
            packages=len(everything),
            download_bytes=download,
            image_bytes=lock.installed_bytes + _INITRD_BYTES,
            index=f"{lock.suite} {lock.index[:10]}",
        )


def _merged(names: frozenset[str]) -> tuple[str, ...]:
    return (_MERGED_USR,) if _MERGED_USR in names else ()


def _wanted(recipe: Recipe) -> tuple[str, ...]:
    return tuple(sorted({*default_packages(recipe), *recipe.packages}))


def _order(path: str | None) -> tuple[int, str]:
    return (len(path or ""), path or "")


def _locked(choices: Iterable[Choice], stanzas: Mapping[str, Stanza]) -> tuple[LockedPackage, ...]:
    locked: list[LockedPackage] = []
    for choice in choices:
        stanza = stanzas[choice.path]
        locked.append(
            LockedPackage(
                name=stanza["Package"],
                version=stanza["Version"],
                arch=stanza["Architecture"],
                sha256=stanza["SHA256"],
                bytes=int(stanza["Size"]),
                installed_kib=int(stanza.get("Installed-Size", "0")),
                archive=choice.archive,
                path=choice.path,
                control={key: stanza[key] for key in CONTROL_FIELDS if key in stanza},
            )
        )
    return tuple(sorted(locked, key=lambda package: (package.name, package.arch)))


def _lock(
    index: AptIndex,
    wanted: Sequence[str],
    base: tuple[LockedPackage, ...],
    system: tuple[LockedPackage, ...],
    everything: tuple[LockedPackage, ...],
) -> Lock:
    """Divide what was solved: a base package may not differ between the solutions."""
    of_base = {package.sha256 for package in base}
    of_system = {package.sha256 for package in system} - of_base
    dates = index.dates()
    if not of_base <= {package.sha256 for package in everything}:
        raise Fault.because("mirror.broken", "The base of the image was solved in two ways.", next="Retry.")
    return Lock(
        suite=index.root.suite,
        arch=index.root.arch,
        epoch=int(dates.suite.timestamp()),
        index=dates.newest.isoformat(),
        base=base,
        system=tuple(package for package in everything if package.sha256 in of_system),
        packages=tuple(package for package in everything if package.sha256 not in of_base | of_system),
        wanted=tuple(wanted),
    )
