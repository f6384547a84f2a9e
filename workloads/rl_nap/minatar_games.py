"""Games with the rules of MinAtar (Young and Tian, arXiv 1903.03176), all copies in one go.

The package plays one copy at a time, which took most of a training step. Here a step of any
number of copies is a fixed number of array operations. The rules are the package's, and tests
hold each game against it where it is installed; the random numbers are others.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np

from scoring.ground.words import StateDict
from workloads.contract import Array
from workloads.rl_nap.games import Games

STICKY = 0.1
"""How often the last action is repeated instead of the one that is wanted."""
SIDE = 10
LEFT, UP, RIGHT, DOWN, FIRE = 1, 2, 3, 4, 5
"""The package's numbers of the actions; 0 is to do nothing."""
DX, DY = np.zeros(6, np.int64), np.zeros(6, np.int64)
DX[LEFT], DX[RIGHT], DY[UP], DY[DOWN] = -1, 1, -1, 1


def within(values: Array, low: int, high: int) -> None:
    """Bring values into a range, in place: a fifth of the time that `numpy.clip` takes for few."""
    np.maximum(values, low, out=values)
    np.minimum(values, high, out=values)


class MinAtarGame(Games):
    """Copies of one game; channels that it does not have stay 0.

    `actions` are the package's numbers of the actions 0, 1, ... Every step draws the same count
    of random numbers for every copy, so that what one copy meets depends on no other.
    """

    can_continue = True
    fields: ClassVar[tuple[str, ...]]
    """The attributes, arrays (copies, ...), that are a copy's state."""
    draws: ClassVar[int]
    """How many random numbers a step of a copy takes, beside that for a sticky action."""

    def __init__(
        self, copies: int, seed: int, actions: tuple[int, ...], shape: tuple[int, ...]
    ) -> None:
        self._actions = np.array(actions)
        self._shape = (copies, *shape)
        self._each = np.arange(copies)
        self._random = np.random.default_rng(seed)
        self._last = np.zeros(copies, np.int64)
        self._allot(copies)
        self._begin(self._each, self._random.random((copies, self.draws)))
        self.observations = self._look()

    def step(self, actions: Array) -> tuple[Array, Array]:
        """See `Games.step`."""
        drawn = self._random.random((len(self._each), 1 + self.draws))
        sticks = drawn[:, 0] < STICKY
        self._last = moves = np.where(sticks, self._last, self._actions[actions])
        rewards, over = self._move(moves, drawn[:, 1:])
        if over.any():
            ended = over.nonzero()[0]
            self._begin(ended, drawn[ended, 1:])
        self.observations = self._look()
        return rewards.astype(np.float32), over

    def state(self) -> StateDict:
        """Each copy's attributes and last action, and the state of the random numbers."""
        held: dict[str, Any] = {name: getattr(self, name).copy() for name in self.fields}
        return {"held": held, "last": self._last, "random": self._random.bit_generator.state}

    def load_state(self, state: StateDict) -> None:
        """See `Games.load_state`."""
        for name in self.fields:
            getattr(self, name)[:] = state["held"][name]
        self._last = np.array(state["last"])
        self._random.bit_generator.state = state["random"]
        self.observations = self._look()

    @abc.abstractmethod
    def _allot(self, copies: int) -> None:
        """Make the arrays of the state."""

    @abc.abstractmethod
    def _begin(self, which: Array, drawn: Array) -> None:
        """Put the copies of these indices to the start of an episode."""

    @abc.abstractmethod
    def _move(self, moves: Array, drawn: Array) -> tuple[Array, Array]:
        """Rewards and ends of a step in which every copy does one of the six actions."""

    @abc.abstractmethod
    def _paint(self, seen: Array) -> None:
        """Draw into an array of zeros, uint8 (copies, channels, 10, 10)."""

    @staticmethod
    def _any(maps: Array) -> Array:
        """Whether there is anything in each copy's map."""
        return np.asarray(maps.reshape(len(maps), -1).any(1))

    def _look(self) -> Array:
        seen = np.zeros(self._shape, np.uint8)
        self._paint(seen)
        return seen


