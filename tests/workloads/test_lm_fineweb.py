"""The standard language model's reader, on parquet shards made of Wikipedia's summaries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workloads
from tests.workloads.answers import answering
from workloads.contract import Array, Window
from workloads.errors import WorkloadError
from workloads.lm.data import SUMMARIES
from workloads.lm.fineweb import _read_tokenizer, read_fineweb
from workloads.lm.workload import LanguageModel

STANDARD = workloads.get("lm-standard-v2")


def test_no_folder_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADATHLON_DATA", raising=False)
    with pytest.raises(WorkloadError, match=r"GRADATHLON_DATA is not set.*fineweb-edu"):
        STANDARD.fetch()


def test_no_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADATHLON_DATA", str(tmp_path))
    with pytest.raises(WorkloadError, match=r"fineweb-edu: no .*parquet files; put") as caught:
        STANDARD.fetch()
    assert "\n" not in str(caught.value)


def test_the_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setenv("GRADATHLON_DATA", str(tmp_path))
    (tmp_path / "fineweb-edu").mkdir()
    (tmp_path / "fineweb-edu" / "000.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(WorkloadError, match=r"pip install 'gradathlon\[standard\]'"):
        STANDARD.fetch()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    """The standard workload made small, on two shards of 2,000 articles each."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("tokenizers")
    texts = [entry["extract"] for entry in json.loads(SUMMARIES.fetch().read_bytes()).values()]
    texts[5] = "A text with <|endoftext|> and naïve Ωμέγα in it."
    folder = tmp_path / "data" / "fineweb-edu"
    folder.mkdir(parents=True)
    for name, part in (("000", texts[:2000]), ("001", texts[2000:4000])):
        parquet.write_table(pyarrow.table({"id": part, "text": part}), folder / f"{name}.parquet")
    monkeypatch.setenv("GRADATHLON_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    settings = STANDARD.settings
    data = settings.data.model_copy(
        update={
            "context": 16,
            "vocabulary": 1024,
            "validation_batches": 2,
            "test_batches": 2,
            "train_tokens": 550_000,
            "tokenizer_bytes": 200_000,
        }
    )
    model = settings.model.model_copy(update={"layers": 1, "width": 32, "heads": 2, "hidden": 64})
    changed = settings.model_copy(update={"data": data, "model": model, "batch_size": 8})
    return LanguageModel(STANDARD.id, changed, STANDARD.metric, None)


@pytest.mark.network
def test_tokens_stand_for_the_text_byte_by_byte(small: LanguageModel, tmp_path: Path) -> None:
    corpus = read_fineweb(small.settings.data)
    assert sum(map(len, corpus.train)) == 550_000
    assert len(corpus.train) == 2  # the first shard is not enough
    tokenizer = _read_tokenizer(next((tmp_path / "cache" / "fineweb-edu").glob("tokenizer-*")))
    separator = small.settings.data.vocabulary - 1
    for tokens in (corpus.train[0], corpus.validation, corpus.test):
        *documents, rest = np.split(tokens, np.flatnonzero(tokens == separator) + 1)
        assert len(rest) == 0
        assert len(documents) > 5
        for document in documents[:100]:
            text = _decode(tokenizer, document[:-1])
            size = len(text.encode()) + 1  # and the separator
            assert corpus.token_bytes is not None
            assert corpus.token_bytes[document].sum() == size
    assert corpus.token_bytes.max() > 4


@pytest.mark.network
def test_text_that_looks_like_a_special_token_is_text(small: LanguageModel, tmp_path: Path) -> None:
    read_fineweb(small.settings.data)
    tokenizer = _read_tokenizer(next((tmp_path / "cache" / "fineweb-edu").glob("tokenizer-*")))
    text = "A text with <|endoftext|> and naïve Ωμέγα in it."
    ids = tokenizer.encode(text).ids
    assert small.settings.data.vocabulary - 1 not in ids
    assert _decode(tokenizer, np.array(ids)) == text


@pytest.mark.network
def test_made_once_and_the_same_when_made_anew(
    small: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_fineweb(small.settings.data)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    read_fineweb(small.settings.data)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == kept
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "elsewhere"))
    again = read_fineweb(small.settings.data)
    for one, other in zip(first.train, again.train, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.validation, again.validation)
    assert sorted(p.relative_to(tmp_path / "cache") for p in kept) == sorted(
        p.relative_to(tmp_path / "elsewhere") for p in (tmp_path / "elsewhere").rglob("*")
    )


@pytest.mark.network
def test_batches_and_bits_per_byte(small: LanguageModel) -> None:
    stream = small.stream(seed=1)
    batch = stream.next(np.asarray)
    like = small.batch_like()
    assert batch["tokens"].shape == like["tokens"].shape
    assert batch["tokens"].dtype == like["tokens"].dtype
    metrics = small.evaluate(
        answering(lambda b: {"loss": np.array(b["tokens"][:, 1:].size * np.log(1024.0))}),
        "validation",
        stream,
        Window(0, {"loss": 0.0}),
    )
    # Ten bits a token, and a token stands for more than one byte and fewer than five.
    assert 2 < metrics["validation/bits_per_byte"] < 10
    stream.close()


@pytest.mark.network
def test_too_few_shards(small: LanguageModel) -> None:
    data = small.settings.data.model_copy(update={"train_tokens": 10_000_000})
    with pytest.raises(WorkloadError, match="training tokens of the 10,000,000 needed; add"):
        read_fineweb(data)


@pytest.mark.network
def test_a_damaged_shard(small: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "data" / "fineweb-edu" / "000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(WorkloadError, match=r"000.parquet: damaged .*; fetch it again") as caught:
        small.fetch()
    assert "\n" not in str(caught.value)
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def _decode(tokenizer: Any, ids: Array) -> str:
    from tokenizers import decoders

    pieces = [tokenizer.id_to_token(int(id)) for id in ids]
    return decoders.ByteLevel().decode(pieces)


@pytest.mark.parametrize(
    "spoil", [lambda raw: bytes([raw[0] ^ 1]) + raw[1:], lambda raw: raw[:-2], lambda raw: b""]
)
def test_damaged_tokens_and_tokenizer_are_made_anew(
    small: LanguageModel, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    read = read_fineweb(small.settings.data)
    train, validation = (np.array(tokens) for tokens in (read.train[0], read.validation))
    kept = [path for path in (tmp_path / "cache" / "fineweb-edu").rglob("*") if path.is_file()]
    assert len(kept) == 1 + 2 * 4
    for path in kept:
        path.write_bytes(spoil(path.read_bytes()))
    found = read_fineweb(small.settings.data)
    np.testing.assert_array_equal(found.train[0], train)
    np.testing.assert_array_equal(found.validation, validation)
