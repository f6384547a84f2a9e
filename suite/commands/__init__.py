"""One file a command; each imports what it needs when it runs."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Option: TypeAlias = Any
"""What click made of one option."""
Options: TypeAlias = Mapping[str, Option]
"""A command's options by name, as click has checked them."""
