"""A helper that the submission imports by the path it has where submissions are published."""

import torch


def make(params, hyperparameters):
    return torch.optim.NAdam(
        params,
        lr=hyperparameters.learning_rate,
        betas=(1.0 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        weight_decay=hyperparameters.weight_decay,
        decoupled_weight_decay=True,
    )
