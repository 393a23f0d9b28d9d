"""Writes the reports of a test run into the object store: `reports/<run_id>/{junit.xml,report.html,report.json}`."""

import asyncio
from dataclasses import dataclass

from temporalio import activity

from activities.session import heartbeats
from activities.verification.report_models import ReportWritten, WriteReport
from domain.errors import Verdict
from domain.test_run.compare import Comparison, compare
from domain.test_run.report import ReportEvidence, RunReport
from domain.test_run.report_html import LONGEST_LOG, html_page
from domain.test_run.report_junit import junit_xml
from infra.ports import ObjectStore

MAX_SCREENSHOTS = 12
_SCREENSHOT_BYTES = 4 << 20
_LOG_BYTES = 4 * LONGEST_LOG


@dataclass(frozen=True)
class ReportActivities:
    """Reports. They need the object store alone, so any worker can write them."""

    objects: ObjectStore

    @activity.defn
    async def write_report(self, request: WriteReport) -> ReportWritten:
        """Write all three; writing them again gives the same.

        Raises:
            Fault: `objects.unavailable`.

        """
        async with heartbeats():
            return await self._written(request)

    async def _written(self, request: WriteReport) -> ReportWritten:
        report = request.report
        folder = f"reports/{report.run_id}"
        comparison = await self._compared(report, request.previous)
        shown = report.model_copy(update={"evidence": await self._with_bytes(report.evidence)})
        page = await asyncio.to_thread(html_page, shown, comparison)
        written = ReportWritten(
            junit=f"{folder}/junit.xml",
            html=f"{folder}/report.html",
            json_key=f"{folder}/report.json",
            comparison=comparison,
        )
        await self.objects.put(written.junit, junit_xml(report), "application/xml")
        await self.objects.put(written.html, page, "text/html; charset=utf-8")
        await self.objects.put(written.json_key, report.model_dump_json().encode(), "application/json")
        return written

    async def _compared(self, report: RunReport, previous: str | None) -> Comparison | None:
        """Compare with the previous run, if its report is still there."""
        if previous is None:
            return None
        try:
            text = await self.objects.get(f"reports/{previous}/report.json")
            return compare(report, RunReport.model_validate_json(text))
        except (Verdict, ValueError):  # it is gone, or was written by another version
            return None

    async def _with_bytes(self, evidence: tuple[ReportEvidence, ...]) -> tuple[ReportEvidence, ...]:
        """Read what the page shows: some screenshots, and the ends of logs."""
        left = MAX_SCREENSHOTS
        shown: list[ReportEvidence] = []
        for one in evidence:
            data = one.data
            if data is None and one.key is not None and (one.kind != "screenshot" or left > 0):
                data = await self._read(one.key, one.kind)
                left -= one.kind == "screenshot"
            shown.append(one.model_copy(update={"data": data}))
        return tuple(shown)

    async def _read(self, key: str, kind: str) -> bytes | None:
        found = None if kind == "file" else await self.objects.stat(key)
        if found is None or (kind == "screenshot" and found.bytes > _SCREENSHOT_BYTES):
            return None
        try:
            return await self.objects.get(key, offset=max(0, found.bytes - _LOG_BYTES) if kind != "screenshot" else 0)
        except Verdict:  # removed a moment ago
            return None
