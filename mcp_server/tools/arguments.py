"""Arguments that many tools have, said once."""

from typing import Annotated

from pydantic import Field

from service.build_queries import LONGEST_WAIT

RequestKey = Annotated[
    str | None, Field(description="A fresh UUID; a request that is repeated with the same one is done once.")
]
Wait = Annotated[
    float, Field(ge=0, le=LONGEST_WAIT, description="Wait up to this many seconds (at most 25) for something new.")
]
