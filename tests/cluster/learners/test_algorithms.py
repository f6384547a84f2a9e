"""How submissions make their steps: equal to a bare loop, alike in both frameworks, all kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workloads
from cluster import checkpoint
from cluster.checks.bench import Bench
from cluster.learners import make_learner
from cluster.learners.contract import Learner, make_card
from scoring.ground.words import Budget
from submissions.contract import SubmissionError
from submissions.source import parse

WORKLOAD = "homeostatic-toy-v3"
STEPS = 4
OBJECT = """
class Object:
    def init(self, params):
        return {}
    def update(self, params, state, batch, problem):
        UPDATE
def submission(ARGUMENTS):
    return Object()
"""

PLAIN = {
    "torch": "import torch\ndef submission(params):\n    return torch.optim.SGD(params, lr=0.1)\n",
    "jax": "import optax\ndef submission():\n    return optax.sgd(0.1)\n",
}


def learner(text: str, batches: int = 1) -> tuple[Learner, Bench]:
    bench = Bench(parse("mine", text, "mine.py"), WORKLOAD)
    ready = [bench.workload.batch_like(seed) for seed in range(batches)]
    made = make_learner(bench.source.framework, bench.entry({}), ready)
    made.begin()
    return made, bench


def trained(text: str, steps: int = STEPS) -> tuple[Learner, Bench]:
    made, bench = learner(text)
    for seed in range(steps):
        made.step(lambda seed=seed: bench.workload.batch_like(seed))  # type: ignore[misc]
    return made, bench


def bare(bench: Bench, make: Callable[[dict[str, Any]], Callable[[Any], None]]) -> dict[str, Any]:
    """The weights of a loop without the harness; `make` gives what follows `backward`."""
    model = bench.workload.torch_model()
    params = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in params.items():
            parameter.copy_(torch.tensor(bench.weights[name]))
    after = make(params)
    for seed in range(STEPS):
        batch = {k: torch.from_numpy(v) for k, v in bench.workload.batch_like(seed).items()}
        loss, _ = model.loss(batch, torch.Generator())
        for parameter in params.values():
            parameter.grad = None
        loss.backward()
        after(loss.detach())
    return {name: parameter.detach().numpy() for name, parameter in params.items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(np.array_equal(value, other[name]) for name, value in one.items())


def test_two_optimizers_and_two_schedulers_are_a_bare_loop_bit_for_bit() -> None:
    text = """
import torch
def submission(params):
    hidden = [p for p in params if p.ndim == 2]
    rest = [p for p in params if p.ndim != 2]
    first, second = torch.optim.Muon(hidden, lr=0.02), torch.optim.AdamW(rest, lr=0.01)
    decay = torch.optim.lr_scheduler.ExponentialLR
    return (first, [decay(first, 0.5)]), [second, decay(second, 0.9)]
"""

    def make(params: dict[str, Any]) -> Callable[[Any], None]:
        hidden = [p for p in params.values() if p.ndim == 2]
        rest = [p for p in params.values() if p.ndim != 2]
        optimizers = torch.optim.Muon(hidden, lr=0.02), torch.optim.AdamW(rest, lr=0.01)
        rates = zip(optimizers, (0.5, 0.9), strict=True)
        decays = [torch.optim.lr_scheduler.ExponentialLR(*pair) for pair in rates]

        def after(loss: Any) -> None:
            for part in (*optimizers, *decays):
                part.step()

        return after

    made, bench = trained(text)
    assert same(made.weights(), bare(bench, make))


def test_a_scheduler_that_wants_a_metric_gets_the_training_loss() -> None:
    text = """
