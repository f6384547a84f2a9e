"""The page in a real browser: Chromium, found on the PATH or by GRADATHLON_CHROMIUM."""

from __future__ import annotations

import math
import os
import re
import shutil
import xml.dom.minidom
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scoring.report.page import write_page
from tests.scoring.conftest import Run
from tests.scoring.page_race import race

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = os.environ.get("GRADATHLON_CHROMIUM") or shutil.which("chromium")
SEEN = "part => part.getClientRects().length > 0"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    output = folder / "report.html"
    write_page([race(folder / "first")], output)
    return output


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


class Visit:
    """A page opened offline, with all that it complained about or asked for."""

    def __init__(self, browser: Any, report: Path, **context: Any) -> None:
        context.setdefault("viewport", {"width": 1280, "height": 900})
        self.context = browser.new_context(offline=True, **context)
        self.page = self.context.new_page()
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def point_at(self, selector: str) -> None:
        """Move the mouse to the middle of the last such thing, perhaps covered by others."""
        part = self.page.locator(selector).last
        part.scroll_into_view_if_needed()
        box = part.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def shown(self, selector: str) -> int:
        return int(
            self.page.locator(selector).evaluate_all(f"parts => parts.filter({SEEN}).length")
        )


@pytest.fixture
def visit(browser: Any, report: Path) -> Iterator[Visit]:
    opened = Visit(browser, report)
    yield opened
    assert opened.trouble == []
    assert opened.requests == [report.as_uri()]
    opened.context.close()


def test_click_on_legend_hides_a_submission_everywhere(visit: Visit) -> None:
    button = visit.page.get_by_role("button", name="adamw", exact=True)
    series = button.get_attribute("data-s")
    own = f':is(svg, table) [data-s="{series}"]'
    everything = visit.shown(own)
    curves, rows = visit.shown(".line[data-i]"), visit.shown(".trials tbody tr")
    assert everything > 20
    button.click()
    assert visit.shown(own) == 0
    assert visit.shown(".line[data-i]") == curves - 12
    assert visit.shown(".trials tbody tr") == rows - 12
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert visit.shown(own) == everything


def test_double_click_on_legend_shows_one_alone(visit: Visit) -> None:
    button = visit.page.get_by_role("button", name="prodigy", exact=True)
    button.dblclick()
    assert visit.shown(".board tbody tr") == 1
    assert visit.shown(".trials tbody tr") == 12
    button.dblclick()
    assert visit.shown(".board tbody tr") == 8


def test_a_key_shows_one_alone(visit: Visit) -> None:
    visit.page.get_by_role("button", name="prodigy", exact=True).focus()
    visit.page.keyboard.press("Shift+Enter")
    assert visit.shown(".board tbody tr") == 1
    assert visit.page.get_by_role("button", name="compare prodigy", exact=True).is_visible()
    visit.page.keyboard.press("Shift+Enter")
    assert visit.shown(".board tbody tr") == 8
    visit.page.keyboard.press("Enter")
    assert visit.shown(".board tbody tr") == 7


def test_clock_switch_changes_axes_and_curves(visit: Visit) -> None:
    def path() -> str:
        return str(visit.page.locator("#curves1 .line[data-i]").first.get_attribute("d"))

    def labels() -> list[str]:
        texts = visit.page.locator("#curves1 text")
        return list(texts.evaluate_all(f"all => all.filter({SEEN}).map(one => one.textContent)"))

    wall, before = path(), labels()
    visit.page.get_by_text("steps", exact=True).first.click()
    assert "wall time (s)" in before
    assert "wall time (s)" not in labels()
    assert "steps" in labels()
    assert path() != wall
    visit.page.get_by_text("wall", exact=True).first.click()
    assert path() == wall  # what the script draws is what the page came with
    assert labels() == before


def test_trials_sort_by_number_and_by_word(visit: Visit) -> None:
    visit.page.get_by_role("button", name="time to result").click()
    column = visit.texts(".trials thead th").index("time to result") + 1
    cells = f".trials tbody tr td:nth-child({column})"
    times = [
        float(text)
        for text in visit.page.locator(cells).evaluate_all(
            "cells => cells.map(cell => cell.dataset.v)"
        )
    ]
    assert times == sorted(times)
    assert times[0] < times[-1] == float("inf")
    visit.page.get_by_role("button", name="time to result").click()
    assert visit.texts(cells)[0] == "—"
    visit.page.locator(".trials").get_by_role("button", name="submission", exact=True).click()
    names = visit.texts(".trials tbody tr th")
    assert names == sorted(names)
    assert names[0] != names[-1]


