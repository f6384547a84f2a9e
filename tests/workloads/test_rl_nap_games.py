"""The games of the rl_nap family: rules, states, several together, and ALE's."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workloads
from workloads.errors import WorkloadError
from workloads.rl_nap.console import ALE_ACTIONS, KNOWN, MINATAR_ACTIONS, MINATAR_CHANNELS, Console
from workloads.rl_nap.games import play as play_out
from workloads.rl_nap.replay import Replay

MINATAR = KNOWN["minatar"]
OURS = ["asterix", "breakout", "space_invaders"]
needs_minatar = pytest.mark.skipif(find_spec("minatar") is None, reason="needs the package MinAtar")


def start(game, copies, seed, games=None):
    return Console("minatar", games or (game,)).start([game], copies, seed)


class Told:
    """The package's random numbers, from what our game drew: two fractions, then a row."""

    def __init__(self, drawn, row):
        self.rand = iter(drawn.tolist()).__next__
        self.randint = lambda count: row


def push_breakout(theirs, ours, copy):
    way = {(-1, -1): 0, (1, -1): 1, (1, 1): 2, (-1, 1): 3}
    theirs.ball_x, theirs.ball_y = int(ours.x[copy]), int(ours.y[copy])
    theirs.last_x, theirs.last_y = int(ours.last_x[copy]), int(ours.last_y[copy])
    theirs.ball_dir = way[int(ours.dx[copy]), int(ours.dy[copy])]
    theirs.pos, theirs.strike = int(ours.paddle[copy]), bool(ours.struck[copy])
    theirs.brick_map = ours.bricks[copy].astype(float)


def push_asterix(theirs, ours, copy):
    theirs.player_x, theirs.player_y = int(ours.x[copy]), int(ours.y[copy])
    theirs.entities = [
        [int(at), row + 1, bool(way > 0), bool(gold)] if there else None
        for row, (there, at, way, gold) in enumerate(
            zip(ours.there[copy], ours.at[copy], ours.way[copy], ours.gold[copy], strict=True)
        )
    ]
    theirs.spawn_timer, theirs.spawn_speed = int(ours.spawn_in[copy]), int(ours.spawn_every[copy])
    theirs.move_timer, theirs.move_speed = int(ours.move_in[copy]), int(ours.move_every[copy])
    theirs.ramp_timer, theirs.ramp_index = int(ours.harder_in[copy]), int(ours.level[copy])


def push_space_invaders(theirs, ours, copy):
    theirs.pos, theirs.alien_dir = int(ours.x[copy]), int(ours.way[copy])
    theirs.f_bullet_map = ours.shots[copy].astype(float)
    theirs.e_bullet_map = ours.bombs[copy].astype(float)
    theirs.alien_map = ours.aliens[copy].astype(float)
    theirs.enemy_move_interval = int(ours.march_every[copy])
    theirs.alien_move_timer = int(ours.march_in[copy])
    theirs.alien_shot_timer, theirs.shot_timer = int(ours.bomb_in[copy]), int(ours.loaded_in[copy])


PUSH = {"breakout": push_breakout, "asterix": push_asterix, "space_invaders": push_space_invaders}


def told(ours, copy):
    """What the next step of that copy will draw."""
    random = np.random.default_rng()
    random.bit_generator.state = ours._random.bit_generator.state
    drawn = random.random((len(ours.observations), 1 + ours.draws))[copy, 1:]
    # The package counts the free rows only.
    free = ~ours.there[copy] if ours.draws > 2 else np.ones(0, bool)
    return Told(drawn[:2], int(drawn[2:][free].argmax()) if free.any() else 0)


@needs_minatar
@pytest.mark.parametrize("game", OURS)
def test_channels_and_actions_are_the_packages(game):
    from minatar import Environment

    environment = Environment(game)
    assert environment.state_shape() == [10, 10, MINATAR_CHANNELS[game]]
    assert tuple(environment.minimal_action_set()) == MINATAR_ACTIONS[game]


@needs_minatar
@pytest.mark.parametrize("game", OURS)
def test_a_step_is_the_packages_own(game):
    """Whatever state ours is in, the package put into it makes the same step."""
    from minatar import Environment

    ours, theirs = start(game, 40, 1, tuple(OURS)), Environment(game, sticky_action_prob=0)
    channels, random, ended, paid = MINATAR_CHANNELS[game], np.random.default_rng(0), 0, 0.0
    for step in range(1500):
        copy, actions = step % 40, random.integers(0, 6, 40)
        if game == "breakout":  # random play sees few bricks
            aims = np.array([0, 3, 1])[np.sign(ours.x + ours.dx - ours.paddle)]
            actions = np.where(random.random(40) < 0.9, aims, actions)
        PUSH[game](theirs.env, ours, copy)
        theirs.env.terminal = False
        theirs.env.random = told(ours, copy)
        np.testing.assert_array_equal(
            ours.observations[copy, :channels], theirs.state().transpose(2, 0, 1)
        )
        rewards, over = ours.step(actions)
        assert (rewards[copy], over[copy]) == theirs.act(int(ours._last[copy]))
        ended, paid = ended + over[copy], paid + rewards[copy]
        if not over[copy]:
            np.testing.assert_array_equal(
                ours.observations[copy, :channels], theirs.state().transpose(2, 0, 1)
            )
    assert ended > 10
    assert paid > 5


