"""Checkpoints: nested state in one safetensors file, with no pickle and nothing executed.

Arrays are tensors of the file; everything else is JSON in its metadata, tagged so that tuples,
sets, deques, keys of any plain kind and bfloat16 come back as they were. A digest over all of it
tells a flipped bit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.ground.words import StateDict

FORMAT = 3

Arrays = dict[str, npt.NDArray[Any]]
_Plain = Any  # JSON


class StateError(Exception):
    """State that a checkpoint cannot keep."""


def save(path: Path, state: StateDict) -> None:
    """Write `state` atomically: `path` is the old checkpoint or the new one, never half of it.

    Values may be any nesting of dicts, lists, tuples, sets and deques of numpy arrays, bytes,
    numbers, text, booleans and None; keys and members of sets may be any of the last four, or
    tuples of them.

    Raises:
        StateError: it holds something else.
        OSError: the disk is full, or not to be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays: Arrays = {}
    tree = _encode(state, "state", arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
    text = json.dumps(tree)
    metadata = {"format": str(FORMAT), "state": text, "sha256": _digest(text, arrays)}
    try:
        save_file(arrays, scratch, metadata=metadata)
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written: {error}") from None
    finally:
        scratch.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a checkpoint, and what was left where a process was killed while it saved one."""
    for one in (path, *path.parent.glob(f"{path.name}.*.part")):
        with contextlib.suppress(OSError):
            one.unlink()


def load(path: Path) -> StateDict:
    """Read what `save` wrote.

    Raises:
        StateError: not a checkpoint of this format, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            # Copied: tensors in a mapped file are unaligned, and sums over unaligned memory run
            # in another order, so that a resumed trial would differ in the last bit.
            arrays = {name: np.array(file.get_tensor(name), order="C") for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise StateError(f"{path}: not a readable checkpoint: {error}") from None
    if metadata.get("format") != str(FORMAT):
        raise StateError(f"{path}: not a checkpoint of format {FORMAT}")
    try:
        if metadata["sha256"] != _digest(metadata["state"], arrays):
            raise StateError(f"{path}: not a readable checkpoint: its digest does not match")
        return _decode(json.loads(metadata["state"]), arrays)
    except (ValueError, LookupError) as error:
        raise StateError(f"{path}: not a readable checkpoint: {error}") from None


def _digest(text: str, arrays: Arrays) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        # As bytes: numpy gives no buffer of JAX's own dtypes, such as bfloat16.
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _encode(value: object, name: str, arrays: Arrays) -> _Plain:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        array, tag = np.asarray(value), "array"
        order = _order(array)
        array = np.asarray(array.transpose(order), order="C")
        if array.dtype.name == "bfloat16":
            array, tag = array.view(np.uint16), "bfloat16"
        if array.dtype.kind not in "biuf":
            raise StateError(f"{name} is an array of {array.dtype}")
        while name in arrays:  # keys may hold a slash, so that two paths read alike
            name += "'"
        arrays[name] = array
        body = {"scalar" if isinstance(value, np.generic) and tag == "array" else tag: name}
        return body if order == sorted(order) else {"laid": [order, body]}
    if isinstance(value, int | float):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return _encode_collection(value, name, arrays)


def _order(array: np.ndarray[Any, Any]) -> list[int]:
    """The axes in the order in which they lie in memory, where they are merely exchanged."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    whole = array.transpose(order).flags.c_contiguous
    return order if whole and not array.flags.c_contiguous else list(range(array.ndim))


def _encode_collection(value: object, name: str, arrays: Arrays) -> _Plain:
    if isinstance(value, tuple):
        return {"tuple": [_encode(v, f"{name}/{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, list):
        return [_encode(v, f"{name}/{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, deque):
        items = [_encode(v, f"{name}/{i}", arrays) for i, v in enumerate(value)]
        return {"deque": [value.maxlen, items]}
    if isinstance(value, set | frozenset):
        members = [_key(member, name) for member in value]
        return {type(value).__name__: sorted(members, key=repr)}
    if isinstance(value, Mapping):
        pairs = [[_key(k, name), _encode(v, f"{name}/{k}", arrays)] for k, v in value.items()]
        return {"dict": pairs}
    raise StateError(f"{name} is a {type(value).__module__}.{type(value).__qualname__}")


def _key(key: object, name: str) -> _Plain:
    if key is None or isinstance(key, str | int | float):
        return key
    if isinstance(key, tuple):
        return {"tuple": [_key(part, name) for part in key]}
    raise StateError(f"{name} has a key of type {type(key).__qualname__}")


def _decode(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, body),) = value.items()
    if tag == "array":
        return arrays[body]
    if tag == "scalar":
        return arrays[body][()]
    if tag == "bfloat16":
        import ml_dtypes

        return arrays[body].view(ml_dtypes.bfloat16)
    if tag == "bytes":
        return bytes.fromhex(body)
    return _decode_collection(tag, body, arrays)


def _decode_collection(tag: str, body: Any, arrays: Arrays) -> Any:
    if tag == "laid":
        return _decode(body[1], arrays).transpose(np.argsort(body[0]))
    if tag == "tuple":
        return tuple(_decode(item, arrays) for item in body)
    if tag == "deque":
        return deque(_decode(body[1], arrays), body[0])
    if tag in ("set", "frozenset"):
        return {"set": set, "frozenset": frozenset}[tag](_decode(body, arrays))
    return {_decode(key, arrays): _decode(item, arrays) for key, item in body}
