"""Imports among the files of one submission: by its own package's name, and nowhere on a path."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import linecache
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import ModuleType
from typing import Any

_packages: dict[str, tuple[Mapping[str, str], PurePath, Mapping[str, Any] | None]] = {}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `<package>.<file>` for the packages that `lend` named, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        if package not in _packages or not rest:
            return None
        files, folder, _ = _packages[package]
        stem = rest.replace(".", "/")
        inside = any(name.startswith(f"{stem}/") for name in files)
        name = f"{stem}/__init__.py" if inside else f"{stem}.py"
        if not inside and name not in files:
            return None
        origin = str(folder / name)
        return importlib.machinery.ModuleSpec(fullname, self, origin=origin, is_package=inside)

    def exec_module(self, module: ModuleType) -> None:
        """Run the file's text; a folder without `__init__.py` is an empty package."""
        spec = module.__spec__
        assert spec is not None
        assert spec.origin is not None
        files, folder, names = _packages[module.__name__.partition(".")[0]]
        if names is not None:
            vars(module)["__builtins__"] = names
        text = files.get(PurePath(spec.origin).relative_to(folder).as_posix(), "")
        module.__file__ = spec.origin
        show_lines(spec.origin, text)
        exec(compile(text, spec.origin, "exec"), module.__dict__)


_finder = _Finder()


def lend(
    package: str,
    files: Mapping[str, str],
    folder: PurePath,
    names: Mapping[str, Any] | None = None,
) -> None:
    """From now on the module `package` finds these files as its submodules.

    `names` are the `__builtins__` that they are run with, where not the usual ones.
    """
    _packages[package] = files, folder, names
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)


def take_back(package: str) -> None:
    """Forget the package and its submodules; nothing happens where there are none."""
    files, folder, _ = _packages.pop(package, ({}, PurePath(), None))
    for name in files:
        linecache.cache.pop(str(folder / name), None)
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        del sys.modules[name]
    if not _packages and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def show_lines(origin: str, text: str) -> None:
    """Let tracebacks show the lines of a file that may not be on this machine."""
    # Without a modification time, linecache never goes to look for the file.
    linecache.cache[origin] = (len(text), None, text.splitlines(keepends=True), origin)
