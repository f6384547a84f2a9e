"""MovieLens as arrays: ratings in the order of time, users' attributes, films' genres and years.

MovieLens-100k comes out of a wheel, MovieLens-1M from the data folder. Both are GroupLens's
(Harper and Konstan 2015), for research, not to be redistributed.
"""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from workloads.contract import Array
from workloads.errors import WorkloadError
from workloads.fetch import WheelMember, data_folder

Source = Literal["ml-100k", "ml-1m"]
T = TypeVar("T")

ML_100K = {
    part: WheelMember(
        requirement="recbole==1.2.1",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        member=f"recbole/dataset_example/ml-100k/ml-100k.{part}",
        member_sha256=sha256,
    )
    for part, sha256 in {
        "inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        "user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
        "item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    }.items()
}
NO_YEAR = ("unkonwn", "V")
"""What two films of MovieLens-100k have for a year."""
ML_1M = ("ratings.dat", "users.dat", "movies.dat")
AGES = (18, 25, 35, 45, 50, 56)
"""Where MovieLens-1M's seven age groups begin, after the first."""
YEARS = (1930, 1940, 1950, 1960, 1970, 1975, 1980, 1985, 1988, 1990, 1992, 1994, 1996, 1998, 2000)
"""Where periods of release begin, after the first, which films of unknown year share."""
GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
OCCUPATIONS = 21
FIELDS = {"age": len(AGES) + 1, "gender": 2, "occupation": OCCUPATIONS, "region": 11}
"""A user's attributes and their numbers of values; the region is the first digit of the zip code,
or 10 where it has none."""
OFFSETS = np.cumsum([0, *FIELDS.values()])[:-1].astype(np.int32)
"""Where the values of each attribute begin in their common table."""
PERIODS = len(YEARS) + 1


@dataclasses.dataclass(frozen=True)
class MovieLens:
    """Ratings sorted by user, then by time; users and films are numbered from 0.

    Attributes:
        user: int32 (ratings,).
        item: int32 (ratings,).
        stars: float32 (ratings,), 1 to 5.
        time: int64 (ratings,), seconds since 1970.
        fields: int32 (users, 4), values of `FIELDS`, `OFFSETS` added.
        genres: uint8 (items, 19), 1 where a film has the genre.
        period: int32 (items,), the period of release.
    """

    user: Array
    item: Array
    stars: Array
    time: Array
    fields: Array
    genres: Array
    period: Array


def fetch(source: Source) -> dict[str, Path]:
    """The paths of a source's three files, fetched or looked for.

    Raises:
        WorkloadError: they are missing or cannot be fetched.
    """
    if source == "ml-100k":
        return {part: member.fetch() for part, member in ML_100K.items()}
    folder = data_folder()
    if folder is None:
        raise WorkloadError(
            "MovieLens-1M: GRADATHLON_DATA is not set; put the three files of ml-1m.zip of "
            "grouplens.org/datasets/movielens/1m into its folder ml-1m"
        )
    files = {name: folder / "ml-1m" / name for name in ML_1M}
    missing = [name for name, path in files.items() if not path.exists()]
    if missing:
        raise WorkloadError(
            f"{folder / 'ml-1m'}: {', '.join(missing)} missing; unpack ml-1m.zip of "
            "grouplens.org/datasets/movielens/1m there"
        )
    return files


@functools.cache
def load(source: Source) -> MovieLens:
    """The data of a source, read once a process.

    Raises:
        WorkloadError: the files are missing or damaged.
    """
    paths = fetch(source)
    if source == "ml-100k":
        ratings = _read(paths["inter"], lambda text: _numbers(text.partition("\n")[2]))
        users = _read(paths["user"], lambda text: _rows(text, "\t", 5, 1))
        films = _read(paths["item"], lambda text: _rows(text, "\t", 4, 1))
        people = [(row[0], row[1], row[2], row[3], row[4]) for row in users]
        works = [(row[0], "0" if row[2] in NO_YEAR else row[2], row[3].split(" ")) for row in films]
        return _assemble(paths["inter"], ratings, people, works)
    ratings = _read(paths["ratings.dat"], lambda text: _numbers(text.replace("::", "\t")))
    users = _read(paths["users.dat"], lambda text: _rows(text, "::", 5, 0))
    films = _read(paths["movies.dat"], lambda text: _rows(text, "::", 3, 0))
    people = [(row[0], row[2], row[1], row[3], row[4]) for row in users]
    works = [(row[0], row[1].rstrip()[-5:-1], row[2].split("|")) for row in films]
    return _assemble(paths["ratings.dat"], ratings, people, works)


def _read(path: Path, parse: Callable[[str], T]) -> T:
    encoding = "utf-8" if path.suffix != ".dat" else "latin-1"
    try:
        return parse(path.read_text(encoding=encoding))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WorkloadError(f"{path}: damaged ({reason}); fetch it again") from None


def _numbers(text: str) -> Array:
    """Lines of user, item, rating and timestamp: float64 (ratings, 4)."""
    table = np.loadtxt(io.StringIO(text), delimiter="\t", ndmin=2)
    if table.shape[1] != 4:
        raise ValueError(f"{table.shape[1]} columns, expected user, item, rating and timestamp")
    return table


def _rows(text: str, separator: str, columns: int, header: int) -> list[list[str]]:
    rows = [line.split(separator) for line in text.splitlines()[header:]]
    for number, row in enumerate(rows, start=1 + header):
        if len(row) != columns:
            raise ValueError(f"line {number} has {len(row)} columns, expected {columns}")
    return rows


def _assemble(
    path: Path,
    ratings: Array,
    people: Iterable[tuple[str, str, str, str, str]],
    works: Iterable[tuple[str, str, list[str]]],
) -> MovieLens:
    """Of `people` (id, age, gender, occupation, zip) and `works` (id, year, genres) the rated."""
    try:
        by_user = {int(row[0]): row[1:] for row in people}
        by_item = {int(row[0]): row[1:] for row in works}
        jobs = {
            name: rank for rank, name in enumerate(sorted({row[2] for row in by_user.values()}))
        }
        users, user = np.unique(ratings[:, 0].astype(np.int64), return_inverse=True)
        items, item = np.unique(ratings[:, 1].astype(np.int64), return_inverse=True)
        fields = np.array([_fields(by_user[int(id)], jobs) for id in users], np.int32)
        genres = np.array([_genres(by_item[int(id)][1]) for id in items], np.uint8)
        years = [int(by_item[int(id)][0]) for id in items]
    except KeyError as error:
        raise WorkloadError(
            f"{path}: rates {error}, which is not in the files beside it; fetch them again"
        ) from None
    except ValueError as error:
        raise WorkloadError(f"{path.parent}: damaged ({error}); fetch its files again") from None
    order = np.lexsort((item, ratings[:, 3], user))
    return MovieLens(
        user=user[order].astype(np.int32),
        item=item[order].astype(np.int32),
        stars=ratings[order, 2].astype(np.float32),
        time=ratings[order, 3].astype(np.int64),
        fields=fields + OFFSETS,
        genres=genres,
        period=np.searchsorted(YEARS, years, side="right").astype(np.int32),
    )


def _fields(person: Any, jobs: dict[str, int]) -> list[int]:
    age, gender, occupation, zip_code = person
    job = jobs[occupation]
    if gender not in ("F", "M") or job >= OCCUPATIONS:
        raise ValueError(f"gender {gender!r} or occupation {occupation!r}")
    region = int(zip_code[0]) if zip_code[:1].isdigit() else 10
    return [int(np.searchsorted(AGES, int(age), side="right")), gender == "M", job, region]


def _genres(names: list[str]) -> list[int]:
    unknown = set(names) - set(GENRES)
    if unknown:
        raise ValueError(f"genre {unknown.pop()!r}")
    return [int(genre in names) for genre in GENRES]
