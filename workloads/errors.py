"""Errors about workloads."""

from __future__ import annotations

from scoring.ground.errors import UserError


class WorkloadError(UserError):
    """A workload that cannot be had: unknown, misconfigured, or its data missing or damaged.

    The message is one line that says what is wrong, where, and what to do.
    """
