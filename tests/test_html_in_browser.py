"""The page in a real browser: it loads in silence, its filters work, and what a data set says stays text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import lmdb
import numpy as np
import pytest
from tests.browser import Tab, browser, tab
from tests.test_render.examples import ERROR, images
from tests.test_render.test_html_report import hostile

from datascan.scanner import check
from datascan.scanner.demo import run_demo
from datascan.scanner.finding import Finding, Location
from datascan.scanner.render.html import html_text
from datascan.scanner.report import Report

HOSTILE = (
    "</script><img src=x onerror=\"document.title='owned'\">",
    "<svg/onload=\"document.title='owned'\">",
    "\"><script>document.title='owned'</script>",
    "' onfocus='document.title=1' autofocus='",
    "{{7*7}}",
    "]]>",
    "\u202egnp.exe",
    "nul\0byte",
    "k" * 10_240,
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with browser() as running:
        yield running


@pytest.fixture
def page(address: str) -> Iterator[Tab]:
    with tab(address) as opened:
        yield opened


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the demo's data sets."""
    folder = tmp_path_factory.mktemp("page")
    sources = list(dict.fromkeys(str(fault.path) for fault in run_demo(folder)))
    path = folder / "report.html"
    path.write_text(check(*sources, jobs=1).to_html(), encoding="utf-8")
    return path


def visible(page: Tab, selector: str) -> int:
    """Elements that take room on the screen."""
    count = page.run(f"[...document.querySelectorAll({selector!r})].filter((e) => e.getClientRects().length).length")
    assert isinstance(count, int)
    return count


def test_the_page_loads_in_silence_and_asks_for_nothing(page: Tab, demo: Path) -> None:
    page.size(1200, 900)
    page.open(demo)
    assert page.run("document.title").startswith("FAIL")
    assert visible(page, ".gallery image") >= 6
    assert page.run("[...document.images].every((i) => i.complete)")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot("report-light.png")
    page.prefer("dark")
    page.screenshot("report-dark.png")
    page.size(380, 800)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot("report-narrow.png")
    assert page.pdf("report.pdf").read_bytes().startswith(b"%PDF")
    assert page.complaints == []
    assert page.requests == []


def test_the_filters_show_what_is_asked_for_and_say_how_much(page: Tab, demo: Path) -> None:
    page.open(demo)
    rows = "table.findings tbody tr"
    everything = visible(page, rows)
    assert (
        page.run("document.getElementById('said').textContent") == f"{everything} of {everything} listed findings shown"
    )
    page.press("/", 191, "/")
    assert page.run("document.activeElement.id") == "words"
    page.type("00000037")
    assert visible(page, rows) == 1
    assert visible(page, "section.rule") == 1
    assert page.run("document.getElementById('said').textContent") == f"1 of {everything} listed findings shown"
    page.run("document.querySelector('#tools button[type=reset]').click(); new Promise((r) => setTimeout(r, 20))")
    assert visible(page, rows) == everything
    page.run("document.querySelector('input[value=error]').click()")
    assert 0 < visible(page, rows) < everything
    assert visible(page, "section.rule.error") == 0
    page.run("document.querySelector('input[value=error]').click()")
    choose = "const rule = document.getElementById('rule'); rule.value = 'value-nan'; "
    page.run(choose + "rule.dispatchEvent(new Event('input', {bubbles: true}))")
    assert visible(page, "section.rule") == visible(page, "section.rule[data-rule=value-nan]") == 2
    assert page.complaints == []


def test_tables_sort_by_number_and_say_how(page: Tab, tmp_path: Path) -> None:
    places = (100, 9, 20)
    findings = tuple(Finding("value-nan", ERROR, "NaN", Location(key=b"k%d" % at, index=at)) for at in places)
    path = tmp_path / "page.html"
    path.write_text(html_text(Report([replace(images(), findings=findings, omitted={})])), encoding="utf-8")
    page.open(path)
    first = "document.querySelector('table.findings thead th')"
    shown = "[...document.querySelectorAll('table.findings tbody tr')].map((row) => row.cells[0].textContent)"
    assert page.run(shown) == ["#100", "#9", "#20"]
    page.run(f"{first}.querySelector('button').click()")
    assert page.run(shown) == ["#9", "#20", "#100"]
    assert page.run(f"{first}.getAttribute('aria-sort')") == "ascending"
    page.run(f"{first}.querySelector('button').click()")
    assert page.run(shown) == ["#100", "#20", "#9"]
    assert page.run(f"{first}.getAttribute('aria-sort')") == "descending"


