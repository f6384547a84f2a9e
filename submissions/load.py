"""Executing a submission's text in this process and calling its `submission`.

Not a sandbox: a submission can do whatever the user who starts it can do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable
from pathlib import Path, PurePath
from types import CodeType, ModuleType
from typing import Any

from scoring.ground.errors import nearest
from scoring.ground.words import Facts, Framework
from submissions.algoperf.imports import EXTRA, Imports
from submissions.algoperf.machine import compiler
from submissions.algoperf.wrap import make_submission
from submissions.bundle import MAIN, split
from submissions.contract import Card, Parameters, SubmissionError
from submissions.reading import FUNCTION
from submissions.siblings import compile_plain, lend, show_lines, take_back
from submissions.source import Source

_EXPECTED: dict[Framework, str] = {
    "torch": "a torch optimizer, a tuple of optimizers and lr_schedulers, or an object with `init`"
    " and `update`",
    "jax": "an optax transformation, or an object with `init` and `update`",
}
_LOSS_NAMES = ("metrics", "metric", "loss", "val_loss", "value")
"""What the one argument of a scheduler's `step` is called, where it wants the loss."""


def execute(source: Source) -> ModuleType:
    """A fresh module made of the source's text, as `submission_<first 16 of its digest>`.

    A module of that name from an earlier call is replaced, so that trials in one process share no
    global state. The file's folder is never on `sys.path`; the files of a folder find each other
    as parts of that module.

    Raises:
        SubmissionError: the text raised, or imports what is not installed here.
    """
    name = _module_name(source)
    main, files = split(source.text)
    unload(source)
    spec = importlib.util.spec_from_loader(
        name, loader=None, origin=source.origin, is_package=bool(files)
    )
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = source.origin
    # pickle, dataclasses and torch.compile look a class's module up while it is being defined.
    sys.modules[name] = module
    algoperf = source.api == "algoperf"
    compiled: Callable[[str, str], CodeType] = compile_plain
    if algoperf:
        vars(module)["__builtins__"] = Imports(name, files).builtins()
        if source.framework == "torch":
            from submissions.algoperf.helpers_torch import has_accelerator

            compiled = compiler(accelerator=has_accelerator())
    if files:
        names = vars(module).get("__builtins__")
        lend(name, files, PurePath(source.origin).parent, names, compiled)
    show_lines(source.origin, main)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compiled(main, source.origin), module.__dict__)
    except (Exception, SystemExit) as error:
        unload(source)
        raise SubmissionError(f"{_where(error, source)}: {_what(error, source)}") from error
    if algoperf:
        texts = {"submission.py": main, **files}
        setattr(module, FUNCTION, make_submission(module, source, texts))
    return module


