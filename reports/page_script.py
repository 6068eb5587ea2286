"""
The page's script and its data: filters, sorting, commands to copy, plots by keyboard; everything is there without it, too.

The script has no ``<`` or ``&``, so that the page stays well-formed XML, and never turns text into markup.
"""

import base64
import hashlib
import json
from collections.abc import Sequence

from reports.export_json import CASE_KEYS
from reports.history import History
from reports.load import Report
from reports.markup import Markup, tag
from reports.replays import Replay

EMBEDDED = 2000
"""Cases whose figures the page carries as JSON; of a larger run `python -m reports json` gives them."""

SCRIPT = """
"use strict";
(function () {
  const make = (name, text) => { const e = document.createElement(name); e.textContent = text; return e; };
  const rows = Array.from(document.querySelectorAll("table.results tbody tr"));
  const heading = document.getElementById("results");
  if (heading === null) { return; }
  const names = ["target", "operator", "dtype", "verdict"];
  const bar = make("form", "");
  bar.className = "filters";
  bar.addEventListener("submit", (event) => event.preventDefault());
  const chosen = names.map((name, index) => {
    const label = make("label", name + " ");
    const select = make("select", "");
    select.append(make("option", "all"));
    const values = new Set(rows.map((row) => row.dataset.kinds.split("|")[index]));
    Array.from(values).sort().forEach((value) => select.append(make("option", value)));
    select.addEventListener("change", apply);
    label.append(select);
    bar.append(label);
    return select;
  });
  const word = make("input", "");
  word.type = "search";
  word.placeholder = "part of a case's name";
  word.setAttribute("aria-label", "part of a case's name");
  word.addEventListener("input", apply);
  const count = make("output", "");
  bar.append(word, count);
  heading.after(bar);
  function apply() {
    const text = word.value.toLowerCase();
    let shown = 0;
    rows.forEach((row) => {
      const kinds = row.dataset.kinds.split("|");
      const fits = chosen.every((select, index) => select.selectedIndex === 0 || select.value === kinds[index]);
      row.hidden = !(fits ? row.cells[0].textContent.toLowerCase().includes(text) : false);
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = shown + " of " + rows.length + " cases";
  }
  const value = (row, column) => {
    const text = row.cells[column].textContent;
    const figure = parseFloat(text);
    return column === 0 || Number.isNaN(figure) ? text : figure;
  };
  const before = (a, b) => (typeof a === typeof b ? (a > b ? 1 : b > a ? -1 : 0) : typeof a === "number" ? -1 : 1);
  document.querySelectorAll("table.results").forEach((table) => {
    Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
      const button = make("button", cell.textContent);
      button.type = "button";
      cell.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = cell.getAttribute("aria-sort") !== "ascending";
        Array.from(cell.parentNode.cells).forEach((other) => other.removeAttribute("aria-sort"));
        cell.setAttribute("aria-sort", up ? "ascending" : "descending");
        const body = table.tBodies[0];
        const sorted = Array.from(body.rows).sort((a, b) => (up ? 1 : -1) * before(value(a, column), value(b, column)));
        body.append(...sorted);
      });
    });
  });
  const template = document.getElementById("one-case");
  if (template !== null) {
    document.querySelectorAll("table.results tbody").forEach((body) => body.addEventListener("click", (event) => {
      const cell = event.target.closest("th");
      if (cell === null) { return; }
      template.textContent = template.textContent.replace(/ -k [^ ]+$/, " -k " + cell.textContent);
      template.scrollIntoView({ block: "center" });
    }));
  }
  document.querySelectorAll("svg[role=img]").forEach((plot) => {
    const marks = Array.from(plot.querySelectorAll("title")).map((title) => title.parentNode);
    const said = make("output", "");
    let at = -1;
    const tell = (place) => {
      if (marks[at]) { marks[at].classList.remove("told"); }
      at = Math.min(Math.max(place, 0), marks.length - 1);
      if (marks[at] === undefined) { return; }
      marks[at].classList.add("told");
      said.textContent = marks[at].querySelector("title").textContent;
    };
    plot.after(said);
    plot.addEventListener("click", (event) => tell(marks.indexOf(event.target.closest("path, use"))));
    plot.addEventListener("keydown", (event) => {
      const places = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: marks.length - 1 };
      if (places[event.key] === undefined) { return; }
      event.preventDefault();
      tell(places[event.key]);
    });
  });
  const unfold = () => {
    const text = document.getElementById(location.hash.slice(1));
    const folded = text === null ? null : text.closest("details");
    if (folded !== null) { folded.open = true; text.focus(); }
  };
  window.addEventListener("hashchange", unfold);
  unfold();
  apply();
})();
"""

SCRIPT_DIGEST = f"sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}"


def embedded(report: Report, histories: Sequence[History], replays: Sequence[Replay]) -> Markup:
    """Return what the page shows as JSON for programs that read it; of cases one list each, with the keys once."""
    shown = report.cases[:EMBEDDED]
    data = {
        "run": report.run.id,
        "keys": CASE_KEYS,
        "cases": [[getattr(case, key) for key in CASE_KEYS] for case in shown],
        "peers": [{peer.name: [peer.ratio, peer.ratio_low, peer.ratio_high] for peer in case.peers} for case in shown],
        "searches": [{"case": one.case, "unit": one.unit, "evaluations": [[e.sequence, e.speed] for e in one.evaluations]} for one in report.searches],
        "histories": [{"case": one.case, "what": one.what, "points": [[p.run, p.value] for p in one.points], "changes": one.changes} for one in histories],
        "replays": [{"case": one.case, "budgets": one.budgets, "share of best": dict(one.curves)} for one in replays],
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return tag("script", Markup(text), type="application/json", id="records")
