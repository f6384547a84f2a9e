"""Long names in plots, in a real browser: none leaves its plot or lies on another text."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scoring.board import Board, compute
from scoring.ground.words import Target, TrialKey
from scoring.records import Evaluation, Outcome, record_path
from scoring.report.heatmap import heatmap_svg
from scoring.report.page import write_page
from scoring.report.pictures import board_svg, static_profile_svg
from scoring.report.rank_pictures import bump_svg, critical_difference_svg
from tests.scoring.conftest import Run, header, write
from tests.scoring.test_page_browser import CHROMIUM, Visit, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
__all__ = ["browser"]

_LONG = ("shrink_and_perturb_long", "m" * 40, "learning-rate-free+" + "W" * 30 + "-torch")
_OUTSIDE = """svg => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter(one => {
    const box = one.getBoundingClientRect();
    return box.width > 0 && (box.left < frame.left - 1 || box.right > frame.right + 1);
  }).map(one => one.textContent);
}"""
OVERLAPS = """svg => {
  const all = [...svg.querySelectorAll("text")].map(one => [one, one.getBoundingClientRect()]);
  return all.flatMap(([one, a], place) => all.slice(place + 1)
    .filter(([_, b]) => a.left < b.right - 1 && b.left < a.right - 1
      && a.top < b.bottom - 4 && b.top < a.bottom - 4)
    .map(([other]) => `${one.textContent} on ${other.textContent}`));
}"""


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Run(tmp_path_factory.mktemp("long") / "run")
    for place, id in enumerate(("recommender-toy-v3+shortprofile", "rl_nap-toy-v3+sequence_nonap")):
        run.add(id, "reference-torch", [200, 210, 220])
        for name in _LONG:
            run.add(id, name, [200, 210, math.inf if place else 220])
    return run.folder


@pytest.mark.parametrize("width", [390, 1280])
def test_no_long_name_leaves_its_plot(browser: Any, long_names: Path, width: int) -> None:
    page = long_names / f"{width}.html"
    write_page([long_names], page)
    visit = Visit(browser, page, viewport={"width": width, "height": 844})
    plots = visit.page.locator("figure svg.plot").all()
    assert len(plots) > 4
    assert [plot.evaluate(_OUTSIDE) for plot in plots] == [[]] * len(plots)
    visit.context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_no_very_long_name_stretches_the_page(browser: Any, tmp_path: Path, width: int) -> None:
    name, metric = "m" * 190 + "_torch", f"validation/{'v' * 200}"
    run = Run(tmp_path / "run")
    for submission in ("reference-torch", name):
        for trial in range(4):
            head = header(
                "lm-toy-v2",
                submission,
                trial=trial,
                target=Target(metric, "min", 1.0),
                hyperparameters={"h" * 200: 10.0**-trial},
            )
            seen = [
                Evaluation(10 * n, 10.0 * n, 10.0 * n, {metric: 2 / n, "x/" + "d" * 200: 1.0 * n})
                for n in (1, 2)
            ]
            end = Outcome("reached", 20, 20.0, 20.0, "r" * 200)
            write(record_path(run.folder, TrialKey(*head.key)), [head, *seen, end])
    page = tmp_path / "page.html"
    write_page([run.folder], page)
    visit = Visit(browser, page, viewport={"width": width, "height": 844})
    visit.page.locator("details.more summary").first.click()
    for compared in visit.page.locator(".pick").all():
        compared.click()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    plots = visit.page.locator("figure svg.plot").all()
    assert [plot.evaluate(_OUTSIDE) for plot in plots] == [[]] * len(plots)
    visit.context.close()


@pytest.mark.parametrize(
    "draw", [board_svg, static_profile_svg, critical_difference_svg, bump_svg, heatmap_svg]
)
def test_long_names_have_room_in_a_picture(
    browser: Any, long_names: Path, draw: Callable[[Board], str]
) -> None:
    picture = long_names / f"{draw.__name__}.html"
    picture.write_text(f"<!doctype html><meta charset=utf-8>{draw(compute([long_names]))}")
    visit = Visit(browser, picture)
    svg = visit.page.locator("svg").first
    texts = svg.evaluate("svg => [...svg.querySelectorAll('text')].map(one => one.textContent)")
    assert "shrink_and_perturb_long" in texts
    assert svg.evaluate(_OUTSIDE) == []
    assert svg.evaluate(OVERLAPS) == []
    visit.context.close()
