"""Makes what the parts expect to find: roles and tables, and the workflow namespace's settings.

`python -m cli.stack.migrate` does this at each start. Every step may be repeated.
"""

import asyncio
import logging
import os
from datetime import timedelta
from typing import Final, NamedTuple

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.service import RPCError, RPCStatusCode

from cli.leaving import leave
from cli.stack.parts import SEARCH_ATTRIBUTES
from domain.errors import FactoryError
from event_store.schema import migrate
from infra import settings as configuration
from infra.settings import Settings
from infra.telemetry import configure_logging
from service.admission.schema import migrate_admission
from workflows.connect import connect

_RETENTION: Final = timedelta(days=30)
_LEFT_TO_THE_OPERATOR: Final = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)
_log = logging.getLogger(__name__)


class Passwords(NamedTuple):
    """Of the three roles of the database."""

    owner: str
    front: str
    admission: str


async def prepare(settings: Settings, passwords: Passwords) -> None:
    """Bring database and workflow engine to what this release needs.

    Raises:
        FactoryError: one of them refuses, or does not answer.

    """
    async with asyncio.TaskGroup() as group:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
            group.create_task(asyncio.to_thread(_prepare_database, url, passwords))
        if settings.temporal is not None:
            group.create_task(_prepare_namespace(settings))


def _prepare_database(url: str, passwords: Passwords) -> None:
    migrate(url, passwords.owner, passwords.front)
    migrate_admission(url, passwords.admission)


async def _prepare_namespace(settings: Settings) -> None:
    """Set the namespace's retention and search attributes, where that is ours to do (it is not on Temporal Cloud)."""
    client = await connect(settings)
    retention = Duration(seconds=int(_RETENTION.total_seconds()))
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    attributes: dict[str, IndexedValueType.ValueType] = dict.fromkeys(SEARCH_ATTRIBUTES, keyword)
    try:
        await client.workflow_service.update_namespace(
            UpdateNamespaceRequest(
                namespace=client.namespace, config=NamespaceConfig(workflow_execution_retention_ttl=retention)
            )
        )
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=attributes)
        )
    except RPCError as error:
        if error.status == RPCStatusCode.ALREADY_EXISTS:
            return
        if error.status not in _LEFT_TO_THE_OPERATOR:
            raise
        _log.warning("the workflow namespace is not ours to change; its keywords must be %s", SEARCH_ATTRIBUTES)


def main() -> int:
    """Prepare everything that the environment names; the exit status tells if it worked."""
    configure_logging("migrate")
    passwords = Passwords(*(os.environ.get(f"OPENFACTORY_{role.upper()}_PASSWORD", "") for role in Passwords._fields))
    status = 0
    try:
        asyncio.run(prepare(configuration.load(), passwords))
    except* FactoryError as group:
        status = 1
        for error in group.exceptions:
            _log.error("%s", error)
    return status


if __name__ == "__main__":
    leave(main())