import torch
def submission(params):
    optimizer = torch.optim.SGD(params, lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    return optimizer, plateau
"""

    def make(params: dict[str, Any]) -> Callable[[Any], None]:
        optimizer = torch.optim.SGD(params.values(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)

        def after(loss: Any) -> None:
            optimizer.step()
            plateau.step(float(loss))

        return after

    made, bench = trained(text)
    assert same(made.weights(), bare(bench, make))


WANTS = """
import torch
class Own(torch.optim.SGD):
    SAYS
def submission(params):
    return Own(params, lr=0.1)
"""
CLOSURE = """def step(self, closure):
        with torch.enable_grad():
            closure()
        return super().step()
"""
LOSS = """def step(self, closure=None, loss=None):
        assert loss > 0
        return super().step()
"""
TWO_STEPS = """def first_step(self, zero_grad): pass
    def second_step(self, zero_grad): super().step()
    def step(self, closure=None): raise AssertionError("not in two steps")
"""
DEFAULTED = CLOSURE.replace("closure)", "closure=None)", 1)


@pytest.mark.parametrize(
    "text",
    [
        WANTS.replace("SAYS", CLOSURE),
        WANTS.replace("SAYS", LOSS),
        WANTS.replace("SAYS", TWO_STEPS),
        "CLOSURE = True\n" + WANTS.replace("SAYS", DEFAULTED),
    ],
    ids=["closure", "loss", "two steps", "stated closure"],
)
def test_a_step_gets_what_its_signature_asks_for(text: str) -> None:
    plain, _ = trained(PLAIN["torch"])
    made, _ = trained(text)
    assert same(made.weights(), plain.weights())
    assert made.drain().sums == plain.drain().sums


def test_one_that_asks_for_a_closure_only_when_it_runs_is_told_the_word() -> None:
    asks = 'def step(self, closure=None):\n        assert closure is not None, "needs a closure"\n'
    with pytest.raises(SubmissionError, match=r"needs a closure; write `CLOSURE = True`"):
        learner(WANTS.replace("SAYS", asks))


def test_functions_beside_a_torch_submission_are_called() -> None:
    text = """
import torch
def submission(params):
    return torch.optim.SGD(params, lr=0.1, momentum=0.9)
def eval_params(params, state):
    return {name: state[name]["momentum_buffer"] for name in params}
def select_data(params, state, draw, problem):
    next(draw)
    return next(draw), state
"""
    made, bench = learner(text)
    seeds = iter(range(9))
    made.step(lambda: bench.workload.batch_like(next(seeds)))
    assert made.draws == 2
    made.prepare_evaluation()
    judged = made.judged().measure(bench.workload.batch_like())["loss"]
    made.resume_training()
    live = made.judged().measure(bench.workload.batch_like())["loss"]
    assert judged != live, "the momenta are judged, not the weights"


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_weights_of_another_form_are_not_judged(framework: str) -> None:
    eval_params = "def eval_params(params, state):\n    return RETURN\n"
    made = PLAIN[framework]
    wide = "{name: value[:1] for name, value in params.items()}"
    with pytest.raises(SubmissionError, match=r"'layers\.0\.weight' is float32 \(1, 784\)"):
        learner(made + eval_params.replace("RETURN", wide))
    odd = "{**params, 'more': params['layers.0.bias']}"
    with pytest.raises(SubmissionError, match="have an unknown 'more'"):
        learner(made + eval_params.replace("RETURN", odd))


OF_A_CLASS = {
    "torch": """
import torch
class Forged(torch.Tensor):
    pass
def submission(params):
    return torch.optim.SGD(params, lr=0.1)
def eval_params(params, state):
    return {name: p.detach().as_subclass(Forged) for name, p in params.items()}
""",
    "torch, the live one": """
import torch
class Forged(torch.nn.Parameter):
    pass
def submission(params):
    optimizer = torch.optim.SGD(params, lr=0.1)
    optimizer.param_groups[0]["params"][0].__class__ = Forged
    return optimizer
""",
    "jax": """
import jax
@jax.tree_util.register_pytree_node_class
class Forged:
    def __init__(self, value):
        self.value = value
    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    def tree_flatten(self):
        return (self.value,), None
    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)
class Object:
    def init(self, params):
        return {}
    def update(self, params, state, batch, problem):
        _, gradients = problem.value_and_grad(params, batch)
        return {name: p - 0.1 * gradients[name] for name, p in params.items()}, state
    def eval_params(self, params, state):
        return {name: Forged(p) for name, p in params.items()}
def submission():
    return Object()
