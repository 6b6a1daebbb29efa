"""The report of a finished run opens offline: nothing is fetched, nothing fails, and every item is inside."""

import base64
import json
import re

import pytest
from browser.pages import browser, open_page, with_walk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason="no Chromium or Chrome on PATH"),
]

ITEMS = {
    "1 Summary": ["Summary", "Patients, visits and layers", "Planted and found effects", "Claims ledger"],
    "2 Responders and change": [
        *("Composition contrast", "Contrasts of expansion", "Patients: repertoires, response_by_visit"),
        *("Signatures", "Expression", "Robustness of composition", "Other definitions of a responder"),
    ],
    "3 Composition": ["Composition by patient", "Cells and proportions of each subset and sample"],
    "4 T-cell clones": ["Receptor chains and clone sizes", "Clonal expansion by patient", "Receptor chain categories"],
    "5 Cells": ["Map of the cells", "Markers of the labels", "Clusters named by an anchor gene"],
    "6 Quality": ["Quality control", "Notes on the inputs", "Receptors per sample", "Cells kept at each step"],
    "7 Clinical endpoints": ["Clinical endpoints", "Survival: overall", "Patients: swimmer", "Dose-limiting toxicity"],
}
CATEGORIES = list(ITEMS)
# Snakemake's report carries a style library that says this of itself.
HARMLESS = "cdn.tailwindcss.com should not be used in production"
# Snakemake's report also logs captions when a category opens, which is no error.
ERROR = re.compile(r"Error|Uncaught|Failed|Refused|Warning")

# Reads the menu, opens each category by a click as a reader would, and decodes every picture.
WALK = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const links = () => [...document.querySelectorAll("#app nav a")];
const named = (name) => links().find((link) => link.innerText.trim() === name);
const notes = {opened: {}, pictures: {}};
(async () => {
  await wait(500);
  notes.menu = links().map((link) => link.innerText.trim());
  notes.start = document.querySelector("#app").innerText;
  for (const category of Object.keys(categories).sort()) {
    named(category)?.click();
    await wait(200);
    notes.opened[category] = document.querySelector("#app nav")?.innerText ?? "";
    document.querySelector("#app nav ol a")?.click();
    await wait(200);
  }
  const load = ([path, result]) => new Promise((done) => {
    const picture = new Image();
    picture.onload = picture.onerror = () => { notes.pictures[path] = picture.naturalWidth; done(); };
    picture.src = result.data_uri;
  });
  await Promise.all(Object.entries(results).filter(([path]) => path.endsWith(".png")).map(load));
  const note = document.createElement("pre");
  note.id = "walk";
  note.textContent = JSON.stringify(notes);
  document.body.append(note);
})();
"""


@pytest.fixture(scope="module")
def page(tiny, tmp_path_factory):
    return open_page(tiny.results / "report.html", tmp_path_factory.mktemp("report") / "scratch")


@pytest.fixture(scope="module")
def walk(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    copy = with_walk(tiny.results / "report.html", WALK, folder / "report.html")
    return open_page(copy, folder / "scratch")


def embedded(results):
    """Return file -> bytes of everything that a report holds."""
    text = (results / "report.html").read_text(encoding="utf-8")
    start = re.search(r'var results = (?=\{"results/)', text).end()
    items, _ = json.JSONDecoder().raw_decode(text, start)
    files = {path.removeprefix(f"results/{results.name}/"): item["data_uri"] for path, item in items.items()}
    return {path: base64.b64decode(uri.partition("base64,")[2]) for path, uri in files.items()}


def test_the_browser_would_tell_of_a_request_and_of_an_error(tmp_path):
    probe = tmp_path / "probe.html"
    probe.write_text('<img src="https://example.org/x.png"><script>nothing.there()</script>', encoding="utf-8")
    page = open_page(probe, tmp_path / "scratch")
    assert page.requests == ["https://example.org/x.png"]
    assert any("nothing is not defined" in line for line in page.console)


def test_opening_asks_no_host_and_logs_nothing(page, tiny):
    size = (tiny.results / "report.html").stat().st_size / 2**20
    messages = [line for line in page.console if HARMLESS not in line]
    print(f"report: {size:.1f} MiB, {len(page.requests)} requests, {len(messages)} console messages when opened")
    assert page.requests == []
    assert messages == []
    assert size < 50


def test_walking_through_it_asks_no_host_and_logs_no_error(walk):
    errors = [line for line in walk.console if ERROR.search(line) and HARMLESS not in line]
    print(f"report: {len(walk.requests)} requests, {len(errors)} errors when every category is opened")
    assert walk.requests == []
    assert errors == []


def test_no_tag_loads_from_a_host(page):
    tags = re.findall(r"<(?:script|link|img|iframe|source|object|embed)\b[^>]*>", page.dom)
    addresses = [re.search(r"""\b(?:src|href|data)=["']?(?:https?:)?//[^"'\s>]*""", tag) for tag in tags]
    # The page's own code mentions addresses in its comments; a tag that loads would count above as a request, too.
    assert [found[0] for found in addresses if found] == []


def test_the_start_page_shows_title_and_categories_in_order(walk):
    seen = walk.walked()
    assert [item for item in seen["menu"] if item in CATEGORIES] == CATEGORIES
    assert "SIMULATED DATA" in seen["start"]
    assert "How to read this report" in seen["start"]


def test_every_category_opens_and_names_its_items(walk):
    opened = walk.walked()["opened"]
    assert list(opened) == CATEGORIES
    missing = [f"{name}: {item}" for name, items in ITEMS.items() for item in items if item not in opened[name]]
    print(
        f"report: {sum(map(bool, opened.values()))} of {len(CATEGORIES)} categories open, {len(missing)} items missing"
    )
    assert missing == []


def test_every_figure_of_the_run_is_inside_and_can_be_seen(walk, tiny):
    prefix = f"results/{tiny.results.name}/"
    widths = {path.removeprefix(prefix): width for path, width in walk.walked()["pictures"].items()}
    drawn = {str(path.relative_to(tiny.results)) for path in tiny.results.glob("draw_*/**/*.png")}
    print(f"report: {sum(width > 0 for width in widths.values())} of {len(drawn)} figures shown")
    assert set(widths) == drawn
    assert min(widths.values()) > 400


def test_embedded_files_are_those_of_the_run(tiny):
    files = embedded(tiny.results)
    differing = [path for path, content in files.items() if content != (tiny.results / path).read_bytes()]
    print(f"report: {len(files) - len(differing)} of {len(files)} embedded files equal those of the run")
    assert len(files) >= 20
    assert differing == []


def test_the_summary_page_opens_offline_and_says_simulated(tiny, tmp_path):
    summary = tmp_path / "summary.html"
    summary.write_bytes(embedded(tiny.results)["report_cohort/summary.html"])
    page = open_page(summary, tmp_path / "scratch")
    text = re.sub(r"<style.*?</style>|<[^>]+>", " ", page.dom, flags=re.S)
    assert "SIMULATED DATA" in text
    assert text.index("SIMULATED DATA") < text.index("In brief")
    assert "Tiny cohort (simulated)" in text
    assert page.requests == []
    assert page.console == []
    assert "<script" not in page.dom
