"""What a test case may do on one machine beside claiming something: run, bring, fetch, wait. Times in seconds."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from domain.model import Value

GuestPath = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]{0,1023}$")]
Seconds = Annotated[int, Field(ge=1, le=3600)]
Text = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]
ObjectKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,511}$")]

MAX_FILE_BYTES = 64 << 20
MAX_COMMAND_BYTES = 64 << 10


class CommandStep(Value):
    """Run `command` by the guest's /bin/sh, as root or as `user`, and look at what it says.

    `status` None takes any exit status. `contains` and `matches` (a regular expression, searched for) are
    about standard output and standard error together.
    """

    kind: Literal["command"] = "command"
    command: Annotated[str, Field(min_length=1, max_length=MAX_COMMAND_BYTES, pattern=r"^[^\x00]*$")]
    user: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$")] | None = None
    status: Annotated[int, Field(ge=0, le=255)] | None = 0
    contains: Text | None = None
    matches: Annotated[str, Field(max_length=512, pattern=r"^[^\x00]*$")] | None = None
    timeout: Seconds = 60


class PutFileStep(Value):
    """Write a file of the guest: `text` as it stands, or the object `source`, of at most 64 MiB."""

    kind: Literal["put_file"] = "put_file"
    path: GuestPath
    text: Annotated[str, Field(max_length=256 << 10)] | None = None
    source: ObjectKey | None = None
    mode: Annotated[str, Field(pattern=r"^[0-7]{3,4}$")] = "0644"
    owner: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$")] = "root"

    @model_validator(mode="after")
    def _one_content(self) -> "PutFileStep":
        if (self.text is None) == (self.source is None):
            raise ValueError("give either `text` or `source`")
        return self


class GetFileStep(Value):
    """Keep a file of the guest, of at most 64 MiB, with the run's artifacts."""

    kind: Literal["get_file"] = "get_file"
    path: GuestPath


class WaitStep(Value):
    """Wait until the assertion `until` (as a recipe writes it) holds, for at most `seconds`."""

    kind: Literal["wait"] = "wait"
    until: dict[str, Any]
    seconds: Seconds


GuestStep = Annotated[CommandStep | PutFileStep | GetFileStep | WaitStep, Field(discriminator="kind")]
