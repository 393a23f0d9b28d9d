"""Services of an image, enabled and disabled offline. Runs with the image as root directory."""

import difflib
from pathlib import Path

from activities.imaging.stages.frame import Stage
from domain.errors import Problem, Verdict
from domain.recipe.schema import Recipe
from infra.process import CommandError

_FOLDERS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))
_SCRIPTS = Path("/etc/init.d")
_SUFFIXES = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".automount", ".swap", ".slice")


def unit_of(name: str) -> str:
    """Complete a unit's name: `.service` may be left out."""
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


def has_unit(name: str) -> bool:
    """Whether the image ships the unit: a file, a template for it, or an init script."""
    unit = unit_of(name)
    names = {unit}
    if "@" in unit:
        stem, _, rest = unit.partition("@")
        names.add(f"{stem}@.{rest.rsplit('.', 1)[-1]}")
    if any((folder / candidate).exists() for folder in _FOLDERS for candidate in names):
        return True
    return (_SCRIPTS / unit.removesuffix(".service")).is_file()


def check_services(recipe: Recipe) -> tuple[Problem, ...]:
    """Name every service whose unit is not in the image."""
    missing = [(i, service.name) for i, service in enumerate(recipe.services) if not has_unit(service.name)]
    if not missing:
        return ()
    known = sorted({path.name for folder in _FOLDERS for path in folder.glob("*.service")})
    return tuple(
        Problem(
            code="service.not_found",
            message=f"No package of the image ships the unit {unit_of(name)}.",
            path=f"services[{i}].name",
            value=name,
            suggestions=tuple(difflib.get_close_matches(unit_of(name), known, n=3)),
            next="Correct the name, or add the package that ships the unit.",
        )
        for i, name in missing
    )


async def set_services(recipe: Recipe, extra: tuple[str, ...], stage: Stage) -> None:
    """Enable and disable as the recipe says; `extra` units are the factory's own. Later entries win.

    Raises:
        Verdict: `service.refused`, when systemctl refuses one, an alias for instance.

    """
    own: dict[str, tuple[bool, str | None]] = dict.fromkeys(extra, (True, None))
    named = {unit_of(s.name): (s.enabled, f"services[{i}].name") for i, s in enumerate(recipe.services)}
    for unit, (enabled, path) in (own | named).items():
        try:
            # An offline systemctl in a chroot only makes and removes links (systemctl(1)).
            await stage.run("systemctl", "--quiet", "enable" if enabled else "disable", "--", unit)
        except CommandError as error:
            raise Verdict.because(
                "service.refused",
                f"{unit} cannot be {'enabled' if enabled else 'disabled'}: {' '.join(error.tail[-2:]) or error}",
                path=path,
                value=unit,
                next="Name the unit itself, not an alias of it (ssh, not sshd), or leave it out.",
            ) from error
