"""One trial: the only training loop.

Everything is built and compiled on throw-away state first. Then the clock starts, before the
submission's init, and stops behind a barrier for every evaluation, checkpoint and line of the
record. Killed at any moment, a trial continues from its checkpoint and ends with the same steps
to its result, bit by bit, as one left alone.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import time
import traceback
from collections.abc import Generator
from typing import Any

import numpy as np

import workloads
from cluster import checkpoint
from cluster.attempts import header_of, saved_state
from cluster.clock import Clock, Reading
from cluster.deadline import Deadline, Overdue
from cluster.learners import make_learner
from cluster.learners.contract import DeviceError, Entry, Learner, LearnersPolicy, make_card
from cluster.spec import TrialSpec, Update
from scoring.records import (
    End,
    Evaluation,
    EventLine,
    Outcome,
    Writer,
    encode,
    record_attempts,
)
from submissions.contract import SubmissionError
from submissions.load import build, execute
from workloads.contract import Window, Workload
from workloads.errors import WorkloadError

WARM_UP_STEPS = 3
SPREAD_BOUND = 1.5
"""A trial whose slow step times (p90) exceed its quick ones (p10) by this factor is flagged."""
_CHECKPOINT_SHARE = 0.05
"""Checkpoints may take up to this share of a trial's time."""
_KNOWN = (SubmissionError, DeviceError, checkpoint.StateError, Overdue)
"""Errors whose message says everything."""


def run_trial(spec: TrialSpec, cores: list[int] | None = None) -> Generator[Update, None, Outcome]:
    """Run, or continue, one trial to its end in this process; yields news, returns the outcome.

    `cores` are those the process is pinned to, for the record.

    Raises:
        WorkloadError: the workload's data cannot be had. Whatever the submission does wrong is
            an outcome (`failed`), never an exception.
    """
    yield Update(spec.key, "preparing")
    if not spec.resources.gpus:
        os.environ["JAX_PLATFORMS"] = "cpu"  # read when the submission first imports JAX
    workload = workloads.get(spec.workload)
    workload.fetch()
    trial = _Trial(spec, workload, cores or [])
    try:
        yield from trial.run()
    except (KeyboardInterrupt, GeneratorExit, WorkloadError):
        raise
    except (Exception, Overdue, SystemExit) as error:
        trial.fail(error)
    finally:
        trial.close()
    outcome = trial.outcome
    assert outcome is not None
    yield Update(spec.key, "ended", outcome.steps, outcome.wall_s, trial.judged)
    return outcome


