"""A run as JUnit XML, in the form that CI servers agree on: one suite, one test case for each case.

The elements and attributes are those of the Ant JUnit task's schema, which has no specification beside it.
"""

from datetime import UTC
from xml.etree import ElementTree as ET

from domain.test_run.report import ReportCase, ReportStep, RunReport
from domain.text import clean_untrusted

_LONGEST_TEXT = 16_000


def junit_xml(report: RunReport) -> bytes:
    """Write the report as UTF-8 XML. Text of guests is cleaned of what XML 1.0 cannot hold and what could steer."""
    counts = {
        "tests": str(len(report.cases)),
        "failures": str(report.count("failed")),
        "errors": str(report.count("error")),
        "skipped": str(report.count("skipped")),
        "time": f"{report.seconds:.3f}",
    }
    root = ET.Element("testsuites", {"name": _line(report.title), **counts})
    started = report.started.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    hosts = ", ".join(target.slot for target in report.targets)
    about = {"name": _line(report.title), **counts, "timestamp": started, "hostname": _line(hosts) or "none", "id": "0"}
    suite = ET.SubElement(root, "testsuite", about)
    _properties(suite, report)
    for case in report.cases:
        _case(suite, case, f"{report.kind}.{_line(report.title)}")
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _properties(suite: ET.Element, report: RunReport) -> None:
    properties = ET.SubElement(suite, "properties")
    facts = {"run_id": report.run_id, "kind": report.kind}
    for target in report.targets:
        facts |= {
            f"{target.slot}.image": target.image,
            f"{target.slot}.digest": target.digest,
            f"{target.slot}.accelerator": target.accelerator,
        }
    for name, value in facts.items():
        if value:
            ET.SubElement(properties, "property", name=_line(name), value=_line(value))


def _case(suite: ET.Element, case: ReportCase, classname: str) -> None:
    about = {"name": _line(case.name), "classname": classname, "time": f"{case.seconds:.3f}"}
    element = ET.SubElement(suite, "testcase", about)
    wrong = [step for step in case.steps if not step.result.passed]
    message = _line(case.message or (_first_wrong(wrong[0]) if wrong else case.status))
    if case.status == "skipped":
        ET.SubElement(element, "skipped", message=message)
    elif case.status in {"failed", "error"}:
        tag = "failure" if case.status == "failed" else "error"
        kind = wrong[0].result.type if wrong else case.status
        text = "\n\n".join(map(_evidence, wrong)) or message
        ET.SubElement(element, tag, message=message, type=kind).text = clean_untrusted(text, _LONGEST_TEXT)
    lines = [f"[{'ok' if s.result.passed else 'WRONG'}] {s.slot}: {s.result.description}" for s in case.steps]
    lines += [f"kept: {key}" for key in case.evidence]
    if lines:
        ET.SubElement(element, "system-out").text = clean_untrusted("\n".join(lines), _LONGEST_TEXT)


def _first_wrong(step: ReportStep) -> str:
    return f"{step.slot}: {step.result.description}: found {step.result.found}"


def _evidence(step: ReportStep) -> str:
    result = step.result
    return (
        f"{step.slot}: {result.description}\n"
        f"expected: {result.expected}\nfound:    {result.found}\ncommand:  {result.command}"
    )


def _line(text: str) -> str:
    """Make one short line of any text."""
    return " ".join(clean_untrusted(text, 500).split())
