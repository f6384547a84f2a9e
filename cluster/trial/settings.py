"""A workload's settings, sent with the spec: a worker's own files never silently override them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping

import workloads
from cluster.faults import NodeError
from cluster.spec import TrialSpec
from scoring.ground.words import short
from workloads.contract import Workload


def with_settings(spec: TrialSpec) -> TrialSpec:
    """The trial with the workload's numbers as they are here, unless it brings its own.

    Raises:
        WorkloadError: no such workload.
    """
    if spec.settings_sha256:
        return spec
    workload = workloads.get(spec.workload)
    return dataclasses.replace(
        spec, settings=_plain(workload), settings_sha256=workload.settings_sha256
    )


def check_settings(spec: TrialSpec, workload: Workload) -> None:
    """See that this machine has the workload that the trial was planned on.

    Raises:
        NodeError: it has other numbers; the first that differs is named.
    """
    if spec.settings_sha256 in ("", workload.settings_sha256):
        return
    ours, theirs = dict(_leaves(_plain(workload))), dict(_leaves(spec.settings))
    odd = [name for name in {**theirs, **ours} if ours.get(name) != theirs.get(name)]
    what = "its metric"
    if odd:
        what = f"{odd[0]} {ours.get(odd[0])!r}, not {theirs.get(odd[0])!r}"
    raise NodeError(
        f"{spec.workload} is not the run's here ({short(workload.settings_sha256)}, planned "
        f"{short(spec.settings_sha256)}): {what}; install the same version on every node"
    )


def _plain(workload: Workload) -> dict[str, object]:
    plain: dict[str, object] = json.loads(workload.settings.model_dump_json())
    return plain


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
