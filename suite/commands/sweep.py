"""`gradathlon sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from cluster.run_lock import drive_throughout
from scoring.ground.documents import ConfigError
from scoring.ground.files import write_whole
from scoring.ground.words import Resources
from scoring.report.sweep_page import write_sweep_page
from scoring.report.sweeps import sensitivity_svg, sweep_svg
from scoring.run_file import MOST
from scoring.sensitivity import DIGITS, Sweep
from scoring.sweep_log import LOG, have_sizes
from submissions.source import find
from suite.calibration.begun import kept, resumed
from suite.calibration.carry_out import folder_of
from suite.calibration.grid import FORM, parse_grid
from suite.calibration.sweep import DEFAULTS, Sweeping, SweepOrder, log_of
from suite.commands import Option, Options
from suite.commands.calibration_options import place_options, taken_place
from suite.points import stated_point
from suite.talk import say
from suite.text_table import columns
from suite.trials import refuse_too_many_cores


@click.command()
@click.argument("submission", metavar="NAME|PATH")
@click.argument("workload", metavar="WORKLOAD")
@click.option("--parameter", metavar="NAME=LOW:HIGH:SCALE", help=f"What to sweep: {FORM}.")
@click.option(
    "more",
    "--workload",
    "-w",
    multiple=True,
    metavar="ID",
    help="Also sweep on this workload: another width or variant, with the same metric. Repeat for "
    "several.",
)
@click.option(
    "--points",
    type=click.IntRange(2, MOST),
    metavar="N",
    help="Number of values.",
    show_default=str(DEFAULTS["points"]),
)
@click.option(
    "--seeds",
    type=click.IntRange(1, MOST),
    metavar="S",
    help="Seeds per value.",
    show_default=str(DEFAULTS["seeds"]),
)
@click.option(
    "--steps",
    type=click.IntRange(1, 10**9),
    metavar="N",
    help="Steps per trial, instead of the workload's horizon.",
)
@click.option(
    "fixed",
    "-p",
    "--point",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set another hyperparameter.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Base seed, from which all seeds derive."
)
@place_options("sweep")
def sweep(submission: str, workload: str, more: tuple[str, ...], **options: Option) -> None:
    """Sweep a hyperparameter over its range; plot its effect and its sensitivity.

    Trains at every value, without a target, and prints the final metric and the sensitivity: the
    mean distance, over the range, of the final metric from the best. A value at which training
    diverges counts as no training (Wortsman et al. 2023, arXiv 2309.14322). DIR/sweep.svg is the
    picture. With workloads of several sizes, DIR/sensitivity.svg shows the sensitivity against
    their number of weights. DIR/report.html is a page with both, the learning curves and every
    trial.

    \b
    Examples:
        gradathlon sweep adamw lm-toy-v2 --parameter lr=1e-4:1:log
        gradathlon sweep adamw lm-toy-v2 -w lm-toy-v2+qknorm --parameter lr=1e-3:1:log --seeds 3
        gradathlon sweep adamw lm-toy-v2 --resume
    """
    place, resume, output = taken_place(options), options.pop("resume"), options.pop("output")
    folder = folder_of(output, "sweep", submission, workload).absolute()
    settings = _given(submission, [workload, *more], options, resume=resume)
    order = _resumed(submission, settings, folder) if resume else _new(submission, settings)
    sweeping = Sweeping(order, folder, place, say)
    if place.address is None:
        refuse_too_many_cores(Resources(order.cores), "--cores")
    with drive_throughout(folder, say) if resume else kept(order, folder):
        sweeps = sweeping.run()
        written = _write(sweeps, order, sweeping.core_hours, folder)
    click.echo(_told(sweeps, order, sweeping.core_hours))
    for path in written:
        say(str(path))


def _given(
    submission: str, workloads: Sequence[str], options: dict[str, Option], *, resume: bool
) -> Options:
    """The keys of the order that were typed, None where they were not."""
    source = find(submission)
    text, fixed = options.pop("parameter"), options.pop("fixed")
    settings = {**options, "workloads": list(dict.fromkeys(workloads))}
    if text is not None:
        grid = parse_grid(text, source)
        settings |= {name: getattr(grid, name) for name in ("parameter", "low", "high", "scaling")}
    elif not resume:
        raise ConfigError(f"sweep needs --parameter {FORM}")
    if fixed or not resume:
        settings["fixed"] = stated_point(source, fixed)
    if settings.get("parameter") in settings.get("fixed", {}):
        raise ConfigError(f"-p {settings['parameter']}: this is the swept parameter; leave it out")
    return settings


def _new(submission: str, settings: Options) -> SweepOrder:
    chosen = {key: value for key, value in settings.items() if value is not None}
    fixed = {"submission": submission, "sha256": find(submission).sha256}
    return SweepOrder.model_validate({**DEFAULTS, **chosen, **fixed})


def _resumed(submission: str, settings: Options, folder: Path) -> SweepOrder:
    # The first workload names the folder; the others need not be typed again.
    if len(settings["workloads"]) == 1:
        settings = {**settings, "workloads": None}
    return resumed(SweepOrder, submission, settings, folder)


def _told(sweeps: Sequence[Sweep], order: SweepOrder, hours: float) -> str:
    head = (order.parameter, *(sweep.workload for sweep in sweeps))
    rows = [
        (f"{value:.{DIGITS}g}", *(_final(sweep, place) for sweep in sweeps))
        for place, value in enumerate(order.values)
    ]
    rows += [
        ("before", *(f"{sum(s.initial) / len(s.initial):.4g}" for s in sweeps)),
        ("weights", *(f"{s.size:,}" for s in sweeps)),
        ("sensitivity", *(_sensitivity(s) for s in sweeps)),
    ]
    first = sweeps[0]
    better = "lower" if first.goal == "min" else "higher"
    seeds = f"{order.seeds} seed{'s' * (order.seeds > 1)}"
    spread = ", smallest and largest seed in brackets" if order.seeds > 1 else ""
    lines = [
        columns(head, rows),
        f"final {first.metric} ({better} is better), mean of {seeds}, none counted worse than "
        "before training; *: best",
        f"sensitivity: mean distance from the best over the range{spread}",
        f"It took {hours:.2g} core-hours.",
    ]
    return "\n".join(lines)


def _final(sweep: Sweep, place: int) -> str:
    diverged = sweep.diverged(place)
    note = f" ({diverged} diverged)" if diverged else ""
    return f"{sweep.curve[place]:.4g}{'*' if place == sweep.best else ''}{note}"


def _sensitivity(sweep: Sweep) -> str:
    low, high = min(sweep.sensitivities), max(sweep.sensitivities)
    seeds = f" [{low:.3g}, {high:.3g}]" if len(sweep.sensitivities) > 1 else ""
    return f"{sweep.sensitivity:.3g}{seeds}"


def _write(sweeps: Sequence[Sweep], order: SweepOrder, hours: float, folder: Path) -> list[Path]:
    files = {
        LOG: log_of(sweeps, order, hours),
        "sweep.svg": sweep_svg(sweeps, order.parameter, log=order.scaling == "log"),
    }
    if have_sizes(sweeps):
        files["sensitivity.svg"] = sensitivity_svg(sweeps, order.parameter)
    try:
        for name, text in files.items():
            write_whole(folder / name, text)
        write_sweep_page(folder, folder / "report.html")
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return [folder / name for name in (*files, "report.html")]
