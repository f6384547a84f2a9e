"""What does a refresh of the live display cost? CPU seconds, by the number of trials.

    python -m tests.benchmarks.display

No assertion: times are for reading. That they do not grow with the trials is a test's affair
(`tests/suite/test_live.py`), which counts work.
"""

from __future__ import annotations

import time

from rich.console import Console

from suite.live import screen
from tests.suite.test_live import half_done

REFRESHES = 200


def main() -> None:
    print(f"{'trials':>8} {'ms a refresh':>14}")
    with open("/dev/null", "w") as nowhere:
        console = Console(file=nowhere, width=120, height=50, force_terminal=True)
        for trials in (100, 1000, 10_000):
            progress = half_done(trials)
            began = time.process_time()
            for _ in range(REFRESHES):
                console.print(screen(progress))
            print(f"{trials:8} {1000 * (time.process_time() - began) / REFRESHES:14.2f}")


if __name__ == "__main__":
    main()
