"""Files of a store that are read: each is copied here when it is first asked for.

A copy lies below the cache under the names of its address, so that the one tells the other:
``s3://bucket/a/posts.jsonl`` is ``stores/s3/bucket/a/posts.jsonl``.
"""

from __future__ import annotations

from pathlib import Path

from riveg.caches import cache_home
from riveg.errors import UserError
from riveg.files import STORES, make_folder
from riveg.stores.store import Listed, Store, store_address


def local_file(place: str | Path) -> Path:
    """A file of this machine as it is; of a store a copy, which is brought up to date.

    Raises:
        UserError: If the store has no such object, or cannot be used.
        MissingExtra: If the package for this kind of store is not installed.
    """
    address = store_address(place)
    if address is None:
        return Path(place)
    store, target = Store(address), copy_of(address)
    found = store.find()
    if found is None:
        raise UserError(f"{address}: no such object")
    if not _is_copy(target, found):
        store.get("", target, found.written)
    return target


def local_folder(place: str | Path) -> Path:
    """A folder of this machine as it is; for one of a store the place of its copies.

    Files are copied there by :func:`bring` only, one by one.

    Raises:
        UserError: If the address names no bucket, or the folder cannot be made.
        MissingExtra: If the package for this kind of store is not installed.
    """
    address = store_address(place)
    if address is None:
        return Path(place)
    Store(address)
    folder = copy_of(address)
    make_folder(folder)
    return folder


def bring(path: Path) -> bool:
    """Copies a file to its place below the copies of stores, unless there is no such object.

    Raises:
        UserError: If the store cannot be used.
    """
    address = address_of(path)
    if address is None:
        return False
    store = Store(address)
    found = store.find()
    if found is None:
        return False
    store.get("", path, found.written)
    return True


def address_of(path: Path) -> str | None:
    """The address in a store that a path is a copy of; ``None`` for any other path."""
    home = _home()
    if not path.is_relative_to(home):
        return None
    scheme, *names = path.relative_to(home).parts or ("",)
    return f"{scheme}://{'/'.join(names)}" if scheme in STORES and names else None


def place_of(path: Path) -> str:
    """How a file or folder is named for every machine: its address in a store, or its full path."""
    return address_of(path) or str(path.absolute())


def copy_of(address: str) -> Path:
    """Where the copy of a file or folder of a store lies, or would lie."""
    scheme, _, names = address.partition("://")
    return _home() / scheme / names


def _home() -> Path:
    return (cache_home() / "stores").resolve()


def _is_copy(path: Path, found: Listed) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size == found.size and abs(status.st_mtime - found.written) < 1e-3