def test_the_board_sorts_too(visit: Visit) -> None:
    visit.page.locator(".board").get_by_role("button", name="score", exact=True).click()
    scores = [float(text) for text in visit.texts(".board tbody .score")]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1]


def test_two_clicks_compare_two_submissions(visit: Visit) -> None:
    def click(name: str) -> None:
        visit.page.get_by_role("button", name=f"compare {name}", exact=True).click()

    panel = visit.page.locator("#versus")
    click("homeostat")
    assert panel.is_hidden()
    click("adamw")
    there = panel.inner_text()
    assert "homeostat against adamw" in there
    assert len(re.findall(r"\(×\d\.\d\d against ×\d\.\d\d\)", there)) == 2
    assert "held within" not in there
    (mean, low, high) = re.findall("[+\u2212][0-9.]{5}", there)
    click("homeostat")
    assert panel.is_hidden()
    click("homeostat")
    back = panel.inner_text()
    assert "adamw against homeostat" in back
    flipped = [text.translate({43: 0x2212, 0x2212: 43}) for text in (mean, high, low)]
    assert re.findall("[+\u2212][0-9.]{5}", back) == flipped
    click("sgd")  # the third takes the place of the first
    assert "homeostat against sgd" in panel.inner_text()
    assert "missed by sgd" in panel.inner_text()


def test_the_panel_tells_where_an_interval_was_held(browser: Any, tmp_path: Path) -> None:
    run = Run(tmp_path / "two").add("lm-toy-v2", "reference-torch", [20, 21])
    run.add("lm-toy-v2", "sure", [10, 10]).add("lm-toy-v2", "odd", [math.inf, 10])
    write_page([run.folder], tmp_path / "held.html")
    visit = Visit(browser, tmp_path / "held.html")
    for name in ("odd", "sure"):
        visit.page.get_by_role("button", name=f"compare {name}", exact=True).click()
    panel = visit.page.locator("#versus").inner_text()
    visit.context.close()
    assert "\u22121.333 to" in panel
    assert "clipped to the possible range, p" in panel


def test_a_board_of_six_workloads_fits_a_laptop(browser: Any, tmp_path: Path) -> None:
    run = Run(tmp_path / "six")
    for family in ("recommender", "lifelong", "homeostatic", "lm", "climate", "dreaming"):
        for name in ("reference-torch", "schedule_free_adamw"):
            run.add(f"{family}-laptop-v1", name, [200, 210, 220])
    write_page([run.folder], tmp_path / "six.html")
    visit = Visit(browser, tmp_path / "six.html")
    wide = visit.page.locator(".scroll:has(.board)").evaluate(
        "box => box.scrollWidth - box.clientWidth"
    )
    visit.context.close()
    assert wide == 0


def test_hyperparameters_unfold(visit: Visit) -> None:
    figure = visit.page.locator("#point0-0")
    assert figure.is_hidden()
    visit.page.locator("details.more summary").first.click()
    assert figure.is_visible()
    assert visit.page.locator("#point0-0 .dots").count() > 5


def test_filters_narrow_the_trials(visit: Visit) -> None:
    visit.page.locator(".filters [name=e]").select_option("failed")
    assert visit.shown(".trials tbody tr") == 2
    assert visit.texts(".filters output") == ["2 of 84 trials"]
    visit.page.locator(".filters [name=w]").select_option("lm-toy-v2")
    assert visit.shown(".trials tbody tr") == 1
    visit.page.get_by_text("traceback").locator("visible=true").click()
    assert "no <b>state</b> for layer 3" in visit.page.locator("pre >> visible=true").inner_text()


def test_pointer_tells_the_nearest_trial(visit: Visit) -> None:
    visit.point_at("#curves1 .mark[data-i]")
    tip = visit.page.locator("#tip")
    tip.wait_for(state="visible")
    assert re.search(r"\w+ \((torch|jax)\), study \d, trial \d", tip.inner_text())
    assert "target met" in tip.inner_text()
    assert visit.page.locator("#curves1 .line.hot").count() == 1
    visit.page.mouse.move(2, 2)
    tip.wait_for(state="hidden")
    chart = visit.page.locator("#profiles")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    tip.wait_for(state="visible")
    assert "adamw (torch): 100 %" in tip.inner_text()
    assert "sgd (torch): 50 %" in tip.inner_text()


