"""Catch, quickly learnt: after the game of bsuite (Osband et al. 2020, arXiv 1908.03568).

There one ball falls; here they fall on and on, ever more often, until one is missed.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from workloads.contract import Array
from workloads.rl_nap.minatar_games import DX, SIDE, MinAtarGame, within


class Catch(MinAtarGame):
    """Balls fall, a paddle at the bottom catches them; each caught earns 1, one missed ends it.

    Every new ball is within the paddle's reach from where the last one lands. After each four
    caught the next come one step sooner, from ten steps apart down to three; as actions stick,
    the best of players then misses one in the end.
    """

    fields: ClassVar[tuple[str, ...]] = ("x", "balls", "column", "every", "next_in", "caught")
    draws = 1
    _SLOWEST, _QUICKEST, _STAGE = 10, 3, 4

    def _allot(self, copies: int) -> None:
        self.x, self.column, self.every, self.next_in, self.caught = np.zeros((5, copies), np.int64)
        self.balls = np.zeros((copies, SIDE, SIDE), bool)

    def _begin(self, which: Array, drawn: Array) -> None:
        self.x[which] = self.column[which] = SIDE // 2
        self.balls[which] = False
        self.every[which], self.next_in[which], self.caught[which] = self._SLOWEST, 0, 0

    def _move(self, moves: Array, drawn: Array) -> tuple[Array, Array]:
        each = self._each
        self.x += DX[moves]
        within(self.x, 0, SIDE - 1)
        self.balls[:, 1:] = self.balls[:, :-1]
        self.balls[:, 0] = False
        lands = self.balls[:, -1].any(1)
        caught = self.balls[each, -1, self.x]
        self.caught += caught
        self.every[:] = np.maximum(self._SLOWEST - self.caught // self._STAGE, self._QUICKEST)
        falls = (self.next_in == 0).nonzero()[0]
        if len(falls):
            self._drop(falls, drawn[falls, 0])
        self.next_in -= 1
        return caught.astype(np.int64), lands & ~caught

    def _drop(self, which: Array, drawn: Array) -> None:
        last, reach = self.column[which], self.every[which] - 1
        low, high = np.maximum(last - reach, 0), np.minimum(last + reach, SIDE - 1)
        column = low + (drawn * (high - low + 1)).astype(np.int64)
        self.balls[which, 0, column] = True
        self.column[which], self.next_in[which] = column, self.every[which]

    def _paint(self, seen: Array) -> None:
        seen[self._each, 0, -1, self.x] = 1
        seen[:, 1] = self.balls
