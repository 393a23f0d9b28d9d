"""The launcher's refusals. That it prepares a bare Debian is seen in CI, which starts with it."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.stack.programs import ROOT

pytestmark = pytest.mark.integration


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing is prepared yet."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("openfactory", "requirements.lock", "requirements-bootstrap.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def launch(checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(checkout), "OPENFACTORY_SKIP_APT": "1", **environ}
    argv = [str(checkout / "openfactory"), "--help"]
    return subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, check=False, timeout=100)


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    path.chmod(0o755)
    return path


def test_without_python_it_says_how_to_get_one(checkout: Path) -> None:
    done = launch(checkout, OPENFACTORY_PYTHON="/nonexistent/python3")
    assert done.returncode == 1
    assert "there is no Python at /nonexistent/python3" in done.stderr
    assert "OPENFACTORY_PYTHON" in done.stderr


def test_an_old_python_is_refused_by_its_version(checkout: Path, tmp_path: Path) -> None:
    old = script(tmp_path / "old", 'case "$2" in *exit*) exit 1;; *) echo 3.9;; esac')
    done = launch(checkout, OPENFACTORY_PYTHON=str(old))
    assert done.returncode == 1
    assert "is Python 3.9; 3.11 or newer is needed" in done.stderr


def test_without_a_network_it_says_so_and_begins_again_next_time(checkout: Path) -> None:
    nowhere = "http://127.0.0.1:9/simple"
    offline = {"PIP_INDEX_URL": nowhere, "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    for _ in range(2):
        done = launch(checkout, **offline)
        assert done.returncode == 1
        assert "Is there a network?" in done.stderr
        assert not (checkout / ".venv" / ".prepared").exists()


def test_a_prepared_checkout_is_started_at_once_from_any_folder(checkout: Path, tmp_path: Path) -> None:
    shows = script(tmp_path / "python", 'echo "$PYTHONPATH $*"')
    ready = script(tmp_path / "source", f'. "{checkout}/probe"; environment_digest')
    text = (checkout / "openfactory").read_text()
    (checkout / "probe").write_text(
        f"root={checkout}\npython={shows}\n" + text[text.index("environment_digest() {") : text.index("prepared() {")]
    )
    digest = subprocess.run([str(ready)], capture_output=True, text=True, check=True).stdout
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(shows)
    (checkout / ".venv" / ".prepared").write_text(digest)
    done = launch(checkout, OPENFACTORY_PYTHON=str(shows))
    assert done.stdout == f"{checkout} -P -m cli --help\n"
    assert done.stderr == ""


def test_an_environment_that_is_half_changed_is_that_of_no_version(checkout: Path) -> None:
    lock = hashlib.sha256((checkout / "requirements-bootstrap.lock").read_bytes()).hexdigest()
    venv = checkout / ".venv"
    for folder in ("bin", "bootstrap/bin"):
        (venv / folder).mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / ".bootstrapped").write_text(f"{lock} {sys.version_info[0]}.{sys.version_info[1]}\n")
    (venv / ".prepared").write_text("of the version before\n")
    script(venv / "bootstrap" / "bin" / "uv", "exit 1")
    done = launch(checkout, OPENFACTORY_PYTHON=sys.executable, PIP_CONFIG_FILE=os.devnull)
    assert done.returncode == 1
    assert "could not be installed" in done.stderr
    assert not (venv / ".prepared").exists()


def test_it_is_a_plain_shell_script(checkout: Path) -> None:
    subprocess.run(["dash", "-n", str(checkout / "openfactory")], check=True)