""",
}


@pytest.mark.parametrize("kind", OF_A_CLASS)
def test_weights_of_a_class_of_their_own_are_not_judged(kind: str) -> None:
    """Its code would see validation data, off the clock."""
    with pytest.raises(SubmissionError, match=r"the weight '.*' is a Forged, whose code"):
        learner(OF_A_CLASS[kind])


def test_a_weight_that_was_replaced_and_not_changed_is_named() -> None:
    update = {
        "torch": """problem.loss(params, batch)
        params["layers.0.bias"] = params["layers.0.bias"] - 1"""
    }
    with pytest.raises(SubmissionError, match=r"`params\['layers.0.bias'\]` was replaced"):
        learner(objects("torch", update))


NODES = """
import jax
@jax.tree_util.register_pytree_node_class
class Node:
    def __init__(self, value):
        self.value = value
    def tree_flatten(self):
        print("asked")
        return (self.value,), None
    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)
class Object:
    COMPILED
    def init(self, params):
        return Node(jax.numpy.zeros(()))
    def update(self, params, state, batch, problem):
        _, gradients = GRADIENTS
        return {n: p - 0.1 * gradients[n] for n, p in params.items()}, Node(state.value + 1)
def submission():
    return Object()
"""
GRADIENTS = {
    "compiled = True": "problem.value_and_grad(params, batch)",
    "compiled = False": "jax.value_and_grad(problem.loss)(params, batch)",
}


@pytest.mark.parametrize("compiled", GRADIENTS)
def test_a_state_of_a_class_of_its_own_is_taken_apart_on_the_clock_alone(
    compiled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its code could train while the clock stands: at the barrier before it starts, say."""
    text = NODES.replace("COMPILED", compiled).replace("GRADIENTS", GRADIENTS[compiled])
    made, _ = trained(text)
    made.prepare_evaluation()
    made.synchronize()  # the clock's, before it stops
    assert "asked" in capsys.readouterr().out
    made.finite()
    made.drain()
    kept = made.state()
    made.synchronize()  # the clock's, before it starts
    assert "asked" not in capsys.readouterr().out
    assert kept["algorithm"] == [STEPS]
    made.load_state(kept)
    assert made.state()["algorithm"] == [STEPS]


def test_a_leaf_of_a_class_of_its_own_is_not_asked_for_its_numbers() -> None:
    text = NODES.replace("COMPILED", "compiled = False").replace("Node(", "Leaf(")
    leaf = "class Leaf:\n    def __init__(self, value):\n        self.value = value\n"
    leaf += "    def __array__(self, *_, **more):\n        raise AssertionError('asked')\n"
    text = text.replace("class Object", leaf + "class Object")
    made, _ = trained(text.replace("GRADIENTS", GRADIENTS["compiled = False"]))
    made.prepare_evaluation()
    made.synchronize()
    with pytest.raises(checkpoint.StateError, match="is a Leaf"):
        made.state()


NUMPY = """
import jax
import numpy as np
class Object:
    compiled = False
    def init(self, params):
        return np.float64(0.1) + np.zeros(2), np.float32(0.1), np.arange(3, dtype=np.int64), 0.1
    def update(self, params, state, batch, problem):
        _, gradients = jax.value_and_grad(problem.loss)(params, batch)
        mean, scale, counts, rate = state
        mean = 0.9 * mean + 1e-3
        moved = {n: p - float(mean[0]) * gradients[n] for n, p in params.items()}
        return moved, (mean, scale, counts + 1, rate / 3)
def submission():
    return Object()
"""


def test_what_a_jax_submission_keeps_in_numpy_comes_back_as_it_was(tmp_path: Path) -> None:
    made, _ = trained(NUMPY)
    checkpoint.save(tmp_path / "state", made.state())
    again, _ = learner(NUMPY)
    again.load_state(checkpoint.load(tmp_path / "state"))
    for kept, back in zip(made._state, again._state, strict=True):  # type: ignore[attr-defined]
        assert type(back) is type(kept)
        np.testing.assert_array_equal(back, kept, strict=True)


