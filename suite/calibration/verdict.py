"""What a calibration found, as a table, as a suite that races the point, and as a log."""

from __future__ import annotations

import json
import math
from pathlib import Path

import yaml

from scoring.bootstrap import FEW
from scoring.ground.documents import ConfigError
from scoring.ground.files import from_home, write_whole
from scoring.ground.words import Scalar
from scoring.report.tables import share_text
from submissions.source import is_path
from suite.calibration.calibrate import Finalist, Verdict
from suite.text_table import columns

SUITE = "calibrated.yaml"
LOG = "calibration.json"


def told(verdict: Verdict) -> str:
    """The finalists as a table, and beneath it what was found, how surely, and what it cost."""
    ids = verdict.order.workloads
    sure = verdict.finalists[0].chance is not None
    head = ["", "point", "score", "95 %", *["P(best)"] * sure, *ids]
    rows = []
    for place, one in enumerate(verdict.finalists, start=1):
        row = [str(place), point_text(verdict, one), f"{one.score.score:.3f}", _interval(one)]
        row += [] if one.chance is None else [share_text(one.chance)]
        rows.append([*row, *(_ratio(one.score.ratios[id]) for id in ids)])
    legend = "workload columns: time to the target relative to the reference, median over seeds"
    return "\n".join([columns(head, rows), legend, "", found(verdict), cost(verdict)])


def found(verdict: Verdict) -> str:
    """The point and how sure it is, in a sentence."""
    best, order = verdict.finalists[0], verdict.order
    if not any(map(math.isfinite, best.score.ratios.values())):
        return (
            f"No finalist met a target in most of its seeds; {verdict.submission} at "
            f"{point_text(verdict, best)} came closest with the first."
        )
    across = f"{len(order.workloads)} workloads" if len(order.workloads) > 1 else order.workloads[0]
    text = (
        f"{verdict.submission} at {point_text(verdict, best)}: score {best.score.score:.3f} "
        f"{_interval(best)} on {across}, {order.seeds} fresh seed{'s' * (order.seeds > 1)}"
    )
    if len(verdict.finalists) == 1:
        return f"{text}; the only finalist."
    if best.chance is None:
        return f"{text}; at least {FEW} seeds are needed to say how certain that is."
    others, share = len(verdict.finalists), share_text(best.chance)
    return f"{text}; the best of {others} finalists in {share} of resampled seeds."


def cost(verdict: Verdict) -> str:
    """What it took, in a sentence."""
    return (
        f"It took {verdict.trials} trials, {verdict.pruned} of them stopped early, and "
        f"{verdict.core_hours:.2g} core-hours from first step to last."
    )


def point_text(verdict: Verdict, finalist: Finalist) -> str:
    """The tuned hyperparameters of a finalist, `lr=0.003 decay=cosine`."""
    point = finalist.point
    text = " ".join(f"{name}={_short(point[name])}" for name in verdict.tuned if name in point)
    return f"{text} (defaults)" if verdict.has_defaults and finalist.number == 0 else text


def write(verdict: Verdict, folder: Path) -> Path:
    """Leave the suite and the log in `folder`; the path of the suite.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path = folder / SUITE
    try:
        write_whole(folder / LOG, json.dumps(_log(verdict), indent=1, allow_nan=False) + "\n")
        write_whole(path, _suite(verdict))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path


def _suite(verdict: Verdict) -> str:
    order, best = verdict.order, verdict.finalists[0]
    body = {
        "title": f"{verdict.submission} at the point calibrated on {order.suite}",
        "workloads": list(order.workloads),
        "submissions": [_word(order.submission)],
        "ruleset": "self",
        "studies": FEW,
        "clock": order.clock,
        "seed": (order.seed + 1) % 2**63,
        "budget_factor": order.budget_factor,
        "resources": {"cores": order.cores, "gpus": order.gpus},
        "points": {verdict.submission: [_tuned(verdict, best)]},
    }
    lines = [found(verdict), cost(verdict), "Other suites may copy `points` from here."]
    remarks = "".join(f"# {line}\n" for line in lines)
    return remarks + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=100)


def _log(verdict: Verdict) -> dict[str, object]:
    return {
        "order": verdict.order.told,
        "rungs": [
            {
                "workloads": list(rung.workloads),
                "kept": [
                    {"candidate": one, "total": round(sum_, 6)} for one, sum_ in candidates.items()
                ],
            }
            for rung, candidates in verdict.climbed
        ],
        "finalists": [
            {
                "candidate": one.number,
                "point": _tuned(verdict, one),
                "score": round(one.score.score, 6),
                "interval": one.score.interval,
                "best": one.chance,
                "ratios": {
                    id: round(ratio, 6) if math.isfinite(ratio) else None
                    for id, ratio in one.score.ratios.items()
                },
            }
            for one in verdict.finalists
        ],
        "trials": verdict.trials,
        "pruned": verdict.pruned,
        "core_hours": round(verdict.core_hours, 6),
    }


def _tuned(verdict: Verdict, finalist: Finalist) -> dict[str, Scalar]:
    return {name: finalist.point[name] for name in verdict.tuned if name in finalist.point}


def _word(word: str) -> str:
    """How a suite in the calibration's folder names the submission: a path from anywhere."""
    return from_home(str(Path(word).absolute())) if is_path(word) else word


def _interval(finalist: Finalist) -> str:
    interval = finalist.score.interval
    return "" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if math.isfinite(ratio) else "missed"


def _short(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
