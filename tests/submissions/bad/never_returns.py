"""Never comes back from `submission`."""

import time


def submission(params, lr=1e-3):
    while True:
        time.sleep(0.1)
