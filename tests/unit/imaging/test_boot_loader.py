"""GRUB's menus, and the bytes that tie its images together."""

import struct
from uuid import UUID

import pytest

from activities.imaging import boot_loader
from activities.imaging.boot_loader import Kernel, newest_kernel
from domain.errors import Verdict

ROOT = UUID("6a38d706-2d97-5ad9-95fe-6fe9e42a7175")
KERNEL = Kernel(release="6.1.0-56-amd64")


def test_the_serial_console_comes_last_so_that_it_is_the_one_heard() -> None:
    for menu in (boot_loader.disk_menu("demo", KERNEL, ROOT), boot_loader.live_menu("demo")):
        line = next(line for line in menu.splitlines() if line.strip().startswith("linux "))
        assert line.endswith("console=tty0 console=ttyS0,115200")
        assert "quiet" not in line


def test_the_disk_menu_finds_its_root_by_identifier() -> None:
    menu = boot_loader.disk_menu("demo", KERNEL, ROOT)

    assert menu.count(f"root=UUID={ROOT} ro") == 2
    assert "initrd /boot/initrd.img-6.1.0-56-amd64" in menu


def test_the_disk_menu_prefers_the_links_that_a_kernel_upgrade_turns() -> None:
    menu = boot_loader.disk_menu("demo", KERNEL, ROOT)

    assert menu.index("linux /vmlinuz ") < menu.index("linux /boot/vmlinuz-6.1.0-56-amd64 ")


def test_the_live_menu_starts_live_boot_without_touching_the_recipe() -> None:
    menu = boot_loader.live_menu("demo")

    assert "linux /live/vmlinuz boot=live components=none " in menu
    assert "initrd /live/initrd\n" in menu


def test_menus_speak_on_screen_and_serial_and_wait_a_second() -> None:
    for menu in (boot_loader.disk_menu("demo", KERNEL, ROOT), boot_loader.live_menu("demo")):
        assert "terminal_output console serial\n" in menu
        assert "set timeout=1\n" in menu


def test_core_images_look_for_their_own_medium_only() -> None:
    assert f"search --no-floppy --fs-uuid --set=root {ROOT}\n" in boot_loader.disk_start(ROOT)
    assert "search --no-floppy --file --set=root /.disk/id/x\n" in boot_loader.live_start("/.disk/id/x")


def test_the_boot_sector_is_told_where_the_core_image_is() -> None:
    image = bytes(range(256)) * 2

    code = boot_loader.boot_sector(image, 2048)

    assert len(code) == 440
    assert struct.unpack_from("<Q", code, 0x5C) == (2048,)
    assert code[0x64] == 0xFF
    assert code[0x66:0x68] == b"\x90\x90"


def test_the_boot_sector_is_otherwise_as_it_was() -> None:
    image = bytes(range(256)) * 2

    code = boot_loader.boot_sector(image, 2048)

    changed = {n for n, (old, new) in enumerate(zip(image, code, strict=False)) if old != new}
    assert changed <= {*range(0x5C, 0x65), 0x66, 0x67}


def test_the_core_image_is_told_where_its_own_second_sector_is() -> None:
    image = bytes(0x1F4) + b"\0\0\0\0\0\0\0\0\x10\x00\x20\x08" + b"rest" * 300

    core = boot_loader.core_image(image, 2048, 2048)

    assert struct.unpack_from("<Q", core, 0x1F4) == (2049,)
    assert core[0x1FC:] == image[0x1FC:]


def test_a_core_image_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 2 sectors"):
        boot_loader.core_image(bytes(1025), 2048, 2)


@pytest.mark.parametrize("size", [0, 511, 513])
def test_what_is_no_sector_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=r"boot\.img"):
        boot_loader.boot_sector(bytes(size), 2048)


def test_the_newest_kernel_is_chosen_by_its_numbers() -> None:
    releases = ("6.1.0-9-amd64", "6.1.0-10-amd64", "5.10.0-30-amd64")
    names = [f"{kind}-{release}" for release in releases for kind in ("vmlinuz", "initrd.img", "config")]

    kernel = newest_kernel(names)

    assert kernel.image == "vmlinuz-6.1.0-10-amd64"
    assert kernel.initrd == "initrd.img-6.1.0-10-amd64"


@pytest.mark.parametrize("names", [(), ("initrd.img-6.1.0-9-amd64",), ("vmlinuz-6.1.0-9-amd64",), ("vmlinuz-$(id)",)])
def test_an_image_without_a_kernel_that_can_start_is_the_recipes_fault(names: tuple[str, ...]) -> None:
    with pytest.raises(Verdict) as caught:
        newest_kernel(names)

    assert caught.value.code == "image.no_kernel"
