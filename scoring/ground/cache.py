"""Where this machine keeps what can be had again: fetched data, references, records as read."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$GRADATHLON_CACHE`, or the user's cache folder."""
    if given := os.environ.get("GRADATHLON_CACHE"):
        return Path(given)
    import pooch

    return Path(pooch.os_cache("gradathlon"))
