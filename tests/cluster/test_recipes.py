"""The recipes are what their tools read; no cluster is started but on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import cluster
from scoring.records import read_run

RECIPES = Path(cluster.__file__).parent / "recipes"
SCRIPTS = sorted(RECIPES.glob("*.sh"))
CLOUDS = sorted(RECIPES.glob("ray-*.yaml"))


def test_the_page_names_every_recipe() -> None:
    page = (RECIPES / "README.md").read_text()
    files = {path.name for path in RECIPES.iterdir() if path.is_file()} - {"README.md"}
    assert set(re.findall(r"\[([\w.-]+)\]\(\1\)", page)) == files


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()


@pytest.mark.parametrize("path", CLOUDS, ids=lambda path: path.name)
def test_ray_up_takes_its_files(path: Path) -> None:
    import jsonschema
    import ray

    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    body = yaml.safe_load(path.read_text())
    jsonschema.validate(body, schema)
    types = body["available_node_types"]
    assert types[body["head_node_type"]]["resources"] == {"CPU": 0}
    assert len(types) == 2, "one type of worker: a run binds one class of hardware"


def test_a_ray_job_asks_for_whole_cores_and_the_pinned_ray() -> None:
    body: dict[str, Any] = yaml.safe_load((RECIPES / "kuberay.yaml").read_text())
    assert (body["apiVersion"], body["kind"]) == ("ray.io/v1", "RayJob")
    ray_cluster = body["spec"]["rayClusterSpec"]
    assert ray_cluster["rayVersion"] == pinned("ray").replace("*", "0")
    groups = [ray_cluster["headGroupSpec"], *ray_cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            asked = container["resources"]
            assert asked["requests"] == asked["limits"], "or the pod gets no cores of its own"
            assert asked["limits"]["cpu"].isdecimal()
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_the_image_holds_the_packages_and_the_pinned_versions() -> None:
    text = (RECIPES / "Dockerfile").read_text()
    for package in ("suite", "workloads", "submissions", "scoring", "cluster"):
        assert f"COPY {package} {package}" in text
    for name in ("torch", "jax", "ray"):
        assert f"=={pinned(name)}" in text


def pinned(name: str) -> str:
    text = (RECIPES.parents[1] / "pyproject.toml").read_text()
    found = re.search(rf'"{name}==([\d.*]+)"', text)
    assert found
    return found[1]


@pytest.mark.slow
@pytest.mark.network
def test_a_run_over_nodes_that_share_nothing_ends_in_a_board(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if not shutil.which("ray", path=path) or not shutil.which("gradathlon", path=path):
        pytest.skip("the commands are not installed")
    suite = ["demo", "-s", "adamw", "-w", "homeostatic-toy-v3", "--clock", "steps"]
    done = subprocess.run(
        [RECIPES / "local-nodes.sh", "1", *suite, "-o", "out"],
        cwd=tmp_path,
        env=os.environ
        | {
            "PATH": path,
            "PYTHONPATH": str(RECIPES.parents[1]),
            "PORT": "6397",
            "GRADATHLON_CORE_LOCKS": str(tmp_path / "locks"),
        },
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr
    assert "adamw" in done.stdout
    records = read_run(tmp_path / "out")
    assert records
    assert all(record.outcome for record in records)
