"""Makes every parameter NaN at its tenth step."""

import torch


class Poison(torch.optim.SGD):
    count = 0

    @torch.no_grad()
    def step(self, closure=None):
        super().step(closure)
        self.count += 1
        if self.count == 10:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.fill_(float("nan"))


def submission(params, lr=1e-3):
    return Poison(params, lr=lr)
