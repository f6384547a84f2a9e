"""What the harness costs: its loop against a bare loop, side by side in one run.

    python -m tests.benchmarks.overhead lm-toy-v2 homeostatic-toy-v3
    python -m tests.benchmarks.overhead lm-laptop-v2 --windows 40 --period 4

Both train the same model on the same batches with the same AdamW on one pinned core, in turns: a
window of the harness (its clock, its sums, its alarm), then a window of a loop of a few lines.
Prints the median seconds a step of each, the median over pairs of neighbouring windows of their
ratio with its standard error, and the share of evaluations in a trial's whole time. A machine is
never quiet for long: many short windows (`--period` steps between evaluations instead of the
workload's own) tell more than few long ones. No assertion: times are for reading.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import workloads
from cluster.cores import hold_cores
from cluster.spec import TrialSpec, Update
from cluster.trial.loop import run_trial
from scoring.ground.words import Budget
from scoring.records import read_record
from submissions.source import parse
from workloads.contract import Workload

TEXT = {
    "torch": "import torch\ndef submission(params): return torch.optim.AdamW(params, lr=1e-3)\n",
    "jax": "import optax\ndef submission(): return optax.adamw(1e-3, weight_decay=0.01)\n",
}
SEED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=["lm-toy-v2", "homeostatic-toy-v3"])
    parser.add_argument("--windows", type=int, default=24, help="evaluation periods to time")
    parser.add_argument("--period", type=int, help="steps of a window")
    parser.add_argument("--one", metavar="FRAMEWORK", help="of one workload, in this process")
    options = parser.parse_args()
    if options.one:
        one(*options.workloads, options.one, options.windows, options.period)
        return
    print(f"{'workload':24} {'':6} {'bare':>9} {'harness':>9} {'ratio':>15} {'evaluation':>11}")
    for id in options.workloads:
        for framework in TEXT:
            # A process each: affinity must come before the framework's first import.
            command = [sys.executable, "-m", __spec__.name, id, "--one", framework]
            command += ["--windows", str(options.windows)]
            command += ["--period", str(options.period)] if options.period else []
            subprocess.run(command, check=True)


def one(id: str, framework: str, windows: int, period: int | None) -> None:
    with hold_cores(1) as cores, tempfile.TemporaryDirectory() as folder:
        workload = workloads.get(id)
        period = period or workload.settings.evaluation_period
        settings = workload.settings.model_copy(update={"evaluation_period": period})
        workload = type(workload)(workload.id, settings, workload.metric, workload.race)
        workloads.get = lambda text: workload  # the trial's, too
        spec = TrialSpec(
            run=Path(folder),
            workload=id,
            submission="bench",
            source=parse("bench", TEXT[framework], "bench.py"),
            hyperparameters={},
            study=0,
            trial=0,
            seed=SEED,
            target=None,
            budget=Budget(windows * period, 1e6),
        )
        trial = run_trial(spec, cores)
        loop = _torch_loop if framework == "torch" else _jax_loop
        bare = _windows(loop(workload), period)
        next(bare)  # compiled and warm
        bare_s: list[float] = []
        harness_s: list[float] = []
        before = 0.0
        for update in trial:
            if isinstance(update, Update) and update.phase == "training" and update.steps:
                harness_s.append((update.wall_s - before) / period)
                before = update.wall_s
                bare_s.append(next(bare))
        (path,) = Path(folder).glob("trials/*/*/*.jsonl")
        outcome = read_record(path).outcome
        assert outcome is not None
        ratios = [ours / theirs for ours, theirs in zip(harness_s, bare_s, strict=True)]
        error = 1.25 * statistics.stdev(ratios) / len(ratios) ** 0.5  # of a median
        harness, plain = statistics.median(harness_s), statistics.median(bare_s)
        share = outcome.extra["evaluation_s"] / outcome.wall_s
        print(
            f"{id:24} {framework:6} {plain * 1e3:7.3f}ms {harness * 1e3:7.3f}ms "
            f"{statistics.median(ratios):7.3f} ±{error:.3f} {share:10.1%}",
            flush=True,
        )


def _windows(step: Callable[[bool], None], period: int) -> Iterator[float]:
    while True:
        start = time.perf_counter()
        for _ in range(period - 1):
            step(False)
        step(True)
        yield (time.perf_counter() - start) / period


def _torch_loop(workload: Workload[Any]) -> Callable[[bool], None]:
    import torch

    torch.set_num_threads(1)
    model, stream = workload.torch_model(), workload.stream(SEED)
    weights = workload.initial_weights(SEED)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(weights[name]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(0)

    def step(last: bool) -> None:
        batch = {name: torch.from_numpy(a) for name, a in stream.next(lambda seen: seen).items()}
        loss, _ = model.loss(batch, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def _jax_loop(workload: Workload[Any]) -> Callable[[bool], None]:
    import jax
    import jax.numpy as jnp
    import optax

    model, stream = workload.jax_model(), workload.stream(SEED)
    optimizer = optax.adamw(1e-3, weight_decay=0.01)
    key = jax.random.key(0)
    params = {name: jnp.array(value) for name, value in workload.initial_weights(SEED).items()}
    held = [params, optimizer.init(params)]

    def train(params: Any, state: Any, batch: Any) -> Any:
        gradients = jax.grad(lambda p: model.loss(p, batch, key)[0])(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    compiled = jax.jit(train, donate_argnums=(0, 1))

    def step(last: bool) -> None:
        held[:] = compiled(*held, stream.next(lambda seen: seen))
        if last:
            jax.block_until_ready(held)

    return step


if __name__ == "__main__":
    main()
