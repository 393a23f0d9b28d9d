"""From a machine's state to what the tools answer, small enough to be read."""

from datetime import datetime
from typing import Final

from domain.artifacts import DownloadLink
from domain.budget import ROW_CHARACTERS, VIEW_BYTES, that_fit
from domain.text import clean_untrusted
from domain.vm.inputs import workflow_id
from domain.vm.state import OrderState, SnapshotState, VmState
from domain.vm.views import SnapshotView, VmImageView, VmOrderView, VmSummary, VmView
from service.build_view import clipped

FOLLOW: Final = "Call get_vm with this vm_id and wait_s=25 to follow it."
_MOST_PROBLEMS = 8
_MOST_ADDRESSES = 8
_MOST_SNAPSHOTS = 20
_MOST_COMMANDS = 5
_REASON = 300


def summary(state: VmState) -> VmSummary:
    """Make a list's line."""
    trouble = state.problems[0].message if state.problems else state.reason
    return VmSummary(
        vm_id=state.vm_id,
        name=state.spec.name,
        status=state.status,
        ready=state.ready,
        image=_image_name(state),
        verification=state.verification,
        memory=state.spec.memory,
        cpus=state.spec.cpus,
        host=state.host,
        created_at=state.requested_at,
        updated_at=state.updated_at,
        expires_at=state.expires_at,
        trouble=clean_untrusted(trouble, ROW_CHARACTERS) if trouble else None,
    )


def accepted(vm_id: str, *, name: str = "", replayed: bool = False) -> VmView:
    """Describe a machine that was accepted but that the read model does not show yet."""
    return VmView(
        vm_id=vm_id,
        workflow_id=workflow_id(vm_id),
        name=name,
        status="pending",
        version=0,
        visible=False,
        replayed=replayed,
        next=FOLLOW,
    )


def vm_view(
    state: VmState,
    *,
    now: datetime,
    replayed: bool = False,
    visible: bool = True,
    position: int | None = None,
    histories: tuple[DownloadLink, ...] = (),
) -> VmView:
    """Describe a machine; what a guest or a program wrote is cleaned and clipped."""
    spec = state.spec
    return VmView(
        vm_id=state.vm_id,
        workflow_id=workflow_id(state.vm_id),
        name=spec.name,
        status=state.status,
        ready=state.ready,
        version=state.version,
        visible=visible,
        replayed=replayed,
        image=_image(state),
        warning=_warning(state, now),
        memory=spec.memory,
        cpus=spec.cpus,
        disk=spec.disk,
        firmware=spec.firmware,
        accelerator=state.accelerator,
        egress=spec.egress,
        networks=tuple(network.name for network in spec.networks),
        forwards=state.forwards,
        addresses=tuple(clean_untrusted(address, 64) for address in state.addresses[:_MOST_ADDRESSES]),
        via=state.via,
        host=state.host,
        waiting=state.waiting,
        queue_position=position,
        created_at=state.requested_at,
        updated_at=state.updated_at,
        started_at=state.started_at,
        start_seconds=state.start_seconds,
        ready_seconds=state.ready_seconds,
        expires_at=state.expires_at,
        idle_stop=spec.idle_stop,
        owner=state.owner,
        reason=clean_untrusted(state.reason, _REASON) if state.reason else None,
        problems=that_fit([clipped(problem) for problem in state.problems[:_MOST_PROBLEMS]], VIEW_BYTES // 3),
        snapshots=tuple(snapshot_view(snapshot) for snapshot in state.snapshots[-_MOST_SNAPSHOTS:]),
        commands=tuple(_order(order) for order in state.orders[-_MOST_COMMANDS:]),
        histories=histories,
        note=state.note,
        next=_next(state),
    )


def snapshot_view(snapshot: SnapshotState) -> SnapshotView:
    """Describe a snapshot."""
    return SnapshotView.model_validate(snapshot.model_dump())


def _image_name(state: VmState) -> str:
    image = state.spec.image
    return image.name or f"{image.source} {image.source_id[:8]}"


def _image(state: VmState) -> VmImageView:
    image = state.spec.image
    return VmImageView(
        source=image.source,
        source_id=image.source_id,
        name=_image_name(state),
        format=image.format,
        sha256=image.digest,
        verification=state.verification,
    )


def _warning(state: VmState, now: datetime) -> str | None:
    """Say what must not be overlooked: an image nobody verified, an end that is near."""
    words: list[str] = []
    if state.verification != "verified":
        image = state.spec.image
        why = "was uploaded and never tested here" if image.source == "image" else "did not pass its build's tests"
        words.append(f"The image is UNVERIFIED: it {why}. Do not call it verified.")
    if state.warned and state.expires_at is not None and state.status not in {"deleting", "deleted"}:
        minutes = max(0.0, (state.expires_at - now).total_seconds() / 60)
        words.append(f"The machine will be deleted in {minutes:.0f} minutes; extend_vm lets it live longer.")
    return " ".join(words) or None


def _order(order: OrderState) -> VmOrderView:
    return VmOrderView(
        command=order.command,
        status=order.status,
        requested_by=order.requested_by,
        accepted_at=order.accepted_at,
        problems=tuple(clipped(problem) for problem in order.problems[:2]),
    )


def _next(state: VmState) -> str:
    if state.open_orders:
        return f"The command {state.open_orders[0].command} is being done. {FOLLOW}"
    if state.status == "running":
        return _next_running(state)
    return {
        "stopped": "Call start_vm to start it, or delete_vm.",
        "failed": "Read problems. Then start_vm tries again, or delete_vm removes it.",
        "lost": "What ran in it is lost. start_vm starts it again from its disk, or delete_vm removes it.",
        "deleted": "Nothing is left of it. Call create_vm for a new one.",
    }.get(state.status, FOLLOW)


def _next_running(state: VmState) -> str:
    if state.ready:
        return "Use get_console_link, get_vm_screenshot, run_vm_command or run_verification; delete_vm when done."
    if state.problems:
        return "The guest does not answer: look with get_vm_screenshot or get_console_link; restart_vm tries again."
    return f"The guest is booting. {FOLLOW}"
