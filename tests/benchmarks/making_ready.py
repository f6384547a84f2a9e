"""Where a trial's seconds before and off its clock go: `python -m tests.benchmarks.making_ready`.

    python -m tests.benchmarks.making_ready lm-toy-v2 --paired

One row a workload and framework, in CPU seconds, each in a process of its own, with what a worker
imports once apart from what each of its trials does: imports that are left, the data, the reference
(with `--paired`), the learner, the evaluation of the warm-up; and after it one evaluation and the
test at the end. JAX's persistent cache is as it was found: run it twice for the second trial's way.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

PHASES = ("imports once", "imports", "data", "reference", "learner", "warm-up's", "one", "test")
TOY = (
    "lm-toy-v2",
    "recommender-toy-v3",
    "rl_nap-toy-v3",
    "lifelong-toy-v3",
    "homeostatic-toy-v3",
    "climate-toy-v2",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=list(TOY))
    parser.add_argument("--paired", action="store_true", help="with a reference to take turns with")
    parser.add_argument("--modules", action="store_true", help="name the imports that are left")
    parser.add_argument("--one", metavar="FRAMEWORK", help="of one workload, in this process")
    options = parser.parse_args()
    if options.one:
        one(options.workloads[0], options.one, options.paired, options.modules)
        return
    print(f"{'workload':22} {'':6}" + "".join(f"{name:>14}" for name in PHASES), flush=True)
    for id in options.workloads:
        for framework in ("torch", "jax"):
            command = [sys.executable, "-m", __spec__.name, id, "--one", framework]
            command += ["--paired"] * options.paired + ["--modules"] * options.modules
            subprocess.run(command, check=True)


class _Spent:
    """CPU seconds by phase; what modules take to be imported is counted as such alone."""

    def __init__(self) -> None:
        self.phases = dict.fromkeys(PHASES, 0.0)
        self.modules: dict[str, float] = {}
        self.watched = False
        self._since = time.process_time()
        self._nested = 0.0

    def end(self, phase: str) -> None:
        now = time.process_time()
        imported = sum(self.modules.values())
        self.phases[phase] += now - self._since - imported
        self.phases["imports"] += imported if self.watched else 0.0
        self._since = now
        self.watched, self.modules = True, {}

    def watch_imports(self, told: bool) -> None:
        real = importlib.machinery.SourceFileLoader.exec_module

        def timed(loader: importlib.machinery.SourceFileLoader, module: ModuleType) -> None:
            outer, self._nested = self._nested, 0.0
            began = time.process_time()
            real(loader, module)
            whole = time.process_time() - began
            self.modules[module.__name__] = whole - self._nested
            if told and self.watched and whole > 0.02:
                print(f"    {module.__name__}: {whole:.2f} s", flush=True)
            self._nested = outer + whole

        importlib.machinery.SourceFileLoader.exec_module = timed  # type: ignore[method-assign]


def one(id: str, framework: str, paired: bool, told: bool) -> None:
    from cluster.process import set_environment
    from cluster.supervision.forked import import_framework
    from scoring.ground.words import Resources

    set_environment(Resources())
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    spent = _Spent()
    import_framework(framework)
    spent.end("imports once")
    spent.watch_imports(told)
    import workloads
    from cluster.learners.entry import Seeds
    from cluster.spec import Pace, TrialSpec
    from cluster.trial.warm_up import warm_learner, warm_pacer
    from scoring.ground.words import Budget
    from submissions.source import find

    name = {"torch": "adamw", "jax": "adamw_jax"}[framework]
    source, folder = find(name), tempfile.mkdtemp()
    spec = TrialSpec(
        Path(folder), id, name, source, {}, 0, 0, 7, None, Budget(100, 100.0),
        pace=Pace(find(name.replace("adamw", "nadamw")), {}) if paired else None,
    )  # fmt: skip
    workload, seeds = workloads.get(id), Seeds.of(spec.seed)
    workload.fetch()
    stream = workload.stream(seeds.stream)
    workload.data_sha256()
    spent.end("data")
    warm_pacer(spec, workload)
    spent.end("reference")
    learner = warm_learner(spec, workload, seeds)
    spent.end("learner")
    learner.step(workload.batch_like)
    learner.prepare_evaluation()
    window = learner.drain().window(1)
    for phase, split in (("warm-up's", "validation"), ("one", "validation"), ("test", "test")):
        workload.evaluate(learner.judged(), split, stream, window)  # type: ignore[arg-type]
        spent.end(phase)
    row = "".join(f"{spent.phases[name]:14.2f}" for name in PHASES)
    print(f"{id:22} {framework:6}{row}", flush=True)


if __name__ == "__main__":
    main()
