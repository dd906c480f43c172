"""Where riveg keeps what it can get again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """``$RIVEG_CACHE``, else ``riveg`` in the user's cache."""
    chosen = os.environ.get("RIVEG_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "riveg"
    return Path(chosen) if chosen else home
