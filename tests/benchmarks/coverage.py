"""How often do rank sets tell equal entries apart? The share of simulated boards, by what is odd.

    python -m tests.benchmarks.coverage [--boards 400]

Log-normal times with a standard deviation of 10 %, evaluations every eighth of the reference's
time, four workloads; with a miss in one of seven studies, and with heavy tails (Student's t with
three degrees of freedom in place of the normal). No assertion: a slow test holds the first to 5 %
(`tests/scoring/test_ranking.py`).
"""

from __future__ import annotations

import argparse

from tests.scoring.test_ranking import false_claims

KINDS = {
    "no misses": {"misses": 0.0, "tails": 0.0},
    "misses": {"misses": 1 / 7, "tails": 0.0},
    "heavy tails": {"misses": 0.0, "tails": 3.0},
    "both": {"misses": 1 / 7, "tails": 3.0},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--boards", type=int, default=400)
    boards = parser.parse_args().boards
    print(f"{'entries':>8} {'studies':>8}" + "".join(f"{kind:>14}" for kind in KINDS))
    for entries in (2, 5, 10):
        for studies in (2, 3, 5):
            shares = [
                false_claims(boards, entries, studies, seed=4, **kind) for kind in KINDS.values()
            ]
            told = "".join(f"{100 * share:12.1f} %" for share in shares)
            print(f"{entries:8} {studies:8}{told}", flush=True)


if __name__ == "__main__":
    main()
