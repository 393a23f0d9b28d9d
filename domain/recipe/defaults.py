"""The packages that every image gets beside the recipe's own, and why."""

from domain.recipe.assertions import HttpRespondsAssertion
from domain.recipe.schema import Recipe

_ALWAYS: tuple[str, ...] = (
    "linux-image-amd64",  # drivers for real hardware and graphics, which the cloud kernel leaves out
    "init",  # systemd as PID 1; brings systemd-networkd
    "udev",
    "dbus",  # systemctl and resolved talk over it
    "systemd-resolved",  # networkd only hands over the nameservers of a DHCP lease: this makes them count
    "live-boot",  # the ISO's root from a squashfs
    "iproute2",
    "procps",
    "ca-certificates",
)


def system_packages(recipe: Recipe) -> tuple[str, ...]:
    """Name those of `default_packages` that nearly all images have in common, sorted: they are in the base layer."""
    return tuple(sorted({*_ALWAYS, "qemu-guest-agent"} if recipe.guestAgent else _ALWAYS))


def default_packages(recipe: Recipe) -> tuple[str, ...]:
    """Name the packages that the image gets beside `recipe.packages`, sorted, without repetition.

    HTTP claims need no package: they are checked with perl-base, which is Essential and so in every
    Debian image (Debian Policy 3.8). It has no TLS, so a claim about an `https` address brings curl.
    """
    wanted = set(system_packages(recipe))
    if recipe.ssh is not None:
        wanted |= {"openssh-server", "openssh-client"}  # the client is what the login test logs in with
    if any(user.sudo for user in recipe.users):
        wanted.add("sudo")
    if _claims_https(recipe):
        wanted.add("curl")
    return tuple(sorted(wanted))


def _claims_https(recipe: Recipe) -> bool:
    claims = (claim for test in recipe.tests for claim in test.assertions)
    return any(isinstance(claim, HttpRespondsAssertion) and claim.params.url.startswith("https:") for claim in claims)
