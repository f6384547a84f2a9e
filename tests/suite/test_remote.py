"""Runs at URLs, in memory and at a stand-in of S3."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from suite.remote import Copy, RemoteError, fetched
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
    assert line == f"{memory}: cannot be written: no way; the run goes on"
    copy.close()
    copied = fetched(memory) / spec.record(0).relative_to(run)
    assert copied.read_text() == spec.record(0).read_text()


def fail(*words: object, **options: object) -> None:
    raise OSError("no\nway")


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
