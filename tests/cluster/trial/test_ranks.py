"""Two ranks are one: the same losses, gradients and trials with the same batches, to rounding."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.cores import available_cores
from cluster.faults import NodeError
from cluster.learners.compiled import compiled
from cluster.learners.contract import Learner
from cluster.learners.entry import Seeds
from cluster.process import globals_state, load_globals, seed_globals
from cluster.spec import TrialSpec
from cluster.supervision import tree
from cluster.supervision.supervisor import supervise
from cluster.trial import ranks
from cluster.trial.ranks import Team, TeamLearner
from scoring.ground.documents import ConfigError
from scoring.ground.words import Budget, Resources
from scoring.records import Outcome, read_record, record_attempts
from scoring.run_file import Suite
from submissions.contract import SubmissionError
from suite.config import NamedSuite
from suite.plan import make_plan
from tests.workloads.at_hand import workload_at_hand

from ..conftest import WORKLOAD, Make

pytestmark = pytest.mark.network
TWO = Resources(ranks=2)
SHARPNESS_AWARE = """
import torch

class Mine:
    def init(self, params):
        return {}

    def update(self, params, memory, batch, problem):
        _, gradients = problem.value_and_grad(params, batch)
        near = {n: (p + 0.01 * gradients[n]).requires_grad_() for n, p in params.items()}
        _, gradients = problem.value_and_grad(near, batch)
        for name, value in params.items():
            value.sub_(0.05 * gradients[name])
        return memory

def submission(lr=0.1, params=None):
    return Mine()
"""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Locks of its own; no rank outlives its test."""
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    before = os.sched_getaffinity(0)
    yield
    ranks.dismiss()
    os.sched_setaffinity(0, before)


def trained(learner: Learner, spec: TrialSpec, steps: int = 5) -> dict[str, np.ndarray]:
    """The weights after some steps, with an evaluation and a return to an earlier state."""
    workload = workload_at_hand(spec.workload)
    learner.begin()
    for step in range(steps):
        learner.step(lambda step=step: workload.batch_like(step))  # type: ignore[misc]
    learner.synchronize()
    learner.prepare_evaluation()
    learner.resume_training()
    state = learner.state()
    taken = learner.drain()
    learner.step(lambda: workload.batch_like(100))
    learner.begin()
    learner.load_state(state)
    learner.step(lambda: workload.batch_like(101))
    learner.prepare_evaluation()
    learner.synchronize()
    return learner.weights() | {"loss": np.array(taken.sums["loss"])}


@pytest.mark.parametrize("text", [None, SHARPNESS_AWARE], ids=["optimizer", "object"])
@pytest.mark.parametrize(
    "id",
    [
        "homeostatic",
        *(
            pytest.param(id, marks=pytest.mark.slow)
            for id in ("lm", "rl_nap", "lifelong", "climate")
        ),
    ],
)
def test_two_ranks_take_the_steps_of_one(make: Make, id: str, text: str | None) -> None:
    if text and id != "homeostatic":
        pytest.skip("the object's way is the same on every family")
    spec = make("adamw" if text is None else "mine", text, workload=toy(id), resources=TWO)
    workload, seeds = workload_at_hand(spec.workload), Seeds.of(spec.seed)
    alone = trained(compiled(spec, workload, spec, seeds), spec)
    team = Team(spec)
    together = trained(TeamLearner(team, compiled(spec, workload, spec, seeds, team.rank)), spec)
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, rtol=2e-4, atol=2e-5, err_msg=name)


DRAWS = """
import random
import torch

class Mine:
    def init(self, params):
        return {}

    def update(self, params, memory, batch, problem):
        _, gradients = problem.value_and_grad(params, batch)
        for name, value in params.items():
            value.sub_(random.random() * gradients[name])
        return memory

def submission(params):
    return Mine()
"""


def test_ranks_draw_the_same_numbers_after_a_return_too(make: Make) -> None:
    spec = make("mine", DRAWS, workload=toy("homeostatic"), resources=TWO)
    workload, seeds = workload_at_hand(spec.workload), Seeds.of(spec.seed)
    team = Team(spec)
    learner = TeamLearner(team, compiled(spec, workload, spec, seeds, team.rank))
    ended = []
    learner.begin()
    seed_globals(seeds.own)
    state, drawn = learner.state(), globals_state()
    for batches in (range(7), range(3), range(3)):
        learner.begin()
        learner.load_state(state)
        load_globals(drawn)
        ranks.share_globals(drawn)
        for number in batches:
            learner.step(lambda number=number: workload.batch_like(number))  # type: ignore[misc]
        learner.synchronize()
        ended.append(learner.weights())
    for name, value in ended[1].items():
        np.testing.assert_array_equal(ended[2][name], value, err_msg=name)


