"""The board of runs as one W&B run: tables, charts, pictures, the page, and the records."""

from __future__ import annotations

import dataclasses
import math
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring import board as boards
from scoring.board import Board, Row
from scoring.frame import gather
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import UNFINISHED
from scoring.ground.files import refuse_unwritable
from scoring.ground.words import Clock, Scalar
from scoring.records import Record, run_of
from scoring.report import crowds, page, pictures
from scoring.report.heatmap import heatmap_svg
from scoring.report.tables import rank_text
from scoring.run_file import NAME, TEXTS
from scoring.times import time_to_result
from suite.wandb_board.layout import save_layout
from suite.wandb_board.session import Identity, Say, Session, first_line
from suite.wandb_board.words import Place, WandbError, artifact_name

if TYPE_CHECKING:
    import wandb
    from wandb.plot.custom_chart import CustomChart

POINTS = 200
"""Points of a curve, at most; the records have them all."""
JOB = "leaderboard"
Lines = Mapping[str, tuple[list[float], list[float]]]
"""By name, where a line's points lie across and upwards."""


@dataclasses.dataclass(frozen=True)
class Published:
    """What is published: runs, the board computed from them, and its trials."""

    runs: Sequence[Path]
    board: Board
    records: Sequence[Record]
    page: str

    @property
    def name(self) -> str:
        """The runs' names."""
        return " and ".join(dict.fromkeys(run.absolute().name for run in self.runs))

    @property
    def workloads(self) -> list[str]:
        """Those that count, and those at equal budget."""
        return [*self.board.workloads, *(race.workload for race in self.board.at_equal_budget)]


def publish(runs: Sequence[Path], place: Place, say: Say, **options: Any) -> None:
    """Compute the board of `runs` and hand it on to W&B, or keep it in the first one's folder.

    Args:
        runs: run folders.
        place: where in W&B.
        say: told where it is.
        options: what `scoring.board.compute_from` takes.

    Raises:
        RecordError: records that cannot be read, or cannot be compared.
        FileError: the first run's folder cannot be written.
        WandbError: W&B cannot write elsewhere.
    """
    gathered = gather(runs)
    computed, records = boards.compute_from(gathered, **options), gathered.records
    across = bool(options.get("across_frameworks"))
    text = page.render(computed, records, across_frameworks=across)
    published = Published(runs, computed, records, text)
    # W&B writes there what it sends or keeps, by a process of its own that tells of no full disk.
    refuse_unwritable(runs[0], 2 * len(text) + sum(one.path.stat().st_size for one in records))
    session = Session(runs[0], place, say)
    run = session.begin(_identity(published), _config(published))
    try:
        run.log(_contents(published))
        run.summary.update(_summary(computed))
    except OSError as error:
        session.forget(run)
        raise WandbError(f"W&B: {first_line(error)}") from None
    try:
        _log_records(run, published)
    except Exception as error:  # W&B asks its server about artifacts, and fails in many ways
        say(f"W&B: the records were not published: {first_line(error)}")
    path = (run.entity, run.project)
    session.end(run, 0)
    session.close()  # only then is the file whole
    session.leave()
    if not session.offline:
        save_layout(*path, published.name, computed, say)


def _identity(published: Published) -> Identity:
    board = published.board
    return Identity(
        id=secrets.token_hex(8),
        name=f"board of {published.name}",
        group="boards",
        job_type=JOB,
        tags=[JOB, board.protocol, f"clock {board.clock}", *board.workloads],
    )


def _config(published: Published) -> dict[str, object]:
    board = published.board
    return {
        "protocol": board.protocol,
        "clock": board.clock,
        "tau_max": board.tau_max,
        "workloads": list(board.workloads),
        "runs": [run.absolute().name for run in published.runs],
        "trials": len(published.records),
        "notes": list(board.notes),
    }


def _contents(published: Published) -> dict[str, object]:
    import wandb

    board = published.board
    scores = _table(["submission", "score"], [[row.submission, row.score] for row in board.rows])
    charts = {
        "profiles": _profiles(board),
        **{f"curves/{id}": _curves(published, id) for id in published.workloads},
    }
    return {
        "board": _table(*board_rows(board)),
        "scores": wandb.plot.bar(scores, "submission", "score", title=f"{board.protocol} score"),
        "trials": _table(*trial_rows(published.records)),
        **{name: chart for name, chart in charts.items() if chart},
        **{
            f"pictures/{name}": wandb.Html(svg, inject=False, data_is_not_path=True)
            for name, svg in drawings(published).items()
        },
        "page": wandb.Html(published.page, inject=False, data_is_not_path=True),
    }


def board_rows(board: Board) -> tuple[list[str], list[list[Scalar]]]:
    """Columns and rows of the board: rank sets, scores with intervals, P(best), every workload."""
    head = ["rank", "submission", "framework", "score", "score low", "score high", "P(best)"]
    unit = CLOCKS[board.clock].unit
    for name in board.workloads:
        head += [f"{name}: time ({unit})", f"{name}: ratio", f"{name}: reached"]
    return head, [_board_row(row, board) for row in board.rows]


