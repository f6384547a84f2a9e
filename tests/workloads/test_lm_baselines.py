"""What counting reaches on the language model's text."""

from __future__ import annotations

import numpy as np
import pytest

from workloads.lm.baselines import NGrams, table

TEXT = np.random.default_rng(0).integers(0, 7, 500).astype(np.uint16)


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("past", [[3, 1, 4, 1], [6, 6, 6, 6], [0]])
def test_every_past_has_a_distribution_over_what_comes_next(order: int, past: list[int]) -> None:
    grams = NGrams(TEXT, 7, order)
    costs = [grams.bits(np.array([*past, token], np.uint16))[-1] for token in range(7)]
    assert sum(2.0**-cost for cost in costs) == pytest.approx(1.0)


def test_two_tokens_by_hand() -> None:
    """Kneser-Ney over a b a b a a: what stands after a is b twice and a once."""
    text = np.array([0, 1, 0, 1, 0, 0], np.uint16)
    cost = NGrams(text, 2, 2).bits(np.array([0, 1], np.uint16))[1]
    # b follows one kind of token, a follows two; each kind is discounted by 3/4.
    single = (1 - 0.75) / 3 + 0.75 * 2 / 3 / 2
    assert 2.0**-cost == pytest.approx((2 - 0.75) / 3 + 0.75 * 2 / 3 * single)


def test_more_tokens_than_a_key_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="7 tokens of 1024 do not fit"):
        NGrams(TEXT, 1024, 7)


def test_the_pages_lines() -> None:
    found = table("lm-toy-v2", range(3))
    assert {order: round(values["validation"], 3) for order, values in found.items()} == {
        0: 3.938,
        1: 3.384,
        2: 2.311,
    }
