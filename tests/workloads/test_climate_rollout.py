"""The emulator on its own: how long, how biased, how warm, and what it makes of the energy."""

from __future__ import annotations

import dataclasses
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import workloads
from cluster import checkpoint
from tests.workloads.answers import answering
from tests.workloads.climate_planet import (
    FEEDBACK,
    FORCING,
    RECIPE,
    TOY,
    Planet,
    constant,
    generate,
    small,
)
from workloads.climate import climatology, data, forecast, generated, pictures, rollout
from workloads.climate.archive import co2_channel
from workloads.climate.slab import STEP_SECONDS, YEAR
from workloads.contract import Window

LONG = dataclasses.replace(RECIPE, name="planet-long", kept_days=99)
DAYS = 24
"""From the segment that validates on: that one and two after it."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADATHLON_CACHE", str(tmp_path_factory.mktemp("cache")))
        generate(LONG)
        yield generated.read(LONG)


def judged(archive, emulator):
    return climatology.judge(archive, emulator, DAYS)


def physics(archive, made=0.0, top=0.0):
    """The planet's own fluxes over a still atmosphere, and `made`, `top` W/m2 beside them."""
    scales, mean = archive.scales, Planet().ground.sea.mean(0)
    rest = archive.runs["1x"].beyond(archive.starts["1x"], 0)[0]

    def predict(batch):
        (middle, std), forcing = scales.surface, batch["forcing"]
        sea = archive.slab.beneath(forcing[:, 1] * std + middle, rest[None])
        flux = FORCING * (forcing[:, 2] + 1) - FEEDBACK * (sea - mean)
        out = np.zeros((len(sea), batch["state"].shape[1] + 3, *mean.shape), np.float32)
        for channel, value in ((0, 20 + flux + made), (1, flux + top)):
            out[:, channel - 3] = (value - scales.diagnostic_mean[channel]) / (
                scales.diagnostic_std[channel]
            )
        return {"output": out}

    return answering(predict=predict)


def test_persistence_is_as_biased_as_the_weather_in_its_own_units(archive):
    found = judged(archive, constant(0.0))
    assert found["test/rollout_stable_days"] == DAYS
    errors = []
    for level, run in archive.runs.items():
        start = archive.starts[level]
        kept = [index for part in run.within(start, DAYS * 4) for index, _ in part]
        std = archive.scales.prognostic_std[-1]
        mean = np.mean([run.prognostic(index)[-1] for index in kept], axis=0)
        errors.append(np.sqrt(archive.grid.mean((run.prognostic(start)[-1] - mean) ** 2)) * std)
    assert found["test/rollout_bias_pressure_hpa"] == pytest.approx(np.mean(errors) / 100, rel=1e-4)


def test_of_rain_there_are_86400_seconds_a_day(archive):
    """An emulator that says the mean of precipitation alone is as far off as the archive is."""
    found = judged(archive, constant(0.0))
    mean = archive.scales.diagnostic_mean[2]
    errors = [
        np.sqrt(
            archive.grid.mean((climatology.reference(archive, one, DAYS).fields[-1] - mean) ** 2)
        )
        for one in rollout.courses(archive, constant(0.0), DAYS)
    ]
    assert found["test/rollout_bias_precipitation_mm_day"] == pytest.approx(
        86_400 * np.mean(errors), rel=1e-4
    )


def test_the_noise_floor_is_the_standard_error_of_the_archives_mean(archive):
    """The planet's pressure is red noise alone: half the difference of halves has its size."""
    found = judged(archive, constant(0.0))
    course = rollout.courses(archive, constant(0.0), DAYS)[0]
    means, counts = [], []
    for part in course.run.within(course.start, DAYS * 4):
        means.append(np.mean([course.run.fields_at(index) for index, _ in part], axis=0))
        counts.append(len(part))
    assert len(means) == 3
    ours = (np.average(means[::2], axis=0, weights=counts[::2]) - means[1]) / 2
    noise = climatology.reference(archive, course, DAYS).noise
    np.testing.assert_allclose(noise[-4], ours[-4] * archive.scales.prognostic_std[-1], rtol=1e-3)
    floor, bias = (found[f"test/rollout_bias_pressure_hpa{end}"] for end in ("_floor", ""))
    assert 0 < floor < bias


