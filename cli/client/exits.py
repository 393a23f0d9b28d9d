"""Exit codes of the command line, after sysexits.h(3head) where it has a word for it."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 69  # EX_UNAVAILABLE
TEMPORARY: Final = 75  # EX_TEMPFAIL
NOT_PERMITTED: Final = 77  # EX_NOPERM
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it

EPILOG: Final = (
    "Exit codes: 0 done · 1 the build failed or the recipe is not valid · 2 wrong usage · "
    "69 the factory does not answer · 75 a temporary fault, try again · 77 not permitted · 130 interrupted"
)
