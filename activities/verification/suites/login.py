"""`login`: each user of the recipe is there and can really log in."""

from collections.abc import Iterator

from activities.verification.assertions import user_exists
from activities.verification.check import Answer, Check, Finding, Probe, fails, holds
from activities.verification.programs import probe_of
from domain.recipe.claims import UserExists
from domain.recipe.schema import Recipe, SshService, User

_SUITE = "login"
_LIMIT = 60
_NO_LOGIN = frozenset({"nologin", "false"})
_HOME = """
home=$(getent passwd -- "$1" | cut -d: -f6) shell=$(getent passwd -- "$1" | cut -d: -f7)
[ -d "$home" ] || { echo "the home $home is not there"; exit 1; }
[ "$(stat -c %U -- "$home")" = "$1" ] || { echo "the home $home belongs to $(stat -c %U -- "$home")"; exit 1; }
[ -x "$shell" ] || { echo "the shell $shell is not there"; exit 1; }
echo "$home, $shell"
"""


def checks(recipe: Recipe) -> tuple[Check, ...]:
    """Check the account of each user, its home and shell, and log in as it."""
    return tuple(check for user in recipe.users for check in _of_user(user, _ssh_port(recipe)))


def _ssh_port(recipe: Recipe) -> int | None:
    runs = any(isinstance(service, SshService) and service.enabled for service in recipe.services)
    return recipe.ssh.port if runs and recipe.ssh is not None else None


def _of_user(user: User, port: int | None) -> Iterator[Check]:
    name = user.username
    yield user_exists.check(UserExists(username=name, groups=user.groups, shell=user.shell, home=user.home), _SUITE)
    yield Check(
        suite=_SUITE,
        description=f"the home and shell of {name} are there",
        type="login.home",
        expected="a home of its own and a program as shell",
        probe=Probe(argv=("sh", "-c", _HOME, "sh", name), shown=f"getent passwd {name}; ls -ld ~{name}"),
        judge=lambda answer: Finding(passed=answer.status == 0, found=answer.words),
    )
    if user.shell.rpartition("/")[2] not in _NO_LOGIN:
        yield _login(name, port)


def _login(name: str, port: int | None) -> Check:
    if port is None:
        how, probe = "", Probe(argv=("su", "-l", name, "-c", "id -un"), limit=_LIMIT)
    else:
        how = " over SSH with a key"
        shown = f"ssh -p {port} {name}@127.0.0.1 id -un"
        probe = probe_of("login.sh", name, str(port), limit=_LIMIT, shown=shown)
    return Check(
        suite=_SUITE,
        description=f"{name} logs in{how}",
        type="login.session",
        expected=name,
        probe=probe,
        judge=lambda answer: _judge(name, answer),
        settles=True,
    )


def _judge(name: str, answer: Answer) -> Finding:
    # A login may greet first; the answer is the last line.
    said = answer.lines[-1].strip() if answer.lines else ""
    return holds(said) if answer.status == 0 and said == name else fails(answer.words)
