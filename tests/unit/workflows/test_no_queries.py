"""No workflow of ours can be queried: a query that meets a signal can part it from its history (ADR 18)."""

import pytest

from workflows.catalog import WORKFLOWS


@pytest.mark.parametrize("kind", WORKFLOWS, ids=lambda kind: kind.__name__)
def test_a_workflow_has_no_queries(kind: type) -> None:
    assert [name for name, member in vars(kind).items() if hasattr(member, "__temporal_query_definition")] == []
