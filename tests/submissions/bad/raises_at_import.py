"""Raises while the file is executed."""

import torch

RATE = torch.no_such_name


def submission(params, lr=1e-3):
    return torch.optim.SGD(params, lr=lr)
