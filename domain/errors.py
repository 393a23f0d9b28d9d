"""Errors that tell the reader what to do next, in two kinds that never mix.

A `Verdict` says that what was asked for is wrong (the recipe, the image, the guest): asking again
changes nothing. A `Fault` says that the factory is wrong (a mirror, a disk, a lost worker): the same
request may succeed later.
"""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BeforeValidator

from domain.model import Value


def _encodable(text: object) -> object:
    """Replace what UTF-8 cannot hold: a problem quotes its input, which may be anything."""
    if isinstance(text, str) and not text.isascii():
        return text.encode(errors="replace").decode()
    return text


Words = Annotated[str, BeforeValidator(_encodable)]


class Problem(Value):
    """One thing that is wrong, for people and for programs.

    `code` is stable and dotted (`package.not_found`); `path` points into the input
    (`packages[3]`); `next` is one sentence about what to do, or the name of a tool to call.
    """

    code: str
    message: Words
    path: Words | None = None
    value: Words | None = None
    suggestions: tuple[Words, ...] = ()
    retryable: bool = False
    next: Words | None = None


class FactoryError(Exception):
    """Carries one or more problems; never raised itself, only as `Verdict` or `Fault`."""

    retryable: bool = False

    def __init__(self, *problems: Problem) -> None:
        if not problems:
            raise ValueError("an error needs at least one problem")
        self.problems: tuple[Problem, ...] = problems
        super().__init__("; ".join(f"{p.code}: {p.message}" for p in problems))

    @property
    def code(self) -> str:
        """The stable code of the first problem."""
        return self.problems[0].code

    @classmethod
    def because(
        cls,
        code: str,
        message: str,
        *,
        path: str | None = None,
        value: str | None = None,
        suggestions: Sequence[str] = (),
        next: str | None = None,  # noqa: A002 - the field's name in the published error
    ) -> Self:
        """Make an error of one problem, marked retryable as the class says."""
        return cls(
            Problem(
                code=code,
                message=message,
                path=path,
                value=value,
                suggestions=tuple(suggestions),
                retryable=cls.retryable,
                next=next,
            )
        )


class Verdict(FactoryError):
    """The request, recipe, image or guest is wrong; repeating it gives the same answer."""


class RateLimited(Verdict):
    """Too much was asked at once; after `retry_after` seconds the same request may be made again."""

    def __init__(self, *problems: Problem, retry_after: float = 1.0) -> None:
        super().__init__(*problems)
        self.retry_after = retry_after


class Fault(FactoryError):
    """The factory is wrong; a later attempt may succeed."""

    retryable = True
