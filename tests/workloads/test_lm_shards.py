"""The language model on the speedrun's shards, and in micro-batches."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

import workloads
from tests.workloads.answers import answering
from workloads.contract import Array, Batch, Window
from workloads.errors import WorkloadError
from workloads.lm.settings import LmScale
from workloads.lm.shards import HEADER, MAGIC, SEPARATOR
from workloads.lm.workload import LanguageModel

SPEEDRUN = cast(LanguageModel, workloads.get("lm-standard-v2+speedrun"))
TOY = cast(LanguageModel, workloads.get("lm-toy-v2"))


def shard(path: Path, tokens: Array, magic: int = MAGIC, count: int | None = None) -> None:
    header = np.zeros(HEADER, np.int32)
    header[:3] = magic, 1, len(tokens) if count is None else count
    path.write_bytes(header.tobytes() + tokens.astype(np.uint16).tobytes())


def changed(workload: LanguageModel, **parts: dict[str, object]) -> LanguageModel:
    """With other numbers among its data's, model's or its own."""
    settings = workload.settings.model_dump()
    for part, values in parts.items():
        settings |= values if part == "own" else {part: settings[part] | values}
    return LanguageModel(workload.id, LmScale.model_validate(settings), workload.metric, None)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    """The speedrun made small, on three shards of documents that begin with a separator."""
    monkeypatch.setenv("GRADATHLON_DATA", str(tmp_path))
    (tmp_path / "fineweb10B").mkdir()
    tokens = np.random.default_rng(0).integers(0, SEPARATOR, 1000)
    tokens[::50] = SEPARATOR
    for name, part in (("val_000000", 400), ("train_000001", 500), ("train_000002", 700)):
        shard(tmp_path / "fineweb10B" / f"fineweb_{name}.bin", tokens[:part])
    own = {"batch_size": 4, "evaluation_period": 1}
    data = {"context": 8, "validation_batches": 2, "test_batches": 3, "prefetch": 0}
    model = {"width": 8, "heads": 1, "hidden": 8, "layers": 1, "micro_batches": 2}
    return changed(SPEEDRUN, own=own, data=data, model=model)


def test_its_tokens_are_the_shards(small: LanguageModel) -> None:
    assert small.settings.data.vocabulary > SEPARATOR
    corpus = small._corpus
    assert [len(array) for array in corpus.train] == [500, 700]
    assert len(corpus.validation) == 2 * 4 * 8 + 1
    assert len(corpus.validation) + len(corpus.test) == 400
    batch = small.stream(seed=0).next(np.asarray)
    assert batch["tokens"].shape == (4, 9) and (batch["length"] == 50).sum() >= 3
    assert len(small.data_sha256()) == 64


def test_it_is_judged_in_nats_a_token(small: LanguageModel) -> None:
    def measure(batch: Batch) -> dict[str, Array]:
        return {"loss": np.array(2.5 * batch["tokens"][:, 1:].size)}

    for split in ("validation", "test"):
        metrics = small.evaluate(answering(measure), split, None, Window(0, {}))  # type: ignore[arg-type]
        assert metrics == {f"{split}/nats_per_token": 2.5}
    assert SPEEDRUN.metric.key == "validation/nats_per_token"


def test_a_part_of_the_training_tokens(small: LanguageModel) -> None:
    some = changed(small, data={"train_tokens": 600})
    assert [len(array) for array in some._corpus.train] == [500, 100]
    with pytest.raises(WorkloadError, match=r"1,200 training tokens of the 2,000 needed; add"):
        assert changed(small, data={"train_tokens": 2000})._corpus


@pytest.mark.parametrize(
    ("change", "message"),
    [({"magic": 1}, "not a shard of version 1"), ({"count": 3}, "damaged: .* 3 tokens need")],
)
def test_a_damaged_shard_is_told(
    small: LanguageModel, tmp_path: Path, change: dict[str, int], message: str
) -> None:
    shard(tmp_path / "fineweb10B" / "fineweb_train_000001.bin", np.arange(9), **change)
    with pytest.raises(WorkloadError, match=message) as told:
        small.fetch()
    assert "\n" not in str(told.value)


def test_no_shards_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADATHLON_DATA", str(tmp_path))
    with pytest.raises(WorkloadError, match=r"no fineweb_val_\*.bin there; put"):
        SPEEDRUN.fetch()
    monkeypatch.delenv("GRADATHLON_DATA")
    with pytest.raises(WorkloadError, match="GRADATHLON_DATA is not set"):
        SPEEDRUN.fetch()


def test_micro_batches_change_memory_alone() -> None:
    import jax
    import torch

    parts = changed(TOY, model={"micro_batches": 4, "z_loss": 1e-2})
    whole = changed(TOY, model={"z_loss": 1e-2})
    weights, batch = TOY.initial_weights(0), TOY.batch_like()
    results = []
    for workload in (whole, parts):
        net = workload.torch_model()
        net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        tokens = {"tokens": torch.from_numpy(batch["tokens"])}
        loss, sums = net.loss(tokens, None, 0.1)
        loss.backward()
        by_torch = {name: value.grad.numpy() for name, value in net.named_parameters()}
        with torch.no_grad():
            nats = float(net.measure(tokens)["loss"])
        results.append((float(loss.detach()), float(sums["loss"]), nats, by_torch))
        model = workload.jax_model()
        (total, mean), by_jax = jax.value_and_grad(
            lambda w, model=model: model.loss(w, batch, None, 0.1), has_aux=True
        )(weights)
        results.append(
            (
                float(total),
                float(mean["loss"]),
                float(model.measure(jax.device_put(weights), batch)["loss"]),
                by_jax,
            )
        )
    for loss, mean, nats, gradients in results[1:]:
        assert (loss, mean, nats) == pytest.approx(results[0][:3], rel=1e-5)
        for name, value in gradients.items():
            gap = np.linalg.norm(value - results[0][3][name]) / np.linalg.norm(results[0][3][name])
            assert gap < 1e-4, name


def test_a_batch_that_parts_do_not_fill_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size 8 is not a multiple of micro_batches 3"):
        changed(TOY, model={"micro_batches": 3})
