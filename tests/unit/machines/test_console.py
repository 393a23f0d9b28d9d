"""What is understood of a guest's serial port."""

import pytest

from activities.machines.console import Console, clean


def told(*pieces: str) -> Console:
    console = Console()
    for piece in pieces:
        console.feed(piece.encode())
    return console


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n", "the kernel panicked: VFS: Unable"),
        ("No bootable device.\n", "no bootable device"),
        ("BdsDxe: No bootable option or device was found.\n", "no bootable device"),
        ("error: no such device: 1234.\ngrub rescue> ", "rescue prompt: no such device: 1234."),
        (
            "error: out of memory.\nerror: you need to load the kernel first.\n",
            "GRUB could not load the kernel: out of",
        ),
        ("ALERT!  UUID=77 does not exist.  Dropping to a shell!\n", "the initramfs gave up: UUID=77 does not exist"),
        ("\x1b[6n(initramfs) ", "emergency shell"),
        ("dracut:/# ", "dracut stopped"),
        ("You are in emergency mode. After logging in, type\n", "emergency mode"),
        ("Give root password for maintenance\n(or press Control-D to continue): ", "emergency mode"),
    ],
)
def test_each_way_to_fail_is_named(text: str, reason: str) -> None:
    assert reason in (told(text).failure or "")


def test_a_healthy_boot_passes_its_milestones_and_has_no_failure() -> None:
    seen: list[str] = []
    console = Console()
    for piece in (
        "SeaBIOS (version 1.16)\r\n",
        "\x1b[2J\x1b[1;1HWelcome to GRUB!\r\n",
        "[    0.000000] Linux version 6.1.0-1-amd64\r\n",
        "Loading, please wait...\r\n",
        "Welcome to \x1b[31mDebian GNU/Linux 12\x1b[0m!\r\n",
        "[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mmulti-user.target\x1b[0m - Multi-User System.\r\n",
    ):
        console.feed(piece.encode())
        seen.append(console.milestone.text)
    expected = ["firmware", "boot loader", "kernel", "initramfs", "system start", "multi-user"]
    assert seen == expected
    assert console.failure is None


def test_a_line_that_comes_in_pieces_is_one_line() -> None:
    console = Console()
    assert console.feed(b"Kernel pa") == []
    assert console.feed(b"nic - not syncing: \xe2\x82") == []
    assert console.failure is None
    assert console.feed(b"\xac\n") == ["Kernel panic - not syncing: €"]
    assert console.failure == "the kernel panicked: €"


def test_a_kernel_is_counted_once_however_its_line_arrives() -> None:
    assert told(*"Linux version 6.1\n").failure is None


def test_a_system_that_restarts_again_and_again_has_failed() -> None:
    assert "restarts again and again" in (told("Linux version 6.1\n" * 4).failure or "")


@pytest.mark.parametrize(
    "line",
    [
        "[ 0.1] Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug\n",
        "[ 61.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [systemd-udevd:123]\n",
        "[ 61.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n",
    ],
)
def test_a_guest_that_got_no_time_is_seen_to_be_starved(line: str) -> None:
    assert told(line).starved


def test_other_panics_are_the_guests_own() -> None:
    assert not told("Kernel panic - not syncing: Attempted to kill init!\n").starved


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("a\u202eb\u200bc\ufeff", "abc"),
        ("bell\x07 and \x00nul", "bell and nul"),
        ("x" * 5000, "x" * 1000),
    ],
)
def test_text_of_a_guest_is_fit_to_print(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected


def test_the_screen_ends_with_the_prompt() -> None:
    console = told("one\r\ntwo\r\n", "login: ")
    assert console.screen == "one\ntwo\nlogin:"
    assert console.last_line == "login:"


def test_a_flood_without_an_end_of_line_is_cut_into_lines() -> None:
    console = Console()
    lines = [line for _ in range(100) for line in console.feed(b"y" * 65536)]
    assert all(len(line) <= 1000 for line in lines)
