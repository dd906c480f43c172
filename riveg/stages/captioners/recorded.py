"""Captions from a file: records of a run, or one of the two published forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.formats import captions as published
from riveg.protocols import AnswerOrIssue, Captioner
from riveg.stages.recordings import (
    add_once,
    not_recorded,
    read_recorded,
    recorded_digest,
    recorded_file,
)
from riveg.types import Sample


class RecordedCaptionerConfig(BackendConfig[Captioner]):
    """``files``: records (``.jsonl`` or a run folder), or text files of published captions.

    A text file holds ``ID.jpg :CAPTION`` lines, or captions of several lines that each begin
    with ``imgid:ID###``.
    """

    stage: ClassVar[str] = "caption"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = "captions from a file: records of a run, or published captions"

    files: tuple[Path, ...]

    def build(self, context: BuildContext) -> RecordedCaptioner:
        """Reads the files.

        Raises:
            UserError: If one is missing, is in no known form, or two captions contradict.
        """
        captions: dict[str, str | None] = {}
        for file in self.files:
            path = recorded_file(file, context.base)
            for image, caption in read_captions(path).items():
                # An image is in both published BLIP-2 files, with the same caption.
                if captions.get(image) != caption:
                    add_once(captions, image, caption, str(path))
        return RecordedCaptioner(captions)

    def contents(self, base: Path) -> Mapping[str, str]:
        return {
            name: digest
            for file in self.files
            for name, digest in recorded_digest(file, base).items()
        }


class RecordedCaptioner:
    """Looks captions up by sample id, else by the image's file name without its ending."""

    def __init__(self, captions: Mapping[str, str | None]) -> None:
        self._captions = captions

    def caption(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[str]]:
        """The recorded captions; the empty caption for a sample that has no image and no record."""
        return [self._caption(sample) for sample in samples]

    def _caption(self, sample: Sample) -> AnswerOrIssue[str]:
        keys = [sample.id]
        if sample.image is not None:
            keys.append(PurePosixPath(sample.image.path).stem)
        for key in keys:
            caption = self._captions.get(key)
            if caption is not None:
                return caption
        if sample.image is None:
            return ""
        return not_recorded("caption", None, f"no caption for {' or '.join(map(repr, keys))}")


def read_captions(path: Path) -> dict[str, str | None]:
    """Captions by sample or image id.

    Raises:
        UserError: If a line is in neither of the published forms, or an id comes twice.
    """
    if path.suffix == ".jsonl":
        return read_recorded(path, lambda sample: sample.caption)
    captions: dict[str, str | None] = {}
    for found in published.read_captions(path, is_mixed=False):
        if found.image_id is None:
            raise UserError(
                f"{path}:{found.line}: no caption: expected `ID.jpg :CAPTION` or "
                f"`imgid:ID###CAPTION`, found {found.text[:40]!r}"
            )
        add_once(captions, found.image_id, found.text, f"{path}:{found.line}")
    return captions
