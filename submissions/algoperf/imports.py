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

    def __init__(self, package: str, files: Collection[str], framework: str) -> None:
        self._package = package
        self._files = frozenset(files)
        self._stand_ins = {name: _stand_ins(name, framework) for name in PACKAGES}
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
        module = builtins.__import__(name, globals, locals, fromlist or (), level)
        if not level and top == "jax":
            return self._jax(name, fromlist)
        return module

    def _stand_in(self, name: str, fromlist: Sequence[str] | None) -> ModuleType:
        top, _, rest = name.partition(".")
        parts = self._stand_ins[top]
        for asked in [rest] if rest else (fromlist or ()):
            if asked not in parts:
                path = ", ".join(part for part in parts if part)
                message = f"{top}.{asked} is not served here; a submission may use {path}"
                raise ImportError(message, name=f"{top}.{asked}")
        return parts[rest] if fromlist else parts[""]

    def _beside(self, name: str) -> str | None:
        """The dotted name, within the submission, of the file that an absolute import means."""
        parts = name.split(".")
        strange = parts[0] in _TREES or not _exists(parts[0])
        for start in range(len(parts) if strange else 1):
            stem = "/".join(parts[start:])
            if f"{stem}.py" in self._files or any(f.startswith(f"{stem}/") for f in self._files):
                return ".".join(parts[start:])
        return self._deeper("/".join(parts)) if strange else None

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


def _exists(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return top in sys.modules


def _stand_ins(package: str, framework: str) -> dict[str, ModuleType]:
    """The modules of one of AlgoPerf's packages, by their name in it; "" is the package."""
    parts = {"": ModuleType(package), "spec": make_spec(package)}
    helpers: dict[str, dict[str, Callable[..., Any]]]
    if framework == "torch":
        from submissions.algoperf import helpers_torch

        helpers = {"pytorch_utils": helpers_torch.HELPERS}
    else:
        from submissions.algoperf import helpers_jax

        helpers = {"jax_sharding_utils": helpers_jax.HELPERS}
    for name, functions in helpers.items():
        parts[name] = ModuleType(f"{package}.{name}")
        vars(parts[name]).update(functions)
    vars(parts[""]).update({name: part for name, part in parts.items() if name})
    parts[""].__path__ = []
    return parts
