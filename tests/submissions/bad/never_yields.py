"""Never comes back from its third step."""

import time

import torch


class Stuck(torch.optim.SGD):
    count = 0

    def step(self, closure=None):
        self.count += 1
        while self.count == 3:
            time.sleep(0.1)
        return super().step(closure)


def submission(params, lr=1e-3):
    return Stuck(params, lr=lr)
