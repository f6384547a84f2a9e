"""Running a submission's text in this process, and calling its `submission`.

Not a sandbox: a submission can do whatever the user who starts it can do.
"""

from __future__ import annotations

import contextlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from scoring.ground.errors import nearest
from scoring.ground.words import Framework
from submissions.contract import Card, Parameters, SubmissionError
from submissions.reading import FUNCTION
from submissions.source import Source

_EXPECTED: dict[Framework, str] = {
    "torch": "a torch optimizer, a pair (optimizer, lr_scheduler), or an object with `init` and"
    " `update`",
    "jax": "an optax transformation, or an object with `init` and `update`",
}


def execute(source: Source) -> ModuleType:
    """A fresh module made of the source's text, as `submission_<first 16 of its digest>`.

    A module of that name from an earlier call is replaced, so that trials in one process share no
    global state. The file's folder is never on `sys.path`.

    Raises:
        SubmissionError: the text raised, or imports what is not installed here.
    """
    name = _module_name(source)
    spec = importlib.util.spec_from_loader(name, loader=None, origin=source.origin)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = source.origin
    # pickle, dataclasses and torch.compile look a class's module up while it is being defined.
    sys.modules[name] = module
    # Without a modification time, linecache never goes to look for the file.
    lines = source.text.splitlines(keepends=True)
    linecache.cache[source.origin] = (len(source.text), None, lines, source.origin)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(source.text, source.origin, "exec"), module.__dict__)
    except ModuleNotFoundError as error:
        unload(source)
        advice = "not installed here; a submission is one file, beside installed packages"
        raise SubmissionError(f"{_where(error, source)}: imports {error.name}, {advice}") from error
    except (Exception, SystemExit) as error:
        unload(source)
        raise SubmissionError(f"{_where(error, source)}: {_what(error)}") from error
    return module


def build(
    module: ModuleType,
    source: Source,
    hyperparameters: Mapping[str, Any],
    *,
    params: Parameters | None,
    card: Card,
) -> object:
    """What `submission` returns for these hyperparameters and the reserved names it asks for.

    `params` is None for JAX. The clock belongs to the caller.

    Raises:
        SubmissionError: an unknown or missing hyperparameter, `submission` raised, or it returned
            nothing that can race.
    """
    _check_names(source, hyperparameters)
    reserved = {"params": params, "workload": card}
    asked = {name: reserved[name] for name in source.arguments if name in reserved}
    function = getattr(module, FUNCTION)
    try:
        # Some packages print when an optimizer is made; stdout is for results alone.
        with contextlib.redirect_stdout(sys.stderr):
            built = function(**hyperparameters, **asked)
    except (Exception, SystemExit) as error:
        raise SubmissionError(f"{_where(error, source)}: {_what(error)}") from error
    if not _can_race(built, source.framework):
        kind = "None" if built is None else f"a {type(built).__name__}"
        line = getattr(getattr(function, "__code__", None), "co_firstlineno", 1)
        expected = _EXPECTED[source.framework]
        raise SubmissionError(
            f"{source.origin}:{line}: `{FUNCTION}` returned {kind}; return {expected}"
        )
    return built


def unload(source: Source) -> None:
    """Forget the module and the lines that `execute` left; nothing happens when there are none."""
    sys.modules.pop(_module_name(source), None)
    linecache.cache.pop(source.origin, None)


def _module_name(source: Source) -> str:
    return f"submission_{source.sha256[:16]}"


def _check_names(source: Source, hyperparameters: Mapping[str, Any]) -> None:
    known = source.hyperparameters
    for name in hyperparameters:
        if name not in known:
            hint = nearest(name, known)
            raise SubmissionError(f"{source.origin}: no hyperparameter {name!r}{hint}")
    for name in known:
        if name not in hyperparameters and name not in source.defaults:
            advice = "give it a value or a default"
            raise SubmissionError(f"{source.origin}: hyperparameter {name!r} is not set; {advice}")


def _can_race(built: object, framework: Framework) -> bool:
    """By its methods, so that no framework need be imported here."""
    if framework == "jax":
        return _has(built, "init", "update")
    # An optax transformation is a named tuple with `init` and `update`: not for torch.
    if isinstance(built, tuple):
        pair = len(built) == 2 and not _has(built, "init")
        return pair and _is_optimizer(built[0]) and _has(built[1], "step", "state_dict")
    return _is_optimizer(built) or _has(built, "init", "update")


def _is_optimizer(built: object) -> bool:
    return _has(built, "step", "state_dict") and hasattr(built, "param_groups")


def _has(built: object, *methods: str) -> bool:
    return all(callable(getattr(built, method, None)) for method in methods)


def _where(error: BaseException, source: Source) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == source.origin]
    return f"{source.origin}:{lines[-1]}" if lines else source.origin


def _what(error: BaseException) -> str:
    """The exception in one line."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
