"""Clicks with categories and numbers: MovieLens-100k's likes, or Criteo in BARS's split.

Criteo is read from the csv files of BARS's Criteo_x1 once, into arrays on disk that are mapped
into memory afterwards.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

from scoring.ground.cache import cache_folder
from workloads import seals
from workloads.contract import Array, Batch
from workloads.errors import WorkloadError
from workloads.fetch import data_folder
from workloads.recommender import movielens
from workloads.recommender.stream import fixed_order

Source = Literal["ml-100k", "criteo-x1"]
Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")

LIKED = 4
"""Stars from which a rating counts as a click."""
CRITEO_NUMBERS = [f"I{column}" for column in range(1, 14)]
CRITEO_CATEGORIES = [f"C{column}" for column in range(1, 27)]
CRITEO_SOURCE = "train.csv, valid.csv and test.csv of zenodo.org/record/5700987, Criteo_x1.zip"
CHUNK = 1_000_000


@dataclasses.dataclass(frozen=True)
class Clicks:
    """Examples: `categories` int32 (N, C), ids that share one range over all columns, `numbers`
    float32 (N, K) and `click` uint8 (N,)."""

    categories: Array
    numbers: Array
    click: Array

    def batch(self, rows: Array | slice) -> Batch:
        """Some of the examples; `click` as float32."""
        return {
            "categories": np.ascontiguousarray(self.categories[rows]),
            "numbers": np.ascontiguousarray(self.numbers[rows]),
            "click": self.click[rows].astype(np.float32),
        }


def fetch(source: Source) -> None:
    """Make sure that the files are on this machine; Criteo's are converted, once.

    Raises:
        WorkloadError: they are missing, damaged or cannot be fetched.
    """
    if source == "ml-100k":
        movielens.fetch("ml-100k")
    else:
        load("criteo-x1")


@functools.cache
def load(source: Source) -> dict[Part, Clicks]:
    """The three parts, 7:2:1, read once a process; Criteo's are converted on first use.

    Raises:
        WorkloadError: the files are missing or damaged.
    """
    if source == "ml-100k":
        return _likes(movielens.load("ml-100k"))
    return {part: _criteo(path) for part, path in _criteo_files().items()}


def _likes(films: movielens.MovieLens) -> dict[Part, Clicks]:
    users, items = len(films.fields), len(films.period)
    columns = [
        films.user[:, None],
        users + films.item[:, None],
        users + items + films.fields[films.user],
        users + items + sum(movielens.FIELDS.values()) + films.period[films.item][:, None],
    ]
    every = Clicks(
        np.concatenate(columns, axis=1).astype(np.int32),
        films.genres[films.item].astype(np.float32),
        (films.stars >= LIKED).astype(np.uint8),
    )
    order = np.argsort(fixed_order(films.user.astype(np.int64) * items + films.item))
    cuts = [len(order) * 7 // 10, len(order) * 9 // 10]
    rows = zip(PARTS, np.split(order, cuts), strict=True)
    return {
        part: Clicks(every.categories[where], every.numbers[where], every.click[where])
        for part, where in rows
    }


def _criteo_files() -> dict[Part, Path]:
    folder = data_folder()
    if folder is None:
        raise WorkloadError(
            f"Criteo_x1: GRADATHLON_DATA is not set; put {CRITEO_SOURCE}, into its folder criteo-x1"
        )
    files = {part: folder / "criteo-x1" / f"{part}.csv" for part in PARTS}
    missing = [path.name for path in files.values() if not path.exists()]
    if missing:
        raise WorkloadError(
            f"{folder / 'criteo-x1'}: {', '.join(missing)} missing; put {CRITEO_SOURCE}, there"
        )
    return files


def _criteo(path: Path) -> Clicks:
    """The file's arrays, mapped into memory; converted first when that has not been done."""
    stat = path.stat()
    identity = f"{path.name} {stat.st_size} {stat.st_mtime_ns}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = cache_folder() / "criteo-x1" / f"{path.stem}-{key}"
    if not folder.exists() or seals.damage(folder):
        shutil.rmtree(folder, ignore_errors=True)
        _convert(path, folder)
    categories, numbers = len(CRITEO_CATEGORIES), len(CRITEO_NUMBERS)
    return Clicks(
        np.memmap(folder / "categories", np.int32, "r").reshape(-1, categories),
        np.memmap(folder / "numbers", np.float32, "r").reshape(-1, numbers),
        np.memmap(folder / "click", np.uint8, "r"),
    )


def _convert(path: Path, folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    except OSError as error:
        raise WorkloadError(
            f"{folder.parent}: cannot write converted data: {error.strerror}; "
            "set GRADATHLON_CACHE to a writable folder"
        ) from None
    try:
        _write_arrays(path, scratch)
        seals.seal(scratch)
        if not folder.exists():  # another trial may have been as quick
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_arrays(path: Path, folder: Path) -> None:
    import pandas as pd

    kinds: dict[str, type[np.generic]] = {"label": np.uint8}
    kinds |= dict.fromkeys(CRITEO_NUMBERS, np.float32) | dict.fromkeys(CRITEO_CATEGORIES, np.int32)
    try:
        header = list(pd.read_csv(path, nrows=0).columns)
        if header != list(kinds):
            raise ValueError(f"expected columns label, I1..I13, C1..C26, found {header[:3]}...")
        with (
            (folder / "categories").open("wb") as categories,
            (folder / "numbers").open("wb") as numbers,
            (folder / "click").open("wb") as click,
            pd.read_csv(path, dtype=kinds, chunksize=CHUNK) as chunks,
        ):
            for chunk in chunks:
                if not chunk["label"].isin((0, 1)).all():
                    raise ValueError("a label is not 0 or 1")
                categories.write(chunk[CRITEO_CATEGORIES].to_numpy(np.int32).tobytes())
                numbers.write(chunk[CRITEO_NUMBERS].to_numpy(np.float32).tobytes())
                click.write(chunk["label"].to_numpy(np.uint8).tobytes())
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WorkloadError(f"{path}: damaged ({reason}); fetch it again") from None
