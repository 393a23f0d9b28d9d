"""What the Temporal UI shows of a machine: search attributes, and a page of details in markdown."""

from datetime import datetime

from temporalio import workflow

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from domain.text import in_markdown
    from domain.vm.inputs import VmRequest
    from workflows.vm_models import VmLife

_MOST_LINES = 12
_LONGEST = 300


class VmBoard:
    """Keeps the page of one machine up to date."""

    def __init__(self, request: VmRequest) -> None:
        self._request = request
        self._state = ""
        self._lines: list[tuple[datetime, str]] = []

    def open(self) -> None:
        """Set what the machine is found by."""
        facts = [
            policies.JOB_KIND.value_set("vm"),
            policies.ORG_ID.value_set(self._request.org_id),
            policies.RECIPE.value_set(self._request.spec.name),
        ]
        workflow.upsert_search_attributes(facts)  # pyright: ignore[reportUnknownMemberType] - generic in the SDK

    def show(self, life: VmLife, news: str | None = None) -> None:
        """Show the machine as it is, and what happened last."""
        if news:
            self._lines = [(workflow.now(), news), *self._lines][:_MOST_LINES]
        if life.status != self._state:
            self._state = life.status
            update = policies.JOB_STATE.value_set(life.status)
            workflow.upsert_search_attributes([update])  # pyright: ignore[reportUnknownMemberType] - generic in the SDK
        workflow.set_current_details("\n".join([*self._head(life), "", *self._history()]))

    def _head(self, life: VmLife) -> list[str]:
        spec = self._request.spec
        ready = ", the guest answers" if life.ready else ""
        lines = [f"## VM {spec.name}: {life.status}{ready}", ""]
        if life.problems:
            lines += [
                f"- **{p.code}**: {_said(p.message)}" + (f" _{p.next}_" if p.next else "") for p in life.problems[:10]
            ]
            lines.append("")
        image = f"{_said(spec.image.name or spec.image.source_id)} ({spec.image.format}, {self._request.verification})"
        where = f"{life.lease.host}, token {life.lease.token}" if life.lease else "no host"
        until = f"until {life.expires_at:%Y-%m-%d %H:%M:%S} UTC" if life.expires_at else "until deleted"
        return [
            *lines,
            f"{spec.cpus} processors, {spec.memory} MiB, image {image}",
            "",
            f"On {where}; lives {until}; {len(life.snapshots)} snapshots, {len(life.orders)} commands waiting.",
        ]

    def _history(self) -> list[str]:
        return [f"- {at:%H:%M:%S} {_said(text)}" for at, text in self._lines]


def _said(text: str) -> str:
    """A guest's last words, or a caller's reason, change nothing of the page."""
    return in_markdown(text, _LONGEST)
