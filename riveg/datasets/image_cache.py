"""Images that come as bytes, written once to a folder so that they can be opened by path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from riveg.caches import cache_home
from riveg.errors import UserError
from riveg.files import replacing, text_digest

_SUFFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"RIFF", ".webp"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tiff"),
    (b"MM\0*", ".tiff"),
)


@dataclass(frozen=True, slots=True)
class ImageCache:
    """Keeps images in ``folder`` under the digest of their bytes."""

    folder: Path

    def store(self, content: bytes) -> str:
        """Writes an image unless the folder has it; its name in the folder.

        Raises:
            UserError: If it cannot be written.
        """
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        suffix = next((end for start, end in _SUFFIXES if content.startswith(start)), ".bin")
        path = self.folder / f"{digest}{suffix}"
        if not path.exists():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as temporary:
                    temporary.write_bytes(content)
            except OSError as error:
                raise UserError(
                    f"{path}: the picture cannot be written ({error.strerror}); set RIVEG_CACHE to "
                    "a folder with room"
                ) from error
        return path.name


def cache_folder(source: Path) -> Path:
    """Where the images of a file go, below :func:`~riveg.caches.cache_home`."""
    return cache_home() / "pictures" / text_digest(str(source.resolve()))
