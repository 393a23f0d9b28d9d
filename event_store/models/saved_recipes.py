"""The read model of saved recipes: a row for each, with its whole state and the columns that lists need."""

from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL

from domain.canonical import digest
from domain.saved_recipe.events import SAVED_RECIPE_EVENTS
from domain.saved_recipe.state import SavedRecipeState, evolve
from event_store.keyset import beyond, storable
from event_store.projection import Projection


def _row(state: SavedRecipeState) -> tuple[object, ...]:
    return (
        state.recipe_id,
        state.org_id,
        state.name,
        state.content.category,
        state.deleted,
        state.version,
        storable(state.model_dump_json()),
    )


SAVED_RECIPES: Projection[SavedRecipeState] = Projection(
    name="saved_recipes",
    definition="""
        recipe_id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL CHECK (org_id <> ''),
        name text COLLATE "C" NOT NULL,
        category text NOT NULL,
        deleted boolean NOT NULL,
        version bigint NOT NULL,
        state jsonb NOT NULL""",
    indexes=("(org_id, name)",),
    columns=("recipe_id", "org_id", "name", "category", "deleted", "version", "state"),
    events=frozenset(SAVED_RECIPE_EVENTS),
    content=lambda: digest(SavedRecipeState.model_json_schema()),
    fold=evolve,
    row=_row,
    load=SavedRecipeState.model_validate_json,
)


class SavedRecipeQueries:
    """Questions about the saved recipes of the organization that the transaction was opened for."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def get(self, recipe_id: str) -> SavedRecipeState | None:
        """Read a recipe, also a deleted one, or nothing if it is absent or another organization's."""
        found = await self._connection.execute(
            "SELECT state::text AS state FROM read_model.saved_recipes WHERE recipe_id = %s", (recipe_id,)
        )
        row = await found.fetchone()
        return None if row is None else SavedRecipeState.model_validate_json(row["state"])

    async def version(self, recipe_id: str) -> int:
        """Read the version of a recipe, 0 if it is absent or another organization's."""
        found = await self._connection.execute(
            "SELECT version FROM read_model.saved_recipes WHERE recipe_id = %s", (recipe_id,)
        )
        row = await found.fetchone()
        return 0 if row is None else int(row["version"])

    async def page(self, *, limit: int, after: str = "", category: str | None = None) -> tuple[SavedRecipeState, ...]:
        """List the recipes that are there, by name, beginning behind the name `after`."""
        clauses: list[LiteralString] = ["NOT deleted", "name > %s"]
        values: list[Any] = [after]
        if category is not None:
            clauses.append("category = %s")
            values.append(category)
        query = SQL("SELECT state::text AS state FROM read_model.saved_recipes WHERE {} ORDER BY name LIMIT %s").format(
            SQL(" AND ").join(map(SQL, clauses))
        )
        found = await self._connection.execute(query, (*values, limit))
        return tuple(SavedRecipeState.model_validate_json(row["state"]) for row in await found.fetchall())

    async def names(self, beginning: str, *, limit: int) -> tuple[str, ...]:
        """Find the names of recipes that are there by how they begin, in their order."""
        found = await self._connection.execute(
            "SELECT name FROM read_model.saved_recipes WHERE NOT deleted AND name >= %s AND name < %s "
            "ORDER BY name LIMIT %s",
            (beginning, beyond(beginning), limit),
        )
        return tuple(str(row["name"]) for row in await found.fetchall())

    async def count(self) -> int:
        """Count the recipes that are there."""
        found = await self._connection.execute(
            "SELECT count(*) AS held FROM read_model.saved_recipes WHERE NOT deleted"
        )
        row = await found.fetchone()
        return 0 if row is None else int(row["held"])

    async def categories(self) -> dict[str, int]:
        """Count the recipes that are there, by category."""
        found = await self._connection.execute(
            "SELECT category, count(*) AS recipes FROM read_model.saved_recipes WHERE NOT deleted GROUP BY 1 ORDER BY 1"
        )
        return {str(row["category"]): int(row["recipes"]) for row in await found.fetchall()}
