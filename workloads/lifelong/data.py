"""The stream that moves on to the next task once the learner has mastered this one, or in time."""

from __future__ import annotations

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array, Batch, Event, Json, Policy, Stream
from workloads.images import Images
from workloads.lifelong.settings import DataSettings
from workloads.lifelong.tasks import Task, make_tasks, shown_batch

_DRAW, _MEMORY, _ORDER = 1, 2, 3  # a seed's independent random sequences; the tasks use 0
_DIGITS = 6
"""Of an accuracy in an event."""


class TaskStream(Stream):
    """Batches of one task after another, mixed with remembered images of the tasks before.

    Every `check_period` steps of a turn the learner is asked about the check images of its task.
    If it is right often enough the task is mastered, and the next one's turn comes. A task whose
    turn grows too long goes to the end of the line. After the last mastery the stream stays where
    it is. Where tasks are `dispersed`, nothing is checked: every turn has the same length, and the
    tasks come round again and again. Of a task that is left for the first time, its share of the
    memory is filled with its training images.

    Events: `before` (each task's accuracy on its validation images before anything was learnt),
    `task` (a turn begins), `learning` (accuracies on new images of the task before they were
    learnt), `check` (with the accuracy), `mastered`. Each tells the task and `at`, the steps
    trained before it.
    """

    def __init__(self, images: Images, data: DataSettings, batch_size: int, seed: int) -> None:
        self._images = images
        self._data = data
        self._batch_size = batch_size
        self._step = self._turn = 0
        self._remembered: list[int] = []
        self._learnt: list[int] = []
        self._experienced: list[float] = []
        self._pending: list[dict[str, Json]] = []
        self._judged: Batch | None
        self._set_seed(seed)
        self._waiting: list[int] = self._random(_ORDER, 0).permutation(data.tasks).tolist()
        self._task = self._waiting[0]
        self._tell("task")

    @property
    def task(self) -> int:
        """The task whose turn it is."""
        return self._task

    @property
    def learnt(self) -> list[int]:
        """The tasks mastered so far, in ascending order; in fixed turns, those that had one."""
        return sorted(self._learnt)

    def next(self, policy: Policy) -> Batch:
        """`image` float32 (B, pixels) in [0, 1], `label` and `task` int32 (B,).

        The rows of the present task come first, the replayed ones last.
        """
        if not self._step:
            self._ask_before(policy)
        if self._turn and self._turn % self._data.check_period == 0:
            self._look_up(policy)
        batch = self._draw()
        if self._turn % self._data.experience_period == 0:
            new = slice(0, self._batch_size - self._data.replay)
            right = policy(batch["image"][new]) == batch["label"][new]
            self._experienced.append(round(float(right.mean()), _DIGITS))
        self._step += 1
        self._turn += 1
        return batch

    def validation(self) -> Batch:
        """The validation images of every task, each as its task shows it; always the same."""
        if self._judged is None:
            rows = [(index, task.validation) for index, task in enumerate(self._tasks)]
            self._judged = shown_batch(self._images.held_out, self._tasks, rows)
        return self._judged

    def test(self, index: int) -> Batch:
        """The test images of one task."""
        rows = [(index, self._tasks[index].test)]
        return shown_batch(self._images.held_out, self._tasks, rows)

    def state(self) -> StateDict:
        """Where the learner stands: steps, the line of waiting tasks, whose images are kept."""
        return {
            "seed": self._seed,
            "step": self._step,
            "turn": self._turn,
            "task": self._task,
            "waiting": list(self._waiting),
            "remembered": list(self._remembered),
            "learnt": list(self._learnt),
            "experienced": list(self._experienced),
            "pending": [dict(event) for event in self._pending],
        }

    def load_state(self, state: StateDict) -> None:
        """Continue where `state` was taken."""
        self._step, self._turn = int(state["step"]), int(state["turn"])
        self._task = int(state["task"])
        self._waiting = [int(index) for index in state["waiting"]]
        self._learnt = [int(index) for index in state["learnt"]]
        self._experienced = [float(value) for value in state["experienced"]]
        self._pending = [dict(event) for event in state["pending"]]
        self._set_seed(int(state["seed"]))
        self._remembered = []
        for index in state["remembered"]:
            self._remember(int(index))

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._pending = self._pending, []
        return [
            Event(str(one["name"]), {key: value for key, value in one.items() if key != "name"})
            for one in events
        ]

    def _set_seed(self, seed: int) -> None:
        self._seed = seed
        self._tasks: list[Task] = make_tasks(self._data, self._images, seed)
        self._memory: Batch = {}
        self._asked: tuple[int, Batch] | None = None
        self._judged = None

    def _ask_before(self, policy: Policy) -> None:
        judged = self.validation()
        right = self._right(policy, judged)
        accuracy: list[Json] = [
            round(float(right[judged["task"] == index].mean()), _DIGITS)
            for index in range(self._data.tasks)
        ]
        images: Json = len(right) // self._data.tasks
        self._pending.insert(0, {"name": "before", "at": 0, "accuracy": accuracy, "images": images})

    def _look_up(self, policy: Policy) -> None:
        """The end of a period of checks, and perhaps of the turn."""
        experienced: list[Json] = [*self._experienced]
        self._experienced = []
        self._tell("learning", accuracy=experienced)
        if not self._data.dispersed:
            self._check(policy)
        elif self._turn >= self._data.visit:
            if self._task not in self._learnt:
                self._learnt.append(self._task)
            self._waiting.append(self._waiting.pop(0))
            self._move_on()

    def _check(self, policy: Policy) -> None:
        if self._asked is None or self._asked[0] != self._task:
            rows = [(self._task, self._tasks[self._task].check)]
            self._asked = self._task, shown_batch(self._images.held_out, self._tasks, rows)
        accuracy = float(self._right(policy, self._asked[1]).mean())
        self._tell("check", accuracy=accuracy)
        if self._task in self._learnt:
            return
        if accuracy >= self._data.mastery:
            self._tell("mastered", accuracy=accuracy)
            self._waiting.remove(self._task)
            self._learnt.append(self._task)
            self._move_on()
        elif self._turn >= self._data.turn:
            self._waiting.append(self._waiting.pop(0))
            self._move_on()

    def _right(self, policy: Policy, asked: Batch) -> Array:
        """Whether the learner is right about each image; it is always asked about as many."""
        size, image = self._data.check, asked["image"]
        missing = -len(image) % size
        padded = np.concatenate([image, np.zeros((missing, image.shape[1]), image.dtype)])
        answers = [policy(part) for part in np.split(padded, len(padded) // size)]
        right: Array = np.concatenate(answers)[: len(image)] == asked["label"]
        return right

    def _move_on(self) -> None:
        if self._waiting and self._waiting[0] != self._task:
            self._remember(self._task)
            self._task, self._turn = self._waiting[0], 0
            self._tell("task")

    def _remember(self, index: int) -> None:
        share = self._data.memory // self._data.tasks
        if not share or index in self._remembered:
            return
        rows = self._random(_MEMORY, index).permutation(self._tasks[index].train)[:share]
        kept = shown_batch(self._images.train, self._tasks, [(index, rows)])
        self._memory = _joined(self._memory, kept) if self._remembered else kept
        self._remembered.append(index)

    def _draw(self) -> Batch:
        random, rows = self._random(_DRAW, self._step), self._tasks[self._task].train
        replayed = self._data.replay if self._remembered else 0
        fresh = rows[random.integers(len(rows), size=self._batch_size - replayed)]
        batch = shown_batch(self._images.train, self._tasks, [(self._task, fresh)])
        if not replayed:
            return batch
        places = random.integers(len(self._memory["label"]), size=replayed)
        return _joined(batch, {name: values[places] for name, values in self._memory.items()})

    def _random(self, sequence: int, index: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, sequence, index))

    def _tell(self, name: str, **details: Json) -> None:
        self._pending.append({"name": name, "task": self._task, "at": self._step, **details})


def _joined(one: Batch, other: Batch) -> Batch:
    return {name: np.concatenate([values, other[name]]) for name, values in one.items()}
