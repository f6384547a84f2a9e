"""`gradathlon run --wandb`: what reaches W&B, and what its server can do to a run: nothing."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from cluster.spec import TrialSpec
from scoring.ground.words import TrialKey
from scoring.records import read_run, record_path
from suite.wandb_board.session import Session
from suite.wandb_board.trial import TrialLog
from suite.wandb_board.words import Place, WandbError, artifact_name, sync_line, tag
from tests.suite.conftest import FakeCluster
from tests.suite.wandb_files import Kept, kept_in
from tests.suite.wandb_server import KEY, Mood, Server, serving

Invoke = Callable[..., Any]
SMALL = ("run", "demo", "-s", "adamw", "-w", "lm-toy-v2", "-o", "out")
NO_KEY = "W&B: no key (wandb login, or WANDB_API_KEY)"
KEPT = "sync with:\n  (cd out && wandb sync --yes)\n"


pytestmark = pytest.mark.usefixtures("no_account")


def online(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


def written(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def test_without_a_key_all_is_kept_and_the_line_that_syncs_it_is_told(
    fake: FakeCluster, invoke: Invoke
) -> None:
    result = invoke(*SMALL, "--wandb", "--wandb-project", "races", "--wandb-entity", "us")
    assert result.exit_code == 0
    assert f"{NO_KEY}; 2 kept here; {KEPT}" in result.stderr
    kept = kept_in(Path("out"))
    assert sorted(kept) == ["adamw lm-toy-v2 s0 t0", "reference-torch lm-toy-v2 s0 t0"]
    assert_tells(kept["adamw lm-toy-v2 s0 t0"], Path("out"))
    reference = kept["reference-torch lm-toy-v2 s0 t0"]
    assert reference.job_type == "reference"
    assert list(reference.artifacts) == ["submission-reference-torch"]


def assert_tells(kept: Kept, run: Path) -> None:
    """The W&B run tells what the record does."""
    (record,) = [one for one in read_run(run) if one.header.submission == "adamw"]
    head, (evaluation,) = record.header, record.evaluations
    assert (kept.project, kept.job_type) == ("races", "trial")
    assert kept.group == "adamw on lm-toy-v2"
    assert kept.tags == ("lm-toy-v2", "adamw", "torch", "self", "demo", "reached")
    config = kept.config
    assert (config["seed"], config["study"], config["trial"]) == (head.seed, 0, 0)
    assert config["hyperparameters"] == head.hyperparameters
    assert config["target"] == {"metric": head.target.metric, "goal": "min", "value": 2.5}  # type: ignore[union-attr]
    assert config["budget"] == dataclasses.asdict(head.budget)
    assert config["hardware"] == head.hardware
    assert config["versions"] == head.versions
    assert config["source_sha256"] == head.source_sha256
    (line,) = kept.history
    assert line.items() >= evaluation.metrics.items()
    assert (line["_step"], line["clock/wall"], line["clock/cpu"]) == (100, 5, 5)
    assert (line["clock/steps"], line["clock/paired"]) == (100, 90)
    assert kept.step_metric["*"] == f"clock/{head.clock}"
    assert (kept.summary["end"], kept.summary["reached"]) == ("reached", True)
    assert kept.summary["time_to_result/steps"] == 100
    assert kept.exit_code == 0
    text = run / "submissions" / "adamw.py"
    assert kept.artifacts == {"submission-adamw": {"adamw.py": str(text.absolute())}}


def test_a_failed_trial_is_told_and_a_missed_one_has_no_time(
    fake: FakeCluster, invoke: Invoke
) -> None:
    fake.end_of = lambda spec: "failed" if spec.submission == "adamw" else "budget"
    assert invoke(*SMALL, "--wandb").exit_code == 1
    kept = kept_in(Path("out"))
    failed, missed = (kept[f"{name} lm-toy-v2 s0 t0"] for name in ("adamw", "reference-torch"))
    assert (failed.exit_code, failed.summary["end"], failed.summary["reason"]) == (
        1,
        "failed",
        "asked",
    )
    assert failed.tags[-1] == "failed"
    assert (missed.exit_code, missed.summary["reached"]) == (0, False)
    assert not [name for name in missed.summary if name.startswith("time_to_result")]


def test_trials_that_were_handed_on_are_not_again(fake: FakeCluster, invoke: Invoke) -> None:
    def stop(spec: TrialSpec) -> None:
        if len(fake.trained) == 1:
            raise KeyboardInterrupt

    fake.before = stop
    assert invoke(*SMALL, "--wandb").exit_code == 130
    assert len(kept_in(Path("out"))) == 1
    fake.before = lambda spec: None
    assert invoke("run", "--resume", "-o", "out", "--wandb").exit_code == 0
    files = list(Path("out/wandb").glob("offline-run-*"))
    assert len(files) == len(kept_in(Path("out"))) == 2


def test_a_server_gets_it_and_the_key_is_written_nowhere(
    fake: FakeCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[str | None] = []
    fake.before = lambda spec: seen.append(os.environ.get("WANDB_API_KEY"))
    with serving("well") as server:
        online(monkeypatch, server)
        result = invoke(*SMALL, "--wandb")
        assert result.exit_code == 0
        assert f"W&B: {server.url}/me/gradathlon\n" in result.stderr
        assert "wandb sync" not in result.stderr
    assert {run["displayName"] for run in server.runs.values()} == set(kept_in(Path("out")))
    assert [len(lines) for lines in server.history.values()] == [1, 1]
    assert any(server.keys)
    assert seen == [None, None], "trials inherit no key"
    assert os.environ["WANDB_API_KEY"] == KEY
    assert KEY not in result.output
    files = list(written(tmp_path))
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert any(path.suffix == ".wandb" for path in files)


SLOW = {"silent", "closes", "falls silent"}


@pytest.mark.parametrize(
    "mood",
    [
        pytest.param(mood, marks=[pytest.mark.slow] * (mood in SLOW))
        for mood in get_args(Mood)
        if mood != "well"
    ],
)
def test_an_ill_server_changes_nothing(
    mood: Mood, fake: FakeCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = invoke(*(word.replace("out", "plain") for word in SMALL))
    with serving(mood) as server:
        online(monkeypatch, server)
        result = invoke(*SMALL, "--wandb")
    assert (result.exit_code, result.stdout) == (0, plain.stdout)
    assert KEPT in result.stderr
    assert len(kept_in(Path("out"))) == 2
    assert all(kept.history for kept in kept_in(Path("out")).values())
    assert [path for path in written(tmp_path) if KEY.encode() in path.read_bytes()] == []


def test_many_trials_at_once_end_up_each_in_its_own_run(tmp_path: Path) -> None:
    from suite.wandb_board.driver import tracking
    from tests.scoring.page_race import race

    run = race(tmp_path / "first", studies=1, evaluations=20)
    said: list[str] = []
    with tracking(run, Place("p"), said.append):
        threading.Event().wait(0.1)
    records = {
        f"{r.header.submission} {r.header.workload} s{r.header.study} t{r.header.trial}": r
        for r in read_run(run)
    }
    kept = kept_in(run)
    assert kept.keys() == records.keys()
    for name, record in records.items():
        target = record.header.target
        assert target is not None and record.outcome is not None
        values = [line.get(target.metric) for line in kept[name].history]
        told = [value for value in values if isinstance(value, int | float)]
        asked = [one.metrics[target.metric] for one in record.evaluations]
        assert told == pytest.approx([value for value in asked if value == value])
        assert kept[name].summary["end"] == record.outcome.end
    assert f"{NO_KEY}; {len(kept)} kept here; sync with:" in said
    assert said[-1] == f"  {sync_line(run)}"


def test_a_record_without_its_first_line_is_let_be_at_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    session = Session(tmp_path, Place("gradathlon"), said.append)
    path = record_path(tmp_path, TrialKey("lm-toy-v2", "adamw", 0, 0))
    path.parent.mkdir(parents=True)
    path.write_text('{"kind": "tri')
    log = TrialLog(session, tmp_path, None, path, "id")
    log.follow()
    log.leave("unfinished")
    assert (log.done, log.whole, said) == (True, False, [])


@pytest.mark.parametrize("words", [("--wandb-project", "x"), ("--wandb-entity", "x")])
def test_where_to_log_goes_with_logging(
    words: tuple[str, ...], fake: FakeCluster, invoke: Invoke
) -> None:
    result = invoke(*SMALL, *words)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"{words[0]} needs --wandb; add it\n")
    assert not Path("out").exists()


def test_a_project_that_cannot_be_is_refused_before_the_race(
    fake: FakeCluster, invoke: Invoke
) -> None:
    result = invoke(*SMALL, "--wandb", "--wandb-project", "a/b")
    assert result.exit_code == 2
    assert "--wandb-project 'a/b': W&B allows" in result.stderr
    assert not Path("out").exists()


def test_a_place_is_as_given_or_as_the_environment_says() -> None:
    assert Place.find(None, None, {}) == Place("gradathlon", None)
    said = {"WANDB_PROJECT": "p", "WANDB_ENTITY": "e"}
    assert Place.find(None, None, said) == Place("p", "e")
    assert Place.find("q", "f", said) == Place("q", "f")
    with pytest.raises(WandbError):
        Place.find(None, None, {"WANDB_PROJECT": "p" * 129})


def test_names_fit_what_wandb_takes() -> None:
    assert artifact_name("submission", "my opt+x") == "submission-my-opt-x"
    assert len(artifact_name("a" * 300)) == 128
    assert tag("short") == "short"
    assert len(tag("x" * 65)) == 64
    assert sync_line(Path("my runs/x")) == "(cd 'my runs/x' && wandb sync --yes)"
