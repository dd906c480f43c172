"""The images that stages show to vision-language models: sizes, bounds, and boxes at their end.

Counted from the records, so that a run that was stopped and goes on says the same as one that was
not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from riveg.config.system import Step, SystemConfig
from riveg.formats.records import decode
from riveg.geometry.frames import FRAMES, FrameName, Resize
from riveg.llm.endpoint import Endpoint
from riveg.llm.images import sent_size
from riveg.pipeline import is_image_broken
from riveg.runs.folder import StageFolder
from riveg.stages.chat_backend import PROMPT_FAILED
from riveg.stages.extractors.chat import IMAGE_SHAPE
from riveg.stages.stated_boxes import OUTSIDE_FRAME
from riveg.stages.table import REVIEW
from riveg.types import Box, ImageSize, Sample

FEWEST_TOKENS = 1024
"""Image tokens that Qwen's authors advise at least where a model is to state boxes."""

_NOT_SENT = frozenset({IMAGE_SHAPE, PROMPT_FAILED})
_FEWEST_BOXES = 5
"""Of a part; fewer say nothing about the frame."""
_NEAR_END = 0.999
"""Share of a side from which on a box ends where the image does."""


@dataclass(slots=True)
class _Shown:
    """One stage and what it has shown so far."""

    step: Step
    endpoint: Endpoint
    frame: FrameName | None
    resize: Resize | None
    sizes: Counter[ImageSize] = field(default_factory=Counter)
    boxes: int = 0
    at_end: int = 0
    odd_parts: int = 0

    @property
    def name(self) -> str:
        return f"{self.step.stage.name}: {self.step.config.name}"

    def record(self) -> dict[str, Any]:
        """For the manifest."""
        is_sized = self.frame is not None and FRAMES[self.frame].is_sized
        return {
            "picture_side": self.endpoint.picture_side,
            **({} if self.frame is None else {"frame": self.frame}),
            **({"resize": self.resize.model_dump()} if self.resize and is_sized else {}),
            "sent": _summary(self.sizes.total(), self.sizes),
        }


class SentImages:
    """Looks at the records of a run, part by part.

    Args:
        config: The system.
        steps: The stages that run.
    """

    def __init__(self, config: SystemConfig, steps: Sequence[Step]) -> None:
        self._gated = config.is_gated
        self._shown = [*_showing(config, steps)]
        self._parts = 0

    @classmethod
    def of(
        cls, config: SystemConfig, steps: Sequence[Step], last: StageFolder, parts: int
    ) -> SentImages:
        """Those of a run, from the parts of its last stage."""
        sent = cls(config, steps)
        for index in range(parts) if sent.is_any else ():
            part = last.read(index)
            sent.add_part(decode(Sample, line) for line in (part.lines if part else ()))
        return sent

    @property
    def is_any(self) -> bool:
        """Whether a stage shows images to a language model at all."""
        return bool(self._shown)

    def add_part(self, samples: Iterable[Sample]) -> None:
        """Counts the records of one part."""
        self._parts += 1
        before = [(one.boxes, one.at_end) for one in self._shown]
        for sample in samples:
            for one in self._shown:
                self._add(one, sample)
        for one, (boxes, at_end) in zip(self._shown, before, strict=True):
            new, odd = one.boxes - boxes, one.at_end - at_end
            one.odd_parts += new >= _FEWEST_BOXES and 2 * odd > new

    def record(self) -> dict[str, Any]:
        """By stage: the rule of resizing, and how many images of which sizes were sent."""
        return {one.step.stage.name: one.record() for one in self._shown}

    def notes(self) -> Iterator[str]:
        """A line for each stage whose boxes say that its frame is not the model's."""
        for one in self._shown:
            if one.odd_parts:
                yield (
                    f"{one.name}: in {one.odd_parts} of {self._parts} parts most boxes end in the "
                    f"lower right corner of the frame {one.frame} or lie beyond it ({one.at_end} "
                    f"of {one.boxes} in all); does {one.step.stage.name}.frame fit the model?"
                )

    def _add(self, one: _Shown, sample: Sample) -> None:
        size = None if sample.image is None else sample.image.size
        if size is None or not self._is_sent(one, sample):
            return
        one.sizes[sent_size(size, one.endpoint.picture_side)] += 1
        if one.frame is None:
            return
        stage = one.step.stage.name
        beyond = sum(
            issue.stage == stage and issue.kind == OUTSIDE_FRAME for issue in sample.issues
        )
        regions = [region for entity in sample.entities or () for region in entity.regions or ()]
        own = [one for one in regions if (one.source or "").startswith(_source(stage))]
        one.boxes += len(own) + beyond
        one.at_end += beyond + sum(_ends_in_corner(region.box, size) for region in own)

    def _is_sent(self, one: _Shown, sample: Sample) -> bool:
        stage = one.step.stage
        if is_image_broken(sample) or any(issue.stage == "input" for issue in sample.issues):
            return False
        if any(issue.stage == stage.name and issue.kind in _NOT_SENT for issue in sample.issues):
            return False
        if stage is REVIEW:  # it is asked about few, and says which
            return any(entity.reviews for entity in sample.entities or ())
        return any(stage.wants(item, self._gated) for item in stage.per.split(sample))


def _source(stage: str) -> str:
    """How the source of a region begins that this stage has stated."""
    return f"{stage}:chat" if stage == REVIEW.name else "chat"


def merged_records(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a run over everything says, from what each of its shards says."""
    merged: dict[str, Any] = {}
    for stage, told in records[0].items():
        parts = [record[stage]["sent"] for record in records if stage in record]
        sizes = [ImageSize(*part[end]) for part in parts for end in _ENDS if end in part]
        merged[stage] = {**told, "sent": _summary(sum(part["count"] for part in parts), sizes)}
    return merged


_ENDS = ("smallest", "largest")


def _summary(count: int, sizes: Iterable[ImageSize]) -> dict[str, Any]:
    by_area = sorted(sizes, key=lambda size: (size.width * size.height, size))
    ends = dict(zip(_ENDS, ([*by_area[0]], [*by_area[-1]]), strict=True)) if by_area else {}
    return {"count": count, **ends}


def token_notes(config: SystemConfig, steps: Sequence[Step]) -> Iterator[str]:
    """A line for each stage that states boxes and sees too little of its images for that."""
    for one in _showing(config, steps):
        if one.frame is None or one.resize is None or one.resize.multiple == 1:
            continue
        side = one.endpoint.picture_side
        allowed, key = min(
            (one.resize.max_pixels, f"{one.step.stage.name}.resize.max_pixels"),
            (side * side, "picture_side of the language model"),
        )
        tokens = allowed // one.resize.multiple**2
        if tokens < FEWEST_TOKENS:
            yield (
                f"{one.name} shows at most {tokens:,} image tokens of a picture, and boxes want "
                f"{FEWEST_TOKENS:,} at least: raise {key}"
            )


def _showing(config: SystemConfig, steps: Sequence[Step]) -> Iterator[_Shown]:
    """The stages that show images to a language model."""
    for step in steps:
        endpoint = config.endpoint_of(step)
        if endpoint is not None and step.config.needs_image:
            frame, resize = (getattr(step.config, name, None) for name in ("frame", "resize"))
            yield _Shown(step, endpoint, frame, resize)


def _ends_in_corner(box: Box, size: ImageSize) -> bool:
    return box.x_max >= _NEAR_END * size.width and box.y_max >= _NEAR_END * size.height
