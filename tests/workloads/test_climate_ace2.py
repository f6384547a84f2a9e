"""The reader of ACE2-SOM's published layout, on small files made up in that layout."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tests.workloads.answers import answering
from workloads.climate import ace2, climatology, data, mapped
from workloads.climate.archive import LEVELS, prognostic_names
from workloads.climate.harmonics import Grid
from workloads.errors import WorkloadError

xarray = pytest.importorskip("xarray")
pytest.importorskip("h5netcdf")
pytest.importorskip("zarr")

GRID = Grid(6, 12)
STATES = 80
LAYERS = 8
FLUXES = (*ace2.HEAT_IN, *ace2.HEAT_OUT, ace2.TOP_IN, *ace2.TOP_OUT, ace2.RAIN)


def dataset(level, begin, count):
    """`count` six-hourly states of a CO2 level as one of the published files holds them."""
    random = np.random.default_rng([int(level[0]), begin])
    shape = (count, GRID.nlat, GRID.nlon)
    names = (*prognostic_names(LAYERS), *FLUXES, ace2.CORRECTION)
    found = {name: random.standard_normal(shape, np.float32) for name in names}
    found |= {ace2.SURFACE: 280 + random.standard_normal(shape, np.float32)}
    ocean = np.zeros(shape, np.float32)
    ocean[:, :, 3:] = 1.0
    found |= {"ocean_fraction": ocean, "land_fraction": 1 - ocean, ace2.OROGRAPHY: ocean * 100}
    found |= {ace2.DEPTH: np.full(shape, 30, np.float32)}
    time = np.datetime64("2030-01-01", "ns") + np.arange(begin, begin + count) * np.timedelta64(
        6, "h"
    )
    return xarray.Dataset(
        {name: (("time", "lat", "lon"), values) for name, values in found.items()},
        coords={"time": time, "lat": GRID.latitudes, "lon": np.arange(GRID.nlon) * 30.0},
    )


@functools.cache
def template(kind):
    """A folder of files, written once: writing takes longer than reading."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for level in LEVELS:
        place = folder / f"{level}CO2"
        place.mkdir()
        for part in range(2):
            made = dataset(level, part * STATES // 2, STATES // 2)
            path = place / f"{2030 + part}.{kind}"
            if kind == "zarr":
                made.to_zarr(path, consolidated=False, zarr_format=2)
            else:
                made.to_netcdf(path, engine="h5netcdf")
    return folder


def write(folder, kind="nc", turned=False):
    shutil.copytree(template(kind), folder / "ace2-som")
    if turned:
        for level in LEVELS:
            path = folder / "ace2-som" / f"{level}CO2" / "2031.nc"
            made = dataset(level, STATES // 2, STATES // 2).isel(lat=slice(None, None, -1))
            made.to_netcdf(path, engine="h5netcdf")
            path.with_stem("2030").unlink()


@pytest.fixture(scope="module", autouse=True)
def few_states():
    """Scales from a few states: reading 64 of them takes most of these tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "SCALE_STATES", 6)
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADATHLON_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    place = tmp_path_factory.mktemp("ace2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADATHLON_DATA", str(place / "data"))
        patch.setenv("GRADATHLON_CACHE", str(place / "cache"))
        write(place / "data")
        yield mapped.read()


@pytest.mark.parametrize(
    ("kind", "turned"),
    [("nc", False), ("zarr", False), pytest.param("nc", True, marks=pytest.mark.slow)],
)
def test_states_and_fluxes_are_read_as_they_were_written(folder, kind, turned):
    write(folder, kind, turned)
    archive = mapped.read()
    truth = dataset("4x", STATES // 2, STATES // 2)
    index = 3 if turned else STATES // 2 + 3
    run = archive.runs["4x"]
    names = prognostic_names(LAYERS)
    expected = np.stack([truth[name].values[3] for name in names])
    mean, std = (getattr(archive.scales, f"prognostic_{part}") for part in ("mean", "std"))
    found = run.prognostic(index) * std[:, None, None] + mean[:, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(run.surface(index), truth[ace2.SURFACE].values[3])
    np.testing.assert_allclose(run.insolation(index - 1, 1), truth[ace2.TOP_IN].values[3])
    net = truth["DLWRFsfc"] + truth["DSWRFsfc"] - truth["ULWRFsfc"] - truth["USWRFsfc"]
    net = net - truth["LHTFLsfc"] - truth["SHTFLsfc"]
    flux = archive.scales.diagnostic(0, run.diagnostic(index)[0])
    np.testing.assert_allclose(flux, net.values[3], atol=1e-5)
    assert archive.slab.share.max() == 1
    assert (archive.slab.share[:, :3] == 0).all()


def test_splits_are_by_time_and_level(archive):
    assert {level for level, _ in archive.train} == {"1x", "2x", "4x"}
    assert {level for level, _ in archive.test} == {"3x"}
    for level in ("1x", "2x", "4x"):
        train = [index for name, index in archive.train if name == level]
        validation = [index for name, index in archive.validation if name == level]
        assert max(train) < min(validation)
        assert archive.starts[level] == min(validation)
    stream = data.steps(archive, 4, 0, prefetch=2)
    batch = stream.next(lambda seen: seen)
    stream.close()
    assert batch["state"].shape == (4, 33, 6, 12)
    assert batch["target"].shape == (4, 36, 6, 12)
    assert all(np.isfinite(array).all() for array in batch.values())


def test_a_gap_between_files_is_no_step(folder):
    write(folder)
    path = folder / "ace2-som" / "1xCO2" / "2031.nc"
    dataset("1x", STATES, STATES // 2).to_netcdf(path, engine="h5netcdf")
    pairs = mapped.read().runs["1x"].pairs
    assert len(pairs) == STATES - 2
    assert ("1x", STATES // 2 - 1) not in pairs


def test_rollouts_run_over_the_datas_own_slab(archive):

    def still(batch):
        size, count, nlat, nlon = batch["state"].shape
        return {"output": np.zeros((size, count + 3, nlat, nlon), np.float32)}

    found = climatology.judge(archive, answering(predict=still), 1)
    assert found["test/rollout_stable_days"] == 1
    assert all(np.isfinite(value) for value in found.values())
    with pytest.raises(WorkloadError, match="the run is shorter than a rollout"):
        climatology.judge(archive, answering(predict=still), 100)


# What is told


def test_without_a_data_folder_its_variable_is_named(monkeypatch):
    monkeypatch.delenv("GRADATHLON_DATA", raising=False)
    with pytest.raises(WorkloadError, match="GRADATHLON_DATA is not set; put ACE2-SOM's"):
        ace2.find()


def test_a_missing_level_is_named(folder):
    write(folder)
    for path in (folder / "ace2-som" / "3xCO2").iterdir():
        path.unlink()
    with pytest.raises(WorkloadError, match=re.escape("3xCO2: no *.nc or *.zarr files")):
        ace2.find()


def test_a_missing_variable_is_named(folder):
    write(folder)
    path = folder / "ace2-som" / "1xCO2" / "2030.nc"
    made = dataset("1x", 0, STATES // 2).drop_vars(ace2.CORRECTION)
    made.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(WorkloadError, match=rf"{path}: has no variable 'prescribed_qflux'"):
        mapped.read()


@pytest.mark.parametrize("spoil", [lambda raw: raw[:1000], lambda raw: b"not a file"])
def test_a_damaged_file_is_named(folder, spoil):
    write(folder)
    path = folder / "ace2-som" / "2xCO2" / "2031.nc"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(WorkloadError, match=f"^{re.escape(str(path))}: cannot be opened"):
        mapped.read()


def test_the_map_is_made_once_and_anew_when_a_file_changed(folder, monkeypatch):
    write(folder)
    made = mapped.convert()
    assert {path.name for path in made.parent.iterdir()} == {made.name}
    monkeypatch.setattr(ace2, "Files", None)  # the published files are not opened again
    assert mapped.convert() == made
    assert np.load(made / "1x.npy", mmap_mode="r").dtype == np.float32
    path = folder / "ace2-som" / "1xCO2" / "2030.nc"
    os.utime(path, ns=(1, 1))
    assert mapped._place(ace2.find()) != made


def test_a_batch_is_copied_out_of_the_map(archive):
    pairs = archive.train[:2]
    batch = archive.batch(pairs)
    for array in batch.values():
        array += 1
    assert all((batch[name] != value).any() for name, value in archive.batch(pairs).items())


def test_a_damaged_map_is_named(folder):
    write(folder)
    made = mapped.convert()
    with (made / "3x.npy").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(WorkloadError, match=rf"{made}: damaged \(3x.npy .*delete the folder"):
        mapped.read()


def test_a_conversion_that_fails_leaves_nothing(folder):
    write(folder)
    path = folder / "ace2-som" / "4xCO2" / "2031.nc"
    made = dataset("4x", STATES // 2, STATES // 2)
    made["PRESsfc"][-1] = np.inf
    made.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(WorkloadError, match=f"{path}: PRESsfc holds values that are not numbers"):
        mapped.read()
    assert not list((folder.parent / "cache" / "climate").iterdir())


def test_too_little_room_is_told_before_anything_is_written(folder, monkeypatch):
    write(folder)
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(WorkloadError, match=r"map needs 0 GB, 0 GB are free; set GRADATHLON_CACHE"):
        mapped.convert()
    assert not list((folder.parent / "cache" / "climate").iterdir())


def test_a_store_is_not_searched_for_files(folder):
    write(folder, "zarr")
    inside = folder / "ace2-som" / "1xCO2" / "2030.zarr" / "stray.nc"
    inside.write_bytes(b"")
    assert inside not in ace2.find()["1x"]


def test_values_that_are_no_numbers_are_told(folder):
    write(folder)
    path = folder / "ace2-som" / "2xCO2" / "2030.nc"
    made = dataset("2x", 0, STATES // 2)
    made["PRESsfc"][:] = np.nan
    made.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(WorkloadError, match="PRESsfc holds values that are not numbers"):
        mapped.read()
