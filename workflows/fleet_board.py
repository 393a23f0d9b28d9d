"""What the Temporal UI shows of the fleet, in markdown."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows import fleet_rules as rules
    from workflows.fleet_models import FleetState

_MOST_SHOWN = 20


def fleet_page(state: FleetState) -> str:
    """Show hosts, room, and who waits."""
    view = rules.overview(state)
    builds = state.builds
    lines = [
        "## Fleet",
        "",
        "| | host | memory free | processors free | disk free | machines | builds |",
        "|---|---|---|---|---|---|---|",
    ]
    for host, known in zip(view.hosts, state.hosts, strict=True):
        mark = "▶" if host.up else "✘ lost"
        room, whole = host.free, host.total
        lines.append(
            f"| {mark} | {host.host} ({host.accelerator}) | {room.memory} of {whole.memory} MiB "
            f"| {room.cpus} of {whole.cpus} | {room.disk} of {whole.disk} MiB | {host.machines} "
            f"| {host.builds} of {known.capacity.builds} |"
        )
    if view.waiting:
        lines += ["", f"Waiting for room: {', '.join(view.waiting[:_MOST_SHOWN])}"]
    if builds.waiting:
        ids = [place.request.build_id for place in builds.waiting[:_MOST_SHOWN]]
        lines += ["", f"{len(builds.waiting)} builds wait for their turn: {', '.join(ids)}"]
    return "\n".join(lines)
