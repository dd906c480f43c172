"""Models in the hub's cache, as a download leaves them: tiny ones under the published names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(home: Path, model: str, save: Callable[..., Any], **more: Any) -> Path:
    """Saves a model where ``HF_HOME`` has it.

    Args:
        home: The cache.
        model: ``OWNER/NAME``.
        save: Saves it to the folder that it is given.
        **more: Further arguments of ``save``.
    """
    root = home / "hub" / f"models--{model.replace('/', '--')}"
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    save(snapshot, **more)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    return snapshot
