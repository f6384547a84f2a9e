"""What each task makes of the same labelled images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from workloads.contract import Array, Batch
from workloads.images import Form, Images, Labelled, scaled
from workloads.lifelong.settings import DataSettings

_TASKS = 0  # which of a seed's independent random sequences; the stream uses others


@dataclasses.dataclass(frozen=True)
class Task:
    """How a task shows images, and which rows of the training and held-out images are its own.

    `pixels` int64 (pixels,) says which pixel of the original stands at each place, -1 for none:
    black. `check`, `validation` and `test` are rows of held-out images, without a common one.
    """

    pixels: Array
    train: Array
    check: Array
    validation: Array
    test: Array

    def show(self, images: Array) -> Array:
        """Images uint8 (N, pixels) as this task shows them."""
        shown = images[:, self.pixels]
        shown[:, self.pixels < 0] = 0
        return shown


def make_tasks(data: DataSettings, images: Images, seed: int) -> list[Task]:
    """The tasks in their order; what is random in them depends on the seed alone."""
    form, made = data.form, []
    order = np.random.default_rng((seed, _TASKS)).permutation(form.classes)
    for index in range(data.tasks):
        train, held_out = np.arange(len(images.train)), np.arange(len(images.held_out))
        pixels = np.arange(form.pixels)
        if data.kind == "permuted":
            pixels = np.random.default_rng((seed, _TASKS, index)).permutation(form.pixels)
        elif data.kind == "rotated":
            pixels = turned(form, math.pi * index / data.tasks)
        else:
            chosen = np.split(order, data.tasks)[index]
            train = np.flatnonzero(np.isin(images.train.classes, chosen))
            held_out = np.flatnonzero(np.isin(images.held_out.classes, chosen))
        # Rolled: every task is judged on other images, and their pooled accuracy has less noise.
        rows = np.roll(held_out, -index * data.validation)
        check, validation = (
            min(data.check, len(rows) // 2),
            min(data.validation, len(rows) // 4),
        )
        parts = np.split(rows, [check, check + validation])
        made.append(Task(pixels, train, *parts))
    return made


def turned(form: Form, angle: float) -> Array:
    """For each pixel, the nearest one of the image turned by `angle` (radians), -1 outside."""
    centre = (form.side - 1) / 2
    row, column = np.indices((form.side, form.side)) - centre
    sine, cosine = math.sin(angle), math.cos(angle)
    source_row = np.rint(cosine * row - sine * column + centre).astype(np.int64)
    source_column = np.rint(sine * row + cosine * column + centre).astype(np.int64)
    both = np.stack([source_row, source_column])
    inside = ((both >= 0) & (both < form.side)).all(axis=0)
    plane = np.where(inside, source_row * form.side + source_column, -1).ravel()
    planes = [
        np.where(plane < 0, -1, plane + channel * form.side**2) for channel in range(form.channels)
    ]
    return np.concatenate(planes)


def shown_batch(
    source: Labelled, tasks: Sequence[Task], parts: Sequence[tuple[int, Array]]
) -> Batch:
    """Rows of `source` as tasks show them: `image`, `label` and `task`, the task's index.

    `parts` gives a task's index and the rows to be shown as it shows them.
    """
    images = [tasks[index].show(source.images[rows]) for index, rows in parts]
    return {
        "image": scaled(np.concatenate(images)),
        "label": np.concatenate([source.classes[rows] for _, rows in parts]),
        "task": np.concatenate([np.full(len(rows), index, np.int32) for index, rows in parts]),
    }
