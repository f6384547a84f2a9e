"""Play, memory and targets of the rl_nap family; network and metric have a file beside."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workloads
from workloads.contract import Event
from workloads.errors import WorkloadError
from workloads.rl_nap.console import ALE_ACTIONS, KNOWN, MINATAR_ACTIONS, MINATAR_CHANNELS, Console
from workloads.rl_nap.games import play as play_out
from workloads.rl_nap.replay import Replay

TOY = "rl_nap-toy-v1"
MINATAR = KNOWN["minatar"]
needs_minatar = pytest.mark.skipif(find_spec("minatar") is None, reason="needs gradathlon[rl]")


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
@settings(max_examples=25, deadline=None)
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
@settings(max_examples=25, deadline=None)
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


# Games


@needs_minatar
@pytest.mark.parametrize("game", MINATAR)
def test_channels_and_actions_are_the_packages(game):
    from minatar import Environment

    environment = Environment(game)
    assert environment.state_shape() == [10, 10, MINATAR_CHANNELS[game]]
    assert tuple(environment.minimal_action_set()) == MINATAR_ACTIONS[game]


@needs_minatar
@pytest.mark.parametrize("game", MINATAR)
def test_a_game_is_the_packages_own(game):
    from minatar import Environment

    games = Console("minatar", (game,)).start(game, [5, 6])
    theirs = Environment(game)
    theirs.seed(6)
    theirs.reset()
    random = np.random.default_rng(0)
    for _ in range(300):
        np.testing.assert_array_equal(games.observations[1], theirs.state().transpose(2, 0, 1))
        actions = random.integers(0, len(MINATAR_ACTIONS[game]), 2)
        rewards, over = games.step(actions)
        reward, ended = theirs.act(MINATAR_ACTIONS[game][actions[1]])
        assert (rewards[1], over[1]) == (reward, ended)
        if ended:
            theirs.reset()


@needs_minatar
@pytest.mark.parametrize("game", MINATAR)
@given(before=st.integers(0, 400), seed=st.integers(0, 9))
@settings(max_examples=8, deadline=None)
def test_games_continue_from_their_state(game, before, seed, tmp_path_factory):
    from cluster import checkpoint

    console = Console("minatar", (game,))
    first, second = console.start(game, [seed, 1]), console.start(game, [7, 8])
    random = np.random.default_rng(seed)

    def actions():
        return random.integers(0, console.actions, 2)

    for _ in range(before):
        first.step(actions())
    path = tmp_path_factory.mktemp("state") / "state"
    checkpoint.save(path, first.state())
    second.load_state(checkpoint.load(path))
    for _ in range(150):
        chosen = actions()
        for one, other in zip(first.step(chosen), second.step(chosen), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(first.observations, second.observations)


@needs_minatar
def test_in_a_sequence_every_game_fits_one_network():
    console = Console("minatar", tuple(MINATAR))
    assert console.shape == (10, 10, 10)
    assert console.actions == 6
    for game in MINATAR:
        games = console.start(game, [0])
        games.step(np.array([5]))
        assert games.observations.shape == (1, 10, 10, 10)
        assert not games.observations[:, MINATAR_CHANNELS[game] :].any()


def test_a_return_is_of_the_first_episode_alone():
    class Script:
        """Ends after 2 and after 4 steps; every step earns its number."""

        observations = np.zeros((2, 1, 1, 1), np.uint8)
        time = 0

        def step(self, actions, only):
            self.time += 1
            return np.full(2, self.time, np.float32), np.array([self.time >= 2, self.time >= 4])

    act = lambda seen: np.zeros(len(seen), int)  # noqa: E731
    assert play_out(Script(), act, 100).tolist() == [3.0, 10.0]
    assert play_out(Script(), act, 3).tolist() == [3.0, 6.0]


@pytest.mark.parametrize("source", ["minatar", "ale"])
def test_without_the_package_the_message_says_what_to_install(monkeypatch, source):
    monkeypatch.setitem(sys.modules, "minatar", None)
    monkeypatch.setitem(sys.modules, "ale_py", None)
    monkeypatch.setitem(sys.modules, "ale_py.vector_env", None)
    scale = {"minatar": "toy", "ale": "standard"}[source]
    workload = workloads.get(f"rl_nap-{scale}-v1")
    for attempt in (workload.fetch, lambda: workload.stream(0)):
        with pytest.raises(WorkloadError, match=r"run `pip install 'gradathlon\[rl\]'`") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert workload.parameters()
    assert workload.batch_like()["observation"].dtype == np.uint8


# The stream


@needs_minatar
def test_targets_are_double_q_learnings():
    """By hand, from the stream's own memory and random numbers."""
    workload = changed(learning_starts=400)
    data = workload.settings.data
    stream, policy = workload.stream(3), Linear(workload)
    for _ in range(30):
        policy.now += 0.25
        stream.next(policy)
    policy.now += 0.25
    memory, random = stream._replay, np.random.default_rng(0)
    random.bit_generator.state = stream._random.bit_generator.state
    sample = memory.draw(random, 64, data.n_step, data.discount)
    batch = stream.next(policy)
    np.testing.assert_array_equal(batch["observation"], sample.observations)
    assert policy.then == 0.25
    best = policy(sample.following).argmax(1)
    for index in range(64):
        later = policy.kept(sample.following[index : index + 1])[0, best[index]]
        expected = sample.returns[index] + sample.discounts[index] * later
        assert batch["target"][index] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert (sample.discounts == 0).any()
    assert (sample.discounts > 0).any()


