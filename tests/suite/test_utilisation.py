from __future__ import annotations

from cluster.spec import Finished, Update
from scoring.records import Outcome
from suite.utilisation import OFF_THE_CLOCK, ON_THE_CLOCK, Utilisation

from .test_live import Time, spec


def test_shares_add_up_and_say_what_the_cores_did() -> None:
    time = Time()
    used = Utilisation(now=time)
    one, two = spec(0), spec(1)
    used.update(Update(one.key, "queued"), 1)
    for trial in (one, two):
        used.update(Update(trial.key, "preparing"), 1)
    time.now += 2
    used.update(Update(one.key, "training", 0, 0.0), 1)
    used.update(Update(two.key, "training", 40, 30.0, 0.5, 3.0), 1)  # it was resumed
    time.now += 8
    extra = {"evaluation_s": 0.75, "checkpoint_s": 0.25}
    used.finish(Finished(one, Outcome("budget", 10, 7.0, 7.0, "", extra)))
    extra = {"evaluation_s": 3.5, "reference_turns_s": 0.5}
    used.finish(Finished(two, Outcome("budget", 90, 35.0, 35.0, "", extra)))
    shares = used.shares()
    assert shares[ON_THE_CLOCK] == 12 / 20
    assert shares["setup"] == 4 / 20
    assert shares[OFF_THE_CLOCK] == 2 / 20
    assert abs(sum(shares.values()) - 1) < 1e-12
    assert used.line() == (
        "time on 2 cores: 70.0% racing (60.0% on the clock, 10.0% evaluations, "
        "checkpoints and reference turns), 20.0% setup, 10.0% idle"
    )


def test_a_trial_put_back_counts_what_it_did_and_one_that_ended_before_nothing() -> None:
    time = Time()
    used = Utilisation(now=time)
    hit, before = spec(0), spec(1)
    used.finish(Finished(before, Outcome("reached", 10, 99.0, 99.0, "")))
    assert used.line() == ""
    used.update(Update(hit.key, "preparing"), 2)
    time.now += 1
    used.update(Update(hit.key, "training", 0, 0.0), 2)
    time.now += 4
    used.update(Update(hit.key, "training", 10, 3.0), 2)
    used.update(Update(hit.key, "queued"), 2)
    assert used.shares()[ON_THE_CLOCK] == 6 / 10
    assert used.line().startswith("time on 2 cores: ")
