"""Named entities in samples: their types, where they are in the image, and which pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from riveg.runs.sources import make_sample
    from riveg.runs.system import System, load_system

__version__ = "0.1.0"
__all__ = ["System", "__version__", "load_system", "make_sample"]


def __getattr__(name: str) -> Any:
    # Imported on use: `import riveg` costs nothing and pulls in no heavy package.
    if name in {"System", "load_system"}:
        from riveg.runs import system

        return getattr(system, name)
    if name == "make_sample":
        from riveg.runs.sources import make_sample

        return make_sample
    raise AttributeError(f"module 'riveg' has no attribute {name!r}")
