"""Imports among the files of one submission: under its own package name, not through a path."""

from __future__ import annotations

import dataclasses
import importlib.abc
import importlib.machinery
import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from types import CodeType, ModuleType

from scoring.ground.words import Facts


def compile_plain(text: str, origin: str) -> CodeType:
    """A file's code as Python has it, whatever this file's own `from __future__` say."""
    return compile(text, origin, "exec", dont_inherit=True)


@dataclasses.dataclass(frozen=True)
class _Package:
    files: Mapping[str, str]
    folder: PurePath
    names: Facts | None
    compiled: Callable[[str, str], CodeType]


_packages: dict[str, _Package] = {}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `<package>.<file>` for the packages that `lend` named, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        if package not in _packages or not rest:
            return None
        files, folder = _packages[package].files, _packages[package].folder
        stem = rest.replace(".", "/")
        # As Python has it: a package, else a module, else a folder without `__init__.py`.
        inside = any(name.startswith(f"{stem}/") for name in files)
        inside &= f"{stem}/__init__.py" in files or f"{stem}.py" not in files
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
        package = _packages[module.__name__.partition(".")[0]]
        if package.names is not None:
            vars(module)["__builtins__"] = package.names
        path = PurePath(spec.origin).relative_to(package.folder).as_posix()
        text = package.files.get(path, "")
        module.__file__ = spec.origin
        show_lines(spec.origin, text)
        exec(package.compiled(text, spec.origin), module.__dict__)


_finder = _Finder()


def lend(
    package: str,
    files: Mapping[str, str],
    folder: PurePath,
    names: Facts | None = None,
    compiled: Callable[[str, str], CodeType] = compile_plain,
) -> None:
    """From now on the module `package` finds these files as its submodules.

    `names` are the `__builtins__` that they are run with, where not the usual ones; `compiled`
    makes code of a file's text and path.
    """
    _packages[package] = _Package(files, folder, names, compiled)
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)


def take_back(package: str) -> None:
    """Forget the package and its submodules; nothing happens where there are none."""
    modules = _packages.pop(package, None)
    if modules:
        for name in modules.files:
            linecache.cache.pop(str(modules.folder / name), None)
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        del sys.modules[name]
    if not _packages and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def show_lines(origin: str, text: str) -> None:
    """Let tracebacks show the lines of a file that may not be on this machine."""
    # Without a modification time, linecache never goes to look for the file.
    linecache.cache[origin] = (len(text), None, text.splitlines(keepends=True), origin)
