"""Published optimizers as plugins of a few lines each, as a user would write them.

    python -m tests.benchmarks.published_optimizers FOLDER
    gradathlon conformance FOLDER/*.py -o DIR

What is not installed here is left out and told. `FOLDER/files` is for optimizers that their authors
publish as a file: a folder there, with that file in it, gets its `submission.py`.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

TORCH = '''"""{what}, at {at}."""

import {module}


def submission(params):
    return {call}
'''
JAX = '''"""{what}, at {at}."""

import {module}


def submission():
    return {call}
'''
SPLIT = '''"""{what} on hidden matrices, AdamW on all else."""

import torch
{imported}

def submission(params):
    hidden = params.of("weight")
    rest = [p for p in params if all(p is not q for q in hidden)]
    return {call}, torch.optim.AdamW(rest, lr=1e-3)
'''
ARGUMENTS = {
    "torch.optim": (
        "Adadelta(params)",
        "Adafactor(params)",
        "Adagrad(params, lr=0.01)",
        "Adamax(params)",
        "ASGD(params)",
        "LBFGS(params, lr=0.1, max_iter=2)",
        "NAdam(params)",
        "RAdam(params)",
        "RMSprop(params, lr=1e-3)",
        "Rprop(params, lr=1e-4)",
        "SGD(params, lr=0.01, momentum=0.9)",
    ),
    "schedulefree": (
        "AdamWScheduleFree(params)",
        "RAdamScheduleFree(params)",
        "SGDScheduleFree(params, lr=0.1)",
    ),
    "prodigyopt": ("Prodigy(params)",),
    "dadaptation": ("DAdaptAdam(params)", "DAdaptLion(params)", "DAdaptSGD(params)"),
    "momo": ("Momo(params)", "MomoAdam(params)"),
    "dog": ("DoG(params)", "LDoG(params)"),
    "parameterfree": ("COCOB(params)",),
    "pytorch_optimizer": (
        "AdaBelief(params)",
        "AdamP(params)",
        "Adan(params)",
        "AdEMAMix(params)",
        "Lamb(params)",
        "Lion(params)",
        "MARS(params)",
        "QHAdam(params)",
        "SGDP(params)",
        "SOAP(params)",
        "StableAdamW(params)",
        "Tiger(params)",
    ),
    "optax": (
        "adabelief(1e-3)",
        "adafactor(1e-3)",
        "adagrad(0.01)",
        "adamax(1e-3)",
        "amsgrad(1e-3)",
        "fromage(1e-3)",
        "lamb(1e-3)",
        "lion(1e-4)",
        "nadam(1e-3)",
        "novograd(1e-3)",
        "optimistic_adam_v2(1e-3)",
        "polyak_sgd()",
        "radam(1e-3)",
        "rmsprop(1e-3)",
        "sm3(0.01)",
        "yogi(1e-3)",
        "lbfgs()",
    ),
    "optax.contrib": (
        "acprop(1e-3)",
        "ademamix(1e-3)",
        "adopt(1e-3)",
        "cocob()",
        "dadapt_adamw()",
        "dog(1.0)",
        "dowg()",
        "madgrad(0.01)",
        "momo()",
        "momo_adam()",
        "muon(1e-3)",
        "prodigy()",
        "schedule_free_adamw(1e-3)",
        "schedule_free_sgd(0.1)",
        "simplified_ademamix(1e-3)",
    ),
}
"""Official defaults; a rate where there is none by default, or its default is none."""
FILES = {
    "KellerJordan+Muon": (
        "muon.py",
        "from .muon import SingleDeviceMuon",
        "SingleDeviceMuon(hidden)",
    ),
    "nikhilvyas+SOAP": ("soap.py", "from .soap import SOAP", "SOAP(params)"),
    "davda54+sam": (
        "sam.py",
        "import torch\nfrom .sam import SAM",
        "SAM(params, torch.optim.SGD, lr=0.01)",
    ),
    "Liuhong99+Sophia": ("sophia.py", "from .sophia import SophiaG", "SophiaG(params)"),
    "sail-sg+Adan": ("adan.py", "from .adan import Adan", "Adan(params)"),
}
"""The author's file, how it is imported, and the call."""


def main() -> None:
    """Write them, and tell what is left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (*plugins(), *authors_files(folder / "files")):
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)


def plugins() -> Iterator[tuple[str, str]]:
    """Name and text of each plugin whose package is installed."""
    for module, calls in ARGUMENTS.items():
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            print(f"{module} is not installed here", file=sys.stderr)
            continue
        for call in calls:
            what, _, given = call.partition("(")
            told = given.removesuffix(")").removeprefix("params").removeprefix(", ")
            text = JAX if module.startswith("optax") else TORCH
            fields = {"what": f"{module}.{what}", "at": told or "its defaults", "module": module}
            yield (
                f"{module.replace('.', '_')}_{what}.py",
                text.format(call=f"{module}.{call}", **fields),
            )


def authors_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Path and text of the `submission.py` beside each author's file that is there."""
    for name, (file, imported, call) in FILES.items():
        if not (folder / name / file).exists():
            print(f"{folder / name / file} is not there", file=sys.stderr)
            continue
        path = f"files/{name}/submission.py"
        if "hidden" in call:
            yield path, SPLIT.format(what=f"{name}'s {file}", imported=imported, call=call)
        else:
            docstring = f'"""{name}\'s {file}, as its author publishes it."""'
            yield (
                path,
                f"{docstring}\n\n{imported}\n\n\ndef submission(params):\n    return {call}\n",
            )


if __name__ == "__main__":
    main()
