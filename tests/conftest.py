from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import workloads

# How fast a machine is fails no test.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")


@dataclasses.dataclass(frozen=True)
class Done:
    """What a finished command left."""

    code: int
    out: str
    err: str


Gradathlon = Callable[..., Done]


def console_script() -> str:
    """The installed command: what a user types."""
    beside = Path(sys.executable).with_name("gradathlon")
    found = str(beside) if beside.exists() else shutil.which("gradathlon")
    if found is None:
        pytest.skip("gradathlon is not installed here: pip install -e '.[dev]'")
    return found


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the toy data and no references of other runs."""
    cache = tmp_path_factory.mktemp("cache")
    before = os.environ.get("GRADATHLON_CACHE")
    for id in ("lm-toy-v2", "homeostatic-toy-v3"):
        workloads.get(id).fetch()
    from scoring.ground.cache import cache_folder

    for path in cache_folder().glob("*.unzip"):
        (cache / path.name).symlink_to(path)
    assert os.environ.get("GRADATHLON_CACHE") == before
    return cache


@pytest.fixture
def gradathlon(tmp_path: Path, own_cache: Path) -> Gradathlon:
    """Runs the command in `tmp_path` with a cache of its own; `env` adds variables."""

    def call(*words: str, env: dict[str, str] | None = None, timeout: float = 300) -> Done:
        done = subprocess.run(
            [console_script(), *words],
            cwd=tmp_path,
            env=os.environ | {"GRADATHLON_CACHE": str(own_cache)} | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call