@pytest.mark.parametrize("returned", ["Node(p)", "dict_of(p)"])
def test_weights_that_are_no_arrays_are_refused_at_once(returned: str) -> None:
    """Where a submission compiles its own steps: a barrier would wait for them by their code."""
    text = NODES.replace("COMPILED", "compiled = False").replace("GRADIENTS", "0, params")
    text = text.replace("p - 0.1 * gradients[n]", "Node(p)")
    if returned == "dict_of(p)":
        text = text.replace("return {n: Node(p) for n, p in params.items()}", "return Node(params)")
    with pytest.raises(SubmissionError, match="`update` returned a Node instead of weights"):
        trained(text)


ARGUMENTS = {"torch": "params", "jax": ""}
TRIMS = {
    "torch": """cut = {name: value[:-1] for name, value in batch.items()}
        _, gradients = problem.value_and_grad(params, cut)
        for name, p in params.items():
            p.sub_(0.1 * gradients[name])
        return state""",
    "jax": """cut = {name: value[:-1] for name, value in batch.items()}
        _, gradients = problem.value_and_grad(params, cut)
        return {name: p - 0.1 * gradients[name] for name, p in params.items()}, state""",
}
IDLES = {"torch": "return state", "jax": "return params, state"}


def objects(framework: str, update: dict[str, str]) -> str:
    text = OBJECT.replace("UPDATE", update[framework])
    return text.replace("ARGUMENTS", ARGUMENTS[framework])


def test_a_trimmed_batch_gives_the_same_by_products_in_both_frameworks() -> None:
    torch_sums = trained(objects("torch", TRIMS))[0].drain()
    jax_sums = trained(objects("jax", TRIMS))[0].drain()
    assert torch_sums.sums["count"] == STEPS * 19, "of the step's own first loss"
    assert torch_sums.drawn["count"] == STEPS * 20, "of the batch as it was drawn"
    assert torch_sums.sums == pytest.approx(jax_sums.sums, rel=1e-5)
    assert torch_sums.drawn == pytest.approx(jax_sums.drawn)


def test_an_update_without_a_loss_is_one_sentence_in_both_frameworks() -> None:
    said = []
    for framework in ("torch", "jax"):
        with pytest.raises(SubmissionError) as caught:
            learner(objects(framework, IDLES))
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert said[0].startswith("`update` returned without computing a loss")


UNSEEN = {
    "torch": """import torch
        given = dict(params, unseen=torch.zeros(2, requires_grad=True))
        _, gradient = problem.value_and_grad(given, batch)
        for name, p in params.items():
            p.sub_(0.1 * gradient[name] + gradient["unseen"].sum())
        return state""",
    "jax": """import jax.numpy as jnp
        _, gradient = problem.value_and_grad(dict(params, unseen=jnp.zeros(2)), batch)
        moved = {n: p - 0.1 * gradient[n] - gradient["unseen"].sum() for n, p in params.items()}
        return moved, state""",
}


@pytest.mark.parametrize("framework", UNSEEN)
def test_the_gradient_of_a_weight_that_the_loss_does_not_see_is_zero(framework: str) -> None:
    made, _ = trained(objects(framework, UNSEEN))
    plain, _ = trained(PLAIN[framework])
    for name, value in plain.weights().items():
        np.testing.assert_allclose(made.weights()[name], value, rtol=1e-5, atol=1e-7)


def test_losses_taken_inside_a_loop_of_jax_are_no_by_products() -> None:
    update = {
        "jax": """import jax
        def one(carry, _):
            return carry, problem.value_and_grad(params, batch)[1]
        _, gradients = jax.lax.scan(one, 0, length=2)
        return {name: p - 0.1 * gradients[name].mean(0) for name, p in params.items()}, state"""
    }
    made, _ = trained(objects("jax", update))
    taken = made.drain()
    assert np.isnan(taken.sums["loss"])
    assert taken.drawn["count"] == STEPS * 20