class _Trial:
    def __init__(self, spec: TrialSpec, workload: Workload[Any], cores: list[int]) -> None:
        self.spec = spec
        self.workload = workload
        self.outcome: Outcome | None = None
        self.judged: float | None = None
        self._saved = saved_state(spec)
        seen = tuple(self._saved["record"][1:]) if self._saved else ()
        attempts = record_attempts(spec.run, spec.key)
        header = encode(header_of(spec, cores))
        self._writer = Writer(spec.record(len(attempts)), (header, *seen))
        seeds = np.random.SeedSequence(spec.seed).generate_state(4)
        self._seeds = dict(zip(("weights", "stream", "loss", "own"), map(int, seeds), strict=True))
        self._stream = workload.stream(self._seeds["stream"])
        self._clock = Clock(lambda: None)
        self._steps = self._evaluated = 0
        self._history: list[float] = []
        self._windows: list[float] = []
        self._last = Reading()
        self._off_clock_s = 0.0
        self._test: dict[str, Any] = {}
        self._checkpoint_s = 0.0
        self._checkpointed = time.perf_counter()

    def close(self) -> None:
        self._stream.close()
        self._writer.close()

    def run(self) -> Generator[Update, None, None]:
        spec = self.spec
        yield Update(spec.key, "warming up", self._steps)
        with Deadline(spec, lambda: self._steps) as deadline:
            deadline.arm(Reading(), "the warm-up")
            learner = self._warm_learner()
            if self._steps >= spec.budget.steps:
                # Cut off after its last evaluation, or in an extension to a larger budget.
                self._end("budget", _steps_spent(spec))
                return
            self._clock = Clock(learner.synchronize, self._last)
            deadline.arm(self._last)
            self._clock.start()
            if not self._saved:
                learner.begin()
            while True:
                due = self._train_until_evaluation(learner)
                self._clock.stop()
                deadline.disarm()
                end = self._evaluate(learner) if due else self._out_of_time()
                yield Update(spec.key, "training", self._steps, self._last.wall_s, self.judged)
                if end is None or spec.extensible:
                    learner.resume_training()
                    self._keep(learner, always=end is not None)
                if end is not None:
                    self._end(*end, **self._test)
                    break
                deadline.arm(self._last)
                self._clock.start()
        if not spec.extensible:
            spec.checkpoint.unlink(missing_ok=True)

    def fail(self, error: BaseException) -> None:
        """End as `failed`, with the reason in one line and the traceback kept."""
        if self._clock.running:
            self._last = self._clock.read()  # no barrier: the device may be what failed
        known = isinstance(error, _KNOWN)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        reason = " ".join(reason.split()) or type(error).__name__
        self._end("failed", reason, traceback=_own_traceback(error))
        self.spec.checkpoint.unlink(missing_ok=True)

    def _warm_learner(self) -> Learner:
        """Compiled and warmed up; where the trial was cut off, if it was."""
        learner = self._learner()
        self._warm_up(learner)
        seed_globals(self._seeds["own"])
        if self._saved:
            learner.begin()
            self._restore(learner, self._saved)
        return learner

    def _learner(self) -> Learner:
        spec, workload = self.spec, self.workload
        module = execute(spec.source)
        card = make_card(workload, spec.budget.seconds, self._seeds["own"])
        entry = Entry(
            workload=workload,
            weights=workload.initial_weights(self._seeds["weights"]),
            build=lambda params: build(
                module, spec.source, spec.hyperparameters, params=params, card=card
            ),
            module=module,
            closure=spec.source.closure,
            seed=self._seeds["loss"],
            resources=spec.resources,
        )
        seed_globals(self._seeds["own"])
        return make_learner(spec.source.framework, entry)

    def _warm_up(self, learner: Learner) -> None:
        """A few steps and an evaluation whose results are thrown away."""
        batches = [self.workload.batch_like(seed) for seed in range(WARM_UP_STEPS)]
        learner.warm_up(batches, self.workload.observations_like())
        window = Window(WARM_UP_STEPS, learner.drain())
        self.workload.evaluate(learner.measure, "validation", self._stream, window)
        learner.synchronize()

    def _train_until_evaluation(self, learner: Learner) -> bool:
        """Steps to the next evaluation; False when the clock's budget ran out before."""
        spec, stream, clock = self.spec, self._stream, self._clock
        period = self.workload.settings.evaluation_period
        policy = LearnersPolicy(learner)

        def draw() -> dict[str, Any]:
            return stream.next(policy)

        end = min((self._steps // period + 1) * period, spec.budget.steps)
        timed, budget_s = spec.clock != "steps", spec.budget.seconds
        seconds = clock.cpu_s if spec.clock == "cpu" else clock.wall_s
        while self._steps < end:
            learner.step(draw)
            self._steps += 1
            if timed and seconds() > budget_s:
                return False
        learner.prepare_evaluation()
        return True

    def _evaluate(self, learner: Learner) -> tuple[End, str] | None:
        """Evaluate and record; the end of the trial and its reason, if this is it."""
        began = time.perf_counter()
        reading, stream, workload = self._clock.read(), self._stream, self.workload
        sums = learner.drain()
        window = Window(steps=self._steps - self._evaluated, sums=sums)
        self._evaluated = self._steps
        self._windows.append((reading.wall_s - self._last.wall_s) / window.steps)
        self._last = reading
        metrics = workload.evaluate(learner.measure, "validation", stream, window)
        metrics |= {"train/loss": sums["loss"] / window.steps}
        self._judge(metrics)
        events = [
            EventLine(self._steps, reading.wall_s, event.name, dict(event.details))
            for event in stream.events()
        ]
        evaluation = Evaluation(self._steps, reading.wall_s, reading.cpu_s, metrics)
        self._writer.write(*events, evaluation)
        self._off_clock_s += time.perf_counter() - began
        end = self._why_end(metrics)
        if end:
            test = workload.evaluate(learner.measure, "test", stream, window)
            self._test = {"test": test} if test else {}
        return end

    def _judge(self, metrics: dict[str, float]) -> None:
        metric = self.workload.metric
        self._history.append(metrics[metric.name])
        recent = self._history[-metric.window :]
        self.judged = sum(recent) / len(recent) if len(recent) == metric.window else None
        if self.judged is not None:
            metrics[metric.key] = self.judged

    def _why_end(self, metrics: dict[str, float]) -> tuple[End, str] | None:
        spec, target, judged = self.spec, self.spec.target, self.judged
        metric = self.workload.metric
        broken = [name for name, value in metrics.items() if not math.isfinite(value)]
        if broken:
            return "diverged", f"{broken[0]} is {metrics[broken[0]]} at step {self._steps}"
        on_time = spec.clock == "steps" or self._on_clock(self._last) <= spec.budget.seconds
        aim = target.value if target else math.nan
        if on_time and target is not None and target.met_by(judged):
            return "reached", f"{metric.key} {judged:.6g} meets {aim:g}"
        if not on_time:
            return "budget", _out_of_time(spec)
        if self._steps >= spec.budget.steps:
            missed = f"; {metric.key} never met {aim:g}" if target else ""
            return "budget", f"{_steps_spent(spec)}{missed}"
        return None

    def _out_of_time(self) -> tuple[End, str]:
        self._last = self._clock.read()
        return "budget", _out_of_time(self.spec)

    def _end(self, end: End, reason: str, **extra: Any) -> None:
        last = self._last
        facts = _step_times(self._windows) | {"evaluation_s": round(self._off_clock_s, 6)}
        self.outcome = Outcome(end, self._steps, last.wall_s, last.cpu_s, reason, facts | extra)
        self._writer.write(self.outcome)

    def _on_clock(self, reading: Reading) -> float:
        return reading.cpu_s if self.spec.clock == "cpu" else reading.wall_s

    def _keep(self, learner: Learner, *, always: bool) -> None:
        """Checkpoint, unless checkpoints already cost more than their share."""
        began = time.perf_counter()
        dear = self._checkpoint_s > _CHECKPOINT_SHARE * (began - self._checkpointed)
        if dear and not always:
            return
        state = {
            "steps": self._steps,
            "wall_s": self._last.wall_s,
            "cpu_s": self._last.cpu_s,
            "off_clock_s": self._off_clock_s,
            "history": self._history,
            "windows": self._windows,
            "judged": self.judged,
            "record": self._writer.lines,
            "stream": self._stream.state(),
            "learner": learner.state(),
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False),
        }
        checkpoint.save(self.spec.checkpoint, state)
        self._checkpointed = time.perf_counter()
        self._checkpoint_s = self._checkpointed - began

    def _restore(self, learner: Learner, saved: dict[str, Any]) -> None:
        self._steps = self._evaluated = saved["steps"]
        self._last = Reading(saved["wall_s"], saved["cpu_s"])
        self._off_clock_s = saved["off_clock_s"]
        self._history, self._windows = saved["history"], saved["windows"]
        self.judged = saved["judged"]
        self._stream.load_state(saved["stream"])
        learner.load_state(saved["learner"])
        random.setstate(saved["python"])
        np.random.set_state(saved["numpy"])


def _step_times(windows: list[float]) -> dict[str, Any]:
    """Median and spread of the seconds a step, over the windows between evaluations."""
    if not windows:
        return {}
    low, high = np.quantile(windows, [0.1, 0.9])
    return {
        "step_s_median": statistics.median(windows),
        "step_s_p10": float(low),
        "step_s_p90": float(high),
        "step_s_unsteady": bool(high > SPREAD_BOUND * low),
    }


def _steps_spent(spec: TrialSpec) -> str:
    return f"{spec.budget.steps} steps are spent"


def _out_of_time(spec: TrialSpec) -> str:
    return f"{spec.budget.seconds:g} s on the {spec.clock} clock are spent"


def _own_traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-20_000:]


def seed_globals(seed: int) -> None:
    """Seed the generators that a submission may draw from by name of their module alone."""
    # torch's global generator is seeded by its own learner; JAX has none.
    random.seed(seed)
    np.random.seed(seed % 2**32)
