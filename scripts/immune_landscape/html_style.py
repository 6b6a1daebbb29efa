"""Style sheet of the summary page, printed inside it: the page loads nothing."""

STYLE = """
:root {
  --ink: #1f2933; --muted: #5f6b76; --line: #dde3e8; --wash: #f5f7f9; --blue: #0f4c81;
  --warn: #b03a00;
}
* { box-sizing: border-box; }
body {
  margin: 0; background: #fff; color: var(--ink);
  font: 15px/1.5 "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 24px 28px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 34px 0 10px; padding-bottom: 5px; border-bottom: 2px solid var(--line); }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0 10px; }
.lead { color: var(--muted); margin-bottom: 14px; }
.small { color: var(--muted); font-size: 13px; }
.simulated {
  border: 2px solid var(--warn); color: var(--warn); border-radius: 6px; padding: 10px 14px;
  margin: 0 0 18px; background: #fff7f2;
}
.simulated b { letter-spacing: .06em; }
.brief {
  background: var(--wash); border-left: 4px solid var(--blue); padding: 10px 16px;
  border-radius: 0 6px 6px 0;
}
.brief ul { margin: 4px 0; }
ul { padding-left: 20px; margin: 6px 0; }
li { margin: 3px 0; }
.cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(112px, 1fr)); gap: 10px;
  margin: 8px 0 14px;
}
.card { border: 1px solid var(--line); border-radius: 6px; padding: 9px 12px; background: #fff; }
.card b { display: block; font-size: 21px; color: var(--blue); line-height: 1.2; }
.card span { display: block; font-size: 12px; line-height: 1.35; color: var(--muted); }
.wide { overflow-x: auto; }
table {
  border-collapse: collapse; width: 100%; margin: 6px 0 12px; font-size: 13px;
  font-variant-numeric: tabular-nums;
}
th {
  text-align: left; font-weight: 600; color: var(--muted); border-bottom: 2px solid var(--line);
  padding: 5px 8px; white-space: nowrap;
}
td {
  border-bottom: 1px solid var(--line); padding: 4px 8px; vertical-align: middle;
  overflow-wrap: break-word;
}
td.num, th.num { text-align: right; white-space: nowrap; }
tbody tr:nth-child(even) { background: #fafbfc; }
svg { display: block; }
.item { display: block; min-width: 120px; }
.item i { display: block; color: var(--muted); font-style: normal; font-size: 11.5px; }
.verdict { min-width: 200px; display: block; font-size: 12.5px; line-height: 1.35; }
.yes { color: #00548f; font-weight: 600; }
.no { color: var(--muted); }
.badge {
  display: inline-block; border-radius: 10px; padding: 1px 9px; font-size: 12px; color: #fff;
  background: var(--muted);
}
details { margin: 10px 0; }
summary { cursor: pointer; font-weight: 600; color: var(--blue); }
dl { display: grid; grid-template-columns: 150px 1fr; gap: 6px 14px; font-size: 13.5px; }
dt { font-weight: 600; }
dd { margin: 0; }
@media print {
  main { max-width: none; padding: 0; }
  body { font-size: 11px; }
  section { break-inside: auto; }
  tr, .card, .simulated, .brief { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .wide { overflow: visible; }
  .simulated, .brief, .card b, .badge, svg {
    print-color-adjust: exact; -webkit-print-color-adjust: exact;
  }
}
"""
