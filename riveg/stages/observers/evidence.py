"""Faces, people, things and OCR text by small networks that ship with riveg and with rapidocr.

- People and 79 other classes of things by NanoDet, faces by BlazeFace (``riveg/assets/vision`` says
  what they find and what they miss).
- OCR text costs most. With ``lettering: auto`` it is skipped where it cannot change an answer:
  where there is no entity, or one entity, which is a person, and one person in the image that
  counts (:mod:`riveg.vision.plain.people`). With several people or several names, a name on a
  jersey may say who is who. Lines are located in a smaller copy, and the tallest are read from the
  full image, up to a bound.

No image's answer depends on another image, nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.config.threads import ThreadCount, Threads, count_threads
from riveg.errors import NO_IMAGE, ImageFault
from riveg.files import asset, file_digest
from riveg.protocols import AnswerOrIssue, ImageSource, Observer, finishing
from riveg.reads import Reads, reads
from riveg.types import ImageSize, Issue, Observation, Sample
from riveg.vision.plain.blazeface import BlazeFace
from riveg.vision.plain.nanodet import PERSON, NanoDet
from riveg.vision.plain.ocr import OcrReader, reading_models
from riveg.vision.plain.people import find_people

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels


OcrMode = Literal["auto", "always", "never"]


class EvidenceObserverConfig(BackendConfig[Observer]):
    """How closely images are looked at.

    ``least_face``, ``least_person``, ``least_object``: what scores less is not reported, in [0, 1].
    ``lettering``: ``auto`` reads OCR text where it can matter. ``lettering_side``: longer side of
    the copy in which it is located, in pixels; ``lettering_lines``: how much is read, in lines of
    standard length, the tallest first; ``least_score``: readings below it are dropped.
    ``person_labels``: which labels are people. ``threads``: images looked at at the same time,
    ``auto`` for one a core; the answers do not depend on it.
    """

    stage: ClassVar[str] = "observe"
    name: ClassVar[str] = "evidence"
    summary: ClassVar[str] = "people, faces and things (small networks), lettering (rapidocr)"
    needs_image: ClassVar[bool] = True
    gone: ClassVar[frozenset[str]] = frozenset({"face_side", "profile_side", "person_side"})
    immaterial: ClassVar[frozenset[str]] = frozenset({"threads"})
    code_revision: ClassVar[int] = 4
    parallel: ClassVar[bool] = True

    least_face: float = Field(default=0.6, ge=0, le=1)
    least_person: float = Field(default=0.4, ge=0, le=1)
    least_object: float = Field(default=0.4, ge=0, le=1)
    lettering: OcrMode = "auto"
    lettering_side: int = Field(default=448, ge=64)
    lettering_lines: int = Field(default=12, ge=1)
    least_score: float = Field(default=0.5, ge=0, le=1)
    person_labels: tuple[str, ...] = ("PER", "person")
    threads: Threads = "auto"

    def reads(self) -> Reads:
        return reads("image", entities="label" if self.lettering == "auto" else "")

    def build(self, context: BuildContext) -> EvidenceObserver:
        """Loads the networks.

        Raises:
            UserError: If a network that ships with riveg or with rapidocr is not there.
        """
        return EvidenceObserver(context.images, **self.model_dump())

    def contents(self, base: Path) -> Mapping[str, str]:  # noqa: ARG002 - no path in it
        """Digests of the networks."""
        files = (object_network(), face_network(), *reading_models())
        return {path.name: file_digest(path) for path in files}


def object_network() -> Path:
    """The file of the network that finds people and things."""
    return asset("vision", "nanodet-g-416-int8w.onnx")


def face_network() -> Path:
    """The file of the network that finds faces."""
    return asset("vision", "mediapipe-face-full-192-fp16w.onnx")


class EvidenceObserver:
    """Looks at each image once.

    Args:
        images: Where images come from.
        least_face: Least score of a face, in [0, 1].
        least_person: The same of a person.
        least_object: The same of another thing.
        lettering: When OCR text is read.
        lettering_side: Longer side of the copy in which OCR text is located, in pixels.
        lettering_lines: Bound on what is read, in lines of standard length.
        least_score: Readings below this are dropped.
        person_labels: Entity labels that are people.
        threads: Images at the same time; ``auto``: one a core.
    """

    def __init__(
        self,
        images: ImageSource,
        *,
        least_face: float = 0.6,
        least_person: float = 0.4,
        least_object: float = 0.4,
        lettering: OcrMode = "auto",
        lettering_side: int = 448,
        lettering_lines: int = 12,
        least_score: float = 0.5,
        person_labels: Sequence[str] = ("PER", "person"),
        threads: ThreadCount = "auto",
    ) -> None:
        self._images = images
        self._ocr_mode = lettering
        self._person_labels = frozenset(person_labels)
        self._faces = BlazeFace(face_network(), least_face)
        self._things = NanoDet(object_network(), min(least_person, least_object))
        self._least_person = least_person
        self._least_object = least_object
        count = count_threads(threads)
        # One pool for the observer's life: threads that come and go leave their memory behind.
        self._pool = ThreadPoolExecutor(count)
        # rapidocr must not be shared by threads: each takes a reader.
        self._readers: SimpleQueue[OcrReader] = SimpleQueue()
        for _ in range(0 if lettering == "never" else count):
            self._readers.put(OcrReader(lettering_side, lettering_lines, least_score))

    def observe(
        self, samples: Sequence[Sample]
    ) -> Sequence[AnswerOrIssue[tuple[Observation, ...]]]:
        """Faces, people, things and OCR text of each image, in this order."""
        return tuple(finishing(self._pool.map(self._observe, samples)))

    def _observe(self, sample: Sample) -> AnswerOrIssue[tuple[Observation, ...]]:
        if sample.image is None:
            return Issue("observe", None, NO_IMAGE, "the post has no picture to look at")
        try:
            pixels = self._images.load(sample.image)
        except ImageFault as fault:
            return Issue("observe", None, fault.kind, str(fault))
        faces = [Observation("face", face.box, face.score) for face in self._faces.detect(pixels)]
        things = list(self._find_things(pixels))
        return (*faces, *things, *self._read(pixels, sample, [*faces, *things]))

    def _find_things(self, pixels: Pixels) -> Iterator[Observation]:
        """People, then other things; of each the best first."""
        found = self._things.detect(pixels)
        for one in found:
            if one.label == PERSON and one.score >= self._least_person:
                yield Observation("person", one.box, one.score)
        for one in found:
            if one.label != PERSON and one.score >= self._least_object:
                yield Observation("object", one.box, one.score, label=one.label)

    def _read(
        self, pixels: Pixels, sample: Sample, seen: Sequence[Observation]
    ) -> tuple[Observation, ...]:
        if self._ocr_mode == "never":
            return ()
        if self._ocr_mode == "auto" and not self._ocr_matters(pixels, sample, seen):
            return ()
        reader = self._readers.get()
        try:
            return reader.read(pixels)
        finally:
            self._readers.put(reader)

    def _ocr_matters(self, pixels: Pixels, sample: Sample, seen: Sequence[Observation]) -> bool:
        if sample.entities is None or len(sample.entities) > 1:
            return True
        if not sample.entities:
            return False
        (entity,) = sample.entities
        height, width = pixels.shape[:2]
        people = find_people(seen, ImageSize(width, height))
        return entity.label not in self._person_labels or len(people) != 1
