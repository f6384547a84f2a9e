"""Families: the folders that are ours, and those that installed packages bring."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import workloads
from workloads import registry
from workloads.errors import WorkloadError
from workloads.registry import Place

README = (Path(registry.__file__).parent / "README.md").read_text(encoding="utf-8")
"""Its example is what these tests install."""


def example(language: str) -> str:
    return README.split(f"```{language}\n")[1].split("```")[0]


CONFIG, WORKLOAD = example("yaml"), example("python")
NAME, VALUE = example("toml").splitlines()[1].split(" = ")


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an installed package whose family is `digits2`."""
    folder = tmp_path / "their_package" / "digits"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("")
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "workload.py").write_text(WORKLOAD)
    facts = tmp_path / "their_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: their_package\nVersion: 1.0\n")
    points = f"[gradathlon.workloads]\n{NAME} = {VALUE.strip(chr(34))}\n"
    (facts / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.places.cache_clear()
    yield tmp_path
    registry.places.cache_clear()
    for name in [name for name in sys.modules if name.startswith("their_package")]:
        del sys.modules[name]


def test_a_family_of_an_installed_package_is_one_of_ours(theirs: Path) -> None:
    assert "digits2" in workloads.families()
    assert "digits2-toy-v1" in workloads.ids()
    assert "their_package.digits.workload" not in sys.modules, "listing imports no workload"
    workload = workloads.get("digits2-toy-v1")
    assert type(workload).__name__ == "Theirs"
    assert workload.parameters()["layers.0.weight"].shape == (8, 784)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lm", "their_package.digits.workload:FAMILY", "already has that name"),
        ("Digits", "their_package.digits.workload:FAMILY", "a name is made of a-z, 0-9 and _"),
        ("digits", "their_package.gone.workload:FAMILY", "cannot be imported"),
        ("digits", "their_package.digits.gone:FAMILY", "no such module"),
    ],
)
def test_a_wrong_entry_point_is_told(theirs: Path, name: str, value: str, message: str) -> None:
    facts = theirs / "their_package-1.0.dist-info"
    (facts / "entry_points.txt").write_text(f"[gradathlon.workloads]\n{name} = {value}\n")
    registry.places.cache_clear()
    with pytest.raises(WorkloadError, match=message) as told:
        workloads.families()
    assert f"{name!r} ({value})" in str(told.value)


@pytest.mark.parametrize("text", ["", "FAMILY = 'mine'\n", None])
def test_a_folder_that_does_not_say_what_it_is_is_named(theirs: Path, text: str | None) -> None:
    path = theirs / "their_package" / "digits" / "workload.py"
    path.unlink() if text is None else path.write_text(text)
    where = Place("digits2", path.parent, "their_package.digits.workload")
    with pytest.raises(WorkloadError) as told:
        where.family()
    assert str(path.parent) in str(told.value)
    assert "workload.py must define FAMILY = Family(...)" in str(told.value)


def test_a_family_that_was_written_for_another_release_is_named(theirs: Path) -> None:
    (theirs / "their_package" / "digits" / "workload.py").write_text(
        "from workloads.kinds import Families\n"
    )
    with pytest.raises(WorkloadError, match="cannot be imported: cannot import name 'Families'"):
        workloads.get("digits2-toy-v1")


def test_a_folder_without_a_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"has no config\.yaml"):
        Place("mine", tmp_path, "mine.workload").definition()


def test_every_family_has_the_same_files() -> None:
    same = {"__init__.py", "settings.py", "data.py", "model_torch.py", "model_jax.py",
            "workload.py", "config.yaml", "README.md"}  # fmt: skip
    for name in workloads.families():
        folder = workloads.family(name).path.parent
        assert same <= {path.name for path in folder.iterdir()}, folder


def test_listing_workloads_imports_no_numbers_and_no_framework() -> None:
    code = (
        "import sys, workloads; workloads.ids(); print({'numpy', 'torch', 'jax'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_task_that_the_family_does_not_hold_is_told(theirs: Path) -> None:
    text = CONFIG + "variants:\n  other:\n    scales:\n      toy: {}\n"
    (theirs / "their_package" / "digits" / "config.yaml").write_text(text)
    with pytest.raises(WorkloadError, match="makes 'other' a task, which `tasks` of its FAMILY"):
        workloads.get("digits2-toy-v1+other")
