"""The supervisor's process: `python -m cli.stack.up [--host]`, which is what `openfactory up` becomes."""

import sys

from cli.leaving import complain, leave
from cli.stack.run import run_stack
from domain.errors import FactoryError
from infra.settings import load


def main() -> None:
    """Run the stack; what is wrong is said as every command says it."""
    try:
        run_stack(load(), _say, host_only="--host" in sys.argv[1:])
    except FactoryError as error:
        complain(error)
        leave(1)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
