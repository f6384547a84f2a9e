"""Runs at URLs, in memory and at a stand-in of S3."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import kept
from cluster.spec import TrialSpec
from suite.remote import SILENT_S, Copy, Driver, RemoteError, fetched
from tests.suite.conftest import FakeCluster

Invoke = Callable[..., Any]


@pytest.fixture
def memory() -> str:
    return f"memory://{uuid.uuid4().hex}/runs/mine"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    import fsspec

    fsspec.get_filesystem_class("s3").clear_instance_cache()  # of another test's server
    bucket = f"bucket-{uuid.uuid4().hex}"
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
    yield f"s3://{bucket}/runs/mine"
    server.stop()


@pytest.mark.parametrize("kind", ["memory", "s3"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_run_copied_to_a_url_scores_and_reports_from_there(
    kind: str, request: pytest.FixtureRequest, fake: FakeCluster, invoke: Invoke
) -> None:
    url: str = request.getfixturevalue(kind)
    assert invoke("run", "demo", "-o", "out", "--copy-to", url).exit_code == 0
    here, there = (invoke("score", place, "--format", "trials") for place in ("out", url))
    assert there.exit_code == 0
    assert here.stdout.count("\n") == there.stdout.count("\n") == 15
    here, there = (invoke("score", place) for place in ("out", url))
    assert there.stdout == here.stdout
    assert invoke("report", url, "-o", "page.html").exit_code == 0
    assert "adamw" in Path("page.html").read_text()
    assert invoke("validate", url).exit_code == invoke("validate", "out").exit_code
    here, there = (invoke("watch", place, "--once") for place in ("out", url))
    assert there.stdout.partition(";")[0] == here.stdout.partition(";")[0]
    assert "10/10 done" in there.stdout or "14/14 done" in there.stdout
    assert invoke("watch", url).exit_code == 0
    assert invoke("export", url, "-o", "trials.csv").exit_code == 0


def test_weights_at_hits_are_kept_there_and_fetched_for_verify_alone(
    memory: str, fake: FakeCluster, invoke: Invoke
) -> None:
    def leave_weights(spec: TrialSpec) -> None:
        spec.record(0).parent.mkdir(parents=True, exist_ok=True)
        kept.path_of(spec.record(0)).write_bytes(b"of another trial")

    fake.before = leave_weights
    fake.extra = {kept.DIGEST: hashlib.sha256(b"of this trial").hexdigest()}
    words = ("-s", "adamw", "--no-reference", "--clock", "steps", "-o", "out", "--copy-to", memory)
    assert invoke("run", "demo", *words).exit_code == 0
    assert not list(fetched(memory).rglob("*.safetensors"))
    verified = invoke("verify", memory)
    assert verified.exit_code == 1
    lines = verified.stdout.splitlines()
    assert len(lines) == len(fake.trained) > 0
    assert all("does not match its digest in the record" in line for line in lines)


def test_a_record_is_there_as_soon_as_its_trial_ends(
    fake: FakeCluster, invoke: Invoke, memory: str
) -> None:
    seen: list[int] = []

    def look(spec: object) -> None:
        folder = fetched(memory)
        seen.append(len(list(folder.rglob("*.jsonl"))))
        assert (folder / "run.yaml").exists()

    fake.before = look
    invoke("run", "demo", "-o", "out", "--copy-to", memory)
    assert seen == list(range(len(seen)))
    assert len(seen) > 1


def test_a_place_that_fails_for_a_while_gets_the_rest_at_the_end(
    tmp_path: Path, memory: str, fake: FakeCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("run", "demo", "-o", "out", "-s", "adamw")
    said: list[str] = []
    run = Path("out").absolute()
    copy = Copy(run, memory, said.append)
    spec = fake.trained[0]
    text = spec.record(0).read_text()
    spec.record(0).write_text(text + text)
    with monkeypatch.context() as broken:
        broken.setattr(type(copy._system), "pipe_file", fail)
        copy.ended(spec.key)
        spec.record(0).write_text(text + text + text)
        copy.ended(spec.key)
    (line,) = said
    assert line == f"{memory}: cannot be written: no way; the run continues"
    copy.close()
    copied = fetched(memory) / spec.record(0).relative_to(run)
    assert copied.read_text() == spec.record(0).read_text()


def fail(*words: object, **options: object) -> None:
    raise OSError("no\nway")


class StopError(Exception):
    """The machine is gone."""


def stop_after(fake: FakeCluster, count: int) -> None:
    def stop(spec: TrialSpec) -> None:
        if len(fake.trained) == count:
            raise StopError

    fake.before = stop


@pytest.mark.parametrize("kind", ["memory", "s3"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_run_at_a_url_is_gone_on_with_by_another_machine(
    kind: str,
    request: pytest.FixtureRequest,
    fake: FakeCluster,
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url: str = request.getfixturevalue(kind)
    before = set(Path.cwd().iterdir())
    stop_after(fake, 5)
    with pytest.raises(StopError):
        invoke("run", "demo", "-o", url)
    assert Driver.of(url) is None, "it said that it ended"
    done = invoke("watch", url)
    assert done.exit_code == 1
    assert f"not running; resume with: gradathlon run --resume -o {url}" in done.stderr
    first = {spec.key for spec in fake.trained}
    fake.before = lambda spec: None
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "another"))
    done = invoke("run", "--resume", "-o", url)
    assert done.exit_code == 0
    assert f"trials into {url}" in done.stderr
    assert f"report: {url}/report.html" in done.stderr
    assert len(fake.trained) == len({spec.key for spec in fake.trained}) == 14
    assert first < {spec.key for spec in fake.trained}
    assert invoke("score", url).stdout == done.stdout
    assert invoke("watch", url).exit_code == 0
    assert {path.name for path in set(Path.cwd().iterdir()) - before} <= {"cache", "another"}
    again = invoke("run", "demo", "-o", url)
    assert again.exit_code == 2
    assert f"{url}: already holds a run; resume it with: gradathlon run --resume" in again.stderr


def test_what_could_not_be_sent_is_sent_when_the_run_goes_on(
    fake: FakeCluster, invoke: Invoke, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    stop_after(fake, 5)
    with pytest.raises(StopError):
        invoke("run", "demo", "-o", memory)
    system, root = fsspec.core.url_to_fs(memory)
    lost = [path for path in system.find(root) if path.endswith("study0-trial0.jsonl")][:3]
    system.rm(lost)
    fake.before = lambda spec: None
    assert invoke("run", "--resume", "-o", memory).exit_code == 0
    assert len(fake.trained) == 14, "this machine still had them"
    assert all(system.exists(path) for path in lost)


def test_another_run_at_the_same_url_is_not_taken_for_what_was_there(
    fake: FakeCluster, invoke: Invoke, memory: str
) -> None:
    import fsspec

    assert invoke("run", "demo", "-o", memory).exit_code == 0
    system, root = fsspec.core.url_to_fs(memory)
    system.rm(root, recursive=True)
    assert invoke("run", "demo", "-s", "adamw", "-o", memory).exit_code == 0
    assert "prodigy" not in invoke("score", memory, "--format", "trials").stdout
    assert invoke("compare", memory, "adamw", "adamw").exit_code == 0


def test_what_is_the_same_is_not_fetched_over_and_what_went_goes(
    fake: FakeCluster, invoke: Invoke, memory: str
) -> None:
    import fsspec

    assert invoke("run", "demo", "-s", "adamw", "-o", memory).exit_code == 0
    folder = fetched(memory)
    stays, goes = sorted((folder / "trials").rglob("*.jsonl"))[:2]
    before = stays.stat()
    (folder / "wandb").mkdir()
    (folder / "wandb" / "kept.wandb").touch()
    system, root = fsspec.core.url_to_fs(memory)
    system.rm_file(f"{root}/{goes.relative_to(folder)}")
    assert fetched(memory) == folder
    assert (stays.stat().st_mtime_ns, stays.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert not goes.exists()
    assert (folder / "wandb" / "kept.wandb").exists(), "not sent yet"


def test_who_looks_again_reads_only_records_that_have_grown(
    fake: FakeCluster, invoke: Invoke, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    assert invoke("run", "demo", "-s", "adamw", "-o", memory).exit_code == 0
    folder = fetched(memory)
    longer, *others = sorted((folder / "trials").rglob("*.jsonl"))
    system, root = fsspec.core.url_to_fs(memory)
    read: list[str] = []
    whole = type(system).cat
    monkeypatch.setattr(
        type(system), "cat", lambda self, paths: (read.extend(paths), whole(self, paths))[1]
    )
    place = f"{root}/{longer.relative_to(folder)}"
    system.pipe_file(place, longer.read_bytes() + b"more\n")
    before = {path: path.read_bytes() for path in others}
    assert fetched(memory, grown_only=True) == folder
    assert [path for path in read if path.endswith(".jsonl")] == [place]
    assert longer.read_bytes().endswith(b"more\n")
    assert {path: path.read_bytes() for path in others} == before
    read.clear()
    fetched(memory)
    assert len([path for path in read if path.endswith(".jsonl")]) == 1 + len(others)


def test_a_driver_that_gives_signs_of_life_is_left_alone(
    fake: FakeCluster, invoke: Invoke, memory: str
) -> None:
    import fsspec

    stop_after(fake, 5)
    with pytest.raises(StopError):
        invoke("run", "demo", "-o", memory)
    system, root = fsspec.core.url_to_fs(memory)

    def sign(ago_s: float) -> None:
        said = {"driver": "process 7 on elsewhere", "time": time.time() - ago_s}
        system.pipe_file(f"{root}/driver.json", json.dumps(said).encode())

    fake.before = lambda spec: None
    sign(SILENT_S / 2)
    done = invoke("run", "--resume", "-o", memory)
    assert done.exit_code == 2
    assert "process 7 on elsewhere is already racing this run" in done.stderr
    assert "nobody" not in invoke("watch", memory, "--once").stderr
    sign(2 * SILENT_S)
    done = invoke("watch", memory)
    assert done.exit_code == 1
    assert "not running (process 7 on elsewhere has been silent for 5 min" in done.stderr
    assert invoke("run", "--resume", "-o", memory).exit_code == 0


def test_records_that_grow_are_sent_before_their_trial_ends(
    fake: FakeCluster, invoke: Invoke, memory: str
) -> None:
    assert invoke("run", "demo", "-s", "adamw", "-o", "out").exit_code == 0
    run = Path("out").absolute()
    record = fake.trained[0].record(0)
    whole = record.read_bytes()
    record.write_bytes(whole[:100])
    copy = Copy(run, memory, print, every_s=0.01)
    record.write_bytes(whole)
    there = Path(str(record.relative_to(run)))
    until = time.monotonic() + 60
    while (fetched(memory) / there).read_bytes() != whole and time.monotonic() < until:
        time.sleep(0.05)
    driver = Driver.of(memory)
    assert driver is not None
    assert driver.lives
    assert driver.is_of_this_machine
    copy.close()
    assert (fetched(memory) / there).read_bytes() == whole
    assert Driver.of(memory) is None


@pytest.mark.parametrize("flag", ["-o", "--copy-to"])
def test_a_url_that_cannot_be_written_is_told_before_anything_starts(
    flag: str, fake: FakeCluster, invoke: Invoke, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    before = set(Path.cwd().iterdir())
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", fail)
    done = invoke("run", "demo", flag, memory)
    assert done.exit_code == 2
    assert done.stderr == f"gradathlon: error: {memory}: cannot be written: no way\n"
    assert not fake.trained
    assert set(Path.cwd().iterdir()) == before


def test_a_run_at_a_url_is_not_copied_elsewhere(
    fake: FakeCluster, invoke: Invoke, memory: str
) -> None:
    done = invoke("run", "demo", "-o", memory, "--copy-to", f"{memory}-too")
    assert done.exit_code == 2
    assert f"--copy-to: the run is already kept at {memory}" in done.stderr


@pytest.mark.parametrize("url", ["nowhere://x/y", "memory://nothing/here"])
def test_a_url_without_a_run_is_one_line(
    url: str, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    done = invoke("score", url)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"gradathlon: error: {url}: ")
    assert done.stderr.count("\n") == 1
    with pytest.raises(RemoteError):
        fetched(url)


def test_what_leads_out_of_the_folder_or_is_no_record_stays_where_it_is(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    system, root = fsspec.core.url_to_fs(memory)
    good = "trials/lm-toy-v2/adamw/study0-trial0.jsonl"
    for name in (good, "trials/a/b/study0-trial0.checkpoint.safetensors", "secrets.txt"):
        system.pipe_file(f"{root}/{name}", b"x")
    system.store[f"{root}/trials/../../out.jsonl"] = system.store[f"{root}/{good}"]
    folder = fetched(memory)
    assert [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()] == [good]