def test_state_in_half_precision_and_of_every_kind_comes_back(tmp_path: Path) -> None:
    text = """
import collections, torch
class Half(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {"lr": 0.1})
    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            state = self.state[p]
            if not state:
                state["mean"] = torch.zeros_like(p, dtype=torch.bfloat16)
                state["seen"] = collections.deque(maxlen=3)
                state["ranks"] = {(0, "a"): {1, 2}}
            state["mean"].mul_(0.9).add_(p.grad)
            state["seen"].append(float(p.grad.sum()))
            p.sub_(0.1 * state["mean"].float())
def submission(params):
    return Half(params)
"""
    made, bench = trained(text)
    checkpoint.save(tmp_path / "state", made.state())
    again, _ = learner(text)
    again.load_state(checkpoint.load(tmp_path / "state"))
    (mine,) = made.state()["algorithm"]["optimizers"]
    (back,) = again.state()["algorithm"]["optimizers"]
    assert back["state"][0]["mean"].dtype == mine["state"][0]["mean"].dtype
    assert back["state"][0]["mean"].dtype.name == "bfloat16"
    assert back["state"][0]["seen"] == mine["state"][0]["seen"]
    assert back["state"][0]["ranks"] == {(0, "a"): {1, 2}}
    for each in (made, again):
        each.step(lambda: bench.workload.batch_like(9))
    assert same(made.weights(), again.weights())


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_initial_weights_are_laid_out_before_the_clock_starts(
    framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(parse("mine", PLAIN[framework], "mine.py"), WORKLOAD)
    made = make_learner(framework, bench.entry({}), [bench.workload.batch_like()])
    with monkeypatch.context() as late:
        late.setattr(made, "_model" if framework == "torch" else "_initial", None)
        made.begin()
    assert same(made.weights(), bench.weights)
    made.step(lambda: bench.workload.batch_like())
    made.begin()
    assert same(made.weights(), bench.weights), "as often as it is asked"


def test_submission_itself_runs_again_at_the_start_in_both_frameworks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for text in PLAIN.values():
        made, _ = learner(text.replace("    return", "    print('built')\n    return"))
        capsys.readouterr()
        made.begin()
        assert capsys.readouterr().err == "built\n"


KEEPS_HARD_HALF = """
import IMPORT
class Hard:
    def init(self, params):
        return {}
    def select_data(self, params, state, draw, problem):
        a, b = next(draw), next(draw)
        both = {name: JOIN([a[name], b[name]]) for name in a}
        losses = problem.losses(params, both)
        (rows,) = {len(value) for value in both.values()}
        assert losses.shape == (rows,)
        order = (-losses).argsort()[: rows // 2]
        return {name: value[order] for name, value in both.items()}, state
    def update(self, params, state, batch, problem):
        _, gradients = problem.value_and_grad(params, batch)
        CHANGE
def submission(ARGUMENTS):
    return Hard()
"""
HARD = {
    "torch": {
        "IMPORT": "torch",
        "JOIN": "torch.cat",
        "ARGUMENTS": "params",
        "CHANGE": "[p.sub_(1e-3 * gradients[n]) for n, p in params.items()]; return state",
    },
    "jax": {
        "IMPORT": "jax.numpy as jnp",
        "JOIN": "jnp.concatenate",
        "ARGUMENTS": "",
        "CHANGE": "return {n: p - 1e-3 * gradients[n] for n, p in params.items()}, state",
    },
}


@pytest.mark.parametrize(
    ("workload", "framework"),
    [
        ("recommender-toy-v3", "torch"),
        pytest.param("recommender-toy-v3", "jax", marks=pytest.mark.slow),
        ("lm-toy-v2", "torch"),
        ("lm-toy-v2", "jax"),
    ],
)
def test_batches_hold_examples_alone_and_can_be_cut_and_joined(
    framework: str, workload: str
) -> None:
    text = KEEPS_HARD_HALF
    for word, meaning in HARD[framework].items():
        text = text.replace(word, meaning)
    bench = Bench(parse("hard", text, "hard.py"), workload)
    whole = bench.run({}, 4, (1, 3))
    assert same(whole, bench.run({}, 4, (1, 3), interrupted=True))
    assert not same(whole, bench.weights)


def test_the_card_tells_what_one_example_looks_like_and_not_what_all_share() -> None:
    workload = workloads.get("recommender-toy-v3")
    examples = make_card(workload, Budget(steps=10, seconds=1.0), 0).examples
    assert examples["fields"] == ((4,), "int32")
    assert examples["item"] == ((), "int32")
    assert not set(workload.shared) & set(examples)
