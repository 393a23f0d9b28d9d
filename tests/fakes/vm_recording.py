"""The log of machines in memory, deciding as the real one does."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from temporalio import activity

from activities.record_models import RECORD_VM, RecordResult, RecordVmInput
from domain.errors import Problem, Verdict
from domain.vm.commands import RequestVm
from domain.vm.decide import decide
from domain.vm.events import VmEvent
from domain.vm.state import VmState, fold


class FakeVmRecording:
    """Keeps one stream for each machine; `most` is how many the quota allows."""

    def __init__(self) -> None:
        self.streams: dict[str, list[VmEvent]] = defaultdict(list)
        self.most = 1000
        self._grown = asyncio.Condition()

    @activity.defn(name=RECORD_VM)
    async def record_vm(self, request: RecordVmInput) -> RecordResult:
        """Decide and append."""
        stream = self.streams[request.stream_id]
        if isinstance(request.command, RequestVm) and not stream:
            live = [known for known in self.streams.values() if known and _state(known).status != "deleted"]
            if len(live) >= self.most:
                raise Verdict(Problem(code="vm.quota", message="too many machines"))
        new = decide(fold(tuple(stream)), request.command, now=request.at)
        stream.extend(new)
        async with self._grown:
            self._grown.notify_all()
        return RecordResult(version=len(stream), appended=len(new))

    def state(self, vm_id: str) -> VmState:
        """The machine as the log has it."""
        return _state(self.streams[vm_id])

    def names(self, vm_id: str) -> list[str]:
        """The names of the machine's events, in order."""
        return [event.NAME.removeprefix("vm.").removesuffix(".v1") for event in self.streams[vm_id]]

    async def until(self, vm_id: str, holds: Callable[[VmState], bool], seconds: float = 25) -> VmState:
        """Return the machine once that holds of it."""

        def there() -> bool:
            return bool(self.streams[vm_id]) and holds(self.state(vm_id))

        try:
            async with self._grown, asyncio.timeout(seconds):
                await self._grown.wait_for(there)
        except TimeoutError:
            raise AssertionError(f"it never came to that: {self.names(vm_id)}") from None
        return self.state(vm_id)


def _state(stream: list[VmEvent]) -> VmState:
    state = fold(tuple(stream))
    assert state is not None
    return state
