"""``riveg doctor``: what is here, what is missing, and how to get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from riveg.config.extras import MissingPackage
    from riveg.probe.settings import Probed


def doctor(
    probe: str | None = typer.Option(
        None,
        "--probe",
        metavar="SYSTEM|URL",
        help="Ask a vision-language model about drawings: does it see, and in which frame are its "
        "boxes. Of a system, or of a server: http://127.0.0.1:8000/v1",
    ),
    llm: str | None = typer.Option(
        None, metavar="NAME", help="With --probe SYSTEM: which of its models."
    ),
    overrides: list[str] = typer.Option(
        [],
        "--set",
        metavar="STAGE.KEY=VALUE",
        help="With --probe SYSTEM: change the system; may be repeated.",
    ),
    model: str | None = typer.Option(
        None, metavar="NAME", help="With --probe URL: the name that the server knows it by."
    ),
    api_key_variable: str | None = typer.Option(
        None, metavar="VARIABLE", help="With --probe URL: the environment variable with the key."
    ),
) -> None:
    """Say what is installed, and how to get the rest. With --probe, what a model sees."""
    of_system, of_server = (llm, *overrides), (model, api_key_variable)
    if probe is not None and _is_url(probe):
        _refuse("--llm and --set", of_system, "a system: with a URL say --model")
        _print_probe_of_server(probe, model, api_key_variable)
    elif probe is not None:
        _refuse(
            "--model and --api-key-variable",
            of_server,
            "a URL, http://...: a system says them itself",
        )
        _print_probe_of_system(probe, llm, overrides)
    else:
        given = (*of_system, *of_server)
        _refuse("--llm, --set, --model and --api-key-variable", given, "--probe: say of what")
        _print_installed()


def _is_url(target: str) -> bool:
    return target.startswith(("http://", "https://"))


def _refuse(options: str, given: Sequence[str | None], belong_to: str) -> None:
    from riveg.errors import UserError

    if any(one is not None for one in given):
        raise UserError(f"{options} belong to {belong_to}")


def _print_probe_of_server(url: str, model: str | None, api_key_variable: str | None) -> None:
    from riveg.errors import UserError
    from riveg.probe.settings import model_at

    if model is None:
        raise UserError("--probe URL needs --model: the name that the server knows its model by")
    _print_probe(model_at(url, model, api_key_variable))


def _print_probe_of_system(system: str, llm: str | None, overrides: Sequence[str]) -> None:
    from riveg.probe.settings import model_of_system

    _print_probe(model_of_system(system, llm, overrides))


def _print_probe(probed: Probed) -> None:
    from riveg.cli.probe_sheet import print_probe
    from riveg.probe.probe import probe

    print_probe(probed, probe(probed.name, probed.endpoint, probed.candidates, _say))


def _say(text: str) -> None:
    from riveg.cli.visible import visible

    typer.echo(visible(text), err=True)


def _print_installed() -> None:
    import platform

    from riveg import __version__
    from riveg.cli.tables import stdout
    from riveg.config.extras import EXTRAS, backend_states, missing_of_extra
    from riveg.errors import install_command

    console = stdout()
    python, machine = platform.python_version(), platform.platform()
    console.print(f"riveg {__version__}, Python {python}, {machine}", soft_wrap=True)
    console.print(f"GPU: {_gpu()}", markup=False, soft_wrap=True)
    console.print("extras", style="bold")
    for extra in EXTRAS:
        missing = missing_of_extra(extra)
        if missing:
            needed = f"lacks {', '.join(missing)}: {install_command(missing[0], extra)}"
            console.print(f"  {extra:<14} {needed}", markup=False, soft_wrap=True)
        else:
            console.print(f"  {extra:<14} there", markup=False, soft_wrap=True)
    console.print("backends", style="bold")
    for state in backend_states():
        works = state.fault or _needs(state.missing)
        console.print(f"  {state.stage:<8} {state.name:<18} {works}", markup=False, soft_wrap=True)


def _needs(missing: MissingPackage | None) -> str:
    if missing is None:
        return "works"
    brought_by = f"extra {missing.extra}" if missing.extra else missing.command
    return f"lacks {missing.package}: {brought_by}"


def _gpu() -> str:
    """What the driver's own tool says: importing torch to ask it would take seconds."""
    import shutil
    import subprocess

    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none found (no nvidia-smi)"
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi does not answer ({error})"
    return "; ".join(answer.stdout.strip().splitlines()) or "none"
