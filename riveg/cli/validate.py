"""``riveg validate``: every problem of a system at once."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from riveg.cli.visible import visible

if TYPE_CHECKING:
    from riveg.config.system import SystemConfig


def validate(
    system: str = typer.Argument(help="A shipped system or a YAML file."),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="STAGE.KEY=VALUE", help="Change the system; may be repeated."
    ),
) -> None:
    """Check a configuration: keys, values, the files it names. No model is loaded."""
    from riveg.cli.tables import plain, stdout
    from riveg.config.extras import missing_client, missing_package
    from riveg.config.own_labels import label_notes
    from riveg.config.reader import load_config
    from riveg.config.yaml_file import InvalidConfig
    from riveg.errors import MissingModel, UntrainedModel

    try:
        config = load_config(system, overrides)
    except InvalidConfig as error:
        _refuse(list(map(str, error.problems)))
    absent = list(_absent(config))
    to_train = [(key, error) for key, error in absent if isinstance(error, UntrainedModel)]
    lacking = [key for key, error in absent if isinstance(error, MissingModel)]
    to_fetch = [key for key in lacking if key not in dict(to_train)]
    _refuse([f"{key}: {error}" for key, error in absent if key not in lacking])
    console = stdout()
    stages = ", ".join(f"{step.stage.name}: {step.config.name}" for step in config.steps)
    console.print(plain(f"{config.file}: {config.name} is right ({stages})"))
    whole = [step for step in config.steps if step.stage.name not in lacking]
    for note in label_notes(config, whole):
        console.print(plain(note), soft_wrap=True)
    for step in config.steps:
        endpoint = config.endpoint_of(step)
        lacks = missing_package(type(step.config)) or (endpoint and missing_client(endpoint))
        if lacks:
            name = f"{step.stage.name}: {step.config.name}"
            told = f"to run it, {name} needs {lacks.package}: {lacks.command}"
            console.print(plain(told), soft_wrap=True)
    if to_fetch:
        stages = ", ".join(to_fetch)
        words = [system, *(word for one in overrides for word in ("--set", one))]
        told = f"to run it, models are not here of {stages}: riveg fetch {shlex.join(words)}"
        console.print(plain(told), soft_wrap=True)
    for key, why in to_train:
        console.print(plain(f"to run it, {key}: {why}"), soft_wrap=True)


def _absent(config: SystemConfig) -> Iterator[tuple[str, Exception]]:
    """Prompts, weights and data that a run would not find: keys, and what is wrong."""
    from riveg.checkpoints.adapters import adapter_of
    from riveg.config.extras import missing_package
    from riveg.datasets.opening import open_dataset
    from riveg.errors import RivegError, UserError
    from riveg.stages.prompt_probe import probe_prompt

    for step in config.steps:
        if missing_package(type(step.config)):
            continue  # what it needs is told apart, and its files may lie in that package
        try:
            contents, prompt = (
                step.config.contents(config.base),
                getattr(step.config, "prompt", None),
            )
            if "prompt" in contents and isinstance(prompt, str):
                probe_prompt(prompt, config.base)
        except (RivegError, OSError, ValueError) as error:
            yield step.stage.name, error
    for name, endpoint in config.llm.items():
        try:
            adapter_of(endpoint)
        except UserError as error:
            yield f"llm.{name}", error
    if config.data is not None:
        try:
            open_dataset(config.data)
        except (RivegError, OSError) as error:
            yield "data", error


def _refuse(problems: list[str]) -> None:
    if not problems:
        return
    for problem in problems:
        typer.echo(visible(problem), err=True)
    typer.echo(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}", err=True)
    raise typer.Exit(2)
