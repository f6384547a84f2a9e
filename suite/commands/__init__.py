"""One file a command; each imports what it needs when it runs."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Options: TypeAlias = Mapping[str, Any]
"""A command's options by name, as click has checked them."""
