"""What an AlgoPerf file's `import` statements find.

The file's own namespace gets its own `__import__`. It holds for the statements of that file, when
it is loaded and when it runs, and for nobody else: nothing is put into `sys.modules` or on a path.
It serves

- both names of AlgoPerf's package, by our stand-ins;
- the files beside it, also under the names that they had where they were published
  (`submissions.self_tuning.theirs.helper`), although `submissions` is a package of ours too;
- `jax`, with the few older names that published files still call.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from types import ModuleType
from typing import Any

from submissions.algoperf.spec import make_spec

PACKAGES = ("algoperf", "algorithmic_efficiency")
_HELPERS = ("pytorch_utils", "jax_sharding_utils")
"""Both for both frameworks: there are torch files that take a schedule from a JAX one."""
_TREES = ("submissions", "algorithms", "reference_algorithms", "previous_leaderboards")
"""Folders of AlgoPerf's repositories from which files import one another."""
EXTRA = ("absl", "chex", "flax", "jraph")
"""What published files import besides: in the extra `algoperf`."""


def serves(top: str, files: Collection[str]) -> bool:
    """Whether such files find this package although it is not installed; `files` lie beside."""
    beside = {part for path in files for part in path.removesuffix(".py").split("/")}
    return top in PACKAGES or top in _TREES or top in beside


class Imports:
    """An `__import__` for one submission's files; `package` is the name of its main module."""

    def __init__(self, package: str, files: Collection[str]) -> None:
        self._package = package
        self._files = frozenset(files)
        self._stand_ins = {name: _stand_ins(name) for name in PACKAGES}
        self._older: ModuleType | None = None

    def builtins(self) -> dict[str, Any]:
        """What the namespace of a file is to have as `__builtins__`."""
        return {**vars(builtins), "__import__": self}

    def __call__(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """As `builtins.__import__`."""
        top = name.partition(".")[0]
        if not level and top in PACKAGES:
            return self._stand_in(name, fromlist)
        path = None if level else self._beside(name)
        if path is not None:
            return self._sibling(name, path, fromlist)
        if not level and fromlist and (folder := self._folder(name, fromlist)):
            return folder
        try:
            module = builtins.__import__(name, globals, locals, fromlist or (), level)
        except ModuleNotFoundError as error:
            if not level and error.name and name.startswith(f"{error.name}."):
                error.name = name  # which tells the file that is missing, and not its first folder
            raise
        if not level and top == "jax":
            return self._jax(name, fromlist)
        return module

    def _stand_in(self, name: str, fromlist: Sequence[str] | None) -> ModuleType:
        top, _, rest = name.partition(".")
        parts = self._stand_ins[top]
        for asked in [rest] if rest else (fromlist or ()):
            if asked in _HELPERS and asked not in parts:
                parts[asked] = ModuleType(f"{top}.{asked}")
                vars(parts[asked]).update(_helpers(asked))
                setattr(parts[""], asked, parts[asked])
            if asked not in parts:
                served = ", ".join(("spec", *_HELPERS))
                message = f"{top}.{asked} is not supported; a submission may use {served}"
                raise ImportError(message, name=f"{top}.{asked}")
        return parts[rest] if fromlist else parts[""]

    def _beside(self, name: str) -> str | None:
        """The dotted name, within the submission, of the file that an absolute import means."""
        parts = name.split(".")
        strange = _strange(parts[0])
        for start in range(len(parts) if strange else 1):
            stem = "/".join(parts[start:])
            if f"{stem}.py" in self._files or any(f.startswith(f"{stem}/") for f in self._files):
                return ".".join(parts[start:])
        return self._deeper("/".join(parts)) if strange else None

    def _folder(self, name: str, fromlist: Sequence[str]) -> ModuleType | None:
        """The submission's own folder, by the name that it had, with these files of it."""
        if not _strange(name.partition(".")[0]):
            return None
        paths = [self._beside(f"{name}.{asked}") for asked in fromlist]
        if None in paths:
            return None
        folder = ModuleType(name)
        for asked, path in zip(fromlist, paths, strict=True):
            setattr(folder, asked, importlib.import_module(f"{self._package}.{path}"))
        return folder

    def _deeper(self, stem: str) -> str | None:
        """As if each folder of the submission were on the path, the outermost first."""
        paths = [path for path in self._files if path.endswith(f"/{stem}.py")]
        if not paths:
            return None
        return min(paths, key=lambda path: (len(path), path)).removesuffix(".py").replace("/", ".")

    def _sibling(self, name: str, path: str, fromlist: Sequence[str] | None) -> ModuleType:
        module = importlib.import_module(f"{self._package}.{path}")
        if fromlist:
            for asked in fromlist:
                if not hasattr(module, asked) and self._beside(f"{path}.{asked}"):
                    importlib.import_module(f"{self._package}.{path}.{asked}")
            return module
        # `import a.b.c as d` walks down from the first.
        top, *below = name.split(".")
        if not below:
            return module
        first = step = ModuleType(top)
        for part in below[:-1]:
            setattr(step, part, ModuleType(part))
            step = getattr(step, part)
        setattr(step, below[-1], module)
        return first

    def _jax(self, name: str, fromlist: Sequence[str] | None) -> ModuleType:
        from submissions.algoperf.older_jax import older

        if self._older is None:
            self._older = older()
        if fromlist and name != "jax":
            return self._older.numpy if name == "jax.numpy" else sys.modules[name]
        return self._older


def _strange(top: str) -> bool:
    """Whether a package is none that is installed, or may be named as one of ours is."""
    return top in _TREES or not _exists(top)


def _exists(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return top in sys.modules


def _stand_ins(package: str) -> dict[str, ModuleType]:
    """One of AlgoPerf's packages, as "", and its `spec`."""
    parts = {"": ModuleType(package), "spec": make_spec(package)}
    vars(parts[""]).update(spec=parts["spec"], __path__=[])
    return parts


def _helpers(name: str) -> dict[str, Callable[..., Any]]:
    """What AlgoPerf's module of helpers gives; its framework is imported by who asks for it."""
    if name == "pytorch_utils":
        from submissions.algoperf import helpers_torch

        return helpers_torch.HELPERS
    from submissions.algoperf import helpers_jax

    return helpers_jax.HELPERS
