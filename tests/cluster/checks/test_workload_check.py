"""What `gradathlon check WORKLOAD` asks: a sound workload passes, and what was spoilt is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import workloads
from cluster.checks.workload_check import check_workload
from workloads.contract import Batch, ParameterSpec, Policy, Stream, Workload

ANSWERS = "measure gives the declared sums, predict rows, same in torch and JAX"
ID = "homeostatic-toy-v3"
Sound: Any = type(workloads.get(ID))


class Twisted:
    """A JAX model whose loss is a little larger than the torch model's."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.measure, self.predict, self.project = model.measure, model.predict, model.project

    def loss(self, params: Any, batch: Any, rng: Any) -> Any:
        loss, sums = self._model.loss(params, batch, rng)
        return loss * 1.01, sums


class Shared(Stream):
    """Hands out the same memory again and again."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def next(self, policy: Policy) -> Batch:
        return self._batch

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        pass


class OtherLoss(Sound):
    def jax_model(self) -> Any:
        return Twisted(super().jax_model())


class OtherSums(Sound):
    sums = ("loss", "count")


class NoRows(Sound):
    def torch_model(self) -> Any:
        model = super().torch_model()
        model.predict = lambda batch: {"logits": model(batch["image"]).mean(0)}
        return model

    def jax_model(self) -> Any:
        twisted = Twisted(super().jax_model())
        rows = twisted.predict
        twisted.predict = lambda params, batch: {"logits": rows(params, batch)["logits"].mean(0)}
        return twisted


class SeedBlind(Sound):
    def initial_weights(self, seed: int) -> Any:
        return super().initial_weights(0)


class UnknownRole(Sound):
    def parameters(self) -> dict[str, ParameterSpec]:
        specs: dict[str, ParameterSpec] = super().parameters()
        specs["layers.0.bias"] = ParameterSpec(specs["layers.0.bias"].shape, "offset")  # type: ignore[arg-type]
        return specs


class OtherShape(Sound):
    def parameters(self) -> dict[str, ParameterSpec]:
        specs: dict[str, ParameterSpec] = super().parameters()
        return specs | {"layers.0.bias": ParameterSpec((1,), "bias")}


class SharedBatches(Sound):
    def stream(self, seed: int) -> Stream:
        return Shared(self.batch_like(seed))


def _made(kind: Any) -> Workload[Any]:
    sound = workloads.get(ID)
    return kind(sound.id, sound.settings, sound.metric, sound.race)


@pytest.mark.network
def test_a_sound_workload_passes() -> None:
    findings = list(check_workload(workloads.get(ID)))
    assert all(finding.ok for finding in findings), findings
    assert len(findings) == 8


@pytest.mark.network
@pytest.mark.parametrize(
    ("kind", "title", "detail"),
    [
        (OtherLoss, "torch and JAX agree on loss and every gradient", "the loss differs by"),
        (OtherSums, ANSWERS, "measure gives correct, count, loss, predicted"),
        (NoRows, ANSWERS, "predict: logits is (10,) for"),
        (SeedBlind, "initial weights depend on the seed alone", "seeds 1 and 2"),
        (UnknownRole, "roles are known", "layers.0.bias is 'offset'"),
        (OtherShape, "parameters match the models'", "layers.0.bias"),
        (SharedBatches, "batches own their memory", "same memory"),
    ],
)
def test_what_was_spoilt_is_named(kind: Any, title: str, detail: str) -> None:
    bad = [finding for finding in check_workload(_made(kind)) if not finding.ok]
    assert title in [finding.title for finding in bad]
    told = next(finding.detail for finding in bad if finding.title == title)
    assert detail in told
    assert "\n" not in told