@pytest.mark.parametrize("game", MINATAR)
def test_actions_stick_one_time_in_ten(game):
    games, random = start(game, 50, 0, tuple(MINATAR)), np.random.default_rng(1)
    other = 0
    for _ in range(400):
        actions = random.integers(0, 6, 50)
        games.step(actions)
        other += int((games._last != actions).sum())
    assert other / 20_000 == pytest.approx(0.1 * 5 / 6, abs=0.01)


def follow(games):
    """In Catch, steps towards the lowest ball."""
    rows = np.arange(10) * games.balls.any(2)
    low = rows.argmax(1)
    column = games.balls[np.arange(len(low)), low].argmax(1)
    wanted = np.where(games.balls.any((1, 2)), column, games.x)
    return np.where(wanted < games.x, 1, np.where(wanted > games.x, 3, 0))


def test_catch_can_be_played_well_and_gets_harder():
    games = start("catch", 200, 0, tuple(MINATAR))
    going, caught, apart = np.ones(200, bool), np.zeros(200), []
    for step in range(300):
        falls = games.balls[:, 0].any(1)
        if falls[0] and going[0]:
            apart.append(step)
        rewards, over = games.step(follow(games))
        caught += rewards * going
        going &= ~over
    assert 15 < caught.mean() < 60
    assert not going.all()
    assert np.diff(apart)[0] == 10
    assert (np.diff(np.diff(apart)) <= 0).all()


def test_in_catch_a_missed_ball_ends_the_episode():
    games = start("catch", 1, 0, tuple(MINATAR))
    column = []
    for _ in range(11):
        column += np.flatnonzero(games.balls[0, 0]).tolist()
        away = 3 if column and column[0] < 5 else 1
        rewards, over = games.step(np.array([away]))
        if over[0]:
            break
    assert over[0]
    assert rewards[0] == 0
    assert not games.balls.any()


@pytest.mark.parametrize("game", [*MINATAR, "together"])
@given(before=st.integers(0, 400), seed=st.integers(0, 9))
@settings(max_examples=8)
def test_games_continue_from_their_state(game, before, seed, tmp_path_factory):
    from cluster import checkpoint

    console = Console("minatar", tuple(MINATAR))
    games = MINATAR if game == "together" else [game]
    first, second = console.start(games, 2, seed), console.start(games, 2, seed + 1)
    random = np.random.default_rng(seed)

    def actions():
        return random.integers(0, console.actions, len(first.observations))

    for _ in range(before):
        first.step(actions())
    path = tmp_path_factory.mktemp("state") / "state"
    checkpoint.save(path, first.state())
    second.load_state(checkpoint.load(path))
    for _ in range(100):
        chosen = actions()
        for one, other in zip(first.step(chosen), second.step(chosen), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(first.observations, second.observations)


@pytest.mark.parametrize("game", MINATAR)
def test_what_a_copy_meets_depends_on_no_other(game):
    """With other actions in the rest, one copy's play is the same."""
    first, second = (start(game, 5, 3, tuple(MINATAR)) for _ in range(2))
    random = np.random.default_rng(0)
    for _ in range(300):
        one, other = random.integers(0, 6, (2, 5))
        other[2] = one[2]
        (paid, _), (paid_too, _) = first.step(one), second.step(other)
        assert paid[2] == paid_too[2]
        np.testing.assert_array_equal(first.observations[2], second.observations[2])


def test_together_every_game_fits_one_network():
    console = Console("minatar", tuple(MINATAR))
    assert console.shape == (6, 10, 10)
    assert console.actions == 6
    games = console.start(MINATAR, 3, 0)
    alone = list(games._games)
    rewards, over = games.step(np.full(12, 5))
    assert (rewards.shape, rewards.dtype, over.dtype) == ((12,), np.float32, bool)
    for index, (game, each) in enumerate(zip(MINATAR, alone, strict=True)):
        seen = games.observations[3 * index : 3 * index + 3]
        np.testing.assert_array_equal(seen, each.observations)
        assert not seen[:, MINATAR_CHANNELS[game] :].any()
        assert seen.any()


def test_a_return_is_of_the_first_episode_alone():
    class Script:
        """Ends after 2 and after 4 steps; every step earns its number."""

        observations = np.zeros((2, 1, 1, 1), np.uint8)
        time = 0

        def step(self, actions):
            self.time += 1
            return np.full(2, self.time, np.float32), np.array([self.time >= 2, self.time >= 4])

    act = lambda seen: np.zeros(len(seen), int)  # noqa: E731
    assert play_out(Script(), act, 100).tolist() == [3.0, 10.0]
    assert play_out(Script(), act, 3).tolist() == [3.0, 6.0]


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    monkeypatch.setitem(sys.modules, "ale_py.vector_env", None)
    workload = workloads.get("rl_nap-standard-v3")
    for attempt in (workload.fetch, lambda: workload.stream(0)):
        with pytest.raises(WorkloadError, match=r"run `pip install 'gradathlon\[rl\]'`") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert workload.parameters()
    assert workload.batch_like()["observation"].dtype == np.uint8


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
    games = console.start(["breakout"], 2, 3)
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
