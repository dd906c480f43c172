"""What a run reads: datasets, and samples and images that a program hands over."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from riveg.errors import UserError
from riveg.files import writing
from riveg.text.tokenise import tokenise
from riveg.types import Gold, ImageRef, Issue, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

GivenImage: TypeAlias = (
    "str | Path | bytes | bytearray | memoryview | Image.Image | NDArray[np.uint8] | None"
)
"""How a program hands an image over: a path, a file's bytes, or decoded pixels."""

_SHOWN = 80
"""Characters of an address that a message repeats."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|data:", re.IGNORECASE)


class DataSource(Protocol):
    """Where a run's samples come from; gold is asked for by oracle backends only."""

    @property
    def name(self) -> str: ...

    @property
    def origin(self) -> tuple[str, ...]: ...

    @property
    def image_roots(self) -> tuple[Path, ...]: ...

    def samples(self) -> Iterator[Sample]: ...

    def gold(self) -> Iterator[Gold]: ...


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples made in a program, as a source of data; they are read once for each run."""

    name: str
    image_roots: tuple[Path, ...]
    make: Callable[[], Iterable[Sample]]
    annotation: Sequence[Gold] = ()
    origin: tuple[str, ...] = ()

    def samples(self) -> Iterator[Sample]:
        """The samples, in order."""
        return iter(self.make())

    def gold(self) -> Iterator[Gold]:
        """Their gold, for oracle backends."""
        return iter(self.annotation)


def make_sample(
    text: str, *, id: str, image: str | Path | None = None, caption: str | None = None
) -> Sample:
    """A sample from raw text, tokenised as the sets are; an empty text is an Issue of the input.

    Raises:
        UserError: If one of them is no string, or not valid Unicode, as a file name may be.
    """
    image = str(image) if isinstance(image, Path) else image
    for name, value in (("text", text), ("id", id), ("image", image), ("caption", caption)):
        if value is not None or name in {"text", "id"}:
            _require_text(name, value)
    tokens, offsets = tokenise(text)
    issues = () if tokens else (Issue("input", None, "empty-text", "there is no text to read"),)
    reference = None if image is None else ImageRef(image)
    return Sample(id, text, tokens, offsets, image=reference, caption=caption, issues=issues)


def _require_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise UserError(f"{name}: expected a text, found {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{name}: not valid Unicode at character {error.start} of {value!a}; records are UTF-8"
        ) from error


def as_source(
    data: DataSource | Iterable[Sample] | Iterable[str | Path] | str | Path,
    images: Path | None = None,
) -> DataSource:
    """What a run reads: a dataset as it is or by its name or path, several of them, or samples.

    Args:
        data: What is named or held.
        images: Where image paths start; ``None``: where the dataset says, or for samples the
            working folder.

    Raises:
        UserError: If there is no such dataset or folder, or what is given are no samples with ids
            of their own.
    """
    from riveg.datasets.dataset import Dataset
    from riveg.datasets.opening import open_dataset, with_images

    if isinstance(data, str | Path):
        return open_dataset(data, images=images)
    if isinstance(data, Dataset) and images is not None:
        return with_images(data, images)
    if not isinstance(data, Iterable):
        return _with_own_images(data, images)
    held = tuple(data)
    names = [item for item in held if isinstance(item, str | Path)]
    if held and len(names) == len(held):
        return open_dataset(names, images=images)
    samples = _unique_samples(held)
    return Samples("samples", (images or Path(),), lambda: samples)


def _with_own_images(source: DataSource, images: Path | None) -> DataSource:
    if images is not None:
        raise UserError(f"run: images={images}: {source.name} says itself where its pictures are")
    return source


def _unique_samples(held: Sequence[object]) -> tuple[Sample, ...]:
    ids: set[str] = set()
    samples: list[Sample] = []
    for sample in held:
        if not isinstance(sample, Sample):
            raise UserError(
                f"run: expected samples, found {type(sample).__name__}; make them with make_sample"
            )
        if sample.id in ids:
            raise UserError(f"run: two samples have the id {sample.id!r}; give each its own")
        ids.add(sample.id)
        samples.append(sample)
    return tuple(samples)


@contextmanager
def image_on_disk(image: GivenImage) -> Iterator[Path | None]:
    """Where an image lies while the block runs: a temporary file, if it is not given as a path.

    Raises:
        UserError: If it is neither a path nor an image, or the address of one.
    """
    if image is None:
        yield None
    elif isinstance(image, str | Path):
        _refuse_address(str(image))
        yield Path(image)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.png"
            if isinstance(image, bytes | bytearray | memoryview):
                path = path.with_suffix("")  # of a format that the loader finds out
                with writing(path):
                    path.write_bytes(image)
            else:
                decoded = _decoded(image).convert("RGB")
                with writing(path):
                    decoded.save(path)
            yield path


def _refuse_address(image: str) -> None:
    if _ADDRESS.match(image):
        raise UserError(
            f"image: {image[:_SHOWN]}: riveg opens no addresses; fetch the picture and give its "
            "path, or its bytes"
        )


def _decoded(image: Image.Image | NDArray[np.uint8]) -> Image.Image:
    import numpy as np
    from PIL import Image

    found = type(image).__name__
    if isinstance(image, Image.Image):
        if 0 not in image.size:
            return image
        found = f"one of {image.width} x {image.height} pixels"
    elif isinstance(image, np.ndarray):
        if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8 and image.size:
            return Image.fromarray(image)
        found = f"{found} {image.dtype} {image.shape}"
    raise UserError(
        "image: expected a path, a file's bytes, a PIL picture, or an array of uint8 and of shape "
        f"(height, width, 3), found {found}"
    )
