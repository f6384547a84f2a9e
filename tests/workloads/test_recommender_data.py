"""The readers of MovieLens, and what is said of missing and damaged files."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import workloads
from workloads.errors import WorkloadError
from workloads.recommender import data, movielens

USERS = """1::F::1::10::48067
2::M::56::16::70072
3::M::25::0::V1G4L
"""
MOVIES = """1::Toy Story (1995)::Animation|Children's|Comedy
2::Nosferatu (Nosferatu, eine Symphonie des Grauens) (1922)::Horror
5::Cité des enfants perdus, La (1995)::Adventure|Sci-Fi
9::Never Rated (1999)::Drama
"""
RATINGS = """1::5::5::978300760
1::1::3::978300760
2::2::4::978300000
3::5::1::978400000
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADATHLON_DATA", str(tmp_path))
    movielens.load.cache_clear()
    data.load.cache_clear()
    (tmp_path / "ml-1m").mkdir()
    for name, text in zip(movielens.ML_1M, (RATINGS, USERS, MOVIES), strict=True):
        (tmp_path / "ml-1m" / name).write_text(text, encoding="latin-1")
    yield tmp_path / "ml-1m"
    movielens.load.cache_clear()
    data.load.cache_clear()


def test_movielens_1m_is_read(folder):
    found = movielens.load("ml-1m")
    assert found.user.tolist() == [0, 0, 1, 2]
    assert found.item.tolist() == [0, 2, 1, 2], "ties in time by film; film 9 was never rated"
    assert found.stars.tolist() == [3, 5, 4, 1]
    ages, genders, jobs, regions = (found.fields - movielens.OFFSETS).T.tolist()
    assert ages == [0, 6, 2]
    assert genders == [0, 1, 1]
    assert len(set(jobs)) == 3
    assert regions == [4, 7, 10]
    names = [[movielens.GENRES[i] for i in np.flatnonzero(row)] for row in found.genres]
    assert names == [["Animation", "Children's", "Comedy"], ["Horror"], ["Adventure", "Sci-Fi"]]
    assert found.period.tolist() == [12, 0, 12]


def test_missing_files_are_told_in_one_line(folder, monkeypatch):
    (folder / "movies.dat").unlink()
    with pytest.raises(WorkloadError) as told:
        workloads.get("recommender-standard-v3").fetch()
    assert str(told.value).startswith(f"{folder}: movies.dat missing; unpack ml-1m.zip")
    assert "\n" not in str(told.value)
    monkeypatch.delenv("GRADATHLON_DATA")
    with pytest.raises(WorkloadError, match="MovieLens-1M: GRADATHLON_DATA is not set"):
        workloads.get("recommender-standard-v3").fetch()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ratings.dat", "1::5::5\n", "3 columns, expected user, item, rating and timestamp"),
        ("ratings.dat", RATINGS + "1::5::x::3\n", "could not convert string 'x'"),
        ("users.dat", USERS + "4::M::25\n", "line 4 has 3 columns, expected 5"),
        ("movies.dat", "1::Toy Story\n", "line 1 has 2 columns, expected 3"),
    ],
)
def test_a_damaged_file_is_named(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(WorkloadError) as told:
        movielens.load("ml-1m")
    assert str(told.value).startswith(f"{folder / name}: damaged (")
    assert message in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("users.dat", USERS.replace("F", "X"), "gender 'X'"),
        ("movies.dat", MOVIES.replace("Horror", "Gothic"), "genre 'Gothic'"),
        ("movies.dat", MOVIES.replace("(1922)", "(19)"), "invalid literal"),
    ],
)
def test_a_value_that_cannot_be_is_told(folder, name, text, message):
    (folder / name).write_text(text, encoding="latin-1")
    with pytest.raises(WorkloadError, match=f"^{re.escape(str(folder))}: damaged") as told:
        movielens.load("ml-1m")
    assert message in str(told.value)


def test_a_rating_of_an_unknown_film_is_told(folder):
    (folder / "movies.dat").write_text(MOVIES[: MOVIES.index("5::")], encoding="latin-1")
    with pytest.raises(WorkloadError, match=r"ratings\.dat: rates 5, of which the files beside"):
        movielens.load("ml-1m")


@pytest.mark.network
def test_movielens_100k_is_whole():
    found = movielens.load("ml-100k")
    assert len(found.user) == 100_000
    assert (len(found.fields), len(found.period)) == (943, 1682)
    assert np.bincount(found.stars.astype(int)).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert np.bincount(found.user).min() == 20
    genders = found.fields[:, 1] - movielens.OFFSETS[1]
    assert np.bincount(genders).tolist() == [273, 670]
    drama = found.genres[:, movielens.GENRES.index("Drama")]
    assert drama.sum() == 725
    jobs = found.fields[:, 2] - movielens.OFFSETS[2]
    assert np.bincount(jobs).max() == 196, "students"


@pytest.mark.network
def test_the_cold_users_are_the_last_to_come():
    found, split = movielens.load("ml-100k"), data.load("ml-100k", 10)
    first = np.full(943, 2**62)
    np.minimum.at(first, found.user, found.time)
    assert split.warm_users == 754
    cold_count = len(split.cold.items)
    late = np.sort(np.argsort(first, kind="stable")[754:])
    assert cold_count == np.isin(found.user, late).sum()
    assert (len(split.cold_group("validation")), len(split.cold_group("test"))) == (126, 63)


def test_what_is_done_to_a_batch_does_not_reach_the_next_one() -> None:
    stream = workloads.get("recommender-toy-v3").stream(0)
    policy: Any = None
    first = stream.next(policy)
    before = {name: first[name].copy() for name in ("genres", "period")}
    for name in before:
        first[name][:] = 0
    second = stream.next(policy)
    for name, array in before.items():
        np.testing.assert_array_equal(second[name], array)
