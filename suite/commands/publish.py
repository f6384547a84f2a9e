"""`gradathlon publish`."""

from __future__ import annotations

from pathlib import Path

import click

from suite.commands import Option
from suite.commands.board_options import board_options
from suite.run_folder import RunFolder
from suite.talk import say


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RunFolder(), metavar="RUN|URL...")
@click.option(
    "--wandb-project",
    metavar="NAME",
    show_default="WANDB_PROJECT, or gradathlon",
    help="The project.",
)
@click.option("--wandb-entity", metavar="NAME", help="The team or user.")
@board_options
def publish(
    runs: tuple[Path, ...], wandb_project: str | None, wandb_entity: str | None, **options: Option
) -> None:
    """Publish the leaderboard of runs to Weights & Biases.

    Makes one W&B run with the board (rank sets, intervals, P(best)), performance profiles, learning
    curves, a heat map of ratios, the page of `gradathlon report`, and the records as an artifact.
    Without a key, it is kept in the first run's folder, to be synced later. With wandb-workspaces
    (pip install 'gradathlon[wandb]'), a report is saved as well.

    \b
    Examples:
        gradathlon publish runs/first
        gradathlon publish runs/mine runs/theirs --wandb-project races --clock steps
    """
    from suite.wandb_board.publish import publish as carry_out
    from suite.wandb_board.words import Place

    place = Place.find(wandb_project, wandb_entity)
    carry_out(runs, place, say, **options)
