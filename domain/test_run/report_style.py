"""The look of the report's page: light and dark by the reader's choice, and on paper."""

STYLE = """
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --ink: #1b2430; --soft: #5b6675; --line: #dfe3e8; --code: #f1f3f6;
  --ok: #18794e; --ok-bg: #e3f5ea; --bad: #c62a2f; --bad-bg: #fdeaea; --err: #ad5700; --err-bg: #fff0db;
  --skip: #62707f; --skip-bg: #eceff2; --link: #1f5fbf; }
@media (prefers-color-scheme: dark) { :root {
  --page: #12161c; --card: #1a2029; --ink: #e6eaf0; --soft: #9aa6b5; --line: #2d3642; --code: #12171e;
  --ok: #5fd49b; --ok-bg: #12301f; --bad: #ff8f8f; --bad-bg: #3b1719; --err: #ffb867; --err-bg: #38240d;
  --skip: #a2aebb; --skip-bg: #262e38; --link: #8ab8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 36px 0 12px; }
p { margin: 0; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
.soft { color: var(--soft); }
.head { display: flex; gap: 16px; align-items: flex-start; justify-content: space-between; flex-wrap: wrap; }
.head > div { min-width: 0; flex: 1 1 400px; }
.badge { display: inline-block; border-radius: 999px; padding: 1px 10px; font-size: .8rem; font-weight: 600;
  white-space: nowrap; }
.verdict { font-size: 1rem; padding: 6px 18px; }
.passed { color: var(--ok); background: var(--ok-bg); } .failed { color: var(--bad); background: var(--bad-bg); }
.error { color: var(--err); background: var(--err-bg); } .skipped { color: var(--skip); background: var(--skip-bg); }
.bar { display: flex; height: 8px; border-radius: 4px; overflow: hidden; margin: 22px 0 14px; gap: 2px; }
.bar i { display: block; min-width: 6px; }
.bar .passed { background: var(--ok); } .bar .failed { background: var(--bad); }
.bar .error { background: var(--err); } .bar .skipped { background: var(--skip); }
.counts { display: flex; flex-wrap: wrap; gap: 8px 28px; }
.counts b { font-size: 1.3rem; font-variant-numeric: tabular-nums; margin-right: 6px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 0 0 12px; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
thead + tbody td { min-width: 6em; }
td.change { width: 1%; white-space: nowrap; }
th { text-align: left; font-size: .78rem; font-weight: 600; color: var(--soft); padding: 10px 14px 6px; }
td { padding: 8px 14px; border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: break-word; }
tr:first-child > td { border-top: 0; } thead + tbody tr:first-child > td { border-top: 1px solid var(--line); }
.num { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; padding: 12px 16px; display: flex; gap: 10px; align-items: center; flex-wrap: wrap;
  list-style: none; }
summary::-webkit-details-marker { display: none; }
summary::before { content: ""; flex: none; width: 6px; height: 6px; border: solid var(--soft);
  border-width: 0 2px 2px 0; transform: rotate(-45deg); }
details[open] > summary::before { transform: rotate(45deg); }
summary:focus-visible { outline: 2px solid var(--link); outline-offset: -2px; border-radius: 10px; }
summary .name { font-weight: 600; flex: 1 1 260px; min-width: 0; overflow-wrap: anywhere; }
.tag { font-size: .78rem; color: var(--soft); border: 1px solid var(--line); border-radius: 5px; padding: 0 6px; }
.body { border-top: 1px solid var(--line); padding: 4px 16px 14px; }
.why { margin: 12px 0 4px; padding: 10px 14px; border-radius: 8px; overflow-wrap: anywhere; white-space: pre-wrap; }
.step { padding: 10px 0; border-top: 1px solid var(--line); }
.step:first-of-type { border-top: 0; }
.step > p { display: flex; gap: 10px; align-items: baseline; }
.mark { flex: none; font-weight: 700; width: 1.1em; text-align: center; border-radius: 4px; }
.step .what { flex: 1; min-width: 0; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: 5.6em 1fr; gap: 4px 12px; margin: 8px 0 2px 2.1em; font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; }
code, pre { font: .86em/1.5 ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { overflow-wrap: anywhere; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.guest { background: var(--code); border-left: 3px solid var(--line); border-radius: 0 6px 6px 0; padding: 4px 10px; }
.log { max-height: 70vh; overflow: auto; padding: 10px 14px; }
figure { margin: 0; padding: 12px; } figcaption { padding: 8px 2px 0; color: var(--soft); font-size: .9rem; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 6px; background: #000; }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); gap: 12px; }
.shots .card { margin: 0; }
ul { margin: 0; padding: 4px 16px 12px 34px; } li { overflow-wrap: anywhere; }
footer { margin-top: 44px; color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
@media (max-width: 640px) { main { padding: 20px 12px 40px; } dl { grid-template-columns: 1fr; margin-left: 0; }
  dt { margin-top: 6px; } }
@media print { :root { color-scheme: light; --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --code: #f4f4f4; --ok: #18794e; --ok-bg: #e3f5ea; --bad: #c62a2f; --bad-bg: #fdeaea; --err: #ad5700;
    --err-bg: #fff0db; --skip: #555; --skip-bg: #eee; --link: #000; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } .log { max-height: none; overflow: visible; }
  .badge, .mark, .bar i, .why, .guest { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details.case::details-content { content-visibility: visible; height: auto; }
  .step, figure, tr { break-inside: avoid; } summary { break-after: avoid; } }
"""