def build(
    module: ModuleType,
    source: Source,
    hyperparameters: Facts,
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
    # A card of its own: what the file changes in it, the next build must not meet.
    reserved = {"params": params, "workload": dataclasses.replace(card)}
    requested = {name: reserved[name] for name in source.arguments if name in reserved}
    function = getattr(module, FUNCTION)
    try:
        # Some packages print when an optimizer is made; stdout is for results alone.
        with contextlib.redirect_stdout(sys.stderr):
            built = function(**hyperparameters, **requested)
    except SubmissionError:
        raise  # it says where it is from
    except (Exception, SystemExit) as error:
        raise SubmissionError(f"{_where(error, source)}: {_what(error, source)}") from error
    _refuse_what_cannot_race(built, function, source)
    return built


def unload(source: Source) -> None:
    """Forget the module and the lines that `execute` left; nothing happens when there are none."""
    take_back(_module_name(source))
    sys.modules.pop(_module_name(source), None)
    linecache.cache.pop(source.origin, None)


def _module_name(source: Source) -> str:
    return f"submission_{source.sha256[:16]}"


def _check_names(source: Source, hyperparameters: Facts) -> None:
    accepted = source.hyperparameters
    for name in hyperparameters:
        if name not in accepted:
            hint = nearest(name, accepted)
            raise SubmissionError(f"{source.origin}: no hyperparameter {name!r}{hint}")
    for name in accepted:
        if name not in hyperparameters and name not in source.defaults:
            advice = "give it a value or a default"
            raise SubmissionError(f"{source.origin}: hyperparameter {name!r} is not set; {advice}")


def flatten(built: object) -> list[Any]:
    """The optimizers and schedulers of any nesting of lists and tuples, in their order."""
    if isinstance(built, list | tuple):
        return [part for item in built for part in flatten(item)]
    return [built]


def is_optimizer(built: object) -> bool:
    """Whether it is a torch optimizer, by its methods, so that torch need not be imported here."""
    return _has(built, "step", "state_dict") and hasattr(built, "param_groups")


def _refuse_what_cannot_race(built: object, function: object, source: Source) -> None:
    wrong = _wrong_for_jax(built) if source.framework == "jax" else _wrong_for_torch(built)
    if wrong:
        line = getattr(getattr(function, "__code__", None), "co_firstlineno", 1)
        raise SubmissionError(f"{source.origin}:{line}: `{FUNCTION}` returned {wrong}")


def _wrong_for_jax(built: object) -> str:
    return "" if _has(built, "init", "update") else _unexpected(built, "jax")


def _wrong_for_torch(built: object) -> str:
    # An optax transformation is a named tuple with `init` and `update`: not for torch.
    if not isinstance(built, list | tuple) or hasattr(built, "_fields"):
        fits = is_optimizer(built) or _has(built, "init", "update")
        if fits and not hasattr(built, "_fields"):
            return ""
        hint = "; for JAX leave `params` out of its arguments" if fits else ""
        return _unexpected(built, "torch") + hint
    parts = flatten(built)
    if not any(map(is_optimizer, parts)):
        return _unexpected(built, "torch")
    for part in parts:
        wrong = "" if is_optimizer(part) else _wrong_scheduler(part)
        if wrong:
            return wrong
    return ""


def _wrong_scheduler(part: Any) -> str:
    if not _has(part, "step", "state_dict", "load_state_dict"):
        return f"parts including {_named(part)}, which is neither an optimizer nor an lr_scheduler"
    required = [
        parameter.name
        for parameter in inspect.signature(part.step).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if not required or (len(required) == 1 and required[0] in _LOSS_NAMES):
        return ""
    arguments = ", ".join(required)
    return (
        f"{_named(part)}, whose `step` requires {arguments}; a scheduler's `step` is called "
        "with no arguments or, if its one argument is named `metrics`, with the training loss"
    )


def _unexpected(built: object, framework: Framework) -> str:
    return f"{_named(built)}; return {_EXPECTED[framework]}"


def _named(built: object) -> str:
    return "None" if built is None else f"a {type(built).__name__}"


def _has(built: object, *methods: str) -> bool:
    return all(callable(getattr(built, method, None)) for method in methods)


def _where(error: BaseException, source: Source) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    folder = PurePath(source.origin).parent
    own = {source.origin, *(str(folder / name) for name in split(source.text)[1])}
    lines = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in own]
    return lines[-1] if lines else source.origin


def _missing(error: ModuleNotFoundError, name: str, source: Source) -> str:
    """What is imported by whom, and what to do."""
    frames = traceback.walk_tb(error.__traceback__)
    packages = [frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in frames]
    package = [name for name in packages if name != "importlib"][-1]
    if package in (_module_name(source), __name__.partition(".")[0]):
        name = name.removeprefix(_module_name(source))  # `.helper` is one of its own
        return f"imports {name}, {_advice(name.removeprefix('.'), source)}"
    return f"{package} imports {name}, which is not installed here; pip install it"


def _advice(name: str, source: Source) -> str:
    files = split(source.text)[1]
    if files and f"{name}.py" == MAIN:
        return "the main file itself; move what both need to a file beside it"
    if f"{name}.py" in files or any(path.startswith(f"{name}/") for path in files):
        return f"a file beside it; write `from .{name} import ...`"
    if source.api == "algoperf" and name.partition(".")[0] in EXTRA:
        return "not installed here; pip install 'gradathlon[algoperf]'"
    wanted = PurePath(source.origin).parent / "requirements.txt"
    if files and Path(wanted).exists():
        return f"not installed here and no file beside it; pip install what {wanted} lists"
    if files:
        return "not installed here and no file beside it"
    advice = "a submission is one file, or a folder with submission.py, plus installed packages"
    return f"not installed here; {advice}"


def _what(error: BaseException, source: Source) -> str:
    """The exception in one line."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing(error, error.name, source)
    try:
        text = str(error).strip()
    except BaseException:  # it may be anyone's code
        text = ""
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
