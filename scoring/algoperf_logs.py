"""Published AlgoPerf logs read as trial records, so that boards can be computed from them.

The logs lie as `<submission>/study_<k>/<workload>_<framework>/trial_<j>/eval_measurements.csv`; a
time is the column `score`, the accumulated submission time. A held-out variant `ogbg_model_size`
becomes `ogbg+model_size`. AlgoPerf held no evaluation against a budget, so none is given. Where
two trials of a study hit at the same evaluation, AlgoPerf's code takes the one that its file
system lists first; here it is the one with the smaller number.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from scoring.details import LARGEST
from scoring.ground.errors import nearest
from scoring.ground.files import absent, read_text, take_away
from scoring.ground.words import Budget, Framework, Goal, Target, reference_of
from scoring.lines import Evaluation, Header, Outcome
from scoring.records import RecordError, Writer, record_path

TARGETS: dict[str, tuple[str, Goal, float]] = {
    "criteo1tb": ("loss", "min", 0.123735),
    "criteo1tb+embed_init": ("loss", "min", 0.129657),
    "fastmri": ("ssim", "max", 0.723653),
    "fastmri+tanh": ("ssim", "max", 0.71784),
    "imagenet_resnet": ("accuracy", "max", 0.77431),
    "imagenet_resnet+large_bn_init": ("accuracy", "max", 0.76526),
    "imagenet_vit": ("accuracy", "max", 0.77309),
    "librispeech_conformer": ("wer", "min", 0.085884),
    "librispeech_conformer+layernorm": ("wer", "min", 0.09731),
    "librispeech_deepspeech": ("wer", "min", 0.119936),
    "ogbg": ("mean_average_precision", "max", 0.28098),
    "ogbg+model_size": ("mean_average_precision", "max", 0.269446),
    "wmt": ("bleu", "max", 30.8491),
    "wmt+glu_tanh": ("bleu", "max", 29.5779),
    "finewebedu_lm": ("ppl", "min", 22.2995),
}
"""The published validation targets: metric, goal, value."""
_IDS = {id.replace("+", "_"): id for id in TARGETS}
"""Our id by AlgoPerf's name."""
_FRAMEWORKS: dict[str, Framework] = {"jax": "jax", "pytorch": "torch"}
_TRIAL = re.compile(r"study_(\d+)/(.+)_(jax|pytorch)/trial_(\d+)")


def import_logs(logs: Path, run: Path, reference: str | None = None) -> tuple[int, Counter[str]]:
    """Write a record into `run` for every trial of the logs.

    The submission `reference` becomes the reference of its framework, which the gradathlon protocol
    compares to.

    Returns:
        How many records were written, and how many trials of what workloads were left out for want
        of a published target: variants of version 0.5 that were not drawn as held-out.

    Raises:
        RecordError: no logs, none of a workload with a known target, an unreadable file, a used
            folder.
    """
    if (run / "trials").exists():
        raise RecordError(f"{run}: already holds trials; choose another folder with -o")
    entries = list(_trials(logs))
    names = {submission for _, submission, _ in entries}
    if reference is not None and entries and reference not in names:
        raise RecordError(f"{logs}: no submission {reference!r}{nearest(reference, names)}")
    if not entries:
        raise RecordError(
            f"{logs}: no AlgoPerf logs; expected SUBMISSION/study_0/WORKLOAD_FRAMEWORK/trial_1/"
        )
    scored = [entry for entry in entries if entry[2][2] in _IDS]
    if not scored:
        workload_id(entries[0][2][2])
    made = absent(run / "trials")
    try:
        for folder, submission, match in scored:
            own = reference_of(_FRAMEWORKS[match[3]]) if submission == reference else submission
            _write(folder, own, match, run)
    except BaseException:  # half of them would be taken for all
        take_away(made)
        raise
    left_out = Counter(match[2] for _, _, match in entries if match[2] not in _IDS)
    return len(scored), left_out


def _trials(logs: Path) -> Iterator[tuple[Path, str, re.Match[str]]]:
    for folder in sorted(logs.glob("*/study_*/*/trial_*")):
        place = folder.relative_to(logs)
        match = _TRIAL.fullmatch("/".join(place.parts[1:]))
        if match and (folder / "eval_measurements.csv").is_file():
            yield folder, place.parts[0], match


def _write(folder: Path, submission: str, match: re.Match[str], run: Path) -> None:
    workload = workload_id(match[2])
    metric, goal, value = TARGETS[workload]
    point = folder / "hparams.json"
    header = Header(
        workload=workload,
        submission=submission,
        framework=_FRAMEWORKS[match[3]],
        study=int(match[1]),
        trial=int(match[4]),
        seed=0,
        hyperparameters=_json(point) if point.is_file() else {},
        source_sha256="",
        target=Target(f"validation/{metric}", goal, value),
        budget=Budget(LARGEST, math.inf),
        clock="wall",
        hardware={"digest": "algoperf"},
        versions={},
    )
    seen = _evaluations(folder / "eval_measurements.csv")
    target = header.target
    assert target is not None
    hit = any(target.met_by(one.metrics.get(target.metric)) for one in seen)
    last = seen[-1] if seen else Evaluation(0, 0.0, 0.0, {})
    why = "imported from published logs"
    end = Outcome("reached" if hit else "budget", last.steps, last.wall_s, last.cpu_s, why)
    writer = Writer(record_path(run, header.key))
    writer.write(header, *seen, end)
    writer.close()


def workload_id(name: str) -> str:
    """`ogbg_model_size` is `ogbg+model_size`; a base workload keeps its name.

    Raises:
        RecordError: no target is known for it.
    """
    if name in _IDS:
        return _IDS[name]
    raise RecordError(f"no published target is known for workload {name!r}{nearest(name, TARGETS)}")


def _evaluations(path: Path) -> list[Evaluation]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from None
    seen: list[Evaluation] = []
    for number, row in enumerate(rows, start=2):
        try:
            steps, seconds = int(float(row["global_step"])), float(row["score"])
            metrics = {
                name: float(text)
                for name, text in row.items()
                if name.startswith("validation/") and text
            }
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RecordError(f"{path}:{number}: not a row of evaluations: {error}") from None
        # A run taken up again writes its last evaluation twice.
        if not seen or (steps > seen[-1].steps and seconds >= seen[-1].wall_s):
            seen.append(Evaluation(steps, seconds, seconds, metrics))
    return seen


def _json(path: Path) -> dict[str, object]:
    try:
        body = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from None
    return body if isinstance(body, dict) else {}
