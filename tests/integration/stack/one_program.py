"""A module that runs the lines of Python of its first argument: a part of ours that can be forked off."""

import sys
import textwrap

if __name__ == "__main__":
    exec(textwrap.dedent(sys.argv[1]), {"__name__": "__main__"})  # noqa: S102 - lines of these tests
