"""AlgoPerf's types for what passes between its files and us, in each framework's form."""

from __future__ import annotations

from typing import Any, TypeAlias

Weights: TypeAlias = Any
"""Its `ParameterContainer`: a module in torch, nested dicts of arrays in JAX."""
OptimizerState: TypeAlias = Any
"""Whatever a file remembers."""
ModelState: TypeAlias = Any
"""Its `ModelAuxiliaryState`: what a model carries beside its weights, or None."""
RandomState: TypeAlias = Any
"""A key in JAX, two numbers in torch."""
Tensor: TypeAlias = Any
"""A tensor of torch or an array of JAX."""
Batch: TypeAlias = dict[str, Any]
"""By AlgoPerf's keys: `inputs`, `targets`."""
ByName: TypeAlias = dict[str, Any]
"""Something of each weight, or of each part of a batch, by our names."""
Step: TypeAlias = tuple[OptimizerState, Weights, ModelState]
"""What `update_params` and `prepare_for_eval` return."""
