"""A saved report on a board, where `wandb-workspaces` is installed and a server is at hand."""

from __future__ import annotations

import warnings
from typing import Any

from scoring.board import Board
from suite.wandb_board.session import Say, first_line

MISSING = "W&B: saving a report needs wandb-workspaces: pip install 'gradathlon[wandb]'"


def save_layout(entity: str, project: str, name: str, board: Board, say: Say) -> None:
    """Save a report that lays the board out above the learning curves, and say where it is."""
    try:
        report = report_on(entity, project, name, board)
        report.save()
    except ImportError:
        say(MISSING)
        return
    except Exception as error:  # of every kind, all of them the server's or the client's
        say(f"W&B: the report could not be saved: {first_line(error)}")
        return
    say(f"W&B: report: {report.url}")


def report_on(entity: str, project: str, name: str, board: Board) -> Any:
    """The report, unsaved: the board, its pictures, and each workload's trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own making
        import wandb_workspaces.reports.v2 as wr

    boards = wr.Runset(
        entity=entity, project=project, name="board", filters='Metric("JobType") == "leaderboard"'
    )
    blocks = [
        wr.H1(text="Leaderboard"),
        wr.PanelGrid(
            runsets=[boards],
            panels=[
                wr.WeavePanelSummaryTable(table_name="board", layout=wr.Layout(w=24, h=9)),
                *(
                    wr.MediaBrowser(
                        title=word,
                        media_keys=[f"pictures/{word}"],
                        num_columns=1,
                        layout=wr.Layout(x=12 * (place % 2), y=9 + 9 * (place // 2), w=12, h=9),
                    )
                    for place, word in enumerate(["board", "profiles", "ratios"])
                ),
            ],
        ),
    ]
    for id in board.workloads:
        blocks += [wr.H2(text=id), _trials(wr, entity, project, id, board)]
    return wr.Report(
        entity=entity,
        project=project,
        title=f"Gradathlon: {name}",
        description=f"{board.protocol} score on the {board.clock} clock",
        blocks=blocks,
        width="fluid",
    )


def _trials(wr: Any, entity: str, project: str, workload: str, board: Board) -> Any:
    """A workload's trials as they were logged while they raced, grouped by submission."""
    trials = wr.Runset(
        entity=entity,
        project=project,
        name="trials",
        filters=f"Config('workload') == '{workload}'",
        groupby=["config.submission"],
    )
    return wr.PanelGrid(
        runsets=[trials],
        panels=[
            wr.LinePlot(
                title=f"{workload}: judged metric",
                x=f"clock/{board.clock}",
                metric_regex="^(validation|prequential)/.*",
                layout=wr.Layout(w=12, h=9),
            ),
            wr.BarPlot(
                title="Time to result",
                metrics=[wr.SummaryMetric(f"time_to_result/{board.clock}")],
                layout=wr.Layout(x=12, w=12, h=9),
            ),
        ],
    )
