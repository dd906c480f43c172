"""Faces, people and lettering by plain vision: OpenCV's cascades and HOG, and rapidocr.

What is looked for, and when, is decided by what it costs and by what can still matter:

- Faces: the frontal cascade ``alt2`` on the plain grey picture (``default`` sees faces in hands and
  fabric, and histogram equalisation makes all of them see more that is not there).
- Only where that finds none and some entity is a person (or none is known yet): profiles, to both
  sides, and if there are none either, whole people by HOG, of which only confident ones off any
  lettering are kept (HOG takes large letters for legs).
- Lettering, the dear one, is skipped with ``lettering: auto`` where it cannot change an answer: no
  entity at all, or one entity, a person, and one face. Lines are located in a smaller copy,
  and the tallest are read from the full picture, up to a bound on the work.

Each picture is looked at alone, on a pool of threads: no picture's answer depends on another's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from riveg.errors import ImageFault, UserError
from riveg.offline import silence_telemetry
from riveg.protocols import BackendConfig, BuildContext, PictureSource
from riveg.resources import file_digest
from riveg.types import Box, Issue, Observation, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

_FRONTAL = "haarcascade_frontalface_alt2.xml"
_PROFILE = "haarcascade_profileface.xml"
_FRONTAL_LEVELS = (53.76, 57.76)
"""Level weights that score 0 and 1: the last stage's threshold, and above any real face's."""
_PROFILE_LEVELS = (-1.27, 6.0)
_PERSON_LEVELS = (0.0, 3.0)
_LEAST_PERSON = 1.0
"""HOG margin of a person; below it are rockets and lamp posts."""
_SAME = 0.3
"""Two finds with more IoU than this are one."""
_LINE_RATIO = 7.0
"""Width over height of a line of standard length; the reader pads shorter ones to it."""
_LEAST_LINE = 7
"""Lines lower than this many pixels cannot be read."""

Lettering = Literal["auto", "always", "never"]


class EvidenceObserverConfig(BackendConfig):
    """How closely pictures are looked at; sides are the longer side in pixels after shrinking.

    ``lettering``: ``auto`` reads where it can matter. ``lettering_lines``: how much is read, in
    lines of standard length, the tallest first. ``person_labels``: which types are people.
    ``threads``: pictures looked at at the same time; the answers do not depend on it.
    """

    stage: ClassVar[str] = "observe"
    name: ClassVar[str] = "evidence"
    summary: ClassVar[str] = "faces and people (OpenCV), lettering (rapidocr)"
    needs_picture: ClassVar[bool] = True

    face_side: int = Field(default=400, ge=64)
    profile_side: int = Field(default=320, ge=64)
    person_side: int = Field(default=400, ge=128)
    lettering: Lettering = "auto"
    lettering_side: int = Field(default=448, ge=64)
    lettering_lines: int = Field(default=12, ge=1)
    least_score: float = Field(default=0.5, ge=0, le=1)
    person_labels: tuple[str, ...] = ("PER", "person")
    threads: int = Field(default=2, ge=1)

    def build(self, context: BuildContext) -> EvidenceObserver:
        """Loads the cascades and the reading models.

        Raises:
            UserError: If a model that travels with OpenCV or rapidocr is not there.
        """
        return EvidenceObserver(context.images, **self.model_dump())

    def contents(self, base: Path) -> Mapping[str, str]:  # noqa: ARG002 - no path in it
        """Digests of the models inside the OpenCV and rapidocr packages."""
        return {path.name: file_digest(path) for path in (*_cascades(), *_reading_models())}


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise UserError(f"observe: the package {name} is not installed; reinstall riveg")
    return Path(spec.origin).parent


def _cascades() -> tuple[Path, ...]:
    return _present(_package("cv2") / "data", _FRONTAL, _PROFILE)


def _reading_models() -> tuple[Path, ...]:
    # Named outright: rapidocr would fetch what it does not find.
    return _present(_package("rapidocr") / "models", "*_det_*.onnx", "*_rec_*.onnx")


def _present(folder: Path, *patterns: str) -> tuple[Path, ...]:
    found = [next(iter(sorted(folder.glob(pattern))), None) for pattern in patterns]
    missing = [p for p, path in zip(patterns, found, strict=True) if path is None]
    if missing:
        raise UserError(f"observe: {folder} lacks {', '.join(missing)}; reinstall that package")
    return tuple(path for path in found if path is not None)


class EvidenceObserver:
    """Looks at each picture once.

    Args:
        images: Where pictures come from.
        face_side: Longer side of the copy in which frontal faces are looked for.
        profile_side: The same for profiles.
        person_side: The same for whole people.
        lettering: When lettering is read.
        lettering_side: Longer side of the copy in which lettering is located.
        lettering_lines: Bound on what is read, in lines of standard length.
        least_score: Readings below this are dropped.
        person_labels: Entity labels that are people.
        threads: Pictures at the same time.
    """

    def __init__(
        self,
        images: PictureSource,
        *,
        face_side: int = 400,
        profile_side: int = 320,
        person_side: int = 400,
        lettering: Lettering = "auto",
        lettering_side: int = 448,
        lettering_lines: int = 12,
        least_score: float = 0.5,
        person_labels: Sequence[str] = ("PER", "person"),
        threads: int = 2,
    ) -> None:
        self._images = images
        self._lettering = lettering
        self._person_labels = frozenset(person_labels)
        # One pool for the observer's life: threads that come and go leave their memory behind.
        self._pool = ThreadPoolExecutor(threads)
        # Neither cascades nor rapidocr may be shared by threads: each thread takes a pair.
        self._free: SimpleQueue[tuple[_Figures, _Reader | None]] = SimpleQueue()
        for _ in range(threads):
            figures = _Figures(face_side, profile_side, person_side)
            reads = lettering != "never"
            reader = _Reader(lettering_side, lettering_lines, least_score) if reads else None
            self._free.put((figures, reader))

    def observe(self, samples: Sequence[Sample]) -> Sequence[tuple[Observation, ...] | Issue]:
        """Faces, people and lettering of each picture, each kind from top to bottom."""
        return tuple(self._pool.map(self._observe, samples))

    def _observe(self, sample: Sample) -> tuple[Observation, ...] | Issue:
        if sample.image is None:
            return Issue("observe", None, "no-picture", "the post has no picture to look at")
        try:
            picture = self._images.load(sample.image)
        except ImageFault as fault:
            return Issue("observe", None, fault.kind, str(fault))
        figures, reader = pair = self._free.get()
        try:
            return self._look(picture, sample, figures, reader)
        finally:
            self._free.put(pair)

    def _look(
        self, picture: Picture, sample: Sample, figures: _Figures, reader: _Reader | None
    ) -> tuple[Observation, ...]:
        people_matter = self._people_matter(sample)
        faces = figures.frontal_faces(picture)
        if not faces and people_matter:
            faces = figures.profiles(picture)
        read: tuple[Observation, ...] = ()
        if reader and (self._lettering == "always" or self._lettering_matters(sample, len(faces))):
            read = reader.read(picture)
        people = figures.people(picture) if people_matter and not faces else ()
        off = (one for one in people if not any(_inside(line.box, one.box) for line in read))
        return (*faces, *off, *read)

    def _people_matter(self, sample: Sample) -> bool:
        entities = sample.entities
        return entities is None or any(one.label in self._person_labels for one in entities)

    def _lettering_matters(self, sample: Sample, faces: int) -> bool:
        if sample.entities is None:
            return True
        people = sum(entity.label in self._person_labels for entity in sample.entities)
        return bool(sample.entities) and not (faces == people == len(sample.entities) == 1)


class _Figures:
    """Finds faces and people; for one thread at a time."""

    def __init__(self, face_side: int, profile_side: int, person_side: int) -> None:
        import cv2

        frontal, profile = (cv2.CascadeClassifier(str(path)) for path in _cascades())
        self._frontal: Any = frontal
        self._profile: Any = profile
        hog: Any = cv2.HOGDescriptor
        self._person: Any = hog()
        self._person.setSVMDetector(hog.getDefaultPeopleDetector())
        self._face_side = face_side
        self._profile_side = profile_side
        self._person_side = person_side

    def frontal_faces(self, picture: Picture) -> tuple[Observation, ...]:
        """Faces that look this way."""
        grey, scale = _grey(picture, self._face_side)
        return _observations("face", _cascade(self._frontal, grey, scale, _FRONTAL_LEVELS), picture)

    def profiles(self, picture: Picture) -> tuple[Observation, ...]:
        """Faces that look to either side."""
        import cv2

        grey, scale = _grey(picture, self._profile_side)
        left = _cascade(self._profile, grey, scale, _PROFILE_LEVELS)
        turned = _cascade(self._profile, cv2.flip(grey, 1), scale, _PROFILE_LEVELS)
        right = [(_mirrored(box, picture.shape[1]), score) for box, score in turned]
        return _observations("face", left + right, picture)

    def people(self, picture: Picture) -> tuple[Observation, ...]:
        """Whole people who stand upright."""
        small, scale = _shrunk(picture, self._person_side)
        if small.shape[0] < 128 or small.shape[1] < 64:
            return ()
        boxes, weights = self._person.detectMultiScale(small, winStride=(8, 8), scale=1.1)
        found = [
            (_scaled(box, scale), _score(float(weight), _PERSON_LEVELS))
            for box, weight in zip(boxes, _flat(weights), strict=True)
            if weight >= _LEAST_PERSON
        ]
        return _observations("person", found, picture)


class _Reader:
    """Locates and reads lettering; for one thread at a time."""

    def __init__(self, side: int, lines: int, least_score: float) -> None:
        # rapidocr sets its logger up when it is imported and speaks of every model that it loads.
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        silence_telemetry()
        from rapidocr import RapidOCR

        locator, reader = _reading_models()
        self._ocr: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Global.text_score": 0.0,
                "Det.model_path": str(locator),
                "Det.limit_type": "max",
                "Det.limit_side_len": side,
                "Rec.model_path": str(reader),
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._budget = lines * _LINE_RATIO
        self._least_score = least_score

    def read(self, picture: Picture) -> tuple[Observation, ...]:
        """Lines of lettering, read."""
        import numpy as np

        if min(picture.shape[:2]) < _LEAST_LINE:
            return ()
        blue_first = np.ascontiguousarray(picture[:, :, ::-1])
        located = self._ocr(blue_first, use_det=True, use_cls=False, use_rec=False).boxes
        found: list[tuple[Box, float, str]] = []
        for corners in self._worth_reading([] if located is None else located):
            line = _straightened(blue_first, corners)
            answer = self._ocr(line, use_det=False, use_cls=False, use_rec=True)
            box = _clipped(_hull(corners), picture)
            for text, score in zip(answer.txts or (), answer.scores or (), strict=True):
                if box and text.strip() and score >= self._least_score:
                    found.append((box, round(min(1.0, float(score)), 4), text.strip()))
        found.sort(key=lambda one: (one[0].y_min, one[0].x_min, one[2]))
        return tuple(Observation("text", box, score, text) for box, score, text in found)

    def _worth_reading(self, located: Sequence[Any]) -> list[Any]:
        sized = [(*_line_size(corners), corners) for corners in located]
        tall = [one for one in sized if one[1] >= _LEAST_LINE]
        tall.sort(key=lambda one: (-one[1], *map(float, one[2][0])))
        chosen: list[Any] = []
        work = 0.0
        for width, height, corners in tall:
            work += max(_LINE_RATIO, width / height)
            if chosen and work > self._budget:
                break
            chosen.append(corners)
        return chosen


_Found = list[tuple[Box, float]]


def _cascade(classifier: Any, grey: Any, scale: float, levels: tuple[float, float]) -> _Found:
    boxes, _, weights = classifier.detectMultiScale3(
        grey, scaleFactor=1.1, minNeighbors=3, minSize=(20, 20), outputRejectLevels=True
    )
    return [
        (_scaled(box, scale), _score(float(weight), levels))
        for box, weight in zip(boxes, _flat(weights), strict=True)
    ]


def _flat(weights: Any) -> list[float]:
    import numpy as np

    return [float(weight) for weight in np.ravel(weights)]


def _grey(picture: Picture, side: int) -> tuple[Any, float]:
    import cv2

    small, scale = _shrunk(picture, side)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), scale


def _shrunk(picture: Picture, side: int) -> tuple[Any, float]:
    """A copy whose longer side is at most ``side``, and its pixels per pixel of the picture."""
    import cv2

    height, width = picture.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale == 1.0:
        return picture, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale


def _scaled(box: Sequence[Any], scale: float) -> Box:
    x, y, width, height = (float(value) / scale for value in box)
    return Box(x, y, x + width, y + height)


def _mirrored(box: Box, width: int) -> Box:
    return Box(width - box.x_max, box.y_min, width - box.x_min, box.y_max)


def _score(weight: float, levels: tuple[float, float]) -> float:
    low, high = levels
    return round(min(1.0, max(0.01, (weight - low) / (high - low))), 4)


def _observations(kind: str, found: _Found, picture: Picture) -> tuple[Observation, ...]:
    """Surest first where finds overlap, then from top to bottom, inside the picture."""
    kept: _Found = []
    for box, score in sorted(found, key=lambda one: (-one[1], one[0].y_min, one[0].x_min)):
        inside = _clipped(box, picture)
        if inside and not any(_is_same(inside, other) for other, _ in kept):
            kept.append((inside, score))
    kept.sort(key=lambda one: (one[0].y_min, one[0].x_min))
    return tuple(Observation(kind, box, score) for box, score in kept)


def _is_same(first: Box, second: Box) -> bool:
    common = _common(first, second)
    union = first.area + second.area - common
    return common > _SAME * union or common > 0.8 * min(first.area, second.area)


def _inside(line: Box, person: Box) -> bool:
    """Whether lettering fills so much of a person's height that the letters were the person."""
    return _common(line, person) > 0.05 * person.area


