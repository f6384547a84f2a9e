"""What the page tells of trials, in a real browser: tooltips, two compared, legible everywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scoring.ground.words import Target, TrialKey
from scoring.records import Evaluation, Outcome, record_path
from scoring.report import versus
from scoring.report.hyperparameters import Tried, scatter_plot
from scoring.report.page import write_page
from scoring.report.palette import styles
from tests.scoring.conftest import Run, header, write
from tests.scoring.page_race import race
from tests.scoring.test_names_browser import OVERLAPS
from tests.scoring.test_page_browser import CHROMIUM, Visit, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
__all__ = ["browser"]

_PALE = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((c, at) => c * a + under[at] * (1 - a));
  const light = (colour) => colour.map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const paper = (part) => part === null ? [255, 255, 255]
    : over(parts(getComputedStyle(part).backgroundColor), paper(part.parentElement));
  return [...document.querySelectorAll("body *")].filter((part) =>
    [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
      && part.getClientRects().length && !part.closest("option, output, script, svg.plot .mark"))
    .map((part) => {
      const style = getComputedStyle(part), within = part.closest("svg");
      const under = paper(within ? within.parentElement : part);
      const ink = over(parts(within ? style.fill : style.color), under);
      const [high, low] = [light(ink), light(under)].sort((a, b) => b - a);
      return [(high + 0.05) / (low + 0.05), part.textContent.trim().slice(0, 40), part.className];
    }).filter(([contrast]) => contrast < 4.5);
}"""


def record(run: Run, submission: str, losses: Sequence[float], goal: float, **outcome: Any) -> None:
    """A trial with a loss each ten seconds and no more than its budget of them."""
    head = header("lm-toy-v2", submission, target=Target("validation/loss", "min", goal))
    seen = [
        Evaluation(10 * n, 10.0 * n, 10.0 * n, {"validation/loss": loss})
        for n, loss in enumerate(losses, 1)
    ]
    last = seen[-1]
    end = "reached" if losses[-1] <= goal else "budget"
    ended = Outcome(end, last.steps, last.wall_s, last.cpu_s, "because", outcome)  # type: ignore[arg-type]
    write(record_path(run.folder, TrialKey(*head.key)), [head, *seen, ended])


def opened(browser: Any, run: Run, **options: Any) -> Visit:
    page = run.folder.parent / "page.html"
    write_page([run.folder], page, **options)
    return Visit(browser, page)


