"""A planet whose climate is known by hand, in the place of the general circulation model."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

import workloads
from tests.workloads.answers import answering
from workloads.climate.archive import prognostic_names
from workloads.climate.gcm import Ground, Weather
from workloads.climate.generate import Generation, stages
from workloads.climate.harmonics import Grid
from workloads.climate.recipe import RECIPES, Recipe
from workloads.climate.slab import YEAR
from workloads.climate.workload import Climate

TOY = "climate-toy-v2"
ROLLOUT_DAYS = 12
GRID = Grid(8, 16)
FEEDBACK = 4.0
"""W/m2 that a kelvin of sea surface sends away."""
FORCING = 3.0
"""W/m2 that a doubling of CO2 keeps."""
RECIPE = dataclasses.replace(
    RECIPES["slab-short"],
    name="planet",
    grid=GRID,
    layers=(0,),
    depth=1.0,
    spin_up_days=60,
    kept_days=66,
)


class Planet:
    """Fluxes are linear in sea surface and forcing; the weather is red noise of its own."""

    def __init__(self, recipe: Recipe = RECIPE) -> None:
        shape = (recipe.grid.nlat, recipe.grid.nlon)
        latitudes = np.deg2rad(recipe.grid.latitudes)[:, None]
        land = np.zeros(shape, np.float32)
        land[:, :4] = 1.0
        land[:, 4] = 0.25
        ice = np.zeros((YEAR, *shape), np.float32)
        ice[:, 0] = 1.0
        season = np.cos(2 * np.pi * np.arange(YEAR) / YEAR)[:, None, None]
        mean = np.broadcast_to(285 + 15 * np.cos(latitudes), shape)
        self.ground = Ground(
            sea=(mean - 3 * season * np.sin(latitudes)).astype(np.float32),
            land=np.broadcast_to(mean - 5, (YEAR, *shape)).astype(np.float32),
            ice=ice,
            land_fraction=land,
            orography=land * 500,
        )
        self._random = np.random.default_rng(0)
        self._channels = len(prognostic_names(len(recipe.layers)))
        self._state = np.zeros((self._channels, *shape))
        self.steps = 0

    def step(self, sea, co2):
        self._state *= 0.9
        self._state += self._random.standard_normal(self._state.shape)
        self.steps += 1
        warmth = sea - self.ground.sea.mean(0)
        kept = FORCING * math.log2(co2) - FEEDBACK * warmth
        return Weather(
            prognostic=(280 + self._state).astype(np.float32),
            surface_net_flux=(20 + kept).astype(np.float32),
            toa_net_flux=kept.astype(np.float32),
            precipitation=np.abs(self._state[0]).astype(np.float32),
            insolation=np.broadcast_to(self.ground.sea[0], sea.shape),
        )

    def save(self, path):
        bits = self._random.bit_generator.state["state"]
        words = [str(bits[name]) for name in ("state", "inc")]
        with path.open("wb") as file:
            np.savez(file, state=self._state, random=words)

    def restore(self, path):
        with np.load(path) as kept:
            self._state = kept["state"]
            state = self._random.bit_generator.state
            state["state"] = dict(zip(("state", "inc"), map(int, kept["random"]), strict=True))
            self._random.bit_generator.state = state

    def versions(self):
        return {"planet": "1"}


def generation(recipe=RECIPE, planet=None, report=lambda stage, day: None):
    return Generation(recipe, planet or Planet(recipe), report)


def generate(recipe=RECIPE):
    """The planet's archive, in the cache folder."""
    from workloads.climate.assemble import assemble

    made = generation(recipe)
    made.run()
    assemble(made, [stage.name for stage in stages(recipe)])


def small(rollout_days=ROLLOUT_DAYS, **model):
    """The toy workload on the planet's grid."""
    toy = workloads.get(TOY)
    planet = {"nlat": GRID.nlat, "nlon": GRID.nlon, "levels": 1, "rollout_days": rollout_days}
    changed = toy.settings.model_copy(
        update={
            "data": toy.settings.data.model_copy(update=planet | {"validation": 16, "test": 16}),
            "model": toy.settings.model.model_copy(
                update={"width": 8, "hidden": 8, "degrees": 6} | model
            ),
        }
    )
    return Climate(toy.id, changed, toy.metric, None)


def constant(value):
    """An emulator that says `value` whatever it sees; of errors, those of such an answer."""

    def measure(batch):
        area = GRID.area
        squared = (((batch["target"] - value) ** 2).mean(-1) @ area).sum(0)
        return {"squared": squared, "persistence": ((batch["target"] ** 2).mean(-1) @ area).sum(0)}

    def predict(batch):
        size, count, nlat, nlon = batch["state"].shape
        return {"output": np.full((size, count + 3, nlat, nlon), value, np.float32)}

    return answering(measure, predict)
