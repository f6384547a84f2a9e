"""FineWeb-Edu's parquet shards as memory-mapped arrays of byte-level BPE tokens.

Everything is made once, from the user's data folder into the cache: the tokeniser from the
beginning of the first shard, then the tokens of as many shards, in the order of their names, as
the training split needs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.ground.cache import cache_folder
from workloads import seals
from workloads.contract import Array
from workloads.errors import WorkloadError
from workloads.fetch import data_folder
from workloads.lm.corpus import PARTS, Corpus, Part, part_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from workloads.lm.settings import DataSettings

SOURCE = "the parquet files of huggingface.co/datasets/HuggingFaceFW/fineweb-edu, sample/10BT"
HELD_OUT = 5
"""Of a thousand documents of the first shard, how many validate, and how many test."""
ROWS = 1024


def read_fineweb(data: DataSettings) -> Corpus:
    """The corpus of `$GRADATHLON_DATA/fineweb-edu/*.parquet`.

    The held-out splits are the first shard's; the last document of a split may be cut off.

    Raises:
        WorkloadError: no folder, no shards, the extra `standard` not installed, a damaged shard,
            or fewer than `data.train_tokens` tokens.
    """
    shards = _shards()
    tokenizer_path = _tokenizer(shards[0], data)
    folders, train, missing = [], [], data.train_tokens
    for shard in shards:
        folders.append(_tokenised(shard, tokenizer_path, data.vocabulary - 1))
        array = _load(folders[-1], "train")
        train.append(array if missing is None else array[:missing])
        if missing is not None:
            missing -= len(train[-1])
            if missing == 0:
                break
    if missing:
        raise WorkloadError(
            f"{shards[0].parent}: {sum(map(len, train)):,} training tokens of the "
            f"{data.train_tokens:,} needed; add shards: {SOURCE}"
        )
    token_bytes = _token_bytes(_read_tokenizer(tokenizer_path), data.vocabulary)
    validation, test = (_load(folders[0], part) for part in ("validation", "test"))
    return Corpus(train, validation, test, token_bytes, separator=data.vocabulary - 1)


def _shards() -> list[Path]:
    folder = data_folder()
    if folder is None:
        raise WorkloadError(
            f"FineWeb-Edu: GRADATHLON_DATA is not set; put {SOURCE}, into its folder fineweb-edu"
        )
    shards = sorted((folder / "fineweb-edu").glob("*.parquet"))
    if not shards:
        raise WorkloadError(f"{folder / 'fineweb-edu'}: no *.parquet files; put {SOURCE}, there")
    try:
        import pyarrow.parquet  # noqa: F401
        import tokenizers  # noqa: F401
    except ImportError as error:
        raise WorkloadError(
            f"FineWeb-Edu needs the package {error.name}: pip install 'gradathlon[standard]'"
        ) from None
    return shards


def _documents(shard: Path) -> Iterator[list[tuple[Part, str]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(shard) as file:
            if "text" not in file.schema_arrow.names:
                raise WorkloadError(f"{shard}: has no column 'text'; expected {SOURCE}")
            for rows in file.iter_batches(ROWS, columns=["text"]):
                texts = [text for text in rows.column(0).to_pylist() if text]
                digests = (hashlib.sha256(text.encode()).digest() for text in texts)
                parts = [part_of(digest, HELD_OUT) for digest in digests]
                yield list(zip(parts, texts, strict=True))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise WorkloadError(f"{shard}: damaged ({reason}); fetch it again") from None


def _tokenizer(shard: Path, data: DataSettings) -> Path:
    """Where the BPE lies, which is made from the shard's beginning when it is not yet there."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

    if data.tokenizer_bytes is None:
        raise WorkloadError("fineweb_edu: tokenizer_bytes is missing from the scale's data")
    recipe = f"bpe {data.vocabulary} {data.tokenizer_bytes} {tokenizers.__version__}"
    name = f"tokenizer-{_key(recipe, _identity(shard))}"
    for path in sorted(_cache().glob(f"{name}-*.json")):
        if path.stem == f"{name}-{seals.digest(path)[:16]}":  # as it was made
            return path
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=data.vocabulary - 1,  # the last id is the separator of documents
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_beginning(shard, data.tokenizer_bytes), trainer)
    scratch = _cache() / f"{name}.{os.getpid()}"
    tokenizer.save(str(scratch))
    return scratch.replace(_cache() / f"{name}-{seals.digest(scratch)[:16]}.json")


def _beginning(shard: Path, size: int) -> Iterator[str]:
    for documents in _documents(shard):
        for part, text in documents:
            if part == "train":
                yield text
                size -= len(text.encode())
                if size <= 0:
                    return


def _tokenised(shard: Path, tokenizer_path: Path, separator: int) -> Path:
    """The folder with the shard's tokens, a file of uint16 for each split, made when missing."""
    tokenizer_key = hashlib.sha256(tokenizer_path.read_bytes()).hexdigest()
    folder = _cache() / f"{shard.stem}-{_key(tokenizer_key, _identity(shard))}"
    if folder.exists() and not seals.damage(folder):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = _read_tokenizer(tokenizer_path)
    scratch = Path(tempfile.mkdtemp(dir=_cache()))
    try:
        with contextlib.ExitStack() as opened:
            files = {part: opened.enter_context((scratch / part).open("wb")) for part in PARTS}
            for documents in _documents(shard):
                encoded = tokenizer.encode_batch_fast([text for _, text in documents])
                for (part, _), encoding in zip(documents, encoded, strict=True):
                    files[part].write(np.array([*encoding.ids, separator], np.uint16).tobytes())
        seals.seal(scratch)
        if not folder.exists():  # another trial may have been as quick
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _load(folder: Path, part: Part) -> Array:
    path = folder / part
    return np.memmap(path, np.uint16, "r") if path.stat().st_size else np.empty(0, np.uint16)


def _read_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def _token_bytes(tokenizer: Any, vocabulary: int) -> Array:
    sizes = np.ones(vocabulary, np.int64)
    for token, id in tokenizer.get_vocab().items():
        sizes[id] = len(token)  # a byte-level BPE writes each byte as one character
    return sizes


def _cache() -> Path:
    folder = cache_folder() / "fineweb-edu"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkloadError(
            f"{folder}: cannot write tokens: {error.strerror}; "
            "set GRADATHLON_CACHE to a writable folder"
        ) from None
    return folder


def _identity(shard: Path) -> str:
    stat = shard.stat()
    return f"{shard.name} {stat.st_size} {stat.st_mtime_ns}"


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
