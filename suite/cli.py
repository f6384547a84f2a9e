"""The `gradathlon` command. A command's module is imported when that command is asked for."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Iterator

import click

from suite.neighbours import intruder

BAD_INPUT = 2
_LONGEST = 2000
INTERRUPTED = 130
"""The exit code of what was stopped by Ctrl-C, as shells have it."""
_SURROUNDINGS = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
)
"""What is wrong with a named file or folder, wherever in a command it is met."""

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Race": {
        "run": ("run", "Race submissions on workloads and print the leaderboard."),
        "watch": ("watch", "Show how far a run is, from another terminal or machine."),
        "list": ("list", "List workloads, submissions or suites."),
        "show": ("show", "Show everything about one workload, submission or suite."),
        "data": ("data", "List and fetch the data that workloads train on."),
        "doctor": ("doctor", "Check whether this machine, or a cluster, can race well."),
    },
    "Read results": {
        "score": ("score", "Compute the leaderboard of runs from their records."),
        "report": ("report", "Write one self-contained HTML page about runs, or one picture."),
        "compare": (
            "compare",
            "Compare two submissions of runs: how much they differ, how surely, and where.",
        ),
        "export": (
            "export",
            "Write runs' trials or evaluations as one table, for pandas, R or a spreadsheet.",
        ),
        "publish": ("publish", "Publish the leaderboard of runs to Weights & Biases."),
        "gate": (
            "gate",
            "Fail if a score is lower, or a target takes more steps, than in a kept board.",
        ),
        "validate": ("validate", "List the records of runs that are invalid, or were not planned."),
        "verify": (
            "verify",
            "Evaluate the weights at a run's hits again, without the submissions.",
        ),
        "lifelong": ("lifelong", "Measure what lifelong learners retained and transferred."),
        "import-algoperf": (
            "import_algoperf",
            "Convert published AlgoPerf logs to a run's records.",
        ),
    },
    "Write and tune a submission": {
        "new": (
            "new",
            "Write a starter submission, a repository around one, or a workload family.",
        ),
        "check": ("check", "Find what would go wrong with a submission, or a workload, in a race."),
        "try": ("try_", "Train for some steps, without a target, and print the metrics."),
        "tune": ("tune", "Find a submission's best hyperparameters for one workload."),
        "calibrate": ("calibrate", "Find one hyperparameter point for all workloads of a suite."),
        "sweep": (
            "sweep",
            "Sweep a hyperparameter over its range; plot its effect and its sensitivity.",
        ),
        "step-cost": (
            "step_cost",
            "Measure what a step costs in steps of the reference, at any scale.",
        ),
        "conformance": (
            "conformance",
            "Try every submission on every toy family: one table of what works where.",
        ),
    },
    "Set up a workload": {
        "parity": ("parity", "Compare torch and jax on this machine."),
        "set-targets": ("targets", "Set a workload's target, budget and reference."),
        "reference-steps": (
            "reference_steps",
            "Show in how many steps the reference meets a target, over fresh seeds.",
        ),
    },
}
"""Name, module in `suite.commands`, and one line of help, in the order a newcomer meets them.

A module's command bears the command's name, with `_` for `-`, or with `_` behind a word that
Python has taken.
"""
COMMANDS = {name: row for section in SECTIONS.values() for name, row in section.items()}


def _short(text: str) -> str:
    """What was typed may be as long as it likes; what is said of it may not."""
    lines = text.splitlines()
    return "\n".join(one if len(one) <= _LONGEST else f"{one[:_LONGEST]}..." for one in lines)


@contextlib.contextmanager
def _output(ctx: click.Context) -> Iterator[None]:
    """Output is written within: what cannot be is told in one line, exit code 2."""
    try:
        try:
            yield
        finally:
            _flush()
    except OSError as error:
        if error.errno not in _SURROUNDINGS:
            raise
        # What fails while it is written to has no name any more.
        what = error.filename or "the output cannot be written"
        click.echo(_short(f"gradathlon: error: {what}: {error.strerror}"), err=True)
        ctx.exit(BAD_INPUT)


def _flush() -> None:
    """Now, while an error can still be told: at its end Python has no better than a traceback.

    Raises:
        OSError: standard output cannot be written.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        if error.errno != errno.EPIPE:  # which click has a way with
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise


class FrontDoor(click.Group):
    """Finds commands by name, and turns errors that are a user's to mend into one line, exit 2.

    Anything else is a defect of Gradathlon's and keeps its traceback.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what would break the one line that an error is told in."""
        for word in args:
            if "\n" in word or "\r" in word:
                raise click.UsageError(f"{word!r} holds a line break", ctx)
        with _output(ctx):  # of --help and --version
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named."""
        trouble = intruder()
        if trouble is not None:
            click.echo(f"gradathlon: error: {trouble}", err=True)
            ctx.exit(BAD_INPUT)
        # Not before: the package could be another's.
        from scoring.ground.errors import UserError

        try:
            with _output(ctx):
                return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            click.echo("gradathlon: stopped", err=True)
            ctx.exit(INTERRUPTED)
        except UserError as error:
            click.echo(_short(f"gradathlon: error: {error}"), err=True)
            ctx.exit(BAD_INPUT)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer meets them, not alphabetical."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        file = COMMANDS[cmd_name][0]
        module = importlib.import_module(f"suite.commands.{file}")
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(module, name, None) or getattr(module, f"{name}_")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or an error that names the nearest."""
        # click looks for near names among the commands that are loaded.
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their lines of help, none of them imported."""
        width = max(map(len, COMMANDS)) + 2
        for title, rows in SECTIONS.items():
            with formatter.section(title):
                lines = [(name.ljust(width - 2), line) for name, (_, line) in rows.items()]
                formatter.write_dl(lines)


@click.group(cls=FrontDoor, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradathlon", prog_name="gradathlon")
def main() -> None:
    """Race training algorithms to a target on real workloads, in PyTorch and JAX.

    A submission is one Python file with one function that returns an optimizer. A run trains every
    submission on every workload of a suite until a validation metric meets the workload's target.
    The score says how fast it got there, relative to a tuned NadamW.

    \b
    A first race, a page about it, and your own submission:
        gradathlon run demo -o runs/first
        gradathlon report runs/first -o report.html
        gradathlon new my_opt.py
        gradathlon check my_opt.py
        gradathlon run demo -s my_opt.py -s adamw

    Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a trial or a check
    failed, 2 wrong input, 130 stopped by Ctrl-C.
    """