def _common(first: Box, second: Box) -> float:
    wide = min(first.x_max, second.x_max) - max(first.x_min, second.x_min)
    high = min(first.y_max, second.y_max) - max(first.y_min, second.y_min)
    return max(0.0, wide) * max(0.0, high)


def _clipped(box: Box, picture: Picture) -> Box | None:
    """The box inside the picture, to a hundredth of a pixel; ``None`` where nothing is left."""
    height, width = picture.shape[:2]
    x_min, y_min = (round(max(0.0, edge), 2) for edge in (box.x_min, box.y_min))
    x_max, y_max = round(min(float(width), box.x_max), 2), round(min(float(height), box.y_max), 2)
    return Box(x_min, y_min, x_max, y_max) if x_min < x_max and y_min < y_max else None


def _hull(corners: Any) -> Box:
    (x_min, y_min), (x_max, y_max) = corners.min(axis=0), corners.max(axis=0)
    return Box(
        float(x_min), float(y_min), max(float(x_max), x_min + 1), max(float(y_max), y_min + 1)
    )


def _line_size(corners: Any) -> tuple[float, float]:
    """Width and height of a line whose corners run clockwise from its upper left."""
    import numpy as np

    width, height = (float(np.linalg.norm(corners[0] - corners[i])) for i in (1, 3))
    # A column of upright lettering is turned before it is read.
    return (height, width) if height > 1.5 * width else (width, height)


def _straightened(picture: Any, corners: Any) -> Any:
    import cv2
    import numpy as np

    width, height = (max(1, round(float(np.linalg.norm(corners[0] - corners[i])))) for i in (1, 3))
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    turn = cv2.getPerspectiveTransform(np.asarray(corners, dtype=np.float32), frame)
    line = cv2.warpPerspective(
        picture, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(np.rot90(line)) if height > 1.5 * width else line
