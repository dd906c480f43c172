"""Runs and predictions as commands are given them: on this machine, or in an object store."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

GivenT = TypeVar("GivenT", Path, Path | None, list[Path])


def opened(given: GivenT) -> GivenT:
    """Callback of an argument or option: what lies in a store becomes its copy on this machine."""
    if isinstance(given, list):
        return [_opened(place) for place in given]
    return None if given is None else _opened(given)


def _opened(place: Path) -> Path:
    from riveg.runs.stored import local_run
    from riveg.stores.store import store_address

    return place if store_address(place) is None else local_run(place)
