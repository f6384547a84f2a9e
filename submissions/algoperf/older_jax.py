"""JAX with a few names that it has dropped, for files written when it had them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from submissions.algoperf.words import Tensor


class _Older(ModuleType):
    """A module's every name, and a few more; the module itself is left as it is."""

    def __init__(self, module: ModuleType, **more: object) -> None:
        super().__init__(module.__name__)
        self._module = module
        vars(self).update(more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._module), *vars(self)})


def older() -> ModuleType:
    """`jax` with `tree_map` and its like, and `jnp.clip` with `a_min` and `a_max`."""
    import jax
    import jax.numpy as jnp

    def clip(
        arr: Tensor = None, /, min: Tensor = None, max: Tensor = None, **named: Tensor
    ) -> Tensor:
        low, high = named.pop("a_min", min), named.pop("a_max", max)
        return jnp.clip(named.pop("a", arr), low, high, **named)

    tree = {
        "tree_map": jax.tree.map,
        "tree_leaves": jax.tree.leaves,
        "tree_flatten": jax.tree.flatten,
        "tree_unflatten": jax.tree.unflatten,
        "tree_structure": jax.tree.structure,
    }
    dropped = {name: value for name, value in tree.items() if not hasattr(jax, name)}
    return _Older(jax, numpy=_Older(jnp, clip=clip), **dropped)
