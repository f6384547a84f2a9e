"""`gradathlon show`."""

from __future__ import annotations

import click
import yaml

import workloads
from scoring.ground.documents import ConfigError
from scoring.ground.errors import nearest
from submissions import source
from suite import config


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """Show everything about one workload, submission or suite.

    NAME is a workload id, a submission's name or path, or a suite's name or path.

    \b
    Examples:
        gradathlon show lm-toy-v2
        gradathlon show adamw
        gradathlon show ./my_opt.py
        gradathlon show demo
    """
    click.echo(_text(name))


def _text(name: str) -> str:
    submissions = [*source.shipped(), *source.installed()]
    if name.endswith((".yaml", ".yml")) or name in config.shipped():
        return _suite(name)
    if source.is_path(name) or name in submissions:
        return source.describe(source.find(name))
    if name in workloads.ids():
        return _workload(name)
    hint = nearest(name, [*submissions, *config.shipped(), *workloads.ids()])
    if "did you mean" not in hint:
        hint = "; see `gradathlon list workloads`, `submissions` or `suites`"
    raise ConfigError(f"unknown name {name!r}{hint}")


def _workload(name: str) -> str:
    workload = workloads.get(name)
    metric, race = workload.metric, workload.race
    about: dict[str, object] = {
        "workload": name,
        "title": workloads.family(workload.id.family).title(workload.id),
        "metric": f"{metric.key} ({metric.goal})",
        "parameters": workload.size,
        "settings": workload.settings.model_dump(mode="json", exclude={"provisional_budget"}),
    }
    if race is None:
        about["target"] = f"none yet; set one with: gradathlon set-targets {name}"
    else:
        about["target"] = race.target
        about["budget"] = race.budget.model_dump(mode="json")
        about["reference"] = {
            framework: reference.model_dump(mode="json")
            for framework, reference in race.reference.items()
        }
    return _yaml(about)


def _suite(name: str) -> str:
    named = config.load(name)
    about = {"suite": named.name, **named.suite.model_dump(mode="json", exclude_none=True)}
    about["budget_factor"] = named.suite.factor
    return _yaml(about)


def _yaml(about: dict[str, object]) -> str:
    return yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=100).rstrip()
