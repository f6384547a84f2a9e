"""The page of a sweep in a real browser; see `tests/scoring/test_page_browser.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scoring.test_page_browser import CHROMIUM, Visit, sync_api
from tests.suite.test_sweep import sweeping, swept

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
__all__ = ["sweeping", "swept"]


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def test_the_page_of_a_sweep_works_on_a_desk_and_on_a_phone(browser: Any, swept: Path) -> None:
    report = swept / "report.html"
    visit = Visit(browser, report)
    assert visit.shown(".board tbody tr") == 4
    assert visit.shown(".trials tbody tr") == 16
    button = visit.page.get_by_role("button", name="lr 0.01", exact=True)
    curves = visit.shown(".line[data-i]")
    button.click()
    assert visit.shown(".board tbody tr") == 3
    assert visit.shown(".line[data-i]") == curves - 4, "two seeds on two workloads"
    button.click()
    visit.page.locator(".board").get_by_role("button", name="lm-toy-v2", exact=True).click()
    finals = [float(text.split()[0]) for text in visit.texts(".board tbody td:nth-child(2)")]
    assert finals == sorted(finals)
    visit.page.locator(".filters [name=w]").select_option("lm-toy-v2+qknorm")
    assert visit.texts(".filters output") == ["8 of 16 trials"]
    colours = visit.page.locator("#curves0 .line[data-i]").evaluate_all(
        "all => all.map(one => getComputedStyle(one).stroke)"
    )
    assert len(set(colours)) == 4
    assert visit.trouble == []
    assert visit.requests == [report.as_uri()]
    visit.context.close()
    phone = Visit(browser, report, viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.trouble == []
    phone.context.close()
