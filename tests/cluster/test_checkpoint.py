from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cluster import checkpoint
from cluster.checkpoint import StateError

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.binary(max_size=6)
    | st.text(max_size=8)
    | st.floats()
)
arrays = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
keys = st.text(max_size=6) | st.integers(0, 99)
trees = st.recursive(
    scalars | arrays,
    lambda below: (
        st.lists(below, max_size=3)
        | st.lists(below, max_size=3).map(tuple)
        | st.dictionaries(keys, below, max_size=3)
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.tobytes() == other.tobytes()
        )
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and one == other


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(keys, trees, max_size=4))
def test_everything_comes_back_as_it_was(tmp_path: Path, state: dict[Any, Any]) -> None:
    checkpoint.save(tmp_path / "c.safetensors", state)
    assert same(checkpoint.load(tmp_path / "c.safetensors"), state)


def test_bfloat16_comes_back_bit_by_bit(tmp_path: Path) -> None:
    import ml_dtypes

    value = np.linspace(-3, 3, 17).astype(ml_dtypes.bfloat16)
    checkpoint.save(tmp_path / "c", {"weights": value})
    again = checkpoint.load(tmp_path / "c")["weights"]
    assert again.dtype == value.dtype
    assert again.tobytes() == value.tobytes()


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"state/optimizer/0 is a builtins\.function"):
        checkpoint.save(tmp_path / "c", {"optimizer": [lambda: None]})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, {"steps": 1})
    with pytest.raises(StateError):
        checkpoint.save(path, {"steps": object()})
    assert checkpoint.load(path) == {"steps": 1}


def test_a_damaged_checkpoint_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, {"a": np.arange(5)})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(StateError, match="not a readable checkpoint"):
        checkpoint.load(path)


def test_nothing_in_a_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, {"a": np.arange(5), "b": ("x", 1)})
    assert b"\x80\x04" not in path.read_bytes()[:4]
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        assert list(file.keys()) == ["state/a"]
