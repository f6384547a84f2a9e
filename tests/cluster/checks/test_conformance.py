"""What `gradathlon check` asks: every shipped submission passes, and each way to fail is caught."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import submissions
from cluster.checks import conformance
from cluster.checks.conformance import DEFAULT_WORKLOAD, Finding, check, check_here
from cluster.faults import told
from cluster.supervision import tree
from submissions.source import find
from workloads.errors import WorkloadError

RUNS, TRAINS = "it runs", "it trains at its defaults"
REPEATS, CONTINUES = "the same seed gives the same weights", "a checkpoint resumes exactly"


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    # `check_here` sets it for good, in a process that is usually its own.
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


@pytest.fixture(autouse=True, scope="module")
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A check builds the same step again and again; only the time differs."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def findings(tmp_path: Path, text: str) -> list[Finding]:
    path = tmp_path / "mine.py"
    path.write_text(text)
    return check_here(find(str(path)), [DEFAULT_WORKLOAD])


def only_failure(found: list[Finding]) -> Finding:
    assert [finding.ok for finding in found] == [True] * (len(found) - 1) + [False]
    return found[-1]


# One of each kind by default: a check trains, resumes and compiles several times.
OFTEN = ("sgd", "adamw", "adamw_jax", "nadamw_jax", "schedule_free_adamw", "homeostat_jax", "sam")


@pytest.mark.parametrize(
    "name",
    [
        name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow)
        for name in submissions.shipped()
    ],
)
def test_nothing_is_wrong_with_a_shipped_submission(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformance, "_CORNERS", (0.5,))  # each costs JAX another compilation
    source = find(name)
    found = check_here(source, [DEFAULT_WORKLOAD])
    assert [finding for finding in found if not finding.ok] == []
    titles = [finding.title for finding in found]
    assert titles[:4] == [f"{source.framework} submission", TRAINS, REPEATS, CONTINUES]
    assert sum(title.startswith("it trains at ") for title in titles[4:]) == len(
        conformance._points(source)
    )
    assert all("\n" not in finding.detail for finding in found)


def test_a_check_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN_PROCESS)
    assert [finding for finding in check(find(str(path))) if not finding.ok] == []
    assert not (tmp_path / "here").exists()


def test_an_unknown_workload_is_the_callers_error() -> None:
    with pytest.raises(WorkloadError, match="unknown scale 'tiny'; did you mean 'toy'"):
        next(check(find("adamw"), ["homeostatic-tiny-v3"]))


HIDDEN = {
    "a count in torch": """
import torch
class Hidden(torch.optim.SGD):
    count = 0
    def step(self, closure=None):
        self.count += 1
        for group in self.param_groups:
            group["lr"] = 0.01 * self.count
        return super().step(closure)
def submission(params):
    return Hidden(params, lr=0.1)
""",
    "an average outside of the state": """
import torch
class Hidden:
    def init(self, params):
        self.momentum = {name: torch.zeros_like(p) for name, p in params.items()}
        return {}
    def update(self, params, state, batch, problem):
        _, gradients = problem.value_and_grad(params, batch)
        for name, p in params.items():
            self.momentum[name].mul_(0.9).add_(gradients[name])
            p.sub_(self.momentum[name], alpha=0.01)
        return state
def submission(params):
    return Hidden()
""",
    "data kept by select_data in JAX": """
import optax
def submission():
    kept.clear()
    return optax.sgd(0.1)
