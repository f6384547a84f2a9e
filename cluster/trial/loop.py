"""One trial: the only training loop.

Everything is built and compiled on throw-away state first. Then the clock starts, before the
submission's init, and stops behind a barrier for every evaluation, checkpoint and line of the
record. Killed at any moment, a trial continues from its checkpoint and ends with the same steps
to its result, bit by bit, as one left alone.
"""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Generator, Iterator
from time import perf_counter as _seconds
from typing import Any

import workloads
from cluster import checkpoint, kept
from cluster.attempts import forget_checkpoint, header_of, next_record, saved_state
from cluster.faults import NodeError, as_raised, check_code, check_interrupt, ours, told
from cluster.guards.audit import AUDIT
from cluster.guards.world import World
from cluster.learners.contract import DeviceError, Learner, LearnersPolicy
from cluster.learners.entry import Seeds
from cluster.node_data import drawn_from, fetch_once, reading_data
from cluster.process import globals_state, load_globals, seed_globals, set_environment
from cluster.spec import TrialSpec, Update
from cluster.trial.clock import Clock
from cluster.trial.course import Course
from cluster.trial.deadline import Deadline, Overdue
from cluster.trial.ending import Why, is_holding, most_steps, why_broken, why_over, why_pruned
from cluster.trial.pacer import Pacer
from cluster.trial.settings import check_settings
from cluster.trial.warm_up import compilations, warm_learner, warm_pacer
from scoring.ground.ends import End
from scoring.ground.words import Facts, StateDict
from scoring.records import Evaluation, EventLine, Outcome, Writer, encode
from submissions.contract import SubmissionError, TrainingComplete
from workloads.contract import Workload
from workloads.diagnostics import diagnose, is_due

_CHECKPOINT_SHARE = 0.05
"""Checkpoints may take up to this share of a trial's time."""
_KNOWN = (SubmissionError, DeviceError, checkpoint.StateError, Overdue)
"""Errors whose message says everything."""


def run_trial(spec: TrialSpec, cores: list[int] | None = None) -> Iterator[Update | Outcome]:
    """Run, or continue, one trial in this process: its news, and its outcome last.

    `cores` are those the process is pinned to, for the record. Whatever the submission does or
    raises is an outcome (`failed`), never an exception.

    Raises:
        NodeError: this machine lacks the data, or cannot write the record.
        KeyboardInterrupt: only where the caller entered `faults.Interrupts`, and they were asked.
    """
    yield Update(spec.key, "preparing")
    set_environment(spec.resources)
    with ours(f"{spec.workload}"):
        workload = workloads.get(spec.workload)
        check_settings(spec, workload)
        fetch_once(workload)
        trial = _Trial(spec, workload, cores or [])
    news = trial.run()
    try:
        while trial.outcome is None:
            try:
                update = next(news)
            except NodeError:
                raise
            except StopIteration:
                break
            except BaseException as error:
                check_interrupt()
                check_code(error)
                trial.fail(as_raised(error))
                break
            yield update  # outside the `try`: who closes this iterator is no submission
    finally:
        news.close()
        trial.close()
    outcome = trial.outcome
    assert outcome is not None
    forget_checkpoint(spec, outcome)
    yield Update(spec.key, "ended", outcome.steps, outcome.wall_s, trial.course.judged)
    yield outcome


