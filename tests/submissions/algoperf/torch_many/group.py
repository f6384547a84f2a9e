"""What the file beside it takes from here."""

import dataclasses

import torch


@dataclasses.dataclass
class Group:
    """How many processes share the work."""

    num_trainers_per_group: int = -1
    dtype: torch.dtype = torch.float32
