"""What belongs together in a run folder: the manifest, and the records that it speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from riveg.errors import UserError
from riveg.files import digest_of, open_regular
from riveg.formats.json_files import read_json
from riveg.formats.manifest import checked_manifest

MANIFEST = "manifest.json"
RECORDS = "records.jsonl"

UNFINISHED = "UNFINISHED.txt"
"""File that an export holds until it is whole."""

CONFIG = "config.yaml"

DIGEST = "records_digest"
"""Key of the manifest: the digest of the bytes of the records."""

CONFIG_DIGEST = "config_digest"
"""Key of the manifest: the digest of the bytes of the settings."""

_FIRST_WITH_DIGEST = 2
"""The schema from which on every run that has come to its end has a digest of its records."""


def require_whole_export(path: Path) -> None:
    """Makes sure that a file or folder is not of an export that was cut off.

    Raises:
        UserError: If it is, or lies in the export's folder or one below.
    """
    place = path.absolute()
    if any((folder / UNFINISHED).is_file() for folder in (place, *place.parents[:2])):
        raise UserError(f"{path}: is of an export that did not come to its end; export it again")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run, finished or not; empty where there is none.

    Raises:
        UserError: If the file is no manifest.
    """
    path = folder / MANIFEST
    try:
        values = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); remove it, the run makes it anew") from error
    return checked_manifest(values, str(path))


def finished_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run that has come to its end: it speaks of the records that are there.

    Raises:
        UserError: If there is no such run, it has not come to its end (its records may then be
            those of a run before it), or the records are gone.
    """
    manifest, records = read_manifest(folder), folder / RECORDS
    if manifest and not is_finished(manifest):
        raise UserError(
            f"{folder}: its run has not come to its end (`riveg status` says how far it is), and a "
            f"{RECORDS} there may be of another run before it; give the run again"
        )
    if not records.is_file():
        raise UserError(
            f"{records}: not there; is {folder} a run folder, and has the run come to its end?"
        )
    if not manifest:
        raise UserError(f"{folder}: holds no {MANIFEST}, which says what its records are of")
    return manifest


def is_finished(manifest: Mapping[str, Any]) -> bool:
    """Whether a run has come to its end; one that has only begun says ``null``, and no digest."""
    if manifest["schema"] >= _FIRST_WITH_DIGEST and manifest.get(DIGEST) is None:
        return False
    return manifest.get("finished", True) is not None


@contextmanager
def open_records(folder: Path, manifest: Mapping[str, Any] | None = None) -> Iterator[IO[bytes]]:
    """The records of a finished run, open for reading; they stay the same while they are open.

    Args:
        folder: The run folder.
        manifest: What has been read of the run; ``None``: its manifest as it is now.

    Raises:
        UserError: As :func:`finished_manifest`, or if the records are not those that the run of
            the manifest has written.
    """
    manifest = finished_manifest(folder) if manifest is None else manifest
    path = folder / RECORDS
    try:
        handle = open_regular(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    with handle:
        # A run of schema 1 may have no digest: its end is all that is known.
        wanted = manifest.get(DIGEST)
        if wanted is not None and digest_of(handle) != wanted:
            raise UserError(
                f"{path}: is not what the run of {MANIFEST} has written; give the run again "
                "(nothing is asked twice)"
            )
        handle.seek(0)
        yield handle
