"""The one base of every value that crosses a process or is kept."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen value that refuses unknown fields.

    What checks and writes it is made when it is first needed: each process uses a part of the values that it knows.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, defer_build=True
    )
