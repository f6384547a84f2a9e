"""The `gradathlon` command. Nothing heavy is imported before a command's body runs."""

from __future__ import annotations

from typing import Any

import click

from scoring.ground.errors import UserError
from suite.commands.check import check
from suite.commands.data import data
from suite.commands.lifelong import lifelong
from suite.commands.list import list_
from suite.commands.new import new
from suite.commands.parity import parity
from suite.commands.report import report
from suite.commands.run import run
from suite.commands.score import score
from suite.commands.show import show
from suite.commands.targets import set_targets
from suite.commands.try_ import try_

BAD_INPUT = 2
INTERRUPTED = 130


class FrontDoor(click.Group):
    """Turns the errors that are a user's to mend into one line on stderr and exit code 2.

    Anything else is a defect of Gradathlon's and keeps its traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            click.echo("gradathlon: stopped", err=True)
            ctx.exit(INTERRUPTED)
        except UserError as error:
            click.echo(f"gradathlon: error: {error}", err=True)
            ctx.exit(BAD_INPUT)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer meets them, not alphabetical."""
        return list(self.commands)


@click.group(cls=FrontDoor, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradathlon", prog_name="gradathlon")
def main() -> None:
    """Race training algorithms to a target on real workloads, in PyTorch and JAX.

    A submission is one Python file with one function that returns an optimizer. A run trains
    every submission on every workload of a suite until a validation metric meets the workload's
    target; the score tells how fast it got there, compared to a tuned NadamW.

    \b
    A first race, a page about it, and a submission of your own:
        gradathlon run demo -o runs/first
        gradathlon report runs/first -o report.html
        gradathlon new my_opt.py
        gradathlon check my_opt.py
        gradathlon run demo -s my_opt.py -s adamw

    Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a trial or a check
    failed, 2 wrong input, 130 stopped by Ctrl-C.
    """


for command in (
    *(run, score, report, list_, show, new, check, try_, parity, set_targets, data, lifelong),
):
    main.add_command(command)
