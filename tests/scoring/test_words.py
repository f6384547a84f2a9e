"""The tables of ends, clocks and protocols say all that is asked of them, of every word."""

from __future__ import annotations

from typing import get_args

import pytest

from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import ENDS, STOPPED, WHOLE, End, sign_of
from scoring.ground.words import Clock, is_reference
from scoring.protocols import PROTOCOLS, find
from scoring.records import Evaluation, RecordError
from suite.commands.score import score


def test_every_end_has_its_row() -> None:
    assert tuple(ENDS) == get_args(End)
    assert len({sign_of(end) for end in (*ENDS, "unfinished")}) == len(ENDS) + 1
    assert STOPPED == ("budget", "pruned")
    assert WHOLE == ("reached", "lost", "budget")


def test_every_clock_has_its_row_and_reads_its_own_field() -> None:
    assert tuple(CLOCKS) == get_args(Clock)
    moment = Evaluation(3, 2.0, 1.0, {}, 4.0)
    assert [clock.read(moment) for clock in CLOCKS.values()] == [2.0, 1.0, 3.0, 4.0]


def test_the_command_line_offers_every_clock_and_protocol() -> None:
    offered = {option.name: option for option in score.params}
    assert list(offered["clock"].type.choices) == list(CLOCKS)  # type: ignore[attr-defined]
    assert list(offered["protocol"].type.choices) == list(PROTOCOLS)  # type: ignore[attr-defined]


def test_an_option_of_another_protocol_is_refused() -> None:
    with pytest.raises(RecordError, match="--across-frameworks belongs to the gradathlon protocol"):
        find("algoperf", across_frameworks=True)
    with pytest.raises(RecordError, match="did you mean 'algoperf'"):
        find("algo")


def test_only_a_framework_s_exact_name_is_a_reference() -> None:
    assert is_reference("reference-torch") and is_reference("reference-jax")
    assert not is_reference("reference-mine") and not is_reference("reference-torch2")
