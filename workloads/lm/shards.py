"""The shards of the nanoGPT speedrun: FineWeb's first tokens by GPT-2's vocabulary.

Each is a header of 256 int32 (magic, version, number of tokens) and the tokens, uint16. A document
begins with GPT-2's <|endoftext|>, which is taken for the end of the one before. What a token stands
for is not told there, so there are no bytes to count: text is judged in nats a token.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workloads.contract import Array
from workloads.errors import WorkloadError
from workloads.fetch import data_folder
from workloads.lm.corpus import Corpus

if TYPE_CHECKING:
    from workloads.lm.settings import DataSettings

FOLDER = "fineweb10B"
SOURCE = "fineweb_val_*.bin and fineweb_train_*.bin of huggingface.co/datasets/kjj0/fineweb10B-gpt2"
MAGIC, VERSION = 20240520, 1
HEADER = 256
"""Numbers, int32."""
SEPARATOR = 50256


def read_shards(data: DataSettings, held_out: int) -> Corpus:
    """The corpus of `$GRADATHLON_DATA/fineweb10B`.

    The first `held_out` tokens of the validation shard validate, and one more; the rest test.

    Raises:
        WorkloadError: no folder, no shards, a damaged one, or fewer than `data.train_tokens`.
    """
    folder = data_folder()
    if folder is None:
        raise WorkloadError(
            f"the speedrun's shards: GRADATHLON_DATA is not set; put {SOURCE}, into its folder "
            f"{FOLDER}"
        )
    validation = _tokens(_shards(folder / FOLDER, "val")[0])
    train, missing = [], data.train_tokens
    for path in _shards(folder / FOLDER, "train"):
        tokens = _tokens(path)
        train.append(tokens if missing is None else tokens[:missing])
        if missing is not None and (missing := missing - len(train[-1])) == 0:
            break
    if missing:
        raise WorkloadError(
            f"{folder / FOLDER}: {sum(map(len, train)):,} training tokens of the "
            f"{data.train_tokens:,} needed; add shards: {SOURCE}"
        )
    parts = validation[: held_out + 1], validation[held_out + 1 :]
    return Corpus(train, *parts, token_bytes=None, separator=SEPARATOR)


def _shards(folder: Path, part: str) -> list[Path]:
    paths = sorted(folder.glob(f"fineweb_{part}_*.bin"))
    if not paths:
        raise WorkloadError(f"{folder}: no fineweb_{part}_*.bin; put {SOURCE}, there")
    return paths


def _tokens(path: Path) -> Array:
    size = path.stat().st_size
    header = np.fromfile(path, np.int32, HEADER)
    if len(header) < HEADER or tuple(header[:2]) != (MAGIC, VERSION):
        raise WorkloadError(f"{path}: not a shard of version {VERSION}; fetch it again: {SOURCE}")
    count = int(header[2])
    if size != 4 * HEADER + 2 * count:
        raise WorkloadError(
            f"{path}: damaged: {size:,} bytes, but {count:,} tokens need "
            f"{4 * HEADER + 2 * count:,}; fetch it again: {SOURCE}"
        )
    return np.memmap(path, np.uint16, "r", 4 * HEADER, (count,))