def test_a_group_of_one_that_a_file_left_here_is_no_team(make: Make) -> None:
    """Else rank 0 would average with itself, and wait for the others' next batch for ever."""
    from submissions.algoperf.helpers_torch import join_group_of_one

    join_group_of_one()
    spec = make("adamw", None, workload=toy("homeostatic"), resources=TWO)
    workload, seeds = workload_at_hand(spec.workload), Seeds.of(spec.seed)
    team = Team(spec)
    learner = TeamLearner(team, compiled(spec, workload, spec, seeds, team.rank))
    assert torch.distributed.get_world_size() == TWO.ranks
    assert "loss" in trained(learner, spec)


ON_JAX = """
import pickle, sys
from cluster.trial import ranks
from cluster.learners.compiled import compiled
from cluster.learners.entry import Seeds
from cluster.faults import told
from cluster.process import set_environment
from cluster.trial.ranks import Team, TeamLearner
from tests.cluster.trial.test_ranks import trained
from tests.workloads.at_hand import workload_at_hand

spec = pickle.load(sys.stdin.buffer)
set_environment(spec.resources)
workload, seeds = workload_at_hand(spec.workload), Seeds.of(spec.seed)
try:
    if spec.resources.ranks == 1:
        learner = compiled(spec, workload, spec, seeds)
    else:
        team = Team(spec)
        learner = TeamLearner(team, compiled(spec, workload, spec, seeds, team.rank))
    found = trained(learner, spec)
except BaseException as error:
    found = told(error, kind=True)
with open(sys.argv[1], "wb") as file:  # gloo prints
    pickle.dump(found, file)
ranks.dismiss(goes_on=True)
"""
TWO_LOSSES = """
import jax

class Mine:
    def init(self, params):
        return ()

    def update(self, params, state, batch, problem):
        _, gradients = problem.value_and_grad(params, batch)
        near = jax.tree.map(lambda p, g: p + 0.01 * g, params, gradients)
        _, gradients = problem.value_and_grad(near, batch)
        return jax.tree.map(lambda p, g: p - 0.05 * g, params, gradients), state

def submission():
    return Mine()
"""
SELECTS = """
import optax

def select_data(params, state, batches, problem):
    return next(batches), state

def submission():
    return optax.sgd(0.1)
"""


def on_jax(spec: TrialSpec) -> dict[str, np.ndarray] | str:
    """As `trained`, in a process of its own, since JAX wants all ranks before its first sum."""
    path = spec.run.with_name(f"answer-{spec.resources.ranks}")
    words = [sys.executable, "-c", ON_JAX, str(path)]
    subprocess.run(words, input=pickle.dumps(spec), check=True, timeout=600)
    answer: dict[str, np.ndarray] | str = pickle.loads(path.read_bytes())
    return answer


@pytest.mark.parametrize(
    ("id", "text"),
    [
        ("homeostatic", None),
        pytest.param("homeostatic", TWO_LOSSES, marks=pytest.mark.slow),
        *(
            pytest.param(id, None, marks=pytest.mark.slow)
            for id in ("lm", "rl_nap", "lifelong", "climate")
        ),
    ],
    ids=["homeostatic", "object", "lm", "rl_nap", "lifelong", "climate"],
)
def test_two_ranks_of_jax_take_the_steps_of_one(make: Make, id: str, text: str | None) -> None:
    name = "adamw_jax" if text is None else "mine"
    alone, together = (
        on_jax(make(name, text, workload=toy(id), resources=Resources(ranks=count)))
        for count in (1, 2)
    )
    assert not isinstance(alone, str)
    assert not isinstance(together, str), together
    for weight, value in alone.items():
        np.testing.assert_allclose(together[weight], value, rtol=2e-4, atol=2e-5, err_msg=weight)


def test_a_jax_submission_that_selects_its_data_is_told_that_ranks_cannot(make: Make) -> None:
    found = on_jax(make("selects", SELECTS, resources=TWO))
    assert isinstance(found, str)
    assert "it selects its data, which JAX submissions cannot do on several ranks" in found