def _board_row(row: Row, board: Board) -> list[Scalar]:
    low, high = row.interval or (None, None)
    values: list[Scalar] = [rank_text(row), row.submission, row.framework, row.score, low, high]
    values.append(row.p_best)
    for name in board.workloads:
        cell = row.cells[name]
        reached = f"{cell.reached} of {cell.trials}"
        values += [_number(cell.time), _number(cell.ratio), reached]
    return values


def trial_rows(records: Sequence[Record]) -> tuple[list[str], list[list[Scalar]]]:
    """Columns and rows of the trials: which, how it ended, and its time on each clock."""
    head = ["workload", "submission", "framework", "study", "trial", "seed", "end", "reason"]
    head += [f"time to result ({name})" for name in CLOCKS] + ["hyperparameters"]
    rows = []
    for record in records:
        one, outcome = record.header, record.outcome
        times = time_to_result(one, record.evaluations)
        point = " ".join(f"{name}={value}" for name, value in one.hyperparameters.items())
        reason = outcome.reason.strip().splitlines() if outcome else []
        rows.append(
            [
                *(one.workload, one.submission, one.framework, one.study, one.trial),
                str(one.seed),
                outcome.end if outcome else UNFINISHED,
                reason[-1] if reason else "",
                *(_number(times[name]) for name in CLOCKS),
                point,
            ]
        )
    return head, rows


def drawings(published: Published) -> dict[str, str]:
    """The pictures of the board as SVG, by name."""
    board, records = published.board, published.records
    return {
        "board": pictures.board_svg(board),
        "profiles": pictures.static_profile_svg(board),
        "ratios": heatmap_svg(board),
        **{id: pictures.curves_svg(board, records, id) for id in published.workloads},
    }


def fastest(published: Published, workload: str) -> list[Record]:
    """Each submission's best trial on a workload."""
    own = [
        one for one in published.records if one.header.workload == workload and one.header.target
    ]
    return crowds.fastest(own, published.board.clock)


def curves(records: Sequence[Record], clock: Clock) -> Lines:
    """By submission: clock and judged metric of its one record."""
    own = {record.header.submission: record for record in records}
    return {name: _curve(record, clock) for name, record in sorted(own.items())}


def _curve(record: Record, clock: Clock) -> tuple[list[float], list[float]]:
    target, read = record.header.target, CLOCKS[clock].read
    assert target is not None
    points = [(read(one), one.metrics.get(target.metric, math.nan)) for one in record.evaluations]
    points = [point for point in points if all(map(math.isfinite, point))]
    stride = max(1, math.ceil(len(points) / POINTS))
    thinned = points[::stride]
    if points and thinned[-1] != points[-1]:
        thinned.append(points[-1])
    return [x for x, _ in thinned], [y for _, y in thinned]


def _curves(published: Published, workload: str) -> CustomChart | None:
    clock, drawn = published.board.clock, fastest(published, workload)
    title = f"{workload}: each submission's {crowds.word(drawn, clock)}"
    return _chart(curves(drawn, clock), title, CLOCKS[clock].label)


def _profiles(board: Board) -> CustomChart | None:
    steps = {row.submission: board.profile(row) for row in board.rows}
    lines = {
        name: ([tau for tau, _ in line], [rho for _, rho in line]) for name, line in steps.items()
    }
    return _chart(lines, "Performance profiles: share of workloads solved within tau", "tau")


def _chart(lines: Lines, title: str, across: str) -> CustomChart | None:
    """W&B's own chart of some lines; None of none, which it cannot draw."""
    import wandb

    if not lines:
        return None
    xs, ys = map(list, zip(*lines.values(), strict=True))
    return wandb.plot.line_series(xs, ys, keys=list(lines), title=title, xname=across)


def _table(columns: list[str], rows: list[list[Scalar]]) -> wandb.Table:
    import wandb

    return wandb.Table(columns=[*columns], data=[*rows], allow_mixed_types=True)


def _summary(board: Board) -> dict[str, object]:
    racing = [row for row in board.rows if not row.is_reference]
    summary: dict[str, object] = {f"score/{row.submission}": row.score for row in board.rows}
    summary |= {f"rank_low/{row.submission}": row.rank_low for row in racing}
    summary |= {f"rank_high/{row.submission}": row.rank_high for row in racing}
    summary["maybe_best"] = ", ".join(row.submission for row in racing if row.rank_low == 1)
    return summary


def _log_records(run: wandb.Run, published: Published) -> None:
    import wandb

    own: dict[Path, list[Path]] = {}
    for record in published.records:
        own.setdefault(run_of(record.path), []).append(record.path)
    for folder, records in own.items():
        artifact = wandb.Artifact(artifact_name("records", folder.name), type="records")
        plan = [folder / NAME] if (folder / NAME).exists() else []
        texts = [path for path in (folder / TEXTS).glob("*") if path.is_file()]
        for path in [*records, *plan, *texts]:
            artifact.add_file(str(path), name=path.absolute().relative_to(folder).as_posix())
        run.log_artifact(artifact)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
