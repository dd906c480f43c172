"""Model files inside other packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from riveg.errors import UserError


def package_files(package: str, folder: str, *patterns: str) -> tuple[Path, ...]:
    """The first file of each pattern in a folder of an installed package, which is not imported.

    Raises:
        UserError: If the package or one of the files is not there.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"observe: the package {package} is not installed; reinstall riveg")
    place = Path(spec.origin).parent / folder
    found = {pattern: next(iter(sorted(place.glob(pattern))), None) for pattern in patterns}
    missing = [pattern for pattern, path in found.items() if path is None]
    if missing:
        raise UserError(f"observe: {place} lacks {', '.join(missing)}; reinstall that package")
    return tuple(path for path in found.values() if path is not None)
