"""Generates archives: `python -m workloads.climate slab-short`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workloads.climate.assemble import assemble
from workloads.climate.gcm import Atmosphere
from workloads.climate.generate import Generation, Stage, stages
from workloads.climate.recipe import RECIPES

if TYPE_CHECKING:
    import rich.progress


def main(arguments: Sequence[str]) -> int:
    """Generate the archives of these recipes, with a progress bar on stderr."""
    import rich.console
    import rich.progress

    with rich.progress.Progress(console=rich.console.Console(stderr=True)) as bars:
        for name in arguments:
            recipe = RECIPES[name]
            plan = stages(recipe)
            before = dict(zip((stage.name for stage in plan), _cumulated(plan), strict=True))
            bar = bars.add_task("loading the model", total=sum(stage.days for stage in plan))
            progress = functools.partial(_progress, bars, bar, before)
            generation = Generation(recipe, Atmosphere(recipe), progress)
            generation.run()
            assemble(generation, list(before))
    return 0


def _progress(
    bars: rich.progress.Progress,
    bar: rich.progress.TaskID,
    before: dict[str, int],
    stage: str,
    day: int,
) -> None:
    bars.update(bar, completed=before[stage] + day, description=f"simulating: {stage}")


def _cumulated(plan: Sequence[Stage]) -> list[int]:
    return [sum(stage.days for stage in plan[:index]) for index in range(len(plan))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
