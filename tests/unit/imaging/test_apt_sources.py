"""Finding the host's Debian mirrors in what apt says."""

from activities.imaging.apt_sources import Mirrors, guessed_mirrors, known_mirrors


def test_archives_of_others_are_not_debian() -> None:
    lines = [
        "Tools|Tools|bookworm|https://tools.example/apt/",
        "Debian|Debian|bookworm|http://mirror.example/debian/",
        "Debian|Debian|bookworm-updates|http://mirror.example/debian/",
        "Debian|Debian-Security|bookworm-security|http://mirror.example/debian-security/",
    ]
    assert known_mirrors(lines) == {
        "main": "http://mirror.example/debian/",
        "security": "http://mirror.example/debian-security/",
    }


def test_a_disc_is_no_mirror() -> None:
    assert known_mirrors(["Debian|Debian|bookworm|cdrom:[Debian 12]/"]) == {}


def test_without_indexes_debian_is_the_archive_that_has_updates_too() -> None:
    lines = [
        "'https://containers.example/linux/debian/dists/bookworm/InRelease' a 0 ",
        "'http://mirror.example/debian/dists/bookworm/InRelease' b 0 ",
        "'http://mirror.example/debian/dists/bookworm-updates/InRelease' c 0 ",
        "'http://mirror.example/debian-security/dists/bookworm-security/InRelease' d 0 ",
        "'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' e 0 ",
    ]
    assert guessed_mirrors(lines) == {
        "main": "http://mirror.example/debian/",
        "security": "http://mirror.example/debian-security/",
    }


def test_a_package_is_fetched_from_its_own_archive() -> None:
    mirrors = Mirrors(main="http://a.example/debian/", security=None)
    assert mirrors.of("main") == "http://a.example/debian/"
    assert mirrors.of("security") is None