def test_the_theme_follows_the_system_until_it_is_chosen(page: Tab, demo: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.open(demo)
    page.prefer("light")
    light = page.run(ground)
    page.prefer("dark")
    dark = page.run(ground)
    assert light != dark
    page.run("document.getElementById('theme').click()")
    assert page.run(ground) == light
    page.run("localStorage.clear()")


CONTRAST = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const style = getComputedStyle(e), image = style.backgroundImage.match(/(rgba?|color|oklch)\\([^()]*\\)/);
      const colour = rgba(image ? image[0] : style.backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const e = node.parentElement;
    if (!node.textContent.trim() || !e.getClientRects().length || e.closest("script, .unseen, option")) continue;
    const style = getComputedStyle(e), svg = e.closest("svg");
    const ink = light(rgba(svg ? style.fill : style.color)), paper = light(ground(svg ? svg.parentElement : e));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) found[`${e.tagName}.${e.className.baseVal ?? e.className}`] = ratio.toFixed(2);
  }
  return found;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_its_ground(page: Tab, demo: Path, scheme: str) -> None:
    page.prefer(scheme)
    page.open(demo)
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.run(CONTRAST) == {}


def test_a_screen_reader_finds_landmarks_names_and_tables(page: Tab, demo: Path) -> None:
    page.open(demo)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    assert {"banner", "main", "contentinfo", "search", "heading", "table", "columnheader", "rowheader"} <= set(roles)
    assert all(name for name in roles["image"])
    assert all(name for role in ("button", "searchbox", "checkbox", "combobox", "link") for name in roles[role])
    assert page.run("document.querySelector('#said').getAttribute('aria-live')") == "polite"


def test_every_control_can_be_reached_by_keyboard_and_shows_it(page: Tab, demo: Path) -> None:
    page.open(demo)
    reached = []
    for _ in range(8):
        page.press("Tab", 9)
        style = "getComputedStyle(document.activeElement).outlineStyle"
        reached.append(
            page.run("document.activeElement.className || document.activeElement.id || document.activeElement.tagName")
        )
        assert page.run(style) == "solid", reached
    assert reached[0] == "skip"


def test_without_script_everything_is_there(page: Tab, demo: Path) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(demo)
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert visible(page, "table.findings tbody tr") >= 16
    assert visible(page, "#tools") == visible(page, "#theme") == 0


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_an_injection_stays_text(page: Tab, tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(html_text(hostile(text, text.encode(errors="surrogatepass"))), encoding="utf-8")
    page.open(path)
    assert page.run("document.title") == "FAIL · datascan"
    assert page.run("document.images.length") == 0
    assert page.run("document.scripts.length") == 1
    assert page.complaints == []
    assert page.requests == []
    if len(text) < 100 and text.isprintable():
        assert text in page.run("document.body.innerText")


def test_hostile_keys_of_a_real_store_stay_text(page: Tab, tmp_path: Path) -> None:
    keys = [text.encode()[:500] for text in HOSTILE] + [b"\xff\xfe<b>", b"\xed\xb2\x80<i>"]
    with lmdb.open(str(tmp_path / "set_lmdb"), map_size=1 << 22) as env, env.begin(write=True) as txn:
        for key in keys:
            txn.put(key, b"<script>document.title='owned'</script>")
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["<img src=x onerror=alert(1)>"] = np.array([[1.0, np.nan], [2.0, 3.0]])
    report = check(tmp_path / "set_lmdb", tmp_path / "set.h5", layout=None, jobs=1)
    path = tmp_path / "page.html"
    path.write_text(report.to_html(), encoding="utf-8")
    page.open(path)
    assert page.run("document.title") != "owned"
    assert page.run("document.images.length") == 0
    assert page.run("document.scripts.length") == 1
    assert page.complaints == []
    assert "<img src=x onerror=alert(1)>" in page.run("document.body.innerText")


def test_a_hundred_thousand_findings_open_at_once(page: Tab, tmp_path: Path) -> None:
    many = tuple(
        Finding(f"value-{kind}", ERROR, "NaN in 1 of 192 values", Location(key=b"%08d" % at, index=at, element=(1, 2)))
        for kind in ("nan", "inf")
        for at in range(50_000)
    )
    source = replace(images(), findings=many, omitted={})
    path = tmp_path / "page.html"
    path.write_text(
        html_text(Report([replace(source, source=replace(source.source, records=50_000))])), encoding="utf-8"
    )
    assert path.stat().st_size < 1_000_000
    page.open(path)
    assert page.run("document.querySelectorAll('*').length") < 10_000  # what it takes to open in an instant
    assert "50,000 findings" in page.run("document.body.innerText")
    assert "200 of 50,000 are listed here." in page.run("document.body.innerText")
