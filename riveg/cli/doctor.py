"""``riveg doctor``: what is here, what is missing, and how to get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from riveg.config.extras import MissingPackage


def doctor() -> None:
    """Say what is installed. Which backends therefore work, and how to get the rest."""
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