class Breakout(MinAtarGame):
    """A ball that flies along diagonals, a paddle below it, and three rows of bricks above."""

    fields = ("x", "y", "last_x", "last_y", "dx", "dy", "paddle", "bricks", "struck")
    draws = 1

    def _allot(self, copies: int) -> None:
        self.x, self.y, self.last_x, self.last_y, self.dx, self.dy, self.paddle = np.zeros(
            (7, copies), np.int64
        )
        self.bricks = np.zeros((copies, SIDE, SIDE), bool)
        self.struck = np.zeros(copies, bool)

    def _begin(self, which: Array, drawn: Array) -> None:
        right = drawn[:, 0] < 0.5
        self.x[which] = self.last_x[which] = np.where(right, SIDE - 1, 0)
        self.y[which] = self.last_y[which] = 3
        self.dx[which], self.dy[which] = np.where(right, -1, 1), 1
        self.paddle[which] = 4
        self.bricks[which] = False
        self.bricks[which, 1:4] = True
        self.struck[which] = False

    def _move(self, moves: Array, drawn: Array) -> tuple[Array, Array]:
        each = self._each
        self.paddle += DX[moves]
        within(self.paddle, 0, SIDE - 1)
        self.last_x[:], self.last_y[:] = self.x, self.y
        x, y = self.x + self.dx, self.y + self.dy
        self.dx *= 1 - 2 * ((x < 0) | (x >= SIDE))
        within(x, 0, SIDE - 1)
        above = y < 0
        np.maximum(y, 0, out=y)
        strikes = self.bricks[each, y, x]
        broken = strikes & ~self.struck  # two bricks in a row are not broken by one flight
        self.bricks[each, y, x] = strikes & self.struck
        self.struck[:] = strikes
        below = y == SIDE - 1
        if below.any():
            cleared = below & ~self._any(self.bricks)
            self.bricks[cleared, 1:4] = True
        straight = below & (self.x == self.paddle)
        aside = below & ~straight & (x == self.paddle)
        caught = straight | aside
        turned = broken | caught
        self.dx *= 1 - 2 * aside
        self.dy *= 1 - 2 * (above | turned)
        self.x[:], self.y[:] = x, np.where(turned, self.last_y, y)
        return broken, below & ~caught

    def _paint(self, seen: Array) -> None:
        each = self._each
        seen[each, 0, SIDE - 1, self.paddle] = 1
        seen[each, 1, self.y, self.x] = 1
        seen[each, 2, self.last_y, self.last_x] = 1
        seen[:, 3] = self.bricks


class Asterix(MinAtarGame):
    """Enemies and gold cross the field in eight rows; the player goes anywhere between."""

    fields = (
        "x", "y", "there", "at", "way", "gold", "spawn_in", "spawn_every", "move_in", "move_every",
        "harder_in", "level",
    )  # fmt: skip
    draws = 10
    _ROWS = 8
    _HARDER = 100
    _FIRST_SPAWN, _FIRST_MOVE = 10, 5

    def _allot(self, copies: int) -> None:
        (
            self.x, self.y, self.spawn_in, self.spawn_every, self.move_in, self.move_every,
            self.harder_in, self.level,
        ) = np.zeros((8, copies), np.int64)  # fmt: skip
        self.at, self.way = np.zeros((2, copies, self._ROWS), np.int64)
        self.there, self.gold = np.zeros((2, copies, self._ROWS), bool)

    def _begin(self, which: Array, drawn: Array) -> None:
        self.x[which] = self.y[which] = 5
        self.there[which] = False
        self.spawn_in[which] = self.spawn_every[which] = self._FIRST_SPAWN
        self.move_in[which] = self.move_every[which] = self._FIRST_MOVE
        self.harder_in[which], self.level[which] = self._HARDER, 0

    def _move(self, moves: Array, drawn: Array) -> tuple[Array, Array]:
        spawns = (self.spawn_in == 0).nonzero()[0]
        if len(spawns):
            self._spawn(spawns, drawn[spawns])
        self.x += DX[moves]
        self.y += DY[moves]
        within(self.x, 0, SIDE - 1)
        within(self.y, 1, SIDE - 2)
        rewards, over = self._touch()
        going = (self.move_in == 0).nonzero()[0]
        if len(going):
            self.move_in[going] = self.move_every[going]
            at = self.at[going] + self.way[going]
            self.at[going] = at
            self.there[going] &= (at >= 0) & (at < SIDE)
            more, caught = self._touch()
            rewards, over = rewards + more, over | caught
        self.spawn_in -= 1
        self.move_in -= 1
        due = (self.harder_in < 0).nonzero()[0]
        self.harder_in -= 1
        if len(due):
            self._harden(due)
        return rewards, over

    def _spawn(self, which: Array, drawn: Array) -> None:
        """Something comes in at the side of a random free row, if there is one."""
        self.spawn_in[which] = self.spawn_every[which]
        row = np.where(self.there[which], -1.0, drawn[:, 2:]).argmax(1)
        free = ~self.there[which, row]
        which, row, rightwards = which[free], row[free], drawn[free, 0] < 0.5
        self.there[which, row] = True
        self.at[which, row] = np.where(rightwards, 0, SIDE - 1)
        self.way[which, row] = np.where(rightwards, 1, -1)
        self.gold[which, row] = drawn[free, 1] < 1 / 3

    def _touch(self) -> tuple[Array, Array]:
        """Gold is taken, an enemy ends the episode."""
        each, row = self._each, self.y - 1
        meets = self.there[each, row] & (self.at[each, row] == self.x)
        paid = meets & self.gold[each, row]
        self.there[each, row] &= ~paid
        return paid.astype(np.int64), meets & ~paid

    def _harden(self, which: Array) -> None:
        """More comes in, and every second time it is faster, too."""
        faster = (self.level[which] % 2 == 1) & (self.move_every[which] > 1)
        self.move_every[which] -= faster
        self.spawn_every[which] -= self.spawn_every[which] > 1
        self.level[which] += 1
        self.harder_in[which] = self._HARDER

    def _paint(self, seen: Array) -> None:
        seen[self._each, 0, self.y, self.x] = 1
        copy, row = self.there.nonzero()
        at, gold = self.at[copy, row], self.gold[copy, row]
        seen[copy, np.where(gold, 3, 1), row + 1, at] = 1
        behind = at - self.way[copy, row]
        inside = (behind >= 0) & (behind < SIDE)
        seen[copy[inside], 2, row[inside] + 1, behind[inside]] = 1


