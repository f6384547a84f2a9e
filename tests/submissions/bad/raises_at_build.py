"""Raises when the optimizer is made."""

import torch


def submission(params, lr=-1.0):
    return torch.optim.SGD(params, lr=lr)
