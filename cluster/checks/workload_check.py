"""The checks of `gradathlon check WORKLOAD`: back ends that agree, and a resumable stream."""

from __future__ import annotations

import time
import typing
from collections.abc import Callable, Iterator

import numpy as np

from cluster.checks.conformance import Finding, one_line
from cluster.checks.parity import GRADIENT_TOLERANCE, SGD_RATE, Pair, in_float32
from scoring.ground.words import Role
from workloads.contract import Array, Batch, Policy, Window, Workload
from workloads.errors import WorkloadError

DRAWS = 5
"""Batches drawn before a stream's state is taken, and compared after it."""
TIMED_STEPS = 20


def check_workload(workload: Workload) -> Iterator[Finding]:
    """Ask everything of a workload that can be asked without racing on it; data are fetched.

    Its models are asked first, on random batches; where one thing makes the rest pointless, the
    rest is left out.
    """
    checks: list[Callable[[Workload], Finding]] = [_roles, _named, _initial, _parity]
    checks += [_answers, _continues, _owned, _evaluation]
    workload = in_float32(workload)
    for ask in checks:
        try:
            finding = ask(workload)
        except WorkloadError as error:
            finding = Finding(False, "its data are available", one_line(str(error)))
        except Exception as error:
            detail = one_line(f"{type(error).__name__}: {error}")
            finding = Finding(False, f"it can be checked ({ask.__name__.strip('_')})", detail)
        yield finding
        if not finding.ok and ask in (_named, _initial):
            return
        if finding.title == "its data are available":
            return


def _named(workload: Workload) -> Finding:
    """Whether the torch module and the initial weights bear the names and shapes declared."""
    title = "parameters match the models'"
    shapes = {name: spec.shape for name, spec in workload.parameters().items()}
    module = {n: tuple(p.shape) for n, p in workload.torch_model().named_parameters()}
    drawn = {name: value.shape for name, value in workload.initial_weights(0).items()}
    for what, specs in (("the torch module", module), ("the initial weights", drawn)):
        for name in [*shapes, *specs]:
            if shapes.get(name) != specs.get(name):
                detail = f"{what}: {name} is {specs.get(name)}, declared {shapes.get(name)}"
                return Finding(False, title, detail)
        if list(shapes) != list(specs):
            return Finding(False, title, f"{what} has them in a different order")
    from cluster.checks.parity.sgd_jax import sgd_step

    step = sgd_step(workload.jax_model(), SGD_RATE)(
        workload.initial_weights(0), workload.batch_like(0)
    )
    for name, value in step.after.items():
        if value.shape != shapes.get(name):
            return Finding(False, title, f"JAX: {name} is {value.shape} after a step")
    return Finding(True, title, f"{len(shapes)} in torch, JAX and the initial weights")


def _roles(workload: Workload) -> Finding:
    title, roles = "roles are known", typing.get_args(Role)
    for name, spec in workload.parameters().items():
        if spec.role not in roles:
            detail = f"{name} is {spec.role!r}; known: {', '.join(roles)}"
            return Finding(False, title, detail)
        if spec.role in ("weight", "head") and len(spec.shape) != 2:
            detail = f"{name} is {spec.role!r} but not a matrix: {spec.shape}; use 'tensor'"
            return Finding(False, title, detail)
    return Finding(True, title)


def _initial(workload: Workload) -> Finding:
    title = "initial weights depend on the seed alone"
    first, again, other = (workload.initial_weights(seed) for seed in (1, 1, 2))
    for name, value in first.items():
        if value.dtype != np.float32:
            return Finding(False, title, f"{name} is {value.dtype}, not float32")
        if not np.array_equal(value, again[name]):
            return Finding(False, title, f"{name} differs between two draws of one seed")
    if all(np.array_equal(value, other[name]) for name, value in first.items()):
        return Finding(False, title, "seeds 1 and 2 give the same weights")
    return Finding(True, title)


def _parity(workload: Workload) -> Finding:
    """Loss and every gradient on a batch of random values."""
    from cluster.checks.parity.sgd_jax import sgd_step
    from cluster.checks.parity.sgd_torch import sgd_steps

    title = "torch and JAX agree on loss and every gradient"
    weights, batch = workload.initial_weights(0), workload.batch_like(0)
    ours = next(sgd_steps(workload.torch_model(), weights, [batch], SGD_RATE))
    pair = Pair(ours, sgd_step(workload.jax_model(), SGD_RATE)(weights, batch))
    gaps = {"the loss": pair.loss(), **pair.gradients()}
    for name, gap in gaps.items():
        if not gap <= GRADIENT_TOLERANCE:
            return Finding(False, title, f"{name} differs by {gap:.2g} of its norm")
    return Finding(True, title, f"to {max(gaps.values()):.1g}")


