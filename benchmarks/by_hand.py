"""A build by hand (`by_hand.sh`), from the very packages of a factory's lock."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from activities.imaging.apt_debs import DebCache
from activities.imaging.lock import Lock, packages_text, read_lock, release_text
from activities.imaging.store import LocalBlobStore
from domain.artifacts import Blob
from infra.sandbox import sandboxed

_SCRIPT = Path(__file__).with_name("by_hand.sh")


@dataclass(frozen=True)
class Bench:
    """A flat repository and a list of packages, made before anything is measured."""

    home: Path
    lock: Lock
    repository: Path
    targets: Path

    async def build(self) -> float:
        """Make both images and answer the seconds. Its files are gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="of-hand-", dir=self.home) as work:
            words = [str(self.repository), work, self.lock.suite, str(self.lock.epoch), str(self.targets)]
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *sandboxed(["sh", str(_SCRIPT), *words]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await process.communicate()
            if process.returncode != 0:
                raise RuntimeError(output.decode(errors="replace")[-3000:])
            return time.monotonic() - began


@contextmanager
def prepared(home: Path) -> Generator[Bench]:
    """Lay out the packages of the newest lock that the factory at `home` has solved."""
    newest = max((home / "solutions").glob("*.json"), key=lambda path: path.stat().st_mtime)
    lock = read_lock(LocalBlobStore(home), Blob.model_validate_json(newest.read_bytes()))
    folder = Path(tempfile.mkdtemp(prefix="of-hand-repository-", dir=home))
    try:
        repository = folder / "repository"
        repository.mkdir()
        packages = lock.everything
        DebCache(home).link(packages, repository)
        index = packages_text(packages)
        (repository / "Packages").write_bytes(index)
        (repository / "Release").write_bytes(release_text(lock.suite, lock.arch, index))
        targets = folder / "targets"
        targets.write_text("\n".join(package.target for package in (*lock.system, *lock.packages)) + "\n")
        yield Bench(home, lock, repository, targets)
    finally:
        shutil.rmtree(folder)
