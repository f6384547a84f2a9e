"""Long names in plots, in a real browser: none leaves its plot or lies on another text."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scoring.board import Board, compute
from scoring.report.heatmap import heatmap_svg
from scoring.report.page import write_page
from scoring.report.pictures import board_svg, static_profile_svg
from scoring.report.rank_pictures import bump_svg, critical_difference_svg
from tests.scoring.conftest import Run
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
_OVERLAPS = """svg => {
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
    assert svg.evaluate(_OVERLAPS) == []
    visit.context.close()
