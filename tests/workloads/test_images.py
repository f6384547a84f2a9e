"""The images that families share: the readers, the splits, and what is said of bad files."""

from __future__ import annotations

import gzip
import re
import struct

import numpy as np
import pytest

import workloads
from tests.workloads.test_homeostatic import IMAGES
from workloads import images as data
from workloads.errors import WorkloadError


def idx_bytes(values):
    magic = {3: data.IDX_IMAGES, 1: data.IDX_LABELS}[values.ndim]
    header = struct.pack(f">{1 + values.ndim}i", magic, *values.shape)
    return header + values.astype(np.uint8).tobytes()


def write_fashion(folder, images, zipped):
    folder.mkdir(parents=True)
    contents = {
        "train-images": images.images.reshape(-1, 28, 28),
        "train-labels": images.classes,
        "t10k-images": images.images[::-1].reshape(-1, 28, 28),
        "t10k-labels": images.classes[::-1],
    }
    for part, values in contents.items():
        raw, name = idx_bytes(values), data.FASHION_FILES[part]
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(raw))
        else:
            (folder / name).write_bytes(raw)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADATHLON_DATA", str(tmp_path))
    monkeypatch.setattr(data, "DEBIAN_FOLDER", tmp_path / "debian")
    data.load.cache_clear()
    yield tmp_path
    data.load.cache_clear()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["fashion-mnist", "debian"])
def test_idx_files_are_read_from_either_place(folder, place, zipped):
    write_fashion(folder / place, IMAGES, zipped)
    data.fetch("fashion-mnist")
    images = data.load("fashion-mnist")
    np.testing.assert_array_equal(images.train.images, IMAGES.images)
    np.testing.assert_array_equal(images.train.classes, IMAGES.classes)
    assert images.train.classes.dtype == np.int32
    assert sorted(images.held_out.classes[:10]) == list(range(10))
    kept = {bytes(image): c for image, c in zip(IMAGES.images, IMAGES.classes, strict=True)}
    held = images.held_out
    assert all(kept[bytes(i)] == c for i, c in zip(held.images, held.classes, strict=True))


def test_missing_files_are_told_in_one_line(folder):
    write_fashion(folder / "fashion-mnist", IMAGES, True)
    (folder / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(WorkloadError) as told:
        workloads.get("homeostatic-laptop-v3").fetch()
    message = str(told.value)
    assert "\n" not in message
    assert str(folder / "fashion-mnist") in message
    assert str(folder / "debian") in message
    assert "apt-get install dataset-fashion-mnist" in message


def test_without_a_data_folder_its_variable_is_named(folder, monkeypatch):
    monkeypatch.delenv("GRADATHLON_DATA")
    with pytest.raises(WorkloadError, match=r"\$GRADATHLON_DATA/fashion-mnist \(not set\)"):
        data.fetch("fashion-mnist")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:-1],
        lambda raw: b"\0" + raw,
        lambda raw: raw[:10],
        lambda raw: gzip.compress(idx_bytes(IMAGES.images.reshape(-1, 56, 14)))[:-9],
        lambda raw: gzip.compress(idx_bytes(IMAGES.images.reshape(-1, 28, 28)[:, :27])),
        lambda raw: gzip.compress(idx_bytes(IMAGES.classes)),
    ],
)
def test_a_damaged_file_is_named(folder, spoil):
    write_fashion(folder / "debian", IMAGES, True)
    path = folder / "debian" / "train-images-idx3-ubyte.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(WorkloadError, match=f"^{re.escape(str(path))}: not an idx file"):
        data.load("fashion-mnist")


def test_images_and_labels_must_be_as_many(folder):
    write_fashion(folder / "debian", IMAGES, True)
    path = folder / "debian" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES.classes[:60])))
    with pytest.raises(WorkloadError, match=r"t10k-labels.*holds 60 labels for 64 images"):
        data.load("fashion-mnist")


