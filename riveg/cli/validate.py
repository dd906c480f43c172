"""``riveg validate``: every problem of a system at once."""

from __future__ import annotations

import typer

from riveg.cli.visible import visible


def validate(
    system: str = typer.Argument(help="A shipped system or a YAML file."),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="STAGE.KEY=VALUE", help="Change the system; may be repeated."
    ),
) -> None:
    """Check a configuration: files, keys, values, and what its backends need. Loads nothing."""
    from riveg.cli.tables import plain, stdout
    from riveg.config import InvalidConfig, load_config
    from riveg.inventory import missing_package

    try:
        config = load_config(system, overrides)
    except InvalidConfig as error:
        for problem in error.problems:
            typer.echo(visible(str(problem)), err=True)
        count = len(error.problems)
        typer.echo(f"{count} problem{'s' if count > 1 else ''}", err=True)
        raise typer.Exit(2) from error
    console = stdout()
    stages = ", ".join(f"{step.stage.name}: {step.config.name}" for step in config.steps)
    console.print(plain(f"{config.file}: {config.name} is right ({stages})"))
    for step in config.steps:
        package, command = missing_package(type(step.config))
        if package:
            name = f"{step.stage.name}: {step.config.name}"
            console.print(f"to run it, {name} needs {package}: {command}", markup=False)
