"""`gradathlon report`."""

from __future__ import annotations

from pathlib import Path

import click

from suite.commands import Option, Options
from suite.commands.board_options import board_options, refuse_board_options
from suite.run_folder import RunFolder

_PICTURES = (".svg", ".png")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RunFolder(), metavar="RUN|URL...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default="report.html, or WORD.svg",
    help="File to write; a picture may be FILE.svg or FILE.png.",
)
@click.option(
    "--picture",
    metavar="WORD",
    help="Write one picture instead of the page: board, profiles, ratios (heat map), differences "
    "(critical-difference plot), bump (ranks by workload), or a workload's id for its learning "
    "curves.",
)
@board_options
def report(
    runs: tuple[Path, ...], output: Path | None, picture: str | None, **options: Option
) -> None:
    """Write one self-contained HTML page about runs, or one picture.

    The page has the board with intervals, performance profiles, the metric of every trial against
    the clock, and every trial with its hyperparameters and its end. It needs no network. For the
    folder of a sweep, it has the final metric over the hyperparameter, and the learning curves. A
    picture is self-contained, light or dark as its reader prefers, for a README or a paper.

    \b
    Examples:
        gradathlon report runs/first -o report.html
        gradathlon report runs/first --picture board -o board.svg
        gradathlon report runs/first --picture lm-toy-v2
        gradathlon report runs/first --picture differences -o differences.png
    """
    from scoring.ground.documents import ConfigError
    from scoring.ground.files import write_whole
    from scoring.report import page
    from scoring.report.png import png
    from scoring.report.sweep_page import write_sweep_page
    from scoring.sweep_log import is_sweep

    sweeps = [run for run in runs if is_sweep(run)]
    if sweeps and (len(runs) > 1 or picture is not None):
        raise ConfigError(
            f"{sweeps[0]}: a sweep has its own page: gradathlon report {sweeps[0]}; its pictures "
            "are in its folder"
        )
    if sweeps:
        refuse_board_options("a sweep has none")
    if output and (output.suffix in _PICTURES) != (picture is not None):
        page_needs = "a page is HTML; name it FILE.html, or add --picture WORD"
        picture_needs = "a picture is SVG or PNG; name it FILE.svg or FILE.png"
        raise ConfigError(f"{output}: {picture_needs if picture else page_needs}")
    drawn = None if picture is None else _picture(runs, picture, options)
    output = output or Path("report.html" if picture is None else f"{picture}.svg")
    try:
        if sweeps:
            write_sweep_page(sweeps[0], output)
        elif drawn is None:
            page.write_page(runs, output, **options)
        elif output.suffix == ".png":
            write_whole(output, png(drawn))
        else:
            write_whole(output, drawn)
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written: {error.strerror or error}") from None
    click.echo(str(output))


def _picture(runs: tuple[Path, ...], word: str, options: Options) -> str:
    from scoring import board, frame
    from scoring.ground.documents import ConfigError
    from scoring.ground.errors import nearest
    from scoring.report import heatmap, pictures, rank_pictures

    drawings = {
        "board": pictures.board_svg,
        "profiles": pictures.static_profile_svg,
        "differences": rank_pictures.critical_difference_svg,
        "bump": rank_pictures.bump_svg,
        "ratios": heatmap.heatmap_svg,
    }
    gathered = frame.gather(runs)
    computed, records = board.compute_from(gathered, **options), gathered.records
    if word in drawings:
        return drawings[word](computed)
    raced = {record.header.workload for record in records}
    if word not in raced:
        hint = nearest(word, [*drawings, *raced])
        raise ConfigError(f"--picture: unknown picture {word!r}{hint}")
    return pictures.curves_svg(computed, records, word)
