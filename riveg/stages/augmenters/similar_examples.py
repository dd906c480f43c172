"""The annotated samples that are most similar to a sample, as examples for a language model.

PGIM (arXiv 2305.12212) chooses its examples so, by the cosine of fused text and image features;
its features come from a tagger that was not released, so any embedding may be named here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from riveg.errors import ImageFault, UserError
from riveg.files import file_digest, open_regular, read_regular_text, replacing, text_digest
from riveg.images.loader import ImageLoader
from riveg.stages.augmenters.embeddings import ImageEmbedder, TextEmbedder, Vector
from riveg.text.folding import fold
from riveg.types import ImageRef

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from riveg.geometry.arrays import Pixels

log = logging.getLogger(__name__)


class Example(BaseModel):
    """A sample with its annotation; ``image`` is a path below the pool's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1)
    annotation: str = Field(min_length=1)
    caption: str = ""
    image: str | None = None


def read_pool(path: Path) -> tuple[Example, ...]:
    """The examples of a JSON lines file.

    Raises:
        UserError: If it cannot be read, a line is no example, or there is none; says file and line.
    """
    try:
        lines = read_regular_text(path).split("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: the pool of examples cannot be read ({error})") from error
    examples = tuple(
        _example(line, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )
    if not examples:
        raise UserError(f"{path}: no examples; each line is {{text, annotation, caption?, image?}}")
    return examples


def _example(line: str, where: str) -> Example:
    try:
        return Example.model_validate(json.loads(line))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the line"
        raise UserError(f"{where}: no example: {key}: {first['msg']}") from error
    except ValueError as error:
        raise UserError(f"{where}: no JSON: {error}") from error


def images_digest(examples: Iterable[Example], folder: Path) -> str:
    """Changes when an image of the pool does; none is opened."""
    loader = ImageLoader((folder,))
    images = [one.image for one in examples if one.image is not None]
    return text_digest(" ".join(loader.stamp(ImageRef(image)) for image in images))


@dataclass(frozen=True, slots=True)
class PoolVectors:
    """Unit vectors of a pool.

    Args:
        texts: *Shape* ``(examples, text size)``.
        images: *Shape* ``(examples, image size)``; ``None`` where images are not compared.
        has_image: Which examples have an image that can be used; *shape* ``(examples,)``.
    """

    texts: NDArray[np.float32]
    images: NDArray[np.float32] | None
    has_image: NDArray[np.bool_]


class SimilarExamples:
    """Finds the examples that are most similar to a sample.

    An example's score is the cosine of the texts, standardised over the pool, plus that of the
    images; an example without an image gets their mean. An example with the same text as the sample
    is left out: its annotation would be the answer.

    Args:
        path: The pool, see :func:`read_pool`; its vectors are kept beside it.
        texts: Makes vectors of texts.
        images: Makes vectors of images; ``None``: only texts are compared.

    Raises:
        UserError: If the pool cannot be read.
    """

    def __init__(
        self, path: Path, texts: TextEmbedder, images: ImageEmbedder | None = None
    ) -> None:
        self._examples = read_pool(path)
        self._texts = texts
        self._images = images
        self._vectors = self._indexed(path)

    @property
    def compares_images(self) -> bool:
        """Whether images are compared, too."""
        return self._images is not None

    def find(self, text: str, pixels: Pixels | None, most: int) -> tuple[Example, ...]:
        """At most ``most`` examples, the most similar last.

        Of two with the same score, the one that comes first in the pool is the more similar.

        Args:
            text: The sample's text.
            pixels: Its image; ``None`` where it has none.
            most: Highest number of examples.
        """
        scores = _standard(self._vectors.texts @ self._texts.embed_text(text))
        vectors, has_image = self._vectors.images, self._vectors.has_image
        if self._images is not None and vectors is not None and pixels is not None:
            cosines = vectors[has_image] @ self._images.embed_image(pixels)
            scores[has_image] += _standard(cosines)
        own = fold(text)
        ranked = np.argsort(-scores, kind="stable")
        others = [index for index in ranked if fold(self._examples[index].text) != own]
        return tuple(self._examples[index] for index in reversed(others[:most]))

    def _indexed(self, path: Path) -> PoolVectors:
        parts = [file_digest(path), self._texts.digest]
        if self._images is not None:
            parts += [self._images.digest, images_digest(self._examples, path.parent)]
        index = path.with_name(f"{path.stem}.{text_digest(' '.join(parts))[:16]}.npz")
        stored = _read_index(index, len(self._examples), images=self._images is not None)
        if stored is not None:
            return stored
        vectors = self._embedded(ImageLoader((path.parent,)))
        _write_index(index, vectors)
        return vectors

    def _embedded(self, loader: ImageLoader) -> PoolVectors:
        texts = np.stack([self._texts.embed_text(one.text) for one in self._examples])
        if self._images is None:
            return PoolVectors(texts, None, np.zeros(len(texts), dtype=np.bool_))
        images = [_image_vector(one, self._images, loader) for one in self._examples]
        size = next((len(vector) for vector in images if vector is not None), 1)
        rows = [np.zeros(size, np.float32) if vector is None else vector for vector in images]
        has_image = np.array([vector is not None for vector in images], dtype=np.bool_)
        return PoolVectors(texts, np.stack(rows), has_image)


def _image_vector(example: Example, embedder: ImageEmbedder, loader: ImageLoader) -> Vector | None:
    if example.image is None:
        return None
    try:
        return embedder.embed_image(loader.load(ImageRef(example.image)))
    except ImageFault as fault:
        log.warning("%s: an example is used without its picture", fault)
        return None


def _standard(cosines: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosines with mean 0 and deviation 1, so that texts and images have the same weight."""
    values = cosines.astype(np.float64)
    if not len(values):
        return values
    deviation = float(values.std())
    centred: NDArray[np.float64] = values - values.mean()
    return centred / deviation if deviation > 1e-9 else np.zeros_like(centred)


def _read_index(path: Path, examples: int, *, images: bool) -> PoolVectors | None:
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as arrays:
            found = PoolVectors(
                arrays["texts"], arrays["pictures"] if images else None, arrays["pictured"]
            )
    except Exception:  # zipfile and numpy raise a dozen classes for damaged files
        return None
    return found if len(found.texts) == len(found.has_image) == examples else None


def _write_index(path: Path, vectors: PoolVectors) -> None:
    arrays = {"texts": vectors.texts, "pictured": vectors.has_image}
    if vectors.images is not None:
        arrays["pictures"] = vectors.images
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:  # the folder cannot be written: the vectors are made anew each time
        log.info("%s: the vectors are not kept (%s)", path, error)
