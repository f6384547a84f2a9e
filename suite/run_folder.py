"""The argument that names a run: its folder, or a URL, of which a copy is read."""

from __future__ import annotations

from pathlib import Path

import click


class RunFolder(click.ParamType[Path]):
    """The folder of a run; or the URL of one, which is copied into the cache folder to be read.

    `weights`: with the weights at its hits, which only `verify` reads.
    """

    name = "run"

    def __init__(self, *, weights: bool = False) -> None:
        self._weights = weights

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """The folder to read."""
        if not (isinstance(value, str) and is_url(value)):
            return Path(value)
        from suite.remote import fetched

        return fetched(value, weights=self._weights)


def is_url(word: str) -> bool:
    """Whether a word names a place that is not a path of this machine."""
    return "://" in word