@pytest.mark.parametrize(
    ("shown", "expected"), [("4,5,6,7", ["4,5", "6,7"]), (None, ["0,1", "2,3"])]
)
def test_each_rank_is_shown_its_own_accelerators(
    shown: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    held = Resources(gpus=2, ranks=2)
    assert [list(ranks.accelerators(held, number).values()) for number in (0, 1)] == [
        [own] for own in expected
    ]
    assert ranks.accelerators(TWO, 1) == {}


def test_what_ranks_cannot_race_is_refused_when_it_is_planned() -> None:
    suite = {
        "title": "ranks",
        "workloads": [toy("homeostatic")],
        "submissions": ["adamw"],
        "ruleset": "self",
        "studies": 1,
        "clock": "steps",
        "resources": {"ranks": 2},
    }
    odd: list[tuple[dict[str, object], str]] = [
        ({"clock": "paired"}, "the paired clock times one process"),
        ({"workloads": [toy("recommender")]}, "not the mean over its examples"),
        ({"resources": {"ranks": 7}}, "is not divisible by 7"),
    ]
    for changes, told in odd:
        named = NamedSuite("ranks", Suite(**(suite | changes)))  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=told):
            make_plan(named)
    planned = make_plan(NamedSuite("ranks", Suite(**suite)))  # type: ignore[arg-type]
    assert {spec.resources for spec in planned.specs(Path("/run"))} == {TWO}


def toy(family: str) -> str:
    import workloads

    (id,) = [id for id in workloads.ids(variants=False) if id.startswith(f"{family}-toy-v")]
    return id


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adamw", "adamw_jax"])
def test_a_trial_of_two_ranks_ends_like_one_of_one_rank(make: Make, name: str) -> None:
    if len(available_cores()) < 2:
        pytest.skip("needs two cores")
    outcomes = {}
    for count in (1, 2):
        spec = make(
            name,
            trial=count,
            budget=Budget(400, 300.0),
            clock="steps",
            resources=Resources(ranks=count),
        )
        *_, outcome = supervise(spec)
        assert isinstance(outcome, Outcome)
        assert "leftover_processes" not in outcome.extra
        assert "doubt" not in outcome.extra
        outcomes[count] = read_record(record_attempts(spec.run, spec.key)[-1])
    one, two = outcomes[1], outcomes[2]
    assert two.header.hardware["ranks"] == 2
    assert len(two.header.hardware["pinned"]) == 2
    assert two.header.hardware["digest"] != one.header.hardware["digest"]
    for ours, theirs in zip(two.evaluations, one.evaluations, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, rel=0.02, abs=0.01)


def test_a_rank_that_dies_while_it_starts_is_not_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where memory ends; the others would wait ten minutes to meet it."""
    monkeypatch.setattr(ranks, "python", lambda module, line: [sys.executable, "-c", DIES])
    with pytest.raises(NodeError, match=r"a rank of the trial was killed \(rank 1: SIGKILL\)"):
        Team(make(resources=TWO))


DIES = "import os; os.kill(os.getpid(), 9)"
LEAVES = """
import sys, torch

def eval_params(params, state):
    if torch.distributed.get_rank():
        sys.exit(3)
    return params

def submission(params):
    return torch.optim.SGD(params, lr=0.1)
"""


def test_a_rank_that_ends_itself_is_the_submissions_affair(make: Make) -> None:
    spec = make("leaves", LEAVES, workload=WORKLOAD, resources=TWO)
    workload, seeds = workload_at_hand(spec.workload), Seeds.of(spec.seed)
    team = Team(spec)
    with pytest.raises(SubmissionError, match=r"exited \(rank 1: exit code 3\)"):
        TeamLearner(team, compiled(spec, workload, spec, seeds, team.rank)).synchronize()


def test_a_rank_that_is_killed_is_the_nodes_affair(make: Make) -> None:
    spec = make("adamw", workload=WORKLOAD, resources=TWO)
    workload, seeds = workload_at_hand(spec.workload), Seeds.of(spec.seed)
    team = Team(spec)
    learner = TeamLearner(team, compiled(spec, workload, spec, seeds, team.rank))
    learner.synchronize()
    (other,) = [pid for pid in tree.descendants(os.getpid()) if "ranks" in _words(pid)]
    os.kill(other, 9)
    with pytest.raises(NodeError, match="a rank of the trial"):
        trained(learner, spec)


def _words(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
