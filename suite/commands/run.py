"""`gradathlon run`."""

from __future__ import annotations

from pathlib import Path

import click

from scoring.ground.clocks import CLOCKS
from scoring.run_file import MOST
from suite.commands import Option
from suite.commands.racing_options import address_option, at_once_option, executor_option
from suite.run_folder import is_url


@click.command()
@click.argument("suite", required=False, metavar="[SUITE|FILE.yaml]")
@click.option(
    "submissions",
    "-s",
    "--submission",
    multiple=True,
    metavar="NAME|PATH",
    help="Race this submission instead of the suite's: a built-in or installed name, or the path "
    "of a .py file or a folder with submission.py. Repeat for several.",
)
@click.option(
    "workloads",
    "-w",
    "--workload",
    multiple=True,
    metavar="ID",
    help="Race on this workload instead of the suite's. Repeat for several.",
)
@click.option(
    "-o",
    "--output",
    metavar="DIR|URL",
    help="The run's folder; default: runs/<suite>-<time>. A folder that already holds a run is "
    "refused. At a URL (s3://bucket/runs/mine, or any other that fsspec knows), records are "
    "stored as they arrive, and any machine can resume the run.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Resume the run in DIR, or at URL, as planned: ended trials are kept, others continue.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="With --resume: also race failed trials again.",
)
@executor_option
@address_option
@at_once_option
@click.option(
    "--studies",
    type=click.IntRange(1, MOST),
    metavar="N",
    help="Number of studies (independent repetitions of tuning), instead of the suite's.",
)
@click.option(
    "--trials",
    type=click.IntRange(1, MOST),
    metavar="N",
    help="Trials (hyperparameter points) per study, instead of the suite's.",
)
@click.option(
    "--clock",
    type=click.Choice(list(CLOCKS)),
    help="What counts as time, instead of the suite's clock: wall-clock seconds (wall), CPU "
    "seconds (cpu), steps, or the reference's steps in the same time (paired), which are "
    "comparable on shared machines.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Base seed, from which all points and seeds derive.",
)
@click.option(
    "--reference/--no-reference",
    default=True,
    help="Also race the tuned reference of each framework, where its steps do not ship with the "
    "target. Scores are relative to it.",
)
@click.option(
    "--race-reference",
    is_flag=True,
    help="Race the reference even where its steps ship with the target (paired and steps clocks), "
    "and report whether it differs.",
)
@click.option(
    "--prune",
    type=click.Choice(["board", "score", "forecast"]),
    show_default="board",
    help="Which trials end early. board: those slower than the fastest of their study; nothing on "
    "the run's board changes. score: also those too slow to score or to move a median over "
    "studies; no score changes, but intervals may widen. forecast: also those whose learning "
    "curve predicts a miss, which is sometimes wrong.",
)
@click.option("--no-prune", is_flag=True, help="End no trial early.")
@click.option(
    "--wandb",
    is_flag=True,
    help="Log each trial to Weights & Biases as it races; without a key, to DIR/wandb, to be "
    "synced later. This affects no clock and no trial.",
)
@click.option(
    "--wandb-project",
    metavar="NAME",
    show_default="WANDB_PROJECT, or gradathlon",
    help="With --wandb: the project.",
)
@click.option("--wandb-entity", metavar="NAME", help="With --wandb: the team or user.")
@click.option(
    "--copy-to",
    metavar="URL",
    help="Also copy the run's records to this URL as trials end: s3://bucket/runs/mine, or any "
    "other that fsspec knows. Like -o URL, but the run's folder is on this machine.",
)
@click.option("--dry-run", is_flag=True, help="Print the trials that would run, and exit.")
@click.pass_context
def run(ctx: click.Context, /, no_prune: bool, output: str | None, **options: Option) -> None:
    """Race submissions on workloads and print the leaderboard.

    SUITE is one of `gradathlon list suites`, or the path of your own YAML file. Each trial is
    pinned to its own cores, and writes its record to DIR/trials while it runs. The run can be
    interrupted and resumed at any moment.

    \b
    Examples:
        gradathlon run demo
        gradathlon run toy -s ./my_opt.py -s adamw -w lm-toy-v2 -o runs/mine
        gradathlon run toy-tuned -s ./my_opt.py --studies 1 --trials 2 --dry-run
        gradathlon run --resume -o runs/mine
        gradathlon run demo -o s3://bucket/runs/mine
    """
    from scoring.ground.documents import ConfigError
    from suite.request import Request
    from suite.run import run as carry_out

    if output is not None and is_url(output):
        options["url"] = output
    elif output is not None:
        options["output"] = Path(output)
    if no_prune and options["prune"] is not None:
        raise ConfigError("--prune and --no-prune contradict each other; choose one")
    options["prune"] = "none" if no_prune else options["prune"] or "board"
    ctx.exit(carry_out(Request(**options)))
