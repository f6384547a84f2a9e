"""Weights in the layout of Flax, which AlgoPerf's JAX files are written for, and back.

A matrix is (in, out) there, a convolution (side, side, in, out); weights lie in nested dicts, as
`blocks_0/query/kernel`, `norm/scale`, `embedding/embedding`. Files tell embeddings by that path.
"""

from __future__ import annotations

from submissions.algoperf.view import is_convolution, is_embedding
from submissions.algoperf.words import ByName, Tensor, Weights
from submissions.contract import Card

_MATRIX = (1, 0)
_CONVOLUTION = (2, 3, 1, 0)
_BACK = {_MATRIX: (1, 0), _CONVOLUTION: (3, 2, 0, 1)}
"""How axes that were moved are moved back."""


class Layout:
    """From our flat dict to the file's tree; a leading axis over devices where it wants one."""

    def __init__(self, card: Card, device_axis: bool) -> None:
        self.device_axis = device_axis
        self.paths = {name: _path(name, card) for name in card.roles}
        self.axes = {name: _axes(name, card) for name in card.roles}

    def shapes(self, card: Card) -> dict[str, tuple[int, ...]]:
        """The shapes in the file's layout, without the devices' axis."""
        moved = {}
        for name, shape in card.shapes.items():
            axes = self.axes[name]
            moved[name] = tuple(shape[axis] for axis in axes) if axes else shape
        return moved

    def tree(self, by_name: ByName) -> Weights:
        """Values by our names as a nested dict; the values stay as they are."""
        root: ByName = {}
        for name, value in by_name.items():
            *folders, last = self.paths[name]
            node = root
            for folder in folders:
                node = node.setdefault(folder, {})
            node[last] = value
        return root

    def flat(self, tree: Weights) -> ByName:
        """The inverse of `tree`."""
        leaves = {}
        for name, path in self.paths.items():
            node = tree
            for part in path:
                node = node[part]
            leaves[name] = node
        return leaves

    def theirs(self, params: ByName) -> Weights:
        """Our weights in the file's tree and layout, with the devices' axis."""

        def one(name: str, value: Tensor) -> Tensor:
            axes = self.axes[name]
            moved = value.transpose(axes) if axes else value
            return moved[None] if self.device_axis else moved

        return self.tree({name: one(name, value) for name, value in params.items()})

    def ours(self, tree: Weights) -> ByName:
        """The inverse of `theirs`."""
        flat = self.flat(tree)
        if self.device_axis:
            flat = {name: value[0] for name, value in flat.items()}
        return self.inner(flat)

    def inner(self, flat: ByName) -> ByName:
        """Weights by our names, in the file's layout without devices' axis, in our layout."""
        return {
            name: value.transpose(_BACK[axes]) if (axes := self.axes[name]) else value
            for name, value in flat.items()
        }


def _path(name: str, card: Card) -> tuple[str, ...]:
    role = card.roles[name]
    folders: list[str] = []
    *parts, last = name.split(".")
    for part in parts:
        # Flax numbers layers in their names: `blocks_0`.
        if part.isdigit() and folders:
            folders[-1] += f"_{part}"
        else:
            folders.append(part)
    if is_embedding(name, role):
        kind = "embedding"
    elif role == "norm":
        kind = "bias" if last == "bias" else "scale"
    elif last == "weight":
        kind = "kernel"
    else:
        kind = last
    return (*folders, kind)


def _axes(name: str, card: Card) -> tuple[int, ...] | None:
    """How the axes are moved; None where they stay."""
    role, shape = card.roles[name], card.shapes[name]
    if role in ("weight", "head") and len(shape) == 2:
        return _MATRIX
    return _CONVOLUTION if is_convolution(role, shape) else None