@needs_minatar
def test_the_target_weights_are_kept_at_their_period():
    workload = changed(copy_period=7)
    stream, policy = workload.stream(0), Linear(workload)
    kept = []
    for step in range(20):
        policy.now = float(step)
        stream.next(policy)
        kept.append(policy.then)
    assert kept == [step // 7 * 7.0 for step in range(20)]


@needs_minatar
def test_the_policy_is_asked_in_the_shapes_that_it_was_warmed_up_with():
    workload = workloads.get(TOY)
    stream, policy = workload.stream(0), Linear(workload)
    for _ in range(5):
        stream.next(policy)
    assert set(policy.asked) == {like.shape for like in workload.observations_like()}
    assert {like.dtype for like in workload.observations_like()} == {np.dtype(np.uint8)}


@needs_minatar
def test_play_becomes_greedy():
    workload = changed(exploration_steps=50, exploration_end=0.0)
    stream, policy = workload.stream(0), Linear(workload)
    shares = []
    for _ in range(60):
        shares.append(stream.exploration)
        greedy = policy(stream._games.observations).argmax(1)
        stream.next(policy)
    assert shares[:51] == pytest.approx(np.linspace(1, 0, 51))
    assert shares[51:] == [0.0] * 9
    done = stream._replay._actions[(len(stream._replay) - 2) % workload.settings.data.rows]
    np.testing.assert_array_equal(done, greedy)


@needs_minatar
def test_a_sequence_changes_games_and_forgets():
    workload = changed(sequence=True, switch_period=20, learning_starts=500, exploration_steps=10)
    stream, policy = workload.stream(0), Linear(workload)
    told, lengths, shares = [], [], []
    for _ in range(61):
        shares.append(stream.exploration)
        batch = stream.next(policy)
        told.append(stream.events())
        lengths.append(len(stream._replay))
        playing = stream.turn
        assert batch["observation"].shape == (64, 6, 10, 10)
        assert playing or not batch["observation"][:, 4:].any()
    switches = {step: events for step, events in enumerate(told) if events}
    assert switches == {
        20: [Event("switch", {"game": "space_invaders"})],
        40: [Event("switch", {"game": "breakout"})],
        60: [Event("switch", {"game": "space_invaders"})],
    }
    assert lengths[19] == lengths[0] + 19
    assert lengths[20] == lengths[0]
    assert shares[20] == shares[0] == 1.0


@needs_minatar
def test_a_sequence_continues_across_a_switch():
    workload = changed(sequence=True, switch_period=10, learning_starts=500)
    first, policy = workload.stream(0), Linear(workload)
    for _ in range(15):
        first.next(policy)
    second = workload.stream(9)
    second.load_state(first.state())
    assert second.events() == first.events() != []
    for _ in range(20):
        one, other = first.next(policy), second.next(policy)
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key])
    assert first.events() == second.events() != []


# ALE


@pytest.fixture
def ale():
    return pytest.importorskip("ale_py")


def test_ale_games_have_the_stated_actions(ale):
    from ale_py.roms import get_rom_path

    for game, count in ALE_ACTIONS.items():
        interface = ale.ALEInterface()
        interface.loadROM(get_rom_path(game))
        assert len(interface.getMinimalActionSet()) == count, game


def test_ale_observations_are_stacked_as_the_package_does(ale):
    """Memory gives back what the vector environment showed, across the ends of episodes."""
    pytest.importorskip("cv2")
    console = Console("ale", ("breakout",))
    games = console.start("breakout", [3, 4])
    memory, seen, random = Replay(2, console.shape, 400, binary=False), [], np.random.default_rng(0)
    ended = 0
    for _ in range(390):
        seen.append(games.observations)
        memory.see(games.observations)
        actions = random.integers(0, console.actions, 2)
        rewards, over = games.step(actions)
        memory.act(actions, rewards, over)
        ended += int(over.sum())
    games.close()
    assert ended > 2
    rows = np.repeat(np.arange(3, 390), 2)
    which = np.tile([0, 1], 387)
    np.testing.assert_array_equal(memory._look(rows, which), np.stack(seen)[rows, which])
