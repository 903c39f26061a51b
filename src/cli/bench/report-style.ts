/** The report's style sheet: light and dark by the reader's setting, readable on a telephone, printable. */

export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --page: #fcfcfb; --card: #ffffff; --ink: #14171c; --soft: #5b6470; --line: #e2e4e8; --track: #eef0f3;
  --ours: #2563c9; --twin: #9aa3af; --lost: #d6453d; --good: #1b7f4b;
  --user: #14918a; --system: #e08a1e; --softirq: #8a5bc7; --steal: #d6453d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #111417; --card: #181c20; --ink: #e8eaed; --soft: #9aa4af; --line: #2b3138; --track: #242a30;
    --ours: #5b9bf5; --twin: #737d89; --lost: #f0706a; --good: #4cc38a;
    --user: #3dbdb3; --system: #e9a94b; --softirq: #a98be0; --steal: #f0706a;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 1.2rem; margin: 0 0 0.25rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: 0.25rem 0 0; }
.soft { color: var(--soft); font-size: 0.875rem; }
header, section { margin-bottom: 2.75rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: 0.75rem; margin-top: 1.5rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.9rem 1rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.2; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile.bad b { color: var(--lost); }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; margin: 0.75rem 0 0; padding: 0; list-style: none; font-size: 0.875rem; color: var(--soft); }
.legend li { display: flex; align-items: center; gap: 0.4rem; }
.swatch { width: 0.8rem; height: 0.8rem; border-radius: 0.15rem; flex: none; }
.step { margin-top: 1.25rem; }
.row { display: grid; grid-template-columns: 5.5rem minmax(0, 1fr) 9.5rem; gap: 0.75rem; align-items: center; margin-top: 0.3rem; font-size: 0.875rem; }
.grid .row { grid-template-columns: 3.5rem minmax(0, 1fr) 5rem; }
.row .name { color: var(--soft); overflow-wrap: anywhere; }
.row .value { font-variant-numeric: tabular-nums; white-space: nowrap; }
.row .value b { font-weight: 650; }
.bar { position: relative; display: flex; height: 1.25rem; background: var(--track); border-radius: 0.2rem; overflow: hidden; }
.bar.thin { height: 0.95rem; }
.bar i { display: block; flex: none; height: 100%; }
.bar i + i { box-shadow: -1px 0 0 var(--page); }
.ours { background: var(--ours); } .twin { background: var(--twin); }
.user { background: var(--user); } .system { background: var(--system); } .softirq { background: var(--softirq); } .steal { background: var(--steal); }
.idle { background: var(--track); }
.lost { background: repeating-linear-gradient(135deg, var(--lost) 0 2px, transparent 2px 6px); }
.swatch.lost, .swatch.idle { outline: 1px solid var(--line); outline-offset: -1px; }
.mark { position: absolute; top: 0; bottom: 0; width: 2px; background: var(--ink); }
.row.scale { margin: 1rem 0 -0.9rem; color: var(--soft); font-size: 0.75rem; }
.label { position: relative; height: 1.1rem; }
.label span { position: absolute; white-space: nowrap; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.25rem; margin-top: 1rem; }
figure { margin: 0; }
figcaption { font-weight: 600; font-size: 0.875rem; margin-bottom: 0.25rem; }
.plot { display: grid; grid-template-columns: auto 1fr; gap: 0 0.5rem; font-size: 0.75rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.plot .y { display: flex; flex-direction: column; justify-content: space-between; text-align: right; line-height: 1; }
.plot .x { grid-column: 2; display: flex; justify-content: space-between; margin-top: 0.2rem; }
.plot svg { display: block; width: 100%; height: 7rem; background: var(--card); border: 1px solid var(--line); border-width: 0 0 1px 1px; }
.plot .received { fill: none; stroke: var(--ours); stroke-width: 2; vector-effect: non-scaling-stroke; }
.plot .dropped { fill: none; stroke: var(--lost); stroke-width: 2; stroke-dasharray: 5 3; vector-effect: non-scaling-stroke; }
.plot .under { fill: var(--ours); opacity: 0.12; }
.wide { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.35rem 0.75rem 0.35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
.wide td { white-space: nowrap; }
.wide .facts td { white-space: normal; }
.grid td:first-child { width: 4.5rem; }
th:last-child, td:last-child { padding-right: 0; }
tr.first td { border-top: 1px solid var(--soft); }
code { font: 0.8125rem/1.4 ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.bad { color: var(--lost); font-weight: 650; }
.good { color: var(--good); font-weight: 650; }
.facts th { width: 9rem; }
@media (max-width: 34rem) {
  body { padding: 1.25rem 0.9rem 3rem; }
  h1 { font-size: 1.5rem; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile { padding: 0.7rem 0.75rem; }
  .tile b { font-size: 1.2rem; }
  .row, .grid .row { grid-template-columns: minmax(0, 1fr) auto; gap: 0 0.5rem; margin-top: 0.5rem; }
  .row .bar, .row .label { grid-column: 1 / -1; grid-row: 2; }
  .row .value { text-align: right; }
  .facts th { width: 6.5rem; white-space: normal; }
}
@media print {
  :root { --page: #ffffff; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  body { max-width: none; padding: 0; font-size: 0.8rem; }
  .step, figure, tr, .tile { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .wide { overflow: visible; }
}
`
