"""What is kept with a recipe."""

from typing import Annotated, Any

from pydantic import Field

from domain.canonical import digest
from domain.model import Value

Category = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
DEFAULT_CATEGORY = "own"


class RecipeContent(Value):
    """A recipe and what a list says about it. `document` is canonical; its `name` is the recipe's name."""

    document: dict[str, Any]
    description: Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    category: Category = DEFAULT_CATEGORY

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.document["name"])

    @property
    def content_digest(self) -> str:
        """SHA-256 of all that is kept."""
        return digest(self)
