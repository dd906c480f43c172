"""Faces, people and OCR text by plain vision: OpenCV's cascades and HOG, and rapidocr.

Which detectors run depends on their cost and on whether they can still change an answer:

- Faces: the frontal cascade ``alt2`` on the plain grey image. (``default`` finds faces in hands and
  fabric; with histogram equalisation every cascade finds more faces that are not there.)
- Profiles to both sides, only where there is no frontal face and some entity is a person (or the
  entities are not known yet). If there are none either: whole people by HOG, of which only
  confident ones without OCR text are kept (HOG takes large letters for legs).
- OCR text costs most. With ``lettering: auto`` it is skipped where it cannot change an answer:
  where there is no entity, or one entity, which is a person, and one face. Lines are located in a
  smaller copy, and the tallest are read from the full image, up to a bound on the work.

No image's answer depends on another image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import ImageFault
from riveg.files import file_digest
from riveg.geometry.boxes import common_area
from riveg.protocols import AnswerOrIssue, ImageSource, Observer
from riveg.types import Box, Issue, Observation, Sample
from riveg.vision.plain.faces import FigureFinder, cascade_files
from riveg.vision.plain.ocr import OcrReader, reading_models

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels


OcrMode = Literal["auto", "always", "never"]


class EvidenceObserverConfig(BackendConfig[Observer]):
    """How closely images are looked at; sides are the longer side in pixels after shrinking.

    ``lettering``: ``auto`` reads where it can matter. ``lettering_lines``: how much is read, in
    lines of standard length, the tallest first. ``person_labels``: which types are people.
    ``threads``: images looked at at the same time; the answers do not depend on it.
    """

    stage: ClassVar[str] = "observe"
    name: ClassVar[str] = "evidence"
    summary: ClassVar[str] = "faces and people (OpenCV), lettering (rapidocr)"
    needs_image: ClassVar[bool] = True

    face_side: int = Field(default=400, ge=64)
    profile_side: int = Field(default=320, ge=64)
    person_side: int = Field(default=400, ge=128)
    lettering: OcrMode = "auto"
    lettering_side: int = Field(default=448, ge=64)
    lettering_lines: int = Field(default=12, ge=1)
    least_score: float = Field(default=0.5, ge=0, le=1)
    person_labels: tuple[str, ...] = ("PER", "person")
    threads: int = Field(default=2, ge=1)

    def build(self, context: BuildContext) -> EvidenceObserver:
        """Loads the cascades and the reading models.

        Raises:
            UserError: If a model that is part of OpenCV or rapidocr is not there.
        """
        return EvidenceObserver(context.images, **self.model_dump())

    def contents(self, base: Path) -> Mapping[str, str]:  # noqa: ARG002 - no path in it
        """Digests of the models inside the OpenCV and rapidocr packages."""
        return {path.name: file_digest(path) for path in (*cascade_files(), *reading_models())}


class EvidenceObserver:
    """Looks at each image once.

    Args:
        images: Where images come from.
        face_side: Longer side of the copy in which frontal faces are searched for.
        profile_side: The same for profiles.
        person_side: The same for whole people.
        lettering: When OCR text is read.
        lettering_side: Longer side of the copy in which OCR text is located.
        lettering_lines: Bound on what is read, in lines of standard length.
        least_score: Readings below this are dropped.
        person_labels: Entity labels that are people.
        threads: Images at the same time.
    """

    def __init__(
        self,
        images: ImageSource,
        *,
        face_side: int = 400,
        profile_side: int = 320,
        person_side: int = 400,
        lettering: OcrMode = "auto",
        lettering_side: int = 448,
        lettering_lines: int = 12,
        least_score: float = 0.5,
        person_labels: Sequence[str] = ("PER", "person"),
        threads: int = 2,
    ) -> None:
        self._images = images
        self._ocr_mode = lettering
        self._person_labels = frozenset(person_labels)
        # One pool for the observer's life: memory of threads that end is not given back.
        self._pool = ThreadPoolExecutor(threads)
        # Neither cascades nor rapidocr may be shared by threads: each thread takes a pair.
        self._free: SimpleQueue[tuple[FigureFinder, OcrReader | None]] = SimpleQueue()
        for _ in range(threads):
            figures = FigureFinder(face_side, profile_side, person_side)
            reader = (
                None
                if lettering == "never"
                else OcrReader(lettering_side, lettering_lines, least_score)
            )
            self._free.put((figures, reader))

    def observe(
        self, samples: Sequence[Sample]
    ) -> Sequence[AnswerOrIssue[tuple[Observation, ...]]]:
        """Faces, people and OCR text of each image, each kind from top to bottom."""
        return tuple(self._pool.map(self._observe, samples))

    def _observe(self, sample: Sample) -> AnswerOrIssue[tuple[Observation, ...]]:
        if sample.image is None:
            return Issue("observe", None, "no-picture", "the post has no picture to look at")
        try:
            pixels = self._images.load(sample.image)
        except ImageFault as fault:
            return Issue("observe", None, fault.kind, str(fault))
        figures, reader = pair = self._free.get()
        try:
            return self._observations(pixels, sample, figures, reader)
        finally:
            self._free.put(pair)

    def _observations(
        self,
        pixels: Pixels,
        sample: Sample,
        figures: FigureFinder,
        reader: OcrReader | None,
    ) -> tuple[Observation, ...]:
        may_show_people = self._may_show_people(sample)
        faces = figures.frontal_faces(pixels)
        if not faces and may_show_people:
            faces = figures.profiles(pixels)
        lines: tuple[Observation, ...] = ()
        if reader and (self._ocr_mode == "always" or self._needs_ocr(sample, len(faces))):
            lines = reader.read(pixels)
        people = figures.people(pixels) if may_show_people and not faces else ()
        real_people = (
            one for one in people if not any(_is_made_of(one.box, line.box) for line in lines)
        )
        return (*faces, *real_people, *lines)

    def _may_show_people(self, sample: Sample) -> bool:
        entities = sample.entities
        return entities is None or any(one.label in self._person_labels for one in entities)

    def _needs_ocr(self, sample: Sample, faces: int) -> bool:
        if sample.entities is None:
            return True
        people = sum(entity.label in self._person_labels for entity in sample.entities)
        return bool(sample.entities) and not (faces == people == len(sample.entities) == 1)


def _is_made_of(person: Box, line: Box) -> bool:
    """Whether a line of OCR text fills so much of a person that its letters look like legs."""
    return common_area(line, person) > 0.05 * person.area
