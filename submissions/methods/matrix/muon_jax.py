"""Muon for hidden matrices, AdamW for the rest (optax.contrib.muon; Jordan 2024).

A matrix's Nesterov momentum is orthogonalised by five Newton-Schulz steps and scaled to AdamW's
root mean square, 0.2 sqrt(max(in, out)) (Liu et al. 2025, arXiv 2502.16982), so that one rate and
one weight decay serve both. Heads, embeddings, tensors and vectors go to AdamW.
optax takes kernels as (in, out): the axes are told to it. What it would train beside them it trains
by NadamW, and so AdamW is set beside it.
Weight decay is decoupled, multiplied by the rate, and applies to weight matrices alone.
The rate warms up, then falls as a cosine to zero (`decay`: or stays).
"""

import optax
from optax import contrib

from submissions.contract import Card

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "weight_decay": {"min": 1e-4, "max": 1.0, "scaling": "log"},
    "momentum": {"feasible_points": [0.9, 0.95, 0.98]},
    "decay": {"feasible_points": ["cosine", "constant"]},
}


def submission(
    workload: Card,
    lr: float = 1e-3,
    one_minus_beta1: float = 0.1,
    beta2: float = 0.999,
    momentum: float = 0.95,
    weight_decay: float = 0.1,
    warmup: float = 0.05,
    decay: str = "cosine",
) -> optax.GradientTransformation:
    # lr (k + 1) / W in the W steps of warm-up, then lr (1 + cos(pi (k - W) / (T - W))) / 2.
    ramp = max(1, round(warmup * workload.step_hint))
    fall = optax.cosine_decay_schedule(lr, max(1, workload.step_hint - ramp))
    tail = {"cosine": fall, "constant": optax.constant_schedule(lr)}[decay]
    rise = optax.linear_schedule(lr / ramp, lr, ramp - 1)
    schedule = optax.join_schedules([rise, tail], [ramp])
    decayed = ("weight", "head", "tensor")
    matrices = {name: role in decayed for name, role in workload.roles.items()}
    axes = contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=0)
    muon = contrib.muon(
        schedule, beta=momentum, muon_weight_dimension_numbers=axes, consistent_rms=0.2
    )
    adam = optax.adam(schedule, 1 - one_minus_beta1, beta2)
    by_role = {name: "muon" if r == "weight" else "adam" for name, r in workload.roles.items()}
    return optax.chain(
        optax.partition({"muon": muon, "adam": adam}, by_role),
        optax.add_decayed_weights(lambda k: -weight_decay * schedule(k), matrices),
    )
