"""Ray's settings, in place before Ray is imported, since it looks at some of them only then."""

from __future__ import annotations

import os

SETTINGS = {
    # A local `ray.init` would write a token file into the home folder, and warn.
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray prints a page to stdout, which is ours, for every worker and node that dies.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
    "RAY_SCHEDULER_EVENTS": "0",
    # Supervisors see to it that a trial keeps to its share; Ray would end whoever is youngest.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A submitted job has a working_dir of its own: on workers ours comes in its place, and what
    # else the job wishes for (pip, py_modules, env_vars) holds.
    "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",
    # Ray makes its workers give way to every other process: not in a race.
    "RAY_worker_niceness": "0",
}
"""Ray, quiet and out of the way of what races; for the processes of a cluster, too."""

for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)