class _Trial:
    def __init__(self, spec: TrialSpec, workload: Workload, cores: list[int]) -> None:
        self._began = _seconds()
        self.spec = spec
        self.workload = workload
        self.outcome: Outcome | None = None
        self.course = Course()
        self._saved = saved_state(spec)
        self._goes_on = self._saved is not None
        if self._saved:
            self.course = Course.from_state(self._saved["course"])
        seen = tuple(self._saved["record"][1:]) if self._saved else ()
        self._seeds = Seeds.of(spec.seed)
        self._stream = workload.stream(self._seeds.stream)
        self._opened = contextlib.ExitStack()
        self._opened.callback(self._stream.close)
        header = encode(header_of(spec, cores, workload.data_sha256()))
        self._writer = Writer(next_record(spec), (header, *seen))
        self._clock = Clock(lambda: None, self.course.reading)
        self._pacer: Pacer | None = None
        self._found: Facts = {}
        self._checkpoint_cost_s = 0.0
        self._checkpointed = _seconds()
        self._warned: set[str] = set()
        self._enough = ""
        self._world = World(spec.source.framework, spec.resources.cores)

    def close(self) -> None:
        self._world.give_back()
        self._opened.close()
        with ours("the record"):
            self._writer.close()

    def run(self) -> Generator[Update, None, None]:
        """Its news; afterwards `outcome` is set."""
        spec, course = self.spec, self.course
        yield Update(spec.key, "warming up", course.steps)
        with Deadline(spec, lambda: course.steps) as deadline:
            deadline.arm_warm_up()
            self._pacer = warm_pacer(spec, self.workload)
            if self._pacer:
                self._opened.callback(self._pacer.close)
            learner = self._warm_learner()
            deadline.disarm()
            self._world.check()
            if course.steps >= self._most_steps():
                # Cut off after its last evaluation, or in an extension to a larger budget.
                self._end("budget", spec.steps_spent)
                return
            yield self._news()
            self._clock = Clock(learner.synchronize, course.reading, compilations)
            if self._pacer:
                course.turns_s += self._pacer.begin(course.paired, _seconds() - self._began)
            deadline.arm(course.reading)
            self._clock.start()
            if not self._goes_on:
                learner.begin()
            while True:
                due = self._train_until_evaluation(learner)
                self._clock.stop()
                self._close_window()
                deadline.disarm()
                end = self._evaluate(learner) if due else self._out_of_time()
                yield self._news()
                if end is None or spec.extensible:
                    deadline.arm(course.reading)
                    self._clock.start()
                    learner.resume_training()
                    reading = self._clock.stop()
                    deadline.disarm()
                    # What ends here ends with the reading of its last evaluation.
                    course.reading = reading if end is None else course.reading
                    self._keep(learner, always=end is not None)
                if end is not None:
                    self._end(*end, **self._found)
                    break
                deadline.arm(course.reading)
                self._clock.start()

    def fail(self, error: BaseException) -> None:
        """End as `failed`, with the reason in one line and the traceback kept."""
        self.course.reading = self._clock.read()  # no barrier: the device may be what failed
        is_expected = isinstance(error, _KNOWN)
        reason = told(error, kind=not is_expected)
        changes = [] if isinstance(error, SubmissionError) else self._world.taken()
        reason += f" (the submission changed: {', '.join(changes)})" if changes else ""
        trace = "".join(traceback.format_exception(error))[-20_000:]
        self._end("failed", reason, traceback=trace)

    def _news(self) -> Update:
        course = self.course
        return Update(
            self.spec.key,
            "training",
            course.steps,
            course.reading.wall_s,
            course.judged,
            course.off_clock_s + course.checkpoint_s + course.turns_s,
        )

    def _warm_learner(self) -> Learner:
        """Compiled and warmed up; where the trial was cut off, if it was."""
        learner = warm_learner(self.spec, self.workload, self._seeds)
        seed_globals(self._seeds.own)
        if self._saved:
            learner.begin()
            self._restore(learner, self._saved)
            self._saved = None  # as large as all that the learner holds
        return learner

    def _close_window(self) -> None:
        """Count the time since the reference's last turn in its steps. The clock stands."""
        if self._pacer:
            course = self.course
            course.turns_s += self._pacer.close_window(course.paired, self._clock.wall_s())

    def _train_until_evaluation(self, learner: Learner) -> bool:
        """Steps to the next evaluation; False when the clock's budget ran out before."""
        spec, course, clock = self.spec, self.course, self._clock
        period = self.workload.settings.evaluation_period
        draw = drawn_from(self._stream, LearnersPolicy(learner))
        most = self._most_steps()
        end = min((course.steps // period + 1) * period, most)
        while course.steps < end:
            drawn = learner.draws
            try:
                learner.step(draw)
            except TrainingComplete as enough:
                self._enough = f"the submission ended its training at step {course.steps}: {enough}"
                if course.steps == course.evaluated:
                    return False  # these weights were evaluated
                break
            check_interrupt()
            course.count(learner.draws - drawn if spec.counts_batches else 1)
            if self._pacer and self._pacer.due(course.paired, clock.wall_s()):
                clock.stop()
                self._close_window()
                clock.start()
            if self._over_limit() or course.steps > most:
                return False
            if course.steps == end and self._needs_draws(learner):
                end = min(end + period, most)
        learner.prepare_evaluation()
        return True

    def _most_steps(self) -> int:
        period = self.workload.settings.evaluation_period
        return most_steps(self.spec, self.course, period)

    def _needs_draws(self, learner: Learner) -> bool:
        """Whether the window is too short in the stream's own time, which is its batches.

        A submission that trains on each batch for many steps must meet as many shifts in a window
        as any other.
        """
        workload = self.workload
        return bool(workload.prequential) and learner.draws < workload.settings.evaluation_period

    def _evaluate(self, learner: Learner) -> Why:
        """Evaluate and record; the end of the trial and its reason, if this is it."""
        began, course = _seconds(), self.course
        self._world.check()
        reading, stream, workload = self._clock.read(), self._stream, self.workload
        steps, course.evaluated = course.steps - course.evaluated, course.steps
        window = learner.drain().window(course.updates)
        course.updates = 0
        course.windows.append((reading.wall_s - course.reading.wall_s) / steps)
        course.reading = reading
        with reading_data():
            metrics = workload.evaluate(learner.judged(), "validation", stream, window)
            metrics |= {"train/loss": window.sums["loss"] / window.steps}
            if is_due(workload, course.steps):
                metrics |= diagnose(workload, learner.judged(), stream)
        metric = workload.metric
        judged = course.judge(metrics[metric.name], metric.window)
        if judged is not None:
            metrics[metric.key] = judged
        events = [
            EventLine(course.steps, reading.wall_s, event.name, dict(event.details))
            for event in stream.events()
        ]
        evaluation = Evaluation(
            course.steps, reading.wall_s, reading.cpu_s, metrics, self._paired()
        )
        with ours("the record"):
            self._writer.write(*events, evaluation)
        end = self._why_end(learner, evaluation)
        if end:
            with reading_data():
                test = workload.evaluate(learner.judged(), "test", stream, window)
            self._found = {"test": test} if test else {}
            if end[0] == "reached":
                self._found |= kept.keep(self._writer.path, learner, stream, window)
        course.off_clock_s += _seconds() - began
        return end

    def _why_end(self, learner: Learner, evaluation: Evaluation) -> Why:
        spec, course, workload = self.spec, self.course, self.workload
        on_time = not self._over_limit()
        if spec.target is not None:
            course.pursue(spec.target, on_time=on_time)
        broken = why_broken(course, workload, learner.finite())
        if broken:
            return broken
        if not on_time and course.met_at is None:
            return "budget", spec.time_spent
        over = why_over(spec, course, workload, self._enough)
        if over or is_holding(spec, course):
            return over
        return why_pruned(spec, course, evaluation)

    def _out_of_time(self) -> tuple[End, str]:
        spec, course = self.spec, self.course
        course.reading = self._clock.read()
        # Given more steps, it goes on in another process: the sums of these end with this one.
        course.evaluated, course.updates = course.steps, 0
        if is_holding(spec, course):
            end = why_over(spec, course, self.workload, self._enough)
            if end:
                return end
        beyond = course.steps > spec.budget.steps
        return "budget", self._enough or (spec.steps_spent if beyond else spec.time_spent)

    def _end(self, end: End, reason: str, **extra: Any) -> None:
        self._world.end_copies()
        self._opened.close()  # threads of ours are none that a submission left
        course = self.course
        wall_s, cpu_s = course.reading.wall_s, course.reading.cpu_s
        began = _seconds()
        doings = [*AUDIT.seen(), *self._world.replaced()]
        course.off_clock_s += _seconds() - began
        noted = {"audit": doings, "compilations": course.reading.compilations}
        extra = course.times() | self._world.left() | {n: v for n, v in noted.items() if v} | extra
        self.outcome = Outcome(end, course.steps, wall_s, cpu_s, reason, extra, self._paired())
        with ours("the record"):
            self._writer.write(self.outcome)

    def _paired(self) -> float | None:
        return self.course.paired.steps if self._pacer else None

    def _over_limit(self) -> bool:
        """Whether the official clock's budget is spent."""
        budget = self.spec.budget
        if is_holding(self.spec, self.course):
            return False
        match self.spec.clock:
            case "wall":
                return self._clock.wall_s() > budget.seconds
            case "cpu":
                return self._clock.cpu_s() > budget.seconds
            case "paired":
                return self.course.paired.steps > (budget.reference_steps or math.inf)
            case "steps":
                return False

    def _keep(self, learner: Learner, *, always: bool) -> None:
        """Checkpoint, unless checkpoints already cost more than their share.

        One that cannot be written is told in the record; the trial goes on, and when it is killed
        it goes on from the one before, or starts anew.
        """
        began = _seconds()
        dear = self._checkpoint_cost_s > _CHECKPOINT_SHARE * (began - self._checkpointed)
        if dear and not always:
            return
        try:
            checkpoint.save(self.spec.checkpoint, self._state(learner))
        except (checkpoint.StateError, OSError) as error:
            self._warn(f"no checkpoint: {error}")
        self._checkpointed = _seconds()
        self._checkpoint_cost_s = self._checkpointed - began
        self.course.checkpoint_s += self._checkpoint_cost_s

    def _state(self, learner: Learner) -> StateDict:
        return {
            "course": self.course.state(),
            "record": self._writer.lines,
            "stream": self._stream.state(),
            "learner": learner.state(),
            **globals_state(),
        }

    def _warn(self, text: str) -> None:
        """Tell it in the record, once."""
        if text in self._warned:
            return
        self._warned.add(text)
        course = self.course
        line = EventLine(course.steps, course.reading.wall_s, "warning", {"text": text})
        with ours("the record"):
            self._writer.write(line)

    def _restore(self, learner: Learner, saved: StateDict) -> None:
        self._stream.load_state(saved["stream"])
        learner.load_state(saved["learner"])
        drawn = {name: saved[name] for name in globals_state()}
        load_globals(drawn)
        if self.spec.resources.ranks > 1:
            from cluster.trial.ranks import share_globals

            share_globals(drawn)
