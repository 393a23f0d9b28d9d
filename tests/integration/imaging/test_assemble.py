"""Both images, made of a tiny tree by the real programs and looked into with others."""

import asyncio
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from activities.imaging import disk_layout
from activities.imaging.assemble import ImageAssembler
from activities.imaging.identifiers import image_uuid
from activities.imaging.models import AssembleInput, AssembleResult
from activities.imaging.store import LocalBlobStore
from domain.errors import Verdict
from tests.integration.imaging.trees import EPOCH, INITRD, KERNEL, StepNotes, layer_request, pack

pytestmark = pytest.mark.integration

ROOT_OFFSET = disk_layout.ROOT_START * disk_layout.SECTOR


def ask(*argv: str | Path) -> str:
    """What a program answers, both outputs together."""
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode(errors="replace")


@dataclass
class Made:
    """One assembly, with its images where tools can open them."""

    home: Path
    request: AssembleInput
    result: AssembleResult
    notes: StepNotes
    raw: Path
    iso: Path

    def cat(self, path: str) -> str:
        return ask("debugfs", "-R", f"cat {path}", f"{self.raw}?offset={ROOT_OFFSET}").split("\n", 1)[1]


async def assemble(home: Path, tar: Path) -> Made:
    """Assemble on a host of its own."""
    store = LocalBlobStore(home)
    request = await layer_request(home, store, tar)
    notes = StepNotes()
    result = await ImageAssembler(home, store).assemble(request, notes)
    qcow2, iso = (store.path(artifact.blob) for artifact in result.artifacts)
    raw = home / "disk.raw"
    ask("qemu-img", "convert", "-O", "raw", qcow2, raw)
    return Made(home=home, request=request, result=result, notes=notes, raw=raw, iso=iso)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Images of the tiny tree, made once for this module."""
    home = tmp_path_factory.mktemp("assembly")
    return asyncio.run(assemble(home / "one", pack(home / "tiny.tar")))


def test_both_images_are_named_by_the_recipe_and_verified_by_nobody(made: Made) -> None:
    assert [(a.kind, a.name, a.verification) for a in made.result.artifacts] == [
        ("qcow2", "tiny-demo.qcow2", "unverified"),
        ("iso", "tiny-demo.iso", "unverified"),
    ]
    assert not made.result.cached


def test_each_image_is_told_as_soon_as_it_is_there(made: Made) -> None:
    told = [line for line in made.notes.lines if line.startswith("tiny-demo.")]
    assert sorted(told) == sorted(
        f"{a.name}: {a.blob.bytes} bytes, sha256 {a.blob.digest}" for a in made.result.artifacts
    )


def test_progress_is_told_to_the_end(made: Made) -> None:
    assert made.notes.percents[-1] == 100
    assert len(made.notes.percents) > 4


async def test_another_host_makes_the_same_bytes(made: Made, tmp_path: Path) -> None:
    other = await assemble(tmp_path / "a-longer-name-than-the-first", pack(tmp_path / "tiny.tar"))

    assert other.result.artifacts == made.result.artifacts


async def test_an_unchanged_layer_gives_the_same_images_without_work(made: Made) -> None:
    notes = StepNotes()

    again = await ImageAssembler(made.home, LocalBlobStore(made.home)).assemble(made.request, notes)

    assert again.cached
    assert again.artifacts == made.result.artifacts
    assert notes.lines == []


def test_nothing_is_left_in_the_workspace(made: Made) -> None:
    assert list((made.home / "tmp").iterdir()) == []


def test_the_disk_has_its_three_partitions_under_a_valid_table(made: Made) -> None:
    table = json.loads(ask("sfdisk", "--json", made.raw))["partitiontable"]

    assert table["label"] == "gpt"
    rows = [(p["start"], p["type"]) for p in table["partitions"]]
    assert rows == [
        (disk_layout.BIOS_START, disk_layout.BIOS_BOOT_TYPE),
        (disk_layout.ESP_START, disk_layout.ESP_TYPE),
        (disk_layout.ROOT_START, disk_layout.ROOT_TYPE),
    ]
    assert "No errors detected" in ask("sfdisk", "--verify", made.raw)


def test_the_root_file_system_is_clean_and_says_what_is_its_own(made: Made) -> None:
    device = f"{made.raw}?offset={ROOT_OFFSET}"

    assert "clean" in ask("fsck.ext4", "-n", device)
    ask("fsck.ext4", "-f", "-n", device)
    file_system = image_uuid(made.request.layer.blob.digest, "root file system")
    assert made.cat("/etc/fstab").startswith(f"UUID={file_system} / ext4 ")
    assert f"root=UUID={file_system}" in made.cat("/boot/grub/grub.cfg")
    assert made.cat("/etc/hostname") == "tiny\n"


def test_owners_modes_capabilities_and_times_survive(made: Made) -> None:
    device = f"{made.raw}?offset={ROOT_OFFSET}"

    secret = ask("debugfs", "-R", "stat /home/deploy/secret", device)
    assert "User:  1000   Group:  1001" in secret
    assert "Mode:  04750" in secret
    assert f"ctime: {EPOCH:#010x}" in secret
    assert f"mtime: {EPOCH - 5:#010x}" in secret
    assert "security.capability" in ask("debugfs", "-R", "ea_list /usr/bin/ping", device)
    assert "Links: 2" in ask("debugfs", "-R", "stat /usr/bin/again", device)


def test_the_disk_carries_boot_code_for_both_firmwares(made: Made) -> None:
    with made.raw.open("rb") as disk:
        start = disk.read(512)
        disk.seek(disk_layout.BIOS_START * disk_layout.SECTOR)
        core = disk.read(512)
    assert start[510:] == b"\x55\xaa"
    assert start[0x5C:0x64] == (2048).to_bytes(8, "little")
    assert core[0x1F4:0x1FC] == (2049).to_bytes(8, "little")
    esp = f"{made.raw}@@{disk_layout.ESP_START * disk_layout.SECTOR}"
    assert "BOOTX64" in ask("mdir", "-i", esp, "::/EFI/BOOT")


def test_the_iso_starts_under_both_firmwares(made: Made) -> None:
    report = ask("xorriso", "-indev", made.iso, "-report_el_torito", "plain", "-report_system_area", "plain")

    assert "El Torito img path :   1  /boot/grub/eltorito.img" in report
    assert report.count("El Torito boot img :") == 2
    assert " UEFI " in report
    assert "grub2-mbr" in report
    assert "GPT" in report


def test_the_iso_has_its_kernel_at_a_stable_path(made: Made, tmp_path: Path) -> None:
    for name, data in (("vmlinuz", KERNEL), ("initrd", INITRD)):
        ask("xorriso", "-osirrox", "on", "-indev", made.iso, "-extract", f"/live/{name}", tmp_path / name)
        assert (tmp_path / name).read_bytes() == data


def test_the_live_file_system_keeps_owners_and_modes(made: Made, tmp_path: Path) -> None:
    squashfs = tmp_path / "filesystem.squashfs"
    ask("xorriso", "-osirrox", "on", "-indev", made.iso, "-extract", "/live/filesystem.squashfs", squashfs)

    listing = ask("unsquashfs", "-lln", squashfs)

    assert any(line.startswith("-rwsr-x--- 1000/1001") and line.endswith("secret") for line in listing.splitlines())


@pytest.mark.parametrize(
    ("without", "linked", "code"),
    [
        ("boot/", "", "image.no_kernel"),
        ("boot/initrd", "", "image.no_kernel"),
        ("usr/lib/live", "", "image.no_live_boot"),
        ("", "etc", "image.bad_path"),
    ],
)
async def test_a_tree_that_cannot_start_is_a_verdict_about_the_image(
    tmp_path: Path, without: str, linked: str, code: str
) -> None:
    with pytest.raises(Verdict) as caught:
        await assemble(tmp_path / "home", pack(tmp_path / "tiny.tar", without=without, linked=linked))

    assert caught.value.code == code
    assert list((tmp_path / "home/tmp").iterdir()) == []


class UntilUnpacked(StepNotes):
    """Says when the stages are at work."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    def progress(self, percent: float, text: str) -> None:
        super().progress(percent, text)
        if percent > 0:
            self.reached.set()


async def test_cancelling_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = LocalBlobStore(home)
    request = await layer_request(home, store, pack(tmp_path / "tiny.tar"))
    notes = UntilUnpacked()
    task = asyncio.create_task(ImageAssembler(home, store).assemble(request, notes))
    await notes.reached.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert list((home / "tmp").iterdir()) == []
    assert [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(home).encode() in _read(p)] == []
    assert str(home) not in Path("/proc/self/mountinfo").read_text()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""
