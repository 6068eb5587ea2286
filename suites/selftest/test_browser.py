"""The page in a real browser, from a file URL: no complaint on the console, filters, sorting, code one click away."""

from dataclasses import replace

import pytest

from harness.store import Store
from reports.page import render_page
from suites.selftest.browser import Browser, chromium
from suites.selftest.report_records import ALL, RECORD, evaluation

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no Chromium: install one (apt install chromium) to test the page in a browser"
)
SHOWN = "Array.from(document.querySelectorAll('table.results tbody tr')).filter((r) => !r.hidden).map((r) => r.cells[0].textContent)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    home = tmp_path_factory.mktemp("page")
    with Store.open(home / "store") as store:
        run = store.begin_run(["/usr/bin/pytest", "suites/", "-k", "host"], {})
        text = store.put_artefact(b"vmovups zmm28, zmmword ptr [rdx]\n  <b>&amp;", ".s").relative_to(store.path)
        store.add(evaluation(run, 1))
        for record in ALL:
            texts = {"assembly compute": str(text)} if record is RECORD else {}
            store.add(replace(record, run=run, facts=record.facts | {"texts": texts}))
        path = home / "page.html"
        path.write_text(render_page(store, run), encoding="utf-8")
    return path


@pytest.fixture
def browser(page, tmp_path):
    with Browser(chromium(), tmp_path / "profile") as opened:
        opened.open(page)
        yield opened


def test_the_page_works_from_a_file(browser):
    assert 4 == len(browser.ask(SHOWN))
    assert [] == browser.complaints()
    assert browser.picture().startswith(b"\x89PNG")


def test_filters_leave_what_was_chosen(browser):
    choose = "(() => {{ const s = document.querySelectorAll('.filters select')[{0}]; s.value = '{1}'; s.dispatchEvent(new Event('change')); }})()"
    browser.ask(choose.format(0, "c910"))

    assert ["c910-sgemm-512x512x512"] == browser.ask(SHOWN)
    assert "1 of 4 cases" == browser.ask("document.querySelector('.filters output').textContent")

    browser.ask(choose.format(0, "all"))
    browser.ask(choose.format(3, "WRONG"))

    assert ["host-sgemm-7x7x7"] == browser.ask(SHOWN)


def test_a_heading_sorts_by_its_column_both_ways(browser):
    column = "Array.from(document.querySelectorAll('table.results')[0].tBodies[0].rows).map((r) => r.cells[1].textContent)"
    browser.ask("document.querySelectorAll('table.results')[0].tHead.rows[0].cells[0].firstChild.click()")
    names = browser.ask(SHOWN)[:3]
    browser.ask("document.querySelectorAll('table.results')[0].tHead.rows[0].cells[1].firstChild.click()")

    assert sorted(names) == names
    assert "183.0" == browser.ask(column)[0]


def test_the_assembly_is_one_click_away_and_verbatim(browser):
    browser.ask("document.querySelector('table.results a').click()")
    opened = "Array.from(document.querySelectorAll('.code details')).filter((d) => d.open).map((d) => d.querySelector('pre').textContent)"
    for _ in range(50):  # the click navigates, which takes the browser a moment
        if texts := browser.ask(opened):
            break

    assert ["vmovups zmm28, zmmword ptr [rdx]\n  <b>&amp;"] == texts


def test_a_row_gives_its_command(browser):
    browser.ask("document.querySelector('table.results tbody th').click()")

    assert "pytest suites/ -k host -k host-sgemm-512x512x512" == browser.ask("document.getElementById('one-case').textContent")


def test_the_keyboard_sorts_too(browser):
    browser.ask("document.querySelector('table.results thead button').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r" if kind == "keyDown" else "")
    names = browser.ask(SHOWN)

    assert "ascending" == browser.ask("document.querySelector('table.results thead th').getAttribute('aria-sort')")
    assert sorted(names[:3]) == names[:3]


def test_the_keyboard_reads_a_plot_mark_by_mark(browser):
    """What the mouse is told by a tooltip; the mark that is spoken of is outlined."""
    browser.ask("document.querySelector('svg[aria-label^=Throughput]').focus()")
    said = "document.activeElement.nextSibling.textContent"
    told = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End"):
        browser.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key)
        told.append(browser.ask(said))

    assert told[0] == told[2] != told[1]
    assert all("GFLOP/s" in sentence for sentence in told)
    assert 1 == browser.ask("document.querySelectorAll('.told').length")


def test_plots_follow_the_page_into_the_dark(browser):
    """Bars and words have the colours of the style sheet, whatever the library drew them in."""
    wide = "document.querySelector('svg[aria-label^=Throughput]')"
    looks = f"[getComputedStyle({wide}.querySelector('path[style*=ours]')).stroke, getComputedStyle({wide}.querySelector('text')).fill]"
    seen = {}
    for scheme in ("light", "dark"):
        browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        seen[scheme] = browser.ask(looks)

    assert "rgb(11, 92, 158)" == seen["light"][0]
    assert "rgb(90, 165, 230)" == seen["dark"][0]
    assert seen["light"][1] != seen["dark"][1]


def test_dark_light_and_paper(browser):
    """Another ground and another ink in the dark, each far from the other; no filters on paper."""
    colours = "['backgroundColor', 'color'].map((name) => getComputedStyle(document.body)[name].match(/[0-9.]+/g).slice(0, 3).map(Number))"
    brightness = {}
    for scheme in ("light", "dark"):
        browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        brightness[scheme] = [sum(colour) / 3 for colour in browser.ask(colours)]
    browser.send("Emulation.setEmulatedMedia", media="print")
    filters = browser.ask("getComputedStyle(document.querySelector('.filters')).display")

    assert brightness["light"][0] > 200 > 60 > brightness["light"][1]
    assert brightness["dark"][0] < 60 < 200 < brightness["dark"][1]
    assert "none" == filters
