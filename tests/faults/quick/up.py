"""`openfactory up`, with the parts that are our own programs run by `launch.py`: `python -m tests.faults.quick.up`.

Its supervisor, servers and parts are the product's. The object store is reached through the laboratory's proxy.
"""

import functools
import os
import sys

from cli.stack import run
from cli.stack.endpoints import Endpoints
from cli.stack.part import Part
from cli.stack.parts import SHARED, stack_parts
from cli.stack.restarts import RestartPolicy
from cli.stack.supervisor import Supervisor
from infra import settings as configuration
from infra.settings import Settings
from tests.faults.quick.environment import PROXY, REAL

_SERVERS = frozenset({"postgres", "temporal", "s3", "libvirt", "migrate", "bucket"})


def quick_parts(settings: Settings, endpoints: Endpoints, ports: dict[str, int]) -> tuple[Part, ...]:
    """The stack's parts, each of our programs begun by the launcher."""
    return tuple(_quick(part) for part in stack_parts(settings, endpoints, ports))


def _quick(part: Part) -> Part:
    if part.name == "forkserver":  # our modules are instrumented as they are loaded, so it loads none before
        return part.model_copy(update={"argv": tuple(word for word in part.argv if word not in SHARED)})
    if part.name in _SERVERS:
        return part
    return part.model_copy(update={"argv": _launched(part.argv), "env": _env(part)})


def _launched(argv: tuple[str, ...]) -> tuple[str, ...]:
    *python, module = argv
    return (*python, "tests.faults.quick.launch", module)


def _env(part: Part) -> dict[str, str]:
    proxied = {"S3_ENDPOINT": os.environ[PROXY]} if "S3_ENDPOINT" in part.env else {}
    return {**part.env, **proxied, **({REAL: "1"} if os.environ.get(REAL) else {})}


def main() -> None:
    """Run until told to stop."""
    run.stack_parts = quick_parts
    # Parts are killed again and again here; a pause that grows would only be waited for.
    run.Supervisor = functools.partial(Supervisor, policy=RestartPolicy(longest=0.5))  # type: ignore[misc, assignment] # the same call
    run.run_stack(configuration.load(), lambda text: print(text, flush=True))


if __name__ == "__main__":
    sys.exit(main())
