"""Play, memory and targets of the rl_nap family; network and metric have a file beside."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workloads
from workloads.contract import Event
from workloads.rl_nap.replay import Replay

TOY = "rl_nap-toy-v3"


class Linear:
    """A policy with values that are a fixed random map of the observation; keeps its offset."""

    def __init__(self, workload, seed=0):
        shape, actions = workload.settings.data.console.shape, workload.settings.network.actions
        self.map = np.random.default_rng(seed).normal(size=(int(np.prod(shape)), actions))
        self.now, self.then, self.asked = 0.0, None, []

    def __call__(self, observations):
        self.asked.append(observations.shape)
        return (observations.reshape(len(observations), -1) @ self.map + self.now).astype("f4")

    def keep(self):
        self.then = self.now

    def kept(self, observations):
        self.asked.append(observations.shape)
        return (observations.reshape(len(observations), -1) @ self.map + self.then).astype("f4")


def changed(**data):
    """The toy workload with other numbers in `data`."""
    workload = workloads.get(TOY)
    model = workload.settings.data
    config = type(model).model_validate(model.model_dump() | data)
    settings = workload.settings.model_copy(update={"data": config})
    return type(workload)(workload.id, settings, workload.metric, None)


# Memory


class Tape:
    """A history of made-up play, with what each observation was."""

    def __init__(self, seed, steps, games=3, channels=3, end=0.2):
        random = np.random.default_rng(seed)
        self.seen = random.integers(0, 2, (steps + 1, games, channels, 10, 10), dtype=np.uint8)
        self.actions = random.integers(0, 4, (steps, games))
        self.rewards = random.integers(0, 3, (steps, games)).astype(np.float32)
        self.over = random.random((steps, games)) < end

    def replay(self, rows, **options):
        shape = self.seen.shape[2:]
        memory = Replay(self.seen.shape[1], shape, rows, **({"binary": True} | options))
        memory.see(self.seen[0])
        for step in range(len(self.actions)):
            memory.act(self.actions[step], self.rewards[step], self.over[step])
            memory.see(self.seen[step + 1])
        return memory

    def find(self, observation):
        """Step and game that showed it."""
        same = (self.seen == observation).all(axis=(2, 3, 4))
        ((step,), (game,)) = np.nonzero(same)
        return int(step), int(game)


@given(st.integers(0, 99), st.integers(12, 40), st.integers(8, 60), st.integers(1, 5))
@settings(max_examples=25)
def test_n_step_samples_are_what_was_played(seed, steps, rows, n):
    tape, discount = Tape(seed, steps), 0.9
    sample = tape.replay(rows).draw(np.random.default_rng(seed), 40, n, discount)
    for index in range(40):
        step, game = tape.find(sample.observations[index])
        assert step >= steps + 1 - rows, "what was overwritten is forgotten"
        assert sample.actions[index] == tape.actions[step, game]
        earned, factor = 0.0, 1.0
        for later in range(step, step + n):
            earned += factor * tape.rewards[later, game]
            factor *= 0.0 if tape.over[later, game] else discount
        assert sample.returns[index] == pytest.approx(earned, rel=1e-5)
        assert sample.discounts[index] == pytest.approx(factor, rel=1e-5)
        np.testing.assert_array_equal(sample.following[index], tape.seen[step + n, game])


def test_every_transition_can_be_drawn_and_none_twice_as_often():
    tape = Tape(0, 30, games=2)
    sample = tape.replay(12).draw(np.random.default_rng(0), 8000, 2, 0.9)
    found = [tape.find(observation) for observation in sample.observations]
    counts = {where: found.count(where) for where in set(found)}
    assert set(counts) == {(step, game) for step in range(19, 29) for game in range(2)}
    assert max(counts.values()) < 1.4 * min(counts.values())


@given(st.integers(0, 50), st.integers(5, 40), st.integers(6, 30))
@settings(max_examples=25)
def test_memory_continues_from_its_state(seed, steps, rows):
    tape = Tape(seed, steps)
    first, second = tape.replay(rows), Replay(3, (3, 10, 10), rows, binary=True)
    second.load_state(first.state())
    one, other = (m.draw(np.random.default_rng(1), 9, 2, 0.9) for m in (first, second))
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name))


def test_grey_frames_are_stacked_within_their_episode():
    random = np.random.default_rng(0)
    frames = random.integers(1, 256, (13, 2, 6, 6), dtype=np.uint8)
    over = np.zeros((12, 2), bool)
    over[3, 0] = over[8, 1] = True
    memory = Replay(2, (4, 6, 6), 12, binary=False)
    for step in range(13):
        memory.see(np.stack([frames[step]] * 4, axis=1))
        if step < 12:
            memory.act(np.zeros(2, int), np.zeros(2), over[step])
    sample = memory.draw(np.random.default_rng(1), 60, 1, 0.9)
    for stack in [*sample.observations, *sample.following]:
        ((step,), (game,)) = np.nonzero((frames == stack[-1]).all(axis=(2, 3)))
        starts = [0, *(np.flatnonzero(over[:, game]) + 1)]
        start = max(s for s in starts if s <= step)
        for place in range(4):
            back = step - 3 + place
            expected = frames[back, game] if back >= start else np.zeros((6, 6))
            np.testing.assert_array_equal(stack[place], expected)


# The stream


def test_targets_are_double_q_learnings():
    """By hand, from the stream's own memory and random numbers."""
    workload = changed(learning_starts=800)
    data = workload.settings.data
    stream, policy = workload.stream(3), Linear(workload)
    for _ in range(30):
        policy.now += 0.25
        stream.next(policy)
    policy.now += 0.25
    memory, random = stream._replay, np.random.default_rng(0)
    random.bit_generator.state = stream._random.bit_generator.state
    sample = memory.draw(random, 3 * 64, data.n_step, data.discount)
    batches = [stream.next(policy) for _ in range(3)]
    joined = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
    assert all(len(batch["target"]) == 64 for batch in batches)
    np.testing.assert_array_equal(joined["observation"], sample.observations)
    assert policy.then == 0.25
    best = policy(sample.following).argmax(1)
    for index in range(3 * 64):
        later = policy.kept(sample.following[index : index + 1])[0, best[index]]
        expected = sample.returns[index] + sample.discounts[index] * later
        assert joined["target"][index] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert (sample.discounts == 0).any()
    assert (sample.discounts > 0).any()