def test_one_stretch_has_no_floor(archive):
    found = climatology.judge(archive, constant(0.0), 2)
    assert not [name for name in found if name.endswith("_floor")]


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30, -3.0])
def test_a_wild_emulator_is_told_by_its_stable_days(archive, value):
    found = judged(archive, constant(value))
    assert found["test/rollout_stable_days"] < DAYS
    assert all(math.isfinite(number) for number in found.values())


def test_a_flux_that_is_no_number_ends_a_run(archive):
    def dry(batch):
        out = constant(0.0).predict(batch)["output"]
        out[:, -1] = np.nan
        return {"output": out}

    found = judged(archive, answering(predict=dry))
    assert found["test/rollout_stable_days"] == 0
    assert all(math.isfinite(number) for number in found.values())


def test_a_level_that_goes_wild_does_not_stop_the_others(archive):
    def wild(batch):
        out = constant(0.0).predict(batch)["output"]
        out[batch["forcing"][:, 2, 0, 0] == co2_channel("4x")] = np.nan
        return {"output": out}

    courses = rollout.courses(archive, answering(predict=wild), DAYS)
    assert [one.alive for one in courses] == [4 * DAYS] * 3 + [0]
    found = judged(archive, answering(predict=wild))
    assert found["test/rollout_stable_days"] == 0
    assert math.isfinite(found["test/warming_per_doubling_k"])


def test_the_planets_own_fluxes_keep_its_warming_and_do_not_drift(archive):
    found = judged(archive, physics(archive))
    expected = found["test/warming_per_doubling_k_reference"]
    assert expected == pytest.approx(FORCING / FEEDBACK, abs=0.02)
    assert found["test/warming_per_doubling_k"] == pytest.approx(expected, abs=0.02)
    assert found["test/warming_3x_k"] == pytest.approx(np.log2(3) * expected, abs=0.03)
    assert found["test/rollout_drift_k_a_year"] < 0.5


def test_heat_that_is_not_there_warms_the_sea_by_what_it_weighs(archive):
    """A flux that knows no feedback, off by 5 W/m2: the trend over the archive's own is exact."""
    made, scales = 5.0, archive.scales
    courses = {}
    for extra in (0.0, made):
        flux = (extra - scales.diagnostic_mean[0]) / scales.diagnostic_std[0]

        def predict(batch, flux=flux):
            out = constant(0.0).predict(batch)["output"]
            out[:, -3] = flux
            return {"output": out}

        courses[extra] = rollout.courses(archive, answering(predict=predict), DAYS)[0]
    true = climatology.reference(archive, courses[made], DAYS)
    apart = climatology._drift(courses[made], true) - climatology._drift(courses[0.0], true)
    a_year = YEAR * 4 * STEP_SECONDS * made / float(archive.slab.capacity.flat[0])
    assert apart == pytest.approx(a_year, rel=1e-3)


def test_energy_that_comes_from_nowhere_is_the_residual(archive):
    """At the planet's top as much goes in as at its surface, less 20 W/m2, to the very watt."""
    found = {top: judged(archive, physics(archive, top=top)) for top in (0.0, 7.0)}
    key = "test/rollout_budget_residual_w_m2"
    assert found[0.0][key] == pytest.approx(-20, abs=1e-3)
    assert found[0.0][key + "_reference"] == pytest.approx(-20, abs=0.02)
    assert found[7.0][key] == pytest.approx(-13, abs=1e-3)
    top = "test/rollout_top_flux_w_m2"
    assert found[7.0][top] - found[0.0][top] == pytest.approx(7, abs=1e-3)


# What `+rollout` is judged by


def starts(archive, steps=8):
    return data.stretches(archive.validation, steps)


def test_forecasts_begin_each_held_out_segment_once(archive):
    found = starts(archive)
    assert [level for level, _ in found] == ["1x", "2x", "4x"]
    assert len(starts(archive, steps=4)) == 6
    assert starts(archive, steps=9) == []
    assert set(found) <= set(archive.validation)


def test_a_forecast_of_no_change_is_worth_1(archive):
    assert forecast.rmse(archive, constant(0.0), starts(archive), 8) == pytest.approx(1)


def test_a_forecast_that_knows_the_future_is_worth_0(archive):
    """Told apart by their states, the true changes are given back."""
    begun = starts(archive)
    ahead = iter(range(8))

    def predict(batch):
        now = next(ahead)
        targets = [archive.example(level, index + now)[2] for level, index in begun]
        return {"output": np.stack(targets)}

    assert forecast.rmse(archive, answering(predict=predict), begun, 8) < 1e-3


