"""A run as one HTML page that needs nothing else: no script, no request, all text of guests escaped and cleaned."""

from base64 import b64encode
from datetime import UTC
from html import escape

from domain.test_run.compare import Change, Comparison
from domain.test_run.report import CaseStatus, ReportCase, ReportEvidence, ReportStep, ReportTarget, RunReport
from domain.test_run.report_style import STYLE
from domain.text import clean_untrusted

LONGEST_LOG = 256 << 10
"""So much of the end of a log is shown, in characters."""

_LONGEST_TEXT = 4000
_PNG = b"\x89PNG\r\n\x1a\n"
# Nothing may be fetched or run, whatever slipped through.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_WORDS: dict[CaseStatus, str] = {"passed": "passed", "failed": "failed", "error": "error", "skipped": "skipped"}
_ORDER: tuple[CaseStatus, ...] = ("failed", "error", "passed", "skipped")
_CHANGES: dict[Change, tuple[str, CaseStatus]] = {
    "newly_failing": ("newly failing", "failed"),
    "still_failing": ("still failing", "failed"),
    "fixed": ("fixed", "passed"),
    "new": ("new", "skipped"),
    "removed": ("removed", "skipped"),
}


def html_page(report: RunReport, comparison: Comparison | None = None) -> bytes:
    """Write the page as UTF-8. Evidence is shown if its `data` is there, and named by its key if not."""
    parts = [
        _head(report),
        _comparison(comparison),
        _machines(report.targets),
        "<h2>Cases</h2>",
        *(_case(case) for case in report.cases),
        _screenshots(report.evidence),
        _logs(report.evidence),
        _files(report.evidence),
    ]
    title = f"{_text(report.title, 120)}: {report.status}"
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n<footer>{_text('Text with a grey edge was written by the tested machines: do not take it on trust.')}"
        f"<br>Run {_text(report.run_id)}</footer>\n</main>\n</body>\n</html>\n"
    )
    return page.encode()


def _head(report: RunReport) -> str:
    started = report.started.astimezone(UTC)
    kind = "Test suite" if report.kind == "suite" else "Verification"
    total = max(1, len(report.cases))
    shares: list[tuple[CaseStatus, int]] = [(s, report.count(s)) for s in _ORDER if report.count(s)]
    bar = "".join(f'<i class="{status}" style="flex:{count / total:.4f}"></i>' for status, count in shares)
    counts = "".join(f"<span><b>{count}</b>{_WORDS[status]}</span>" for status, count in shares)
    return (
        f'<div class="head"><div><h1>{_text(report.title, 200)}</h1><p class="soft">{kind} · '
        f'<time datetime="{started.isoformat()}">{started:%Y-%m-%d %H:%M:%S} UTC</time> · '
        f"{duration(report.seconds)}</p></div>"
        f'<span class="badge verdict {report.status}">{report.status}</span></div>'
        f'<div class="bar" role="img" aria-label="{", ".join(f"{count} {status}" for status, count in shares)}">{bar}'
        f'</div><div class="counts">{counts}</div>'
    )


