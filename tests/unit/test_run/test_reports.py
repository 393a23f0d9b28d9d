"""What the reports of a run say, and what they keep from saying."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from activities.verification.report_models import WriteReport
from activities.verification.reports import ReportActivities
from domain.test_run.compare import compare
from domain.test_run.report import (
    CaseStatus,
    ReportCase,
    ReportEvidence,
    ReportStep,
    ReportTarget,
    RunReport,
)
from domain.test_run.report_html import html_page
from domain.test_run.report_junit import junit_xml
from domain.verification import AssertionResult
from tests.fakes.objects import FakeObjectStore

HOSTILE = '\x1b[2J\u202e</pre><script>alert(1)</script><img src="http://evil/x">" onload=x & \x00\ufffe'
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def step(*, passed: bool = True, found: str = "yes") -> ReportStep:
    result = AssertionResult(
        suite="s", description=f"it works {found}", type="command", passed=passed, expected="yes", found=found
    )
    return ReportStep(slot="server", result=result)


def case(name: str, status: CaseStatus = "passed", **rest: Any) -> ReportCase:
    return ReportCase(name=name, status=status, **rest)


def run(*cases: ReportCase, run_id: str = "r2", **rest: Any) -> RunReport:
    return RunReport(
        run_id=run_id,
        kind="suite",
        title="smoke",
        started=datetime(2026, 3, 1, 12, tzinfo=UTC),
        seconds=9,
        cases=cases,
        **rest,
    )


@pytest.mark.parametrize(
    ("statuses", "whole"),
    [
        (("passed", "skipped"), "passed"),
        (("passed", "failed"), "failed"),
        (("failed", "error"), "error"),
        (("skipped",), "error"),
        ((), "error"),
    ],
)
def test_a_run_is_as_bad_as_its_worst_case_and_a_run_that_checked_nothing_proves_nothing(
    statuses: tuple[CaseStatus, ...], whole: str
) -> None:
    assert run(*(case(f"c{i}", status) for i, status in enumerate(statuses))).status == whole


def test_junit_counts_and_tells_a_failure_from_an_error() -> None:
    report = run(
        case("a", steps=(step(),)),
        case("b", "failed", seconds=1.5, steps=(step(), step(passed=False, found="no"))),
        case("c", "error", message="the host is gone"),
        case("d", "skipped"),
    )
    root = ET.fromstring(junit_xml(report))  # noqa: S314 - our own
    suite = root.find("testsuite")
    assert suite is not None
    assert [suite.get(n) for n in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "1"]
    assert suite.get("timestamp") == "2026-03-01T12:00:00"
    found = {c.get("name"): [child.tag for child in c] for c in suite.iter("testcase")}
    assert found == {"a": ["system-out"], "b": ["failure", "system-out"], "c": ["error"], "d": ["skipped"]}
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "server: it works no: found no"
    assert "expected: yes\nfound:    no" in (failure.text or "")


def test_whatever_a_guest_wrote_the_xml_can_be_read() -> None:
    report = run(case(HOSTILE, "failed", message=HOSTILE, steps=(step(passed=False, found=HOSTILE),)))
    root = ET.fromstring(junit_xml(report))  # noqa: S314 - our own
    assert "\x1b" not in ET.tostring(root, encoding="unicode")


class Tags(HTMLParser):
    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_all_it_needs_and_nothing_that_a_guest_could_start() -> None:
    evidence = (
        ReportEvidence(name=HOSTILE, kind="screenshot", slot="server", key=HOSTILE, data=PNG),
        ReportEvidence(name="no picture", kind="screenshot", data=b"<svg onload=x>"),
        ReportEvidence(name="serial", kind="serial", slot="server", data=HOSTILE.encode()),
    )
    report = run(
        case(HOSTILE, "failed", message=HOSTILE, tags=("a",), steps=(step(passed=False, found=HOSTILE),)),
        targets=(ReportTarget(slot="server", image=HOSTILE),),
        evidence=evidence,
    )
    page = Tags(html_page(report, compare(report, run(case("old"), run_id=HOSTILE))))
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "form", "base"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    sources = [attributes["src"] or "" for _, attributes in page.tags if "src" in attributes]
    assert [source[:22] for source in sources] == ["data:image/png;base64,"]
    assert ("<script>alert(1)</script>" in page.text) is True  # as text
    assert not {"\x1b", "\u202e", "\x00"} & set(page.text)
    policy = next(a["content"] or "" for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_what_failed_is_open_and_what_passed_is_not() -> None:
    page = Tags(html_page(run(case("a", steps=(step(),)), case("b", "failed"), case("c", "error"))))
    assert ["open" in attributes for tag, attributes in page.tags if tag == "details"] == [False, True, True]


def test_runs_are_compared_by_their_cases() -> None:
    before = run(
        case("breaks", seconds=1),
        case("mends", "failed"),
        case("stays", "error"),
        case("gone"),
        case("skips", "failed"),
        case("slow", seconds=4),
        case("a little slower", seconds=100),
        case("short", seconds=0.1),
        run_id="r1",
    )
    now = run(
        case("breaks", "error", seconds=99),
        case("mends"),
        case("stays", "failed"),
        case("fresh"),
        case("skips", "skipped"),
        case("slow", seconds=5.1),
        case("a little slower", seconds=124),
        case("short", seconds=1.05),
    )
    found = compare(now, before)
    assert {change.name: change.change for change in found.changes} == {
        "breaks": "newly_failing",
        "mends": "fixed",
        "stays": "still_failing",
        "fresh": "new",
        "gone": "removed",
    }
    assert [(d.name, d.before, d.now) for d in found.durations] == [("slow", 4, 5.1)]
    assert found.summary == "1 newly failing, 1 fixed, 1 still failing, 1 new, 1 removed, 1 with another duration"


def test_two_equal_runs_differ_in_nothing() -> None:
    assert compare(run(case("a")), run(case("a"), run_id="r1")).summary == "nothing changed"


async def test_all_three_reports_are_written_and_compared_with_the_run_before() -> None:
    objects = FakeObjectStore()
    await objects.put("evidence/x/shot.png", PNG)
    await objects.put("evidence/x/serial.log", b"Linux version 6.1")
    writer = ReportActivities(objects)
    await writer.write_report(WriteReport(report=run(case("a"), run_id="r1")))
    evidence = (
        ReportEvidence(name="screen", kind="screenshot", key="evidence/x/shot.png"),
        ReportEvidence(name="serial log", kind="serial", key="evidence/x/serial.log"),
        ReportEvidence(name="lost", kind="serial", key="evidence/x/lost.log"),
    )
    report = run(case("a", "failed"), evidence=evidence)
    written = await writer.write_report(WriteReport(report=report, previous="r1"))
    assert (written.junit, written.html) == ("reports/r2/junit.xml", "reports/r2/report.html")
    assert written.comparison is not None
    assert written.comparison.named("newly_failing") == ("a",)
    page = objects.objects[written.html].decode()
    assert "Linux version 6.1" in page
    assert "data:image/png" in page
    assert RunReport.model_validate_json(objects.objects[written.json_key]) == report
    assert objects.content_types[written.html].startswith("text/html")


async def test_without_the_report_before_nothing_is_compared() -> None:
    writer = ReportActivities(FakeObjectStore())
    assert (await writer.write_report(WriteReport(report=run(case("a")), previous="gone"))).comparison is None


def test_bytes_of_evidence_survive_a_message() -> None:
    report = run(evidence=(ReportEvidence(name="a", kind="screenshot", data=PNG),))
    assert RunReport.model_validate_json(report.model_dump_json()) == report