@pytest.mark.network
def test_the_digits_are_split_evenly_and_apart():
    images = data.load("mnist-5k")
    assert np.bincount(images.train.classes).tolist() == [400] * 10
    assert np.bincount(images.held_out.classes[:500]).tolist() == [50] * 10
    assert np.bincount(images.held_out.classes[500:]).tolist() == [50] * 10
    train = {bytes(image) for image in images.train.images}
    assert len(train) == 4000
    assert not train & {bytes(image) for image in images.held_out.images}
    # Ink in the middle, none in the corners: an image's pixels stand in rows of 28.
    mean = images.train.images.reshape(-1, 28, 28).mean(axis=0)
    assert mean[10:18, 10:18].mean() > 60
    assert mean[[0, 0, -1, -1], [0, -1, 0, -1]].max() == 0


@pytest.mark.network
def test_every_idx_reader_gives_back_real_digits(folder):
    real = data.load("mnist-5k").held_out
    write_fashion(folder / "fashion-mnist", real, True)
    np.testing.assert_array_equal(data.load("fashion-mnist").train.images, real.images)


@pytest.mark.skipif(not data.DEBIAN_FOLDER.exists(), reason="dataset-fashion-mnist is not here")
def test_debians_files_are_fashion_mnist(monkeypatch):
    monkeypatch.delenv("GRADATHLON_DATA", raising=False)
    images = data.load("fashion-mnist")
    assert np.bincount(images.train.classes).tolist() == [6000] * 10
    assert np.bincount(images.held_out.classes[:5000]).tolist() == [500] * 10


# CIFAR-100


def cifar_bytes(count, seed=0):
    random = np.random.default_rng(seed)
    rows = random.integers(0, 256, (count, data.CIFAR_ROW), dtype=np.uint8)
    rows[:, 0], rows[:, 1] = np.arange(count) % 20, np.arange(count)[::-1] % 100
    return rows


@pytest.fixture
def cifar(folder):
    place = folder / "cifar-100-binary"
    place.mkdir()
    for name, seed in (("train.bin", 0), ("test.bin", 1)):
        (place / name).write_bytes(cifar_bytes(200, seed).tobytes())
    return place


def test_rows_of_cifars_binary_files_are_fine_classes_and_pixels(cifar):
    workloads.get("lifelong-standard-v3").fetch()
    images = data.load("cifar-100")
    rows = cifar_bytes(200)
    np.testing.assert_array_equal(images.train.images, rows[:, 2:])
    np.testing.assert_array_equal(images.train.classes, rows[:, 1])
    assert images.train.images.shape[1] == data.FORMS["cifar-100"].pixels
    assert sorted(images.held_out.classes[:100]) == list(range(100))
    held = {bytes(row[2:]): row[1] for row in cifar_bytes(200, 1)}
    shown = zip(images.held_out.images, images.held_out.classes, strict=True)
    assert all(held[bytes(image)] == label for image, label in shown)


def test_a_standard_task_shows_its_ten_classes(cifar):
    stream = workloads.get("lifelong-standard-v3").stream(seed=1)
    batch = stream.next(lambda seen: np.zeros(len(seen)))
    assert batch["image"].shape == (256, 3072)
    assert len(set(batch["label"].tolist())) == 10
    held_out = stream.validation()
    of_task = [set(held_out["label"][held_out["task"] == index].tolist()) for index in range(10)]
    assert set(batch["label"].tolist()) >= of_task[stream.task] > set()
    assert sum(map(len, of_task)) == len(set.union(*of_task))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda raw: raw[:-1], "are not a multiple of the row size, 3074"),
        (lambda raw: b"", "0 bytes"),
        (lambda raw: raw[:1] + b"\xff" + raw[2:], "class 255, but the last is 99"),
    ],
)
def test_a_damaged_cifar_file_is_named(cifar, spoil, reason):
    path = cifar / "test.bin"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(WorkloadError) as told:
        data.load("cifar-100")
    assert str(told.value).startswith(f"{path}: not a CIFAR-100 binary file")
    assert reason in str(told.value)


@pytest.mark.parametrize("given", [True, False])
def test_where_cifar_is_missing_its_place_is_told(folder, monkeypatch, given):
    if not given:
        monkeypatch.delenv("GRADATHLON_DATA")
    with pytest.raises(WorkloadError) as told:
        workloads.get("lifelong-standard-v3").fetch()
    place = str(folder) if given else "$GRADATHLON_DATA"
    assert f"CIFAR-100 not found in {place}/cifar-100-binary" in str(told.value)
    assert "cifar-100-binary.tar.gz" in str(told.value)
    assert "\n" not in str(told.value)