def test_tooltips_tell_small_numbers(browser: Any, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    for name in ("reference-torch", "adamw"):
        record(run, name, [3e-3, 1e-3, 4.321e-4], 5e-4)
    visit = opened(browser, run)
    visit.point_at("#curves0 .mark[data-i]")
    tip = visit.page.locator("#tip")
    tip.wait_for(state="visible")
    assert "validation/loss 0.0004321: target met" in tip.inner_text()
    visit.context.close()


def test_the_pointer_on_a_line_tells_that_line(browser: Any, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    record(run, "reference-torch", [1.5] * 40, 1.0)
    record(run, "adamw", [1.9] * 19 + [1.56], 1.0)
    visit = opened(browser, run)
    line = visit.page.locator("#curves0 .line[data-i]").last
    line.scroll_into_view_if_needed()
    middle = line.evaluate(
        """path => {
          const {x, y} = path.getPointAtLength(path.getTotalLength() / 2).matrixTransform(
            path.getScreenCTM());
          return [x, y];
        }"""
    )
    visit.page.mouse.move(*middle)
    tip = visit.page.locator("#tip")
    tip.wait_for(state="visible")
    assert "reference-torch" in tip.inner_text()
    visit.context.close()


def test_a_tooltip_of_a_crowd_stays_on_the_screen(browser: Any, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    for name in ("reference-torch", *(f"method{place}" for place in range(60))):
        run.add("lm-toy-v2", name, [20.0])
    visit = opened(browser, run)
    chart = visit.page.locator("#profiles")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = visit.page.locator("#tip")
    tip.wait_for(state="visible")
    assert tip.inner_text().endswith("and 45 more")
    assert tip.bounding_box()["height"] < 600
    visit.context.close()


def test_two_compared_are_told_why_nothing_is_sure(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run")
    for id in ("lm-toy-v2", "homeostatic-toy-v3"):
        for name in ("reference-torch", "adamw", "sgd"):
            if (id, name) != ("homeostatic-toy-v3", "sgd"):
                run.add(id, name, [20.0, 22.0, math.inf if name == "adamw" else 21.0])

    alike = Run(tmp_path / "alike").add("lm-toy-v2", "reference-torch", [20.0, 22.0])
    for name in ("adamw", "sgd"):
        alike.add("lm-toy-v2", name, [20.0, 20.0])

    def told(run: Run = run, **options: Any) -> str:
        visit = opened(browser, run, **options)
        for name in ("adamw", "sgd"):
            visit.page.get_by_role("button", name=f"compare {name}", exact=True).click()
        text = visit.page.locator("#versus").inner_text()
        visit.context.close()
        return str(text)

    plain = told()
    assert "Difference over paired studies" in plain
    assert "homeostatic-toy-v3: not run by sgd" in plain
    assert "cannot be tested on one study" in told(alike)
    assert "This protocol does not test differences" in told(protocol="algoperf")
    monkeypatch.setattr(versus, "MOST", 1)
    assert "among the best 1 only" in told()


def test_a_click_on_the_legend_hides_what_trials_were_on_test_data(
    browser: Any, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    for name in ("reference-torch", "adamw"):
        record(run, name, [2.0, 0.9], 1.0, test={"test/rmse": 1.5})
    visit = opened(browser, run)
    visit.page.locator("details.more summary").first.click()
    rows = "details.more tbody tr"
    assert visit.shown(rows) == 2
    visit.page.get_by_role("button", name="adamw", exact=True).click()
    assert visit.shown(rows) == 1
    visit.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(browser: Any, tmp_path: Path, scheme: str) -> None:
    speeds = {
        (name, "torch"): speed
        for name, speed in {"reference-torch": 1.0, "a": 0.3, "b": 0.5, "c": 0.7, "d": 0.85,
                            "e": 1.25, "f": 1.6, "g": 3.0, "h": 0.4, "i": 0.45}.items()
    }  # fmt: skip
    page = tmp_path / "page.html"
    write_page([race(tmp_path / "run", speeds=speeds, studies=2, evaluations=20)], page)
    visit = Visit(browser, page, color_scheme=scheme)
    shades = set(re.findall(r'class="number ((?:fast|slow|shade-missed)\d?)"', page.read_text()))
    assert len(shades) >= 4, shades
    visit.page.locator(".legend button").last.click()
    visit.page.locator("details.more summary").first.click()
    for name in ("a", "g"):
        visit.page.get_by_role("button", name=f"compare {name}", exact=True).click()
    assert visit.page.evaluate(_PALE) == []
    visit.context.close()


@pytest.mark.parametrize("count", [3, 6, 30])
def test_words_beneath_an_axis_stand_side_by_side(browser: Any, tmp_path: Path, count: int) -> None:
    words = [f"{'WwMm' * 5}-{place}" for place in range(count)]
    trials = {"sgd": [(word, 1.0 + place) for place, word in enumerate(words)]}
    svg = scatter_plot("p", "lm", Tried("decay", trials, None), "wall", styles(["sgd"]))
    page = tmp_path / "page.html"
    font = "svg { width: 560px } text { font: 15.5px sans-serif } .middle { text-anchor: middle }"
    page.write_text(f"<!doctype html><meta charset=utf-8><style>{font}</style>{svg}")
    visit = Visit(browser, page)
    overlaps = visit.page.locator("svg").evaluate(OVERLAPS)
    visit.context.close()
    assert overlaps == []
