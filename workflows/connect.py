"""The connection to Temporal that clients and workers share."""

import asyncio
from collections.abc import Awaitable, Callable

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from domain.errors import Fault, Verdict
from infra.settings import Settings

Connected = Callable[[], Awaitable[Client]]
"""Answers the connected client; raises what `connect` raises."""


class LazyConnection:
    """The client, connected at its first use, so that the order of starting does not matter. A `Connected`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connecting = asyncio.Lock()
        self._client: Client | None = None

    async def __call__(self) -> Client:
        """Return the client; who asks while it connects waits for that."""
        async with self._connecting:
            if self._client is None:
                self._client = await connect(self._settings)
            return self._client


def connected(client: Client) -> Connected:
    """Make a `Connected` of a client that is there."""

    async def answer() -> Client:
        return client

    return answer


async def connect(settings: Settings) -> Client:
    """Connect to the configured server.

    Raises:
        Verdict: `settings.invalid` when no address is configured.
        Fault: `temporal.unavailable` when nothing answers there.

    """
    temporal = settings.temporal
    if temporal is None:
        raise Verdict.because(
            "settings.invalid",
            "TEMPORAL_ADDRESS is not set",
            path="TEMPORAL_ADDRESS",
            next="Start the stack with `openfactory up`, which sets it, or set it yourself.",
        )
    try:
        return await Client.connect(
            temporal.address,
            namespace=temporal.namespace,
            data_converter=pydantic_data_converter,
            api_key=temporal.api_key.get_secret_value() if temporal.api_key else None,
            tls=temporal.api_key is not None,
        )
    except (RPCError, RuntimeError) as error:
        raise Fault.because(
            "temporal.unavailable", f"Temporal at {temporal.address} does not answer: {error}"
        ) from error