class SpaceInvaders(MinAtarGame):
    """A cannon below a block of aliens that march, come down, shoot, and come again faster."""

    fields = (
        "x", "shots", "bombs", "aliens", "way", "march_every", "march_in", "bomb_in", "loaded_in",
    )  # fmt: skip
    draws = 0
    _RELOAD, _BOMB_EVERY, _SLOWEST, _QUICKEST = 5, 10, 12, 6

    def _allot(self, copies: int) -> None:
        self.x, self.way, self.march_every, self.march_in, self.bomb_in, self.loaded_in = np.zeros(
            (6, copies), np.int64
        )
        self.shots, self.bombs, self.aliens = np.zeros((3, copies, SIDE, SIDE), bool)

    def _begin(self, which: Array, drawn: Array) -> None:
        self.x[which], self.way[which] = 5, -1
        self.shots[which] = self.bombs[which] = self.aliens[which] = False
        self.aliens[which, :4, 2:8] = True
        self.march_every[which] = self.march_in[which] = self._SLOWEST
        self.bomb_in[which], self.loaded_in[which] = self._BOMB_EVERY, 0

    def _move(self, moves: Array, drawn: Array) -> tuple[Array, Array]:
        each = self._each
        fires = (moves == FIRE) & (self.loaded_in == 0)
        self.loaded_in[fires] = self._RELOAD
        self.x += DX[moves]
        within(self.x, 0, SIDE - 1)
        self.shots[:, :-1] = self.shots[:, 1:]
        self.shots[:, -1] = False
        self.shots[fires, SIDE - 2, self.x[fires]] = True
        self.bombs[:, 1:] = self.bombs[:, :-1]
        self.bombs[:, 0] = False
        over = self.bombs[each, -1, self.x] | self.aliens[each, -1, self.x]
        marching = (self.march_in == 0).nonzero()[0]
        if len(marching):
            over[marching] |= self._march(marching)
        bombing = (self.bomb_in == 0).nonzero()[0]
        if len(bombing):
            self._bomb(bombing)
        hit = self.aliens & self.shots
        killed = hit.reshape(len(each), -1).sum(1)
        if killed.any():
            self.aliens ^= hit
            self.shots ^= hit
            self._renew((~self._any(self.aliens)).nonzero()[0])
        self.loaded_in -= self.loaded_in > 0
        self.march_in -= 1
        self.bomb_in -= 1
        return killed, over

    def _march(self, which: Array) -> Array:
        """Aside, or down where they are at the edge; whether they have landed."""
        aliens, way = self.aliens[which], self.way[which]
        count = aliens.reshape(len(which), -1).sum(1)
        self.march_in[which] = np.minimum(count, self.march_every[which])
        left = way < 0
        edges = aliens[np.arange(len(which)), :, np.where(left, 0, -1)].any(1)
        self.way[which] = np.where(edges, -way, way)
        landed = edges & aliens[:, -1].any(1)
        moved = np.zeros_like(aliens)
        left, right = left & ~edges, ~left & ~edges
        moved[edges, 1:] = aliens[edges, :-1]
        moved[left, :, :-1] = aliens[left, :, 1:]
        moved[right, :, 1:] = aliens[right, :, :-1]
        self.aliens[which] = moved
        return landed | moved[np.arange(len(which)), -1, self.x[which]]

    def _bomb(self, which: Array) -> None:
        """The lowest alien of the column nearest to the cannon drops one."""
        self.bomb_in[which] = self._BOMB_EVERY
        aliens = self.aliens[which]
        far = np.abs(np.arange(SIDE) - self.x[which][:, None]) + SIDE * ~aliens.any(1)
        column = far.argmin(1)
        row = SIDE - 1 - aliens[np.arange(len(which)), ::-1, column].argmax(1)
        self.bombs[which, row, column] = True

    def _renew(self, which: Array) -> None:
        self.march_every[which] -= self.march_every[which] > self._QUICKEST
        self.aliens[which, :4, 2:8] = True

    def _paint(self, seen: Array) -> None:
        seen[self._each, 0, -1, self.x] = 1
        seen[:, 1] = self.aliens
        leftwards = (self.way < 0)[:, None, None]
        seen[:, 2] = self.aliens & leftwards
        seen[:, 3] = self.aliens & ~leftwards
        seen[:, 4], seen[:, 5] = self.shots, self.bombs