kept = []
def select_data(params, state, draw, problem):
    kept.append(next(draw))
    return kept[len(kept) // 2], state
""",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_memory_outside_of_the_state_is_caught(tmp_path: Path, name: str) -> None:
    failure = only_failure(findings(tmp_path, HIDDEN[name]))
    assert failure.title == CONTINUES
    assert "is not in its state" in failure.detail


OTHER_ORDERS = """
import torch
TIMES = [0]
def submission(params):
    TIMES[0] += 1
    turned = list(params)[::-1] if TIMES[0] % 2 else list(params)
    return torch.optim.Adam([{"params": turned}, {"params": []}], lr=0.01)
"""


def test_parameters_may_come_in_another_order_each_time(tmp_path: Path) -> None:
    assert all(finding.ok for finding in findings(tmp_path, OTHER_ORDERS))


def test_what_fails_after_a_resume_is_told_so(tmp_path: Path) -> None:
    failure = only_failure(findings(tmp_path, FAILS_RESUMED))
    assert failure.title == CONTINUES
    assert failure.detail.startswith("fails after resuming")
    assert "KeyError: 'momentum'" in failure.detail


FAILS_RESUMED = """
import torch
class Fails(torch.optim.SGD):
    def __init__(self, params):
        super().__init__(params, lr=0.01)
        for p in self.param_groups[0]["params"]:
            self.state[p]["momentum"] = torch.zeros_like(p)
    def step(self, closure=None):
        for state in self.state.values():
            state["momentum"] += 1
        return super().step(closure)
    def state_dict(self):
        state = super().state_dict()
        return {**state, "state": {n: {"count": 1} for n in state["state"]}}
def submission(params):
    return Fails(params)
"""


ACCUMULATES = """
import torch
class Every(torch.optim.AdamW):
    count = 0
    def step(self, closure=None):
        self.count += 1
        if self.count % 4 == 0:
            super().step(closure)
    def zero_grad(self, set_to_none=True):
        if self.count % 4 == 0:
            super().zero_grad(set_to_none)
def submission(params):
    return Every(params, lr=0.01)
"""


def test_a_count_that_comes_round_at_even_steps_is_caught(tmp_path: Path) -> None:
    assert only_failure(findings(tmp_path, ACCUMULATES)).title == CONTINUES


def test_gradients_may_be_gathered_over_more_steps_than_are_looked_at_first(tmp_path: Path) -> None:
    text = "import optax\ndef submission():\n    return optax.MultiSteps(optax.sgd(0.1), 20)\n"
    assert all(finding.ok for finding in findings(tmp_path, text))


def test_a_schedule_that_ends_before_the_trial_is_told(tmp_path: Path) -> None:
    text = """
import torch
def submission(params, workload):
    optimizer = torch.optim.SGD(params, lr=0.01)
    steps = workload.step_hint
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
"""
    failure = only_failure(findings(tmp_path, text))
    assert failure.title == "its schedulers last as long as a trial"
    assert "OneCycleLR fails at step 3001" in failure.detail
    assert "`workload.max_steps`" in failure.detail
    longer = findings(tmp_path, text.replace("step_hint", "max_steps"))
    assert all(finding.ok for finding in longer)


def test_state_that_cannot_be_kept_is_told_and_allowed(tmp_path: Path) -> None:
    text = """
import torch
class Odd(torch.optim.SGD):
    def step(self, closure=None):
        self.state["own"]["rule"] = lambda: None
        return super().step(closure)
def submission(params):
    return Odd(params, lr=0.1)
"""
    found = findings(tmp_path, text)
    assert all(finding.ok for finding in found)
    (told,) = (f for f in found if f.title == "a checkpoint may not resume exactly")
    assert "rule is a function" in told.detail
    assert "starts anew" in told.detail


def test_the_other_families_shapes_are_taken_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\ndef submission(params):\n"
        "    assert max(p.ndim for p in params) < 3, 'no matrix'\n"
        "    return torch.optim.SGD(params, lr=0.01)\n"
    )
    ids = [DEFAULT_WORKLOAD, "lm-toy-v2", "climate-toy-v2"]
    found = check_here(find(str(path)), ids)
    failure = only_failure(found)
    assert found[-2].title == "it accepts the shapes of lm-toy-v2"
    assert failure.title == "it accepts the shapes of climate-toy-v2"
    assert "AssertionError: no matrix" in failure.detail


RANDOM = """
import os, random
import numpy as np
import torch
class Noisy(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            group["lr"] = 0.01 + 0.1 * DRAW
        return super().step(closure)
def submission(params):
    return Noisy(params, lr=0.1)
"""


@pytest.mark.parametrize("draw", ["os.urandom(1)[0] / 256", "random.SystemRandom().random()"])
def test_randomness_of_no_seed_is_caught(tmp_path: Path, draw: str) -> None:
    failure = only_failure(findings(tmp_path, RANDOM.replace("DRAW", draw)))
    assert failure.title == REPEATS
    assert "workload.seed" in failure.detail


@pytest.mark.parametrize(
    "draw", ["random.random()", "np.random.rand()", "float(torch.rand(()))", "float(np.cos(1.0))"]
)
def test_the_global_generators_may_be_drawn_from(tmp_path: Path, draw: str) -> None:
    found = findings(tmp_path, RANDOM.replace("DRAW", draw))
    assert [finding for finding in found if not finding.ok] == []


BROKEN = {
    "no weight moves": (
        "import torch\ndef submission(params):\n    return torch.optim.SGD(params, lr=0.0)\n",
        TRAINS,
        "no weight changed in 64 steps",
    ),
    "weights are not finite": (
        "import optax\ndef submission():\n    return optax.sgd(1e30)\n",
        TRAINS,
        "is not finite after 13 steps",
    ),
    "submission raises": (
        "def submission(params):\n    raise KeyError('oh')\n",
        RUNS,
        "mine.py:2: KeyError: 'oh'",
    ),
    "a step raises": (
        "import torch\n"
        "class Bad(torch.optim.SGD):\n"
        "    def step(self, closure=None):\n"
        "        raise ZeroDivisionError('in\\nthe step')\n"
        "def submission(params):\n    return Bad(params, lr=0.1)\n",
        RUNS,
        "ZeroDivisionError: in the step",
    ),
    "a step leaves the program": (
        "import sys, torch\n"
        "class Bad(torch.optim.SGD):\n"
        "    def step(self, closure=None):\n"
        "        sys.exit(3)\n"
        "def submission(params):\n    return Bad(params, lr=0.1)\n",
        RUNS,
        "SystemExit: 3",
    ),
    "returns nothing": (
        "def submission(params):\n    pass\n",
        RUNS,
        "`submission` returned None",
    ),
    "state of JAX that is no array": (
        "class Odd:\n"
        "    def init(self, params): return {'name': 'odd'}\n"
        "    def update(self, params, state, batch, problem): return params, state\n"
        "def submission():\n    return Odd()\n",
        RUNS,
        "state/name is a str",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_submission_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    text, title, detail = BROKEN[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # overflows of the diverging one
        failure = only_failure(findings(tmp_path, text))
    assert failure.title == title
    assert detail in failure.detail
    assert "\n" not in failure.detail


def test_a_submission_that_never_comes_back_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformance, "LIMIT_S", 1.0)
    path = tmp_path / "mine.py"
    path.write_text("def submission(params):\n    while True:\n        pass\n")
    *_, finding = check(find(str(path)))
    assert not finding.ok
    assert finding.detail == "no answer within 1 CPU seconds; look for an endless loop"


def test_an_error_is_told_in_one_line_whatever_its_text() -> None:
    class UntoldError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert told(UntoldError()) == "UntoldError: its message cannot be read"
    assert told(ValueError("x\n" * 10**6)) == f"ValueError: {'x ' * 500}..."
    assert told(ValueError("a\n b"), kind=False) == "a b"
    assert told(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_findings_are_told_as_they_are_made(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def submission(params):\n    while True:\n        pass\n")
    found = check(find(str(path)))
    assert next(found).title == "torch submission"  # though no second one would ever come
    found.close()


def test_a_submission_that_waits_for_ever_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformance, "STILL_S", 2.0)
    path = tmp_path / "mine.py"
    path.write_text(
        "import subprocess\n\ndef submission(params):\n    subprocess.run(['sleep', '3600'])\n"
    )
    *_, finding = check(find(str(path)))
    assert not finding.ok
    assert finding.detail.startswith("idle for 2 s; look for a blocking wait")


def test_a_submission_that_takes_its_process_down_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import ctypes\n\ndef submission(params):\n    ctypes.string_at(0)\n")
    *_, finding = check(find(str(path)))
    assert not finding.ok
    assert finding.detail == "its process died (SIGSEGV); look at native code that it calls"


def test_divergence_within_the_search_space_is_told_and_allowed(tmp_path: Path) -> None:
    text = """
import torch
SEARCH_SPACE = [{"lr": 0.01}, {"lr": 1e30}]
def submission(params, lr=0.1):
    return torch.optim.SGD(params, lr=lr)
"""
    calm, wild = findings(tmp_path, text)[-2:]
    assert (calm.ok, calm.title, calm.detail) == (True, "it trains at lr=0.01", "")
    assert (wild.ok, wild.title) == (True, "it trains at lr=1e+30")
    assert wild.detail == "diverges here; a race allows that"


LEAVES = """
import os, pathlib, subprocess, threading, time, torch
def submission(params):
    if os.fork() == 0:
        left = subprocess.Popen(["sleep", "600"])
        with (pathlib.Path(__file__).parent / "left").open("a") as file:
            file.write(f"{left.pid} ")
        os._exit(0)
    os.wait()
    threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
    return torch.optim.SGD(params, lr=0.1)
"""


def test_what_a_race_would_tell_of_leftovers_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(LEAVES)
    *_, last = check(find(str(path)))
    assert last.ok
    assert last.title == "left behind, as a race would report"
    assert "leftover processes: " in last.detail
    pids = [int(word) for word in (tmp_path / "left").read_text().split()]
    assert pids
    assert not list(filter(tree.alive, pids)), "and does not outlive the check"


FORKS = """
import os, torch
class Forks(torch.optim.SGD):
    def step(self, closure=None):
        if not self.state:
            os.fork()
        return super().step()
def submission(params):
    return Forks(params, lr=0.1, momentum=0.5)
"""


def test_a_copy_that_comes_back_from_a_fork_answers_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FORKS)
    found = {finding.title: finding for finding in check(find(str(path)))}
    assert all(finding.ok for finding in found.values())
    assert found["for review"].detail == "line 6 calls fork"


OWN_PROCESS = """
import multiprocessing, pathlib, torch
if multiprocessing.parent_process() is None:
    (pathlib.Path(__file__).parent / "here").touch()
def submission(params):
    print("talk")
    return torch.optim.SGD(params, lr=0.1)
"""
