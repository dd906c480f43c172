"""Folders of an object store by ``fsspec``: whole objects are put, got and listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from riveg.errors import MissingExtra, RivegError, UserError, reason
from riveg.files import STORES, replacing

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
"""What ``fsspec`` needs for a kind of store."""

_OF_THE_EXTRA = {"s3fs", "fsspec"}
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")
_VERSIONS = ("ETag", "etag", "generation", "md5Hash", *_TIMES)


def store_address(place: str | Path) -> str | None:
    """The address of a folder or object in a store; ``None`` for a path of this machine.

    >>> store_address(Path("s3://bucket/run")), store_address("runs/s3")
    ('s3://bucket/run', None)
    """
    scheme, *rest = Path(place).parts or ("",)
    if scheme.removesuffix(":") not in STORES or not scheme.endswith(":"):
        return None
    return f"{scheme}//{'/'.join(rest)}"


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of a store.

    Args:
        size: In bytes.
        version: Another text after each write of it.
        written: When, in seconds since 1970 by the store's clock.
    """

    size: int
    version: str
    written: float


class Store:
    """A folder of a store, or an object; the address names it.

    Names of objects are relative to it, with ``/``. Errors of the store are ``UserError`` with its
    address. Threads may share it.

    Args:
        address: Such as ``s3://bucket/run``.

    Raises:
        MissingExtra: If the package for this kind of store is not installed.
        UserError: If the address names no bucket.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        scheme, _, rest = address.partition("://")
        if not rest.strip("/") or ".." in rest.split("/"):
            raise UserError(f"{address}: expected {scheme}://BUCKET/NAME")
        package = _PACKAGES.get(scheme, "fsspec")
        try:
            import fsspec

            with _told(address):
                self._files: Any = fsspec.filesystem(scheme, use_listings_cache=False)
        except ImportError as error:
            extra = "stores" if package in _OF_THE_EXTRA else None
            raise MissingExtra(address, package, extra) from error
        self._root: str = self._files._strip_protocol(address).rstrip("/")

    def objects(self) -> dict[str, Listed]:
        """All objects below the address, as they are now."""
        with _told(self.address):
            self._files.invalidate_cache()
            found: Mapping[str, Mapping[str, Any]] = self._files.find(self._root, detail=True)
        names = {name.removeprefix(self._root).lstrip("/"): told for name, told in found.items()}
        return {name: _listed(told) for name, told in names.items() if name}

    def find(self, name: str = "") -> Listed | None:
        """One object as it is now; ``None`` where there is none."""
        with _told(self.address):
            self._files.invalidate_cache()
            try:
                told = self._files.info(self._path(name))
            except FileNotFoundError:
                return None
        return _listed(told) if told["type"] == "file" else None

    def read(self, name: str) -> bytes:
        """What an object holds."""
        with _told(self.address):
            content: bytes = self._files.cat_file(self._path(name))
        return content

    def write(self, name: str, content: bytes, *, new: bool = False) -> bool:
        """Writes a whole object.

        Args:
            name: Of the object.
            content: What it holds.
            new: Whether only where there is none.

        Returns:
            Whether it was written; ``False`` where it was to be new, and is not.
        """
        mode = {"mode": "create"} if new else {}
        with _told(self.address):
            try:
                self._files.pipe_file(self._path(name), content, **mode)
            except FileExistsError:
                return False
        return True

    def put(self, name: str, source: Path) -> None:
        """Writes a file as a whole object."""
        with _told(self.address):
            self._files.put_file(str(source), self._path(name))

    def get(self, name: str, target: Path, written: float) -> None:
        """Writes an object as a file, which is whole or not there, with the time of the object.

        Args:
            name: Of the object.
            target: The file.
            written: Its time, as :attr:`Listed.written`: the same on every machine.
        """
        import os

        with _told(self.address):
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target, is_private=True) as temporary:
                self._files.get_file(self._path(name), str(temporary))
                os.utime(temporary, (written, written))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root


def _listed(told: Mapping[str, Any]) -> Listed:
    version = next((str(told[key]) for key in _VERSIONS if told.get(key)), "")
    time = next((told[key] for key in _TIMES if told.get(key)), 0.0)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    seconds = time.timestamp() if isinstance(time, datetime) else float(time)
    return Listed(int(told["size"]), version, seconds)


@contextmanager
def _told(address: str) -> Iterator[None]:
    """What a store raises, as one line; every kind of store has errors of its own."""
    try:
        yield
    except (RivegError, ImportError, FileExistsError):
        raise
    except FileNotFoundError as error:
        raise UserError(f"{address}: is not there ({reason(error)})") from error
    except Exception as error:
        raise UserError(
            f"{address}: the store cannot be used ({reason(error)}); look at its address, at your "
            "credentials (for S3: AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL) and rights"
        ) from error
