"""The pinned versions of the five packages that determine a trial's arithmetic."""

from __future__ import annotations

import importlib.metadata

FIVE = ("torch", "jax", "optax", "ray", "numpy")


def pins() -> dict[str, str]:
    """What Gradathlon asks of each, as in `==2.13.*`; empty where it is not installed itself."""
    from packaging.requirements import Requirement

    try:
        requirements = [
            Requirement(text) for text in importlib.metadata.requires("gradathlon") or []
        ]
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    wanted = {one.name: str(one.specifier) for one in requirements if one.marker is None}
    return {name: wanted.get(name, "") for name in FIVE}


def fits(version: str, wanted: str) -> bool:
    """Whether a version is one of those asked for."""
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(version, prereleases=True)