def test_a_plot_can_be_saved(browser: Any, report: Path, tmp_path: Path) -> None:
    visit = Visit(browser, report, color_scheme="dark")
    with visit.page.expect_download() as download:
        visit.page.locator('.save[data-plot="curves1"]').click()
    assert download.value.suggested_filename == "lm-toy-v2-curves.svg"
    saved = tmp_path / "plot.svg"
    download.value.save_as(saved)
    svg = xml.dom.minidom.parse(str(saved)).documentElement
    assert svg is not None
    lines = [path for path in svg.getElementsByTagName("path") if path.getAttribute("data-i")]
    assert len(lines) > 40
    assert all(line.getAttribute("fill") for line in lines)
    assert "#" not in saved.read_text().replace("url(#", "").replace('url("#', "")
    assert "rgb(28, 32, 37)" in saved.read_text() or "rgb(93, 102, 112)" in saved.read_text()
    assert visit.trouble == []
    visit.context.close()


@pytest.mark.parametrize("width", [390, 768, 1920])
def test_body_never_scrolls_sideways(browser: Any, report: Path, width: int) -> None:
    visit = Visit(browser, report, viewport={"width": width, "height": 844})
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    for figure in visit.page.locator("figure svg").all():
        box = figure.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    visit.context.close()


def test_text_of_plots_is_readable_on_a_phone(browser: Any, report: Path) -> None:
    visit = Visit(browser, report, viewport={"width": 390, "height": 844})
    heights = visit.page.locator("figure svg text").evaluate_all(
        f"all => all.filter({SEEN}).map(one => one.getBoundingClientRect().height)"
    )
    assert min(heights) >= 10
    visit.context.close()


def test_dark_scheme_has_its_own_colours(browser: Any, report: Path) -> None:
    found = {}
    for scheme in ("light", "dark"):
        visit = Visit(browser, report, color_scheme=scheme)
        found[scheme] = visit.page.evaluate(
            "[document.body, document.querySelector('.line.fastest')].flatMap(part =>"
            "[getComputedStyle(part).backgroundColor, getComputedStyle(part).color])"
        )
        visit.context.close()
    light, dark = found["light"], found["dark"]
    assert light[0] == "rgb(255, 255, 255)"
    assert dark[0] == "rgb(20, 23, 27)"
    assert light[1] != dark[1]
    assert light[3] != dark[3]


def test_page_is_whole_without_javascript(browser: Any, report: Path) -> None:
    visit = Visit(browser, report, java_script_enabled=False)
    assert visit.requests == [report.as_uri()]
    assert visit.page.locator(".board tbody tr").count() == 8
    assert visit.page.locator(".trials tbody tr").count() == 84
    assert visit.page.locator("#curves0 .line[data-i]").count() == 42
    assert visit.page.locator("#curves0 .line[data-i]").first.bounding_box()["width"] > 50
    assert visit.page.locator(".clocks").is_hidden()
    assert visit.page.locator(".save").first.is_hidden()
    visit.context.close()


def test_injected_markup_does_not_run(browser: Any, tmp_path: Path) -> None:
    name = "<img src=x onerror=boom()>"
    speeds = {(name, "torch"): 1.2, ("reference-torch", "torch"): 1.0}
    output = tmp_path / "report.html"
    write_page([race(tmp_path / "run", speeds=speeds, studies=2, evaluations=20)], output)
    visit = Visit(browser, output)
    assert visit.page.locator("img").count() == 0
    assert name in visit.texts(".board tbody th")
    visit.point_at("#curves1 .mark[data-i]")
    visit.page.locator("#tip").wait_for(state="visible")
    assert visit.page.locator("img").count() == 0
    assert visit.trouble == []
    assert visit.requests == [output.as_uri()]
    visit.context.close()


def test_what_stays_in_sight_of_many_submissions_is_a_small_part(
    browser: Any, tmp_path: Path
) -> None:
    speeds = {(f"method_of_number_{place}", "torch"): 1.0 for place in range(60)}
    speeds |= {("reference-torch", "torch"): 1.0}
    output = tmp_path / "report.html"
    write_page([race(tmp_path / "run", speeds=speeds, studies=1, trials=1, evaluations=8)], output)
    visit = Visit(browser, output)
    assert visit.page.locator(".legend button").count() == 61
    assert visit.page.locator(".tools").bounding_box()["height"] < 160
    board = visit.page.locator(".board")
    assert board.locator("tbody tr").count() == 61
    assert visit.page.locator(".scroll:has(.board)").bounding_box()["height"] <= 640
    assert visit.trouble == []
    visit.context.close()


def test_printed_page_is_light_and_without_controls(browser: Any, report: Path) -> None:
    visit = Visit(browser, report, color_scheme="dark")
    visit.page.emulate_media(media="print")
    style = "getComputedStyle(document.body).backgroundColor"
    assert visit.page.evaluate(style) == "rgb(255, 255, 255)"
    assert visit.page.locator(".clocks").is_hidden()
    assert visit.page.locator(".filters").is_hidden()
    assert len(visit.page.pdf()) > 10_000
    visit.context.close()
