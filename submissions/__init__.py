"""Submissions: the contract, finding and loading them, and one file per method.

source = submissions.find("adamw")      # or "./my_opt.py", or an installed entry point

Part of Gradathlon.
"""

from __future__ import annotations

from submissions.source import Source, describe, find, installed, shipped

__all__ = ["Source", "describe", "find", "installed", "shipped"]
