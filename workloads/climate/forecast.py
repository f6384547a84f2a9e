"""Free forecasts of some days from held-out states: what the variant `+rollout` is judged by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workloads.climate.archive import Archive, Pair
from workloads.contract import Judged

WORST = 3.0
"""A forecast is no worse than this: so many times the error of saying that nothing changes."""


def rmse(archive: Archive, judged: Judged, starts: Sequence[Pair], steps: int) -> float:
    """The error of `steps` steps from each start, every one from the last; persistence is 1.

    The root mean square error of each prognostic channel over the sphere, over that of the state
    at the start; the mean over channels and steps. The surface temperature is the archive's.
    """
    runs = [archive.runs[level] for level, _ in starts]
    first = np.stack([run.prognostic(i) for run, (_, i) in zip(runs, starts, strict=True)])
    channels, change = first.shape[1], archive.scales.change[:, None, None]
    states, found = first, []
    for ahead in range(steps):
        now = [(run, index + ahead) for run, (_, index) in zip(runs, starts, strict=True)]
        forcing = np.stack(
            [archive.forcing(run.level, run.surface(i), run.insolation(i, 1)) for run, i in now]
        )
        out = judged.predict({"state": states, "forcing": forcing})["output"]
        truth = np.stack([run.prognostic(i + 1) for run, i in now])
        with np.errstate(over="ignore", invalid="ignore"):  # a wild emulator's numbers
            states = (states + out[:, :channels] * change).astype(np.float32)
            error = archive.grid.mean((states - truth) ** 2)
        persistence = archive.grid.mean((truth - first) ** 2)
        worst = WORST**2 * persistence
        error = np.where(np.isnan(error), worst, np.minimum(error, worst))
        found.append(np.sqrt(error.sum(0) / persistence.sum(0)))
    return float(np.mean(found))