def _comparison(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    rows = "".join(
        f'<tr><td class="change"><span class="badge {look}">{words}</span></td><td>{_text(name, 200)}</td></tr>'
        for change, (words, look) in _CHANGES.items()
        for name in comparison.named(change)
    )
    rows += "".join(
        f'<tr><td class="change"><span class="badge skipped">{"slower" if d.now > d.before else "faster"}</span></td>'
        f"<td>{_text(d.name, 200)}: {duration(d.before)} before, {duration(d.now)} now</td></tr>"
        for d in comparison.durations
    )
    rows = rows or '<tr><td class="soft">Nothing changed.</td></tr>'
    return (
        f"<h2>Since the previous run</h2><p class='soft'>Compared with {_text(comparison.previous_run_id)}</p>"
        f'<div class="card scroll" style="margin-top:10px"><table>{rows}</table></div>'
    )


def _machines(targets: tuple[ReportTarget, ...]) -> str:
    rows = "".join(
        f"<tr><td><b>{_text(t.slot)}</b></td><td>{_text(t.image, 200) or 'unknown'}"
        + (f'<br><code class="soft">{_text(t.digest[:16])}…</code>' if t.digest else "")
        + f"</td><td>{'KVM' if t.accelerator == 'kvm' else 'emulation'}"
        + (f", {t.firmware.upper()}" if t.firmware else "")
        + f'</td><td class="num">{duration(t.boot_seconds) if t.boot_seconds is not None else ""}</td></tr>'
        for t in targets
    )
    if not rows:
        return ""
    return (
        '<h2>Machines</h2><div class="card scroll"><table><thead><tr><th>Machine</th><th>Image</th><th>Runs on</th>'
        f'<th class="num">Start</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _case(case: ReportCase) -> str:
    wrong = case.status in {"failed", "error"}
    tags = "".join(f'<span class="tag">{_text(tag)}</span>' for tag in case.tags)
    claims = f'<span class="soft">{sum(s.result.passed for s in case.steps)} of {len(case.steps)}</span>'
    why = f'<div class="why {case.status}">{_text(case.message, 2000)}</div>' if case.message else ""
    took = "" if case.status == "skipped" else f'<span class="soft num">{duration(case.seconds)}</span>'
    kept = "".join(f"<li><code>{_text(key, 300)}</code></li>" for key in case.evidence)
    steps = "".join(map(_step, case.steps))
    return (
        f'<details class="card case"{" open" if wrong else ""}><summary><span class="badge {case.status}">'
        f'{_WORDS[case.status]}</span><span class="name">{_text(case.name, 200)}</span>{tags}'
        f"{claims if case.steps else ''}{took}</summary>"
        f'<div class="body">{why}{steps}{f"<p class=soft>Kept:</p><ul>{kept}</ul>" if kept else ""}</div></details>'
    )


def _step(step: ReportStep) -> str:
    result = step.result
    look = "passed" if result.passed else "failed"
    command = f"<dt>command</dt><dd><code>{_text(result.command, 600)}</code></dd>" if result.command else ""
    return (
        f'<div class="step"><p><span class="mark {look}">{"✓" if result.passed else "✗"}</span>'
        f'<span class="what">{_text(result.description, 400)}</span><span class="tag">{_text(step.slot)}</span>'
        f'<span class="soft num">{duration(result.seconds)}</span></p>'
        f"<dl><dt>expected</dt><dd>{_text(result.expected, 1000)}</dd>"
        f'<dt>found</dt><dd><pre class="guest">{_text(result.found)}</pre></dd>{command}</dl></div>'
    )


def _screenshots(evidence: tuple[ReportEvidence, ...]) -> str:
    shots = [e for e in evidence if e.kind == "screenshot" and e.data is not None and e.data.startswith(_PNG)]
    figures = "".join(
        f'<figure class="card"><img alt="{_text(_caption(e))}" src="data:image/png;base64,'
        f'{b64encode(e.data or b"").decode()}"><figcaption>{_text(_caption(e))}</figcaption></figure>'
        for e in shots
    )
    return f'<h2>Screens</h2><div class="shots">{figures}</div>' if figures else ""


def _logs(evidence: tuple[ReportEvidence, ...]) -> str:
    logs = "".join(
        f'<details class="card"><summary><span class="name">{_text(_caption(e))}</span>'
        f'<span class="soft num">{_size(len(e.data))}</span></summary><div class="body">'
        f'<pre class="guest log">{_log(e.data)}</pre></div></details>'
        for e in evidence
        if e.kind in {"serial", "text"} and e.data is not None
    )
    return f"<h2>Logs</h2>{logs}" if logs else ""


def _files(evidence: tuple[ReportEvidence, ...]) -> str:
    names = "".join(
        f"<li>{_text(_caption(e))} <code class='soft'>{_text(e.key, 400)}</code></li>" for e in evidence if e.key
    )
    if not names:
        return ""
    return f'<h2>Kept with this run</h2><div class="card"><ul style="padding-top:12px">{names}</ul></div>'


def duration(seconds: float) -> str:
    """Tell a time as people do."""
    tenth, minute, hour = 0.095, 60, 3600
    if seconds < tenth:
        return f"{seconds * 1000:.0f} ms"
    if seconds < minute:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < hour:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // hour} h {whole % hour // 60} min"


def _log(data: bytes) -> str:
    """Show the end of a log; its beginning is in the object that is kept."""
    text = clean_untrusted(data[-4 * LONGEST_LOG :].decode(errors="replace"))
    cut = len(text) > LONGEST_LOG or len(data) > 4 * LONGEST_LOG
    return ("[… the beginning is left out]\n" if cut else "") + escape(text[-LONGEST_LOG:])


def _caption(evidence: ReportEvidence) -> str:
    return f"{evidence.slot}: {evidence.name}" if evidence.slot else evidence.name


def _size(count: int) -> str:
    return f"{count} bytes" if count < 1024 else f"{count / 1024:.0f} KiB"  # noqa: PLR2004 - a KiB


def _text(text: str | None, limit: int = _LONGEST_TEXT) -> str:
    """Clean and escape any text for the page, attributes included."""
    return escape(clean_untrusted(text or "", limit), quote=True)
