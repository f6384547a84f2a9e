"""Language modelling: a decoder-only transformer, judged by bits per byte of unseen text."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from scoring.ground.words import Role
from workloads.contract import (
    Array,
    Batch,
    Judged,
    ParameterSpec,
    Split,
    Stream,
    Weights,
    Window,
    Workload,
)
from workloads.digest import data_digest
from workloads.kinds import Family, Kind
from workloads.lm.data import SUMMARIES
from workloads.lm.settings import LmScale
from workloads.numbered import NumberedStream

if TYPE_CHECKING:
    from workloads.lm.corpus import Corpus
    from workloads.model_jax import JaxModel
    from workloads.model_torch import TorchModel

EMBEDDING_STD = 0.5
PROBED = 8
"""Windows that diagnostics look at."""


class LanguageModel(Workload[LmScale]):
    """Next-token prediction; `validation/bits_per_byte` is the loss in bits over bytes of text.

    `validation/nats_per_token` stands beside it. Predicted text is what counts: every token but a
    window's first, in UTF-8 bytes, where the separator that ends a document counts as one byte.
    """

    sums = ("loss", "count")

    @property
    def classes(self) -> int:
        """The tokens of the vocabulary."""
        return self.settings.data.vocabulary

    def parameters(self) -> dict[str, ParameterSpec]:
        """Embedding, blocks and untied head; matrices are (out, in), there are no biases."""
        model, vocabulary = self.settings.model, self.settings.data.vocabulary
        width, hidden = model.width, model.hidden
        shapes: dict[str, tuple[tuple[int, ...], Role]] = {
            "embedding.weight": ((vocabulary, width), "embedding")
        }
        for layer in range(model.layers):
            block = f"blocks.{layer}."
            shapes[block + "norm1.weight"] = ((width,), "norm")
            for name in ("query", "key", "value"):
                shapes[f"{block}{name}.weight"] = ((width, width), "weight")
            if model.qk_norm:
                for name in ("query_norm", "key_norm"):
                    shapes[f"{block}{name}.weight"] = ((model.head_width,), "norm")
            shapes[block + "out.weight"] = ((width, width), "weight")
            shapes[block + "norm2.weight"] = ((width,), "norm")
            shapes[block + "up.weight"] = ((hidden, width), "weight")
            shapes[block + "down.weight"] = ((width, hidden), "weight")
        if model.norm == "pre":
            shapes["norm.weight"] = ((width,), "norm")
        shapes["head.weight"] = ((vocabulary, width), "head")
        return {name: ParameterSpec(shape, role) for name, (shape, role) in shapes.items()}

    def initial_weights(self, seed: int) -> Weights:
        """Gaussian matrices of variance 1 / inputs; gains are 1.

        The two matrices of a block that write to the residual stream are smaller by
        sqrt(2 x layers) (GPT-2), so that its variance does not grow with depth; the embedding has
        standard deviation EMBEDDING_STD. That is what the model sees: what is stored is smaller by
        its gain.
        """
        rng = np.random.default_rng(seed)
        weights: Weights = {}
        for name, spec in self.parameters().items():
            if spec.role == "norm":
                weights[name] = np.ones(spec.shape, np.float32)
                continue
            std = EMBEDDING_STD if spec.role == "embedding" else spec.shape[1] ** -0.5
            if name.endswith((".out.weight", ".down.weight")):
                std *= (2 * self.settings.model.layers) ** -0.5
            drawn = rng.standard_normal(spec.shape, np.float32)
            weights[name] = drawn * np.float32(std / self.settings.model.gain)
        return weights

    def fetch(self) -> None:
        """Download Wikipedia's summaries, or tokenise FineWeb-Edu's shards, once."""
        self._read()

    def data_sha256(self) -> str:
        """Of the tokens of all splits."""
        corpus = self._corpus
        sizes = [] if corpus.token_bytes is None else [corpus.token_bytes]
        return data_digest([*corpus.train, corpus.validation, corpus.test, *sizes])

    def stream(self, seed: int) -> Stream:
        """Windows of the training text, with the documents they begin in: see `Windows.cut`."""
        from workloads.lm.data import topics
        from workloads.lm.windows import Ranked, Windows, by_length, by_topic

        data, corpus = self.settings.data, self._corpus
        windows = Windows(corpus.train, data, self.settings.batch_size, corpus.separator)
        if data.order == "shuffled":
            return NumberedStream(windows, seed, data.prefetch)
        lengths = windows.documents.lengths
        rank = by_topic(topics(SUMMARIES.fetch())) if data.order == "topic" else by_length(lengths)
        return NumberedStream(Ranked(windows, self.settings.step_hint, rank), seed, data.prefetch)

    def evaluate(
        self, judged: Judged, split: Split, stream: Stream, window: Window
    ) -> dict[str, float]:
        """Of the same first batches of the split, always, or of all of it."""
        from workloads.lm.data import in_order

        corpus, data = self._corpus, self.settings.data
        held_out, count = (
            (corpus.validation, data.validation_batches)
            if split == "validation"
            else (corpus.test, data.test_batches)
        )
        nats, predicted, text_bytes = 0.0, 0, 0
        for tokens in in_order(held_out, self.settings.batch_size, data.context, count):
            nats += float(judged.measure({"tokens": tokens})["loss"])
            predicted += tokens[:, 1:].size
            if corpus.token_bytes is not None:
                text_bytes += int(corpus.token_bytes[tokens[:, 1:]].sum())
        metrics = {f"{split}/nats_per_token": nats / predicted}
        if text_bytes:
            metrics[f"{split}/bits_per_byte"] = nats / math.log(2) / text_bytes
        if split == "validation" and window.steps:
            metrics["train/nats_per_token"] = window.sums["loss"] / window.steps
        return metrics

    def probe(self, stream: Stream) -> Batch:
        """The first windows of the validation text, 8 at most."""
        from workloads.lm.data import in_order

        rows = min(PROBED, self.settings.batch_size)
        held_out = self._corpus.validation
        return {"tokens": next(iter(in_order(held_out, rows, self.settings.data.context, 1)))}

    def batch_like(self, seed: int = 0) -> Batch:
        """Token ids drawn uniformly, each window of a document of its own."""
        data, rng = self.settings.data, np.random.default_rng(seed)
        rows = self.settings.batch_size
        return {
            "tokens": rng.integers(0, data.vocabulary, (rows, data.context + 1), np.int32),
            "document": np.arange(rows, dtype=np.int32),
            "length": np.full(rows, data.context + 1, np.int32),
        }

    def torch_model(self) -> TorchModel:
        """The transformer as an `nn.Module`."""
        from workloads.lm.model_torch import Transformer

        return Transformer(self.settings, self._rotary_tables())

    def jax_model(self) -> JaxModel:
        """The transformer as pure functions."""
        from workloads.lm.model_jax import Transformer

        return Transformer(self.settings, self._rotary_tables())

    def _rotary_tables(self) -> tuple[Array, Array]:
        return rotary_tables(self.settings.data.context, self.settings.model.head_width)

    @functools.cached_property
    def _corpus(self) -> Corpus:
        """Read once: finding the files again checks their digests."""
        return self._read()

    def _read(self) -> Corpus:
        from workloads.lm.data import read_corpus

        return read_corpus(self.settings.data, self.settings.batch_size)


def rotary_tables(context: int, head_width: int) -> tuple[Array, Array]:
    """Cosines and sines (context, head_width / 2) of the rotary angles (Su et al. 2021).

    Pair i is made of a head's coordinates i and i + head_width / 2, and turns by
    position x 10000^(-2 i / head_width).
    """
    pairs = np.arange(head_width // 2)
    angles = np.outer(np.arange(context), 10_000.0 ** (-2 * pairs / head_width))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


FAMILY = Family(
    LanguageModel,
    LmScale,
    artefacts=(SUMMARIES,),
    tasks={"speedrun": Kind(LanguageModel, LmScale)},
)
