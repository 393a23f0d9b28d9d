"""Arguments that many tools have, said once."""

from typing import Annotated

from pydantic import Field

from service.build_queries import LONGEST_WAIT

RequestKey = Annotated[str | None, Field(description="A fresh UUID: what is asked again with it is done once.")]
Wait = Annotated[float, Field(ge=0, le=LONGEST_WAIT, description="Wait so many seconds for something new.")]
