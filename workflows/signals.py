"""Signals that people and tools send by hand must not be able to stop a workflow.

The SDK drops a signal whose argument cannot be decoded. One that lacks its argument would make the handler
raise `TypeError`, which fails the workflow task again and again: it is dropped here as well.
"""

import inspect
from collections.abc import Callable
from typing import Any, cast

from temporalio import workflow
from temporalio.worker import (
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)


class SturdySignals(Interceptor):
    """Gives every workflow of a worker the check above."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:  # noqa: A002, ARG002 - the SDK's name
        """Wrap the workflow's inbound calls."""
        return _Checked


class _Checked(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002 - the SDK's name
        find = cast("Callable[[str], Callable[..., Any] | None]", workflow.get_signal_handler)  # pyright: ignore[reportUnknownMemberType] - any handler
        handler = find(input.signal)
        if handler is not None:
            try:
                inspect.signature(handler).bind(*input.args)
            except TypeError as error:
                workflow.logger.warning("dropped the signal %s: %s", input.signal, error)
                return
        await super().handle_signal(input)