def test_errors_grow_from_step_to_step(archive):
    """A constant push is no worse after one step than the one-step error says; then it adds up."""
    one, eight = (forecast.rmse(archive, constant(0.3), starts(archive), n) for n in (1, 8))
    assert 1 < one < eight < forecast.WORST


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e38, 1e30])
def test_a_wild_forecast_is_worst_and_still_a_number(archive, value):
    found = forecast.rmse(archive, constant(value), starts(archive), 8)
    assert found == pytest.approx(forecast.WORST)


def test_one_wild_forecast_does_not_hide_the_others(archive):
    def predict(batch):
        out = constant(0.0).predict(batch)["output"]
        out[0] = np.inf
        return {"output": out}

    found = forecast.rmse(archive, answering(predict=predict), starts(archive), 8)
    assert 1 < found < forecast.WORST


def test_the_variant_trains_as_its_base_does_and_tells_the_steps_error_too(archive, monkeypatch):
    monkeypatch.setattr(data, "load", lambda config: archive)
    monkeypatch.setattr(data, "spread", lambda pairs, count, what="steps": list(pairs)[:count])
    base, ours = (workloads.get(f"climate-toy-v2{end}") for end in ("", "+rollout"))
    same = {name: getattr(base.settings, name) for name in type(base.settings).model_fields}
    budget = same.pop("provisional_budget")
    assert budget
    assert all(getattr(ours.settings, name) == value for name, value in same.items())
    small = ours.settings.model_copy(
        update={
            "model": ours.settings.model,
            "data": ours.settings.data.model_copy(update={"levels": 1, "nlat": 8, "nlon": 16}),
        }
    )
    monkeypatch.setattr(ours, "settings", small)
    found = ours.evaluate(constant(0.0), "validation", None, Window(1, {}))
    assert found == {
        "validation/rmse": pytest.approx(1.0),
        "validation/forecast_rmse": pytest.approx(1.0),
    }


# The picture


@pytest.fixture
def kept(archive, tmp_path, monkeypatch):
    """A file of weights on the planet, as a trial keeps them."""
    monkeypatch.setattr(data, "_load", lambda source: archive)
    workload = small(rollout_days=DAYS)
    monkeypatch.setattr(workloads, "get", lambda id: workload)
    path = tmp_path / "trial.hit.safetensors"
    checkpoint.save(path, {"weights": workload.initial_weights(1), "window": {"steps": 3}})
    return path


def test_the_picture_shows_what_the_metrics_tell(kept, archive, tmp_path):
    drawn = tmp_path / "rollout.svg"
    assert pictures.main([TOY, str(kept), str(drawn)]) == 0
    svg = ElementTree.fromstring(drawn.read_text())
    groups = [g for g in svg.findall(".//{*}g") if (g.get("class") or "").startswith("c")]
    names = [text.text for g in groups for text in g.findall("{*}text")]
    assert names == list(archive.runs)
    dots = len(list(groups[0].findall("{*}circle")))
    true = archive.runs["1x"].within(archive.starts["1x"], DAYS * 4)
    assert dots == sum(ahead % 4 == 0 for part in true for _, ahead in part)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b"no weights"), "cannot be read"),
        (lambda path: checkpoint.save(path, {"weights": {}}), "not weights of climate-toy-v2"),
    ],
)
def test_a_file_without_the_weights_is_refused(kept, tmp_path, capsys, spoil, message):
    spoil(kept)
    assert pictures.main([TOY, str(kept), str(tmp_path / "rollout.svg")]) == 2
    told = capsys.readouterr().err
    assert str(kept) in told
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "rollout.svg").exists()


def test_what_is_missing_on_the_line_is_named(capsys):
    assert pictures.main([TOY]) == 2
    assert "give a workload, a *.hit.safetensors and an .svg" in capsys.readouterr().err


def test_a_map_covers_its_cells_once():
    random = np.random.default_rng(0)
    cells = random.random((5, 7)) > 0.5
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", pictures._runs(cells))
    drawn = np.zeros_like(cells, int)
    for x, y, width in (map(int, run) for run in runs):
        drawn[y, x : x + width] += 1
    np.testing.assert_array_equal(drawn, cells)
