"""The slab ocean, its Q-flux, and the generation of an archive, on a planet known by hand."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from tests.workloads.climate_planet import FEEDBACK, FORCING, GRID, RECIPE, generate, generation
from workloads.climate import generated
from workloads.climate.archive import HELD_OUT, LEVELS, TRAINED
from workloads.climate.recipe import RECIPES
from workloads.climate.slab import STEP_SECONDS, YEAR, Slab, annual_cycle, capacity_of
from workloads.errors import WorkloadError


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADATHLON_CACHE", str(tmp_path_factory.mktemp("cache")))
        generate()
        yield generated.read(RECIPE), json.loads((RECIPE.path / generated.FACTS).read_text())


# The slab


def test_a_slab_warms_by_the_heat_that_it_keeps():
    slab = Slab(np.array([[1.0, 0.5, 0.0]]), np.broadcast_to(capacity_of(10.0), (1, 3)))
    start = np.full((1, 3), 290.0)
    found = slab.step(start, np.full((1, 3), 30.0), np.full((1, 3), -10.0))
    warmed = 20.0 * STEP_SECONDS / (1000 * 4000 * 10)
    np.testing.assert_allclose(found, [[290 + warmed, 290 + warmed, 290]])


@given(st.floats(0, 1), st.floats(250, 310), st.floats(250, 310))
def test_beneath_undoes_surface(share, sea, rest):
    slab = Slab(np.array([[0.5 + share / 2]]), capacity_of(np.ones((1, 1))))
    surface = slab.surface(np.array([[sea]]), np.array([[rest]]))
    np.testing.assert_allclose(slab.beneath(surface, np.array([[rest]])), sea)


def test_an_annual_cycle_is_found_from_samples():
    days = np.random.default_rng(0).uniform(0, YEAR, 200)

    def truth(day):
        phase = 2 * np.pi * day / YEAR
        return np.stack([3 + np.cos(phase), np.sin(2 * phase) - 1], axis=-1)

    found = annual_cycle(days, truth(days))
    np.testing.assert_allclose(found, truth(np.arange(YEAR) + 0.5), atol=1e-9)


# The generated climate


def test_the_control_stays_and_co2_warms_by_forcing_over_feedback(archive):
    _, facts = archive
    warmth = facts["sea_surface_anomaly"]
    assert warmth["1x"] == pytest.approx(0, abs=0.05)
    for level, doublings in (("2x", 1), ("3x", np.log2(3)), ("4x", 2)):
        expected = doublings * FORCING / FEEDBACK
        assert warmth[level] - warmth["1x"] == pytest.approx(expected, abs=0.02)
        assert facts["forcing"][level] == pytest.approx(doublings * FORCING, rel=1e-4)
        assert abs(facts["drift_within_kept"][level]) < 0.1


def test_training_states_have_mean_0_and_deviation_1(archive):
    found, _ = archive
    seen = {(level, index + more) for level, index in found.train for more in (0, 1)}
    states = np.stack([found.runs[level].fields[index] for level, index in sorted(seen)])
    states = states.astype(np.float64)
    np.testing.assert_allclose(states.mean((0, 2, 3)), 0, atol=2e-3)
    np.testing.assert_allclose(states.std((0, 2, 3)), 1, atol=2e-3)


def test_changes_to_be_predicted_have_variance_1_in_every_channel(archive):
    found, _ = archive
    targets = found.batch(found.train)["target"].astype(np.float64)
    np.testing.assert_allclose(targets.var((0, 2, 3))[: len(found.scales.change)], 1, atol=0.01)


def test_a_target_is_what_six_hours_change(archive):
    found, _ = archive
    state, forcing, target = found.example("4x", 3)
    run, count = found.runs["4x"], state.shape[0]
    after = state + target[:count] * found.scales.change[:, None, None]
    np.testing.assert_allclose(after, run.prognostic(4), atol=1e-5)
    np.testing.assert_array_equal(target[count:], run.diagnostic(4))
    assert forcing.shape == (5, GRID.nlat, GRID.nlon)
    assert (forcing[2] == 1.0).all()
    (mean, std), surface = found.scales.surface, run.surface(3)
    np.testing.assert_allclose(forcing[1] * std + mean, surface, rtol=1e-5)


def test_steps_never_cross_from_one_segment_to_the_next(archive):
    found, _ = archive
    for level, index in (*found.train, *found.validation, *found.test):
        run = found.runs[level]
        assert run.steps[index + 1] - run.steps[index] == 1


def test_splits_are_apart_and_three_times_co2_is_only_for_the_test(archive):
    found, _ = archive
    assert {level for level, _ in found.train} == set(TRAINED)
    assert {level for level, _ in found.validation} == set(TRAINED)
    assert {level for level, _ in found.test} == {HELD_OUT}
    assert not set(found.train) & set(found.validation)
    seen = {(level, index + 1) for level, index in found.train} | set(found.train)
    for level, index in found.validation:
        assert (level, index) not in seen
        assert (level, index + 1) not in seen
    assert found.starts.keys() == set(LEVELS)
    assert all((level, found.starts[level]) in found.validation for level in TRAINED)


def test_what_is_within_reach_of_a_state(archive):
    run = archive[0].runs["1x"]
    segments = run.within(0, 44)
    assert [[ahead for _, ahead in kept] for kept in segments] == [list(range(1, 9)), [44]]
    assert all(run.steps[index] == ahead for kept in segments for index, ahead in kept)


# Cut off


class KilledError(Exception):
    pass


def test_a_generation_that_is_cut_off_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "whole"))
    generate()
    whole = {path.name: path.read_bytes() for path in RECIPE.path.glob("*.npy")}
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cut"))
    for stage, day in (("fixed", 45), ("nudged0", 100), ("2x", 97), ("4x", 1)):

        def report(now, reached, stage=stage, day=day):
            if (now, reached) == (stage, day):
                raise KilledError

        with pytest.raises(KilledError):
            generation(report=report).run()
    generate()
    again = {path.name: path.read_bytes() for path in RECIPE.path.glob("*.npy")}
    assert whole.keys() == {f"{level}.npy" for level in LEVELS}
    assert whole == again
    assert [path.name for path in RECIPE.path.parent.iterdir()] == [RECIPE.path.name]


# What is told


def test_another_climate_than_the_known_one_is_refused():
    climate = {level: {} for level in LEVELS}
    for (level, name), (known, _) in generated.KNOWN["slab-short"].items():
        climate[level][name] = known
    generated.check_climate("slab-short", climate)
    climate["4x"]["surface_temperature"] += 1
    with pytest.raises(ValueError, match=r"surface_temperature at 4x CO2 is 290\.6, not within"):
        generated.check_climate("slab-short", climate)


def test_without_the_model_its_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    monkeypatch.setattr(generated.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WorkloadError) as told:
        generated.fetch(RECIPES["slab-short"])
    assert "\n" not in str(told.value)
    assert "jcm==3.0.0: pip install 'gradathlon[climate]'" in str(told.value)


def test_a_failed_generation_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    monkeypatch.setattr(generated.importlib.util, "find_spec", lambda name: "there")
    with pytest.raises(WorkloadError, match=r"planet: generation failed with exit code 1"):
        generated.fetch(RECIPE)


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(generated.importlib.util, "find_spec", lambda name: "there")
    with pytest.raises(WorkloadError, match="set GRADATHLON_CACHE to a writable folder"):
        generated.fetch(RECIPE)


def test_a_cache_whose_files_cannot_be_locked_is_told(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    monkeypatch.setattr(generated.importlib.util, "find_spec", lambda name: "there")
    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(
        WorkloadError, match="No locks available; set GRADATHLON_CACHE to a writable folder"
    ):
        generated.fetch(RECIPE)


@pytest.mark.parametrize("name", RECIPES)
def test_a_damaged_archive_is_made_anew_by_a_workload_that_trains_on_it(name):
    id = generated._whose(RECIPES[name]).strip()
    assert "+" not in id
    assert workloads.get(id).settings.data.source == name


SPOILS = [
    lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
    lambda raw: raw[: len(raw) // 2],
    lambda raw: b"",
    None,
]


@pytest.mark.parametrize("name", ["2x.npy", "tables.npz", "facts.json"])
@pytest.mark.parametrize("spoil", SPOILS)
def test_a_damaged_archive_is_named(archive, tmp_path, monkeypatch, name, spoil):
    for path in RECIPE.path.iterdir():
        copy = tmp_path / "climate" / RECIPE.path.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        raw = path.read_bytes()
        if path.name != name:
            copy.write_bytes(raw)
        elif spoil is not None:
            copy.write_bytes(spoil(raw))
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    with pytest.raises(WorkloadError, match=r"damaged \(.*delete the folder, then run"):
        generated.read(RECIPE)