def _answers(workload: Workload) -> Finding:
    """Whether `measure` gives the sums declared and `predict` rows, the same in both."""
    from cluster.checks.parity import sgd_jax, sgd_torch

    title = "measure gives the declared sums, predict rows, same in torch and JAX"
    weights, batch = workload.initial_weights(0), workload.batch_like(0)
    ours = sgd_torch.judged(workload.torch_model(), weights)
    theirs = sgd_jax.judged(workload.jax_model(), weights)
    sums, rows = ours.measure(batch), ours.predict(batch)
    if set(sums) != set(workload.sums):
        detail = f"measure gives {', '.join(sorted(sums))}; `sums` lists {', '.join(workload.sums)}"
        return Finding(False, title, detail)
    for answer, one, other in (
        ("measure", sums, theirs.measure(batch)),
        ("predict", rows, theirs.predict(batch)),
    ):
        for name in _unequal(one, other, GRADIENT_TOLERANCE):
            return Finding(False, title, f"{answer}: {name} differs between torch and JAX")
    examples = max(len(value) for value in batch.values())
    for name, value in rows.items():
        if value.shape[:1] != (examples,):
            return Finding(False, title, f"predict: {name} is {value.shape} for {examples} rows")
    return Finding(True, title, f"{', '.join(workload.sums)}; {', '.join(rows)}")


def _continues(workload: Workload) -> Finding:
    title = "its stream resumes exactly from its state"
    policy, stream, resumed = _policy(workload), workload.stream(7), workload.stream(7)
    try:
        for _ in range(DRAWS):
            stream.next(policy)
        state = stream.state()
        expected = [_copied(stream.next(policy)) for _ in range(DRAWS)]
        resumed.load_state(state)
        for index, batch in enumerate(expected):
            redrawn = resumed.next(policy)
            for name in _unequal(batch, redrawn):
                detail = f"{name} of batch {DRAWS + index + 1} differs after load_state"
                return Finding(False, title, detail)
    finally:
        stream.close()
        resumed.close()
    return Finding(True, title)


def _owned(workload: Workload) -> Finding:
    """Whether writing into a batch leaves the one beside it, and the data set, as they were."""
    title = "batches own their memory"
    policy, stream = _policy(workload), workload.stream(7)
    try:
        state = stream.state()
        first, second = stream.next(policy), stream.next(policy)
        copies = [_copied(first), _copied(second)]
        for name, array in first.items():
            if not array.flags.writeable:
                return Finding(False, title, f"{name} is read-only: return a copy")
            array[...] = array == 0
        for name in _unequal(copies[1], second):
            return Finding(False, title, f"{name} of two batches shares memory")
        stream.load_state(state)
        for batch in copies:
            for name in _unequal(batch, stream.next(policy)):
                return Finding(False, title, f"{name} is the data set's own memory: return a copy")
    finally:
        stream.close()
    return Finding(True, title)


def _evaluation(workload: Workload) -> Finding:
    """What evaluations cost beside steps of plain SGD on this machine; told, never failed."""
    from cluster.checks.parity.sgd_torch import judged, sgd_steps, sums_of

    title = "it can be evaluated"
    policy, stream, weights = _policy(workload), workload.stream(7), workload.initial_weights(3)
    try:
        batches = [stream.next(policy) for _ in range(TIMED_STEPS)]
        model = workload.torch_model()
        asked, sums = judged(model, weights), sums_of(model, weights, batches[0])
        measured = asked.measure(batches[0])
        drawn = {name: float(measured[name]) for name in workload.prequential}
        window = Window(1, sums, draws=1, drawn=drawn)
        workload.evaluate(asked, "validation", stream, window)  # reads what it keeps
        begin = time.perf_counter()
        metrics = workload.evaluate(asked, "validation", stream, window)
        evaluated = time.perf_counter()
    finally:
        stream.close()
    if workload.metric.name not in metrics:
        return Finding(False, title, f"evaluate gives no {workload.metric.name}")
    stepping = time.perf_counter()
    for _ in sgd_steps(workload.torch_model(), weights, batches, SGD_RATE):
        pass
    step_s = (time.perf_counter() - stepping) / TIMED_STEPS
    evaluation_s, period = evaluated - begin, workload.settings.evaluation_period
    share = evaluation_s / (evaluation_s + period * step_s)
    return Finding(True, title, f"{share:.0%} of the time with plain SGD on this machine's CPU")


def _policy(workload: Workload) -> Policy:
    from cluster.checks.parity.sgd_torch import StillPolicy

    return StillPolicy(workload.torch_model(), workload.initial_weights(3))


def _copied(batch: Batch) -> Batch:
    return {name: array.copy() for name, array in batch.items()}


def _unequal(one: Batch, other: Batch, tolerance: float = 0.0) -> list[str]:
    """The names of arrays that are not the same in both, to a share of their largest value."""
    return [
        name
        for name in one.keys() | other.keys()
        if name not in one or name not in other or not _same(one[name], other[name], tolerance)
    ]


def _same(one: Array, other: Array, tolerance: float) -> bool:
    if one.dtype.kind != "f":
        return np.array_equal(one, other)
    if not tolerance:
        return np.array_equal(one, other, equal_nan=True)
    largest = float(np.abs(one).max(initial=0))
    return one.shape == other.shape and np.allclose(one, other, 0, tolerance * largest)
