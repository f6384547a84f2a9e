"""A tokenised text in three splits, and the rule that tells which document is whose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from workloads.contract import Array

Part = Literal["train", "validation", "test"]
SEPARATOR = 0
"""The byte, and the token, that ends a document: UTF-8 text has no other use for it."""
PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Token ids of three splits that share no document.

    Attributes:
        train: one array or more; no window crosses from one to the next.
        token_bytes: how many bytes of text each token id stands for; None where it is not known.
        separator: the token that ends each document.
    """

    train: Sequence[Array]
    validation: Array
    test: Array
    token_bytes: Array | None
    separator: int = SEPARATOR


def part_of(digest: bytes, held_out: int) -> Part:
    """The split of a document with that SHA-256; `held_out` in a thousand validate, and test."""
    place = int.from_bytes(digest[:8]) % 1000
    if place < held_out:
        return "validation"
    return "test" if place < 2 * held_out else "train"
