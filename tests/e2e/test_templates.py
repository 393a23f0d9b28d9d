"""Every built-in template, built, booted and verified (`-m templates`)."""

import pytest

from cli.client.session import FactorySession
from service.recipe_catalog import load_catalog
from tests.e2e.stack import Stack, until_ended
from tests.invariants import assert_nothing_left

pytestmark = [pytest.mark.templates, pytest.mark.timeout(2400)]


@pytest.mark.parametrize("name", sorted(template.name for template in load_catalog().templates))
async def test_a_template_becomes_a_verified_image(stack: Stack, session: FactorySession, name: str) -> None:
    accepted = await session.call("create_build", {"recipe": name})
    view = await until_ended(session, accepted["build_id"], deadline=2300)
    assert view["status"] == "completed", view["failure"]
    states = {a["kind"]: a["verification"] for a in view["artifacts"] if a["kind"] in ("qcow2", "iso")}
    assert states == {"qcow2": "verified", "iso": "verified"}
    assert_nothing_left(stack.home)