def test_the_target_weights_are_kept_at_their_period():
    workload = changed(copy_period=7)
    stream, policy = workload.stream(0), Linear(workload)
    kept = []
    for step in range(20):
        policy.now = float(step)
        stream.next(policy)
        kept.append(policy.then)
    assert kept == [step // 7 * 7.0 for step in range(20)]


def test_the_policy_is_asked_in_the_shapes_that_it_was_warmed_up_with():
    workload = workloads.get(TOY)
    stream, policy = workload.stream(0), Linear(workload)
    for _ in range(7):
        stream.next(policy)
    assert set(policy.asked) == {like.shape for like in workload.observations_like()}
    assert {like.dtype for like in workload.observations_like()} == {np.dtype(np.uint8)}


def test_there_is_a_step_of_play_a_play_period():
    workload = workloads.get(TOY)
    stream, policy = workload.stream(0), Linear(workload)
    rows = []
    for _ in range(9):
        stream.next(policy)
        rows.append(len(stream._replay))
    assert np.diff(rows).tolist() == [0, 0, 1, 0, 0, 1, 0, 0]


def test_play_becomes_greedy():
    workload = changed(exploration_steps=50, exploration_end=0.0)
    stream, policy = workload.stream(0), Linear(workload)
    shares = []
    for step in range(61):
        shares.append(stream.exploration)
        if step % 3 == 0:
            greedy = policy(stream._games.observations).argmax(1)
        stream.next(policy)
    assert shares[:51] == pytest.approx(np.linspace(1, 0, 51))
    assert shares[51:] == [0.0] * 10
    done = stream._replay._actions[(len(stream._replay) - 2) % workload.settings.data.rows]
    np.testing.assert_array_equal(done, greedy)


def test_a_sequence_changes_games_and_forgets():
    workload = changed(sequence=True, switch_period=20, learning_starts=800, exploration_steps=10)
    stream, policy = workload.stream(0), Linear(workload)
    told, lengths, shares = [], [], []
    for _ in range(61):
        shares.append(stream.exploration)
        batch = stream.next(policy)
        told.append(stream.events())
        lengths.append(len(stream._replay))
        (playing,) = stream.playing
        assert batch["observation"].shape == (64, 6, 10, 10)
        assert batch["observation"][:, [4, 2, 6][playing] :].any() == (playing == 3)
    switches = {step: events for step, events in enumerate(told) if events}
    assert switches == {
        20: [Event("switch", {"game": "catch"})],
        40: [Event("switch", {"game": "space_invaders"})],
        60: [Event("switch", {"game": "breakout"})],
    }
    assert lengths[19] == lengths[0] + 6
    assert lengths[20] == lengths[0]
    assert shares[20] == shares[0] == 1.0


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("before", [15, 16])
def test_a_stream_continues_from_its_state(sequence, before, tmp_path):
    from cluster import checkpoint

    workload = changed(sequence=sequence, switch_period=10, learning_starts=800)
    first, policy = workload.stream(0), Linear(workload)
    for _ in range(before):
        first.next(policy)
    second = workload.stream(9)
    checkpoint.save(tmp_path / "state", first.state())
    second.load_state(checkpoint.load(tmp_path / "state"))
    assert second.events() == first.events()
    for _ in range(20):
        one, other = first.next(policy), second.next(policy)
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key])
    assert first.events() == second.events()


def test_toy_games_need_no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "minatar", None)
    workload = workloads.get(TOY)
    workload.fetch()
    workload.stream(0).next(Linear(workload))
