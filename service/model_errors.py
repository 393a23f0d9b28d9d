"""What a model says about its input, as problems."""

from collections.abc import Generator
from contextlib import contextmanager

from pydantic import ValidationError

from domain.errors import Problem, Verdict


@contextmanager
def problems_of(code: str) -> Generator[None]:
    """Raise every validation error in here as one `Verdict` with a problem for each."""
    try:
        yield
    except ValidationError as error:
        problems = [
            Problem(
                code=code,
                message=f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}.",
                path=".".join(map(str, detail["loc"])),
                value=str(detail.get("input"))[:80],
                next="Correct it and call again.",
            )
            for detail in error.errors(include_url=False)
        ]
        raise Verdict(*problems) from error
