"""Imports a file that lies beside it, which does not travel."""

import raises_at_import
import torch


def submission(params, lr=1e-3):
    return torch.optim.SGD(params, lr=raises_at_import.RATE * lr)
