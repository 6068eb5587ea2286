"""The style sheet of the HTML report: one column, system fonts, light and dark, no file or network needed."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #faf9f6; --card: #ffffff; --ink: #1d1c1a; --soft: #5f5b53; --line: #e3dfd6; --grid: #ece9e2;
  --ours: #0b5c9e; --on-ours: #ffffff; --peer-0: #cfc8b8; --peer-1: #e3b45a; --peer-2: #8fc1b0; --peer-3: #d3a4c2;
  --on-peer: #262420; --peak: #c2410c; --good: #157347; --bad: #b42318; --band: #efebe1; --whisker: #1d1c1a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161615; --card: #1e1e1c; --ink: #edebe6; --soft: #a5a096; --line: #35332f; --grid: #2b2a27;
    --ours: #5aa5e6; --on-ours: #0d1a26; --peer-0: #57534a; --peer-1: #8a6a25; --peer-2: #3f6f61; --peer-3: #7a5069;
    --on-peer: #f1eee7; --peak: #fb8a4c; --good: #58c48d; --bad: #ff8a7a; --band: #2c2a25; --whisker: #edebe6;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1, h2 { font-family: "Iowan Old Style", Charter, "Palatino Linotype", Palatino, Georgia, "DejaVu Serif", serif;
  font-weight: 600; line-height: 1.2; letter-spacing: -0.01em; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); margin: 0.2rem 0 0.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 3rem 0 0.35rem; }
h3 { font-size: 0.95rem; margin: 1.5rem 0 0.5rem; font-weight: 600; }
p { margin: 0.3rem 0 0.9rem; max-width: 44rem; }
.kicker { margin: 0; font-size: 0.8rem; letter-spacing: 0.09em; text-transform: uppercase; color: var(--soft); }
.soft, figcaption, .notes { color: var(--soft); font-size: 0.875rem; }
code, pre, .name { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: 0.875em; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: 0.8rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; font-size: 0.85rem; margin: 0.5rem 0 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: 0.75rem; margin: 1.5rem 0; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 0.8rem 1rem; }
.tiles dt { color: var(--soft); font-size: 0.8rem; line-height: 1.35; }
.tiles dd { margin: 0.15rem 0 0; font-size: 1.6rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.5rem 0.75rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tr:last-child td, tr:last-child th { border-bottom: 0; }
thead th { color: var(--soft); font-weight: 500; }
th:first-child, th.left { text-align: left; }
tbody th { font-weight: 500; font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.results td:nth-last-child(-n+3) { text-align: left; }
.results td:last-child { color: var(--soft); }
.ok { color: var(--good); } .not-ok { color: var(--bad); font-weight: 600; }
.notes { margin: 0.7rem 0 0; padding-left: 1.1rem; } .notes li { margin: 0.15rem 0; overflow-wrap: anywhere; }
figure { margin: 0.75rem 0 1.5rem; padding: 1rem 1.1rem 0.7rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
figcaption { margin-top: 0.4rem; overflow-wrap: anywhere; }
.searches { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); gap: 0.9rem; }
.searches figure { margin: 0; }
.searches h3 { margin: 0 0 0.8rem; font-size: 0.85rem; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; margin: 0 0 0.8rem; padding: 0; list-style: none;
  font-size: 0.82rem; color: var(--soft); }
.legend i { display: inline-block; width: 0.85rem; height: 0.85rem; margin-right: 0.4rem; border-radius: 3px;
  vertical-align: -0.1rem; }
.legend i.ours { background: var(--ours); } .legend i.peak { width: 3px; background: var(--peak); }
.legend i.peer-0 { background: var(--peer-0); } .legend i.peer-1 { background: var(--peer-1); }
.legend i.peer-2 { background: var(--peer-2); } .legend i.peer-3 { background: var(--peer-3); }
.legend i.faster, .legend i.slower, .legend i.same { border-radius: 50%; }
.legend i.faster { background: var(--good); } .legend i.slower { background: var(--bad); }
.legend i.same { border: 2px solid var(--soft); } .legend i.band { background: var(--band); }
dl.facts { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: 0.2rem 1.2rem; font-size: 0.9rem; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
figure { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg.wide { min-width: 40rem; }
svg * { stroke-linejoin: round; }
svg text { font-size: 11px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .name text { font-size: 11.5px; font-weight: 500; fill: var(--ink); }
svg .name text, svg .value text { paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
svg .value text { font-size: 10.5px; }
svg .bar-text text { font-size: 10.5px; pointer-events: none; fill: var(--on-peer); }
svg .bar-text.on-ours text { fill: var(--on-ours); font-weight: 600; }
svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
svg .value.faster text { fill: var(--good); font-weight: 600; }
svg .value.slower text { fill: var(--bad); font-weight: 600; }
svg .told { outline: 2px solid var(--ink); outline-offset: 2px; }
figure output { display: block; min-height: 1.4em; font-size: 0.82rem; color: var(--ink); overflow-wrap: anywhere; }
.filters { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; margin: 0.6rem 0; font-size: 0.85rem; }
.filters select, .filters input { font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; padding: 0.25rem 0.5rem; }
.filters output { color: var(--soft); }
table.results button { all: unset; cursor: pointer; } table.results tbody th { cursor: pointer; }
table.results button:focus-visible, a:focus-visible, select:focus-visible, input:focus-visible, summary:focus-visible, svg:focus-visible,
pre:focus-visible, .scroll:focus-visible { outline: 2px solid var(--ours); outline-offset: 2px; }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
tr[hidden] { display: none; }
a { color: var(--ours); }
.code details { border-top: 1px solid var(--line); padding: 0.35rem 0; }
.code summary { cursor: pointer; font-size: 0.9rem; } .code pre { max-height: 32rem; overflow: auto; }
@media (max-width: 30rem) { main { padding: 1.5rem 0.9rem 3rem; } figure { padding: 0.8rem 0.75rem 0.5rem; } }
@media print { body { background: none; } .filters, figure output { display: none; } svg.wide { min-width: 0; } .code pre { max-height: none; } figure, .scroll, .tiles div { break-inside: avoid; } }
"""
