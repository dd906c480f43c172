"""The Twitter sets: CoNLL text, and beside it a folder with one annotation file for each image.

Twitter-GMNER, Twitter-FMNERG, Twitter-2015, Twitter-2017 and Twitter-SMNER differ in the number of
tag columns and in the annotation files only, so one reader serves them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from riveg.datasets.annotations import AnnotationFolder, ImageAnnotation, NamedObject
from riveg.datasets.captions import captions_by_image
from riveg.datasets.dataset import Defect, Row, quoted
from riveg.errors import UserError, suggest
from riveg.formats.conll import ConllSentence, read_conll
from riveg.text.bio import OUTSIDE, bio_to_spans
from riveg.text.spans import joined_tokens
from riveg.text.tokenise import join_tokens
from riveg.types import Gold, GoldEntity, ImageRef, Issue, Sample

_TAG = re.compile(r"[BI]-.+")


@dataclass(frozen=True, slots=True)
class ConllReader:
    """Reads ``IMGID:`` CoNLL files.

    Args:
        files: The file of each split.
        fine: Whether a second tag column holds fine labels.
        label_map: Label in the file -> label in riveg; others stay as they are.
        annotations: The annotation files; ``None`` for sets without boxes.
        captions: Caption files.
        image_roots: Searched only where there are several suffixes.
        suffixes: File name endings of images, tried in this order.
    """

    files: Mapping[str, Path]
    fine: bool = False
    label_map: Mapping[str, str] = field(default_factory=dict)
    annotations: AnnotationFolder | None = None
    captions: tuple[Path, ...] = ()
    image_roots: tuple[Path, ...] = ()
    suffixes: tuple[str, ...] = (".jpg",)

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        """Rows of a split.

        Raises:
            UserError: If a file is missing, is no UTF-8, or has another number of columns.
        """
        path = self.files[split]
        if annotated and self.annotations is not None and not self.annotations.folder.is_dir():
            raise UserError(
                f"{self.annotations.folder}: no such folder; it should hold one "
                f"<id>{self.annotations.suffix} for each picture that shows an entity"
            )
        captions = captions_by_image(self.captions)
        for sentence in read_conll(path):
            self._check_columns(sentence, path)
            sample = self._sample(sentence, path, captions)
            place = f"{path.name}:{sentence.line}"
            yield self._annotated(sample, sentence, place) if annotated else Row(place, sample)

    def _check_columns(self, sentence: ConllSentence, path: Path) -> None:
        expected = 2 if self.fine else 1
        if sentence.tokens and len(sentence.columns) != expected:
            raise UserError(
                f"{path}:{sentence.line}: expected {expected + 1} columns (token and "
                f"{expected} of tags), found {len(sentence.columns) + 1}"
            )

    def _sample(self, sentence: ConllSentence, path: Path, captions: Mapping[str, str]) -> Sample:
        text, offsets = join_tokens(sentence.tokens)
        issues: tuple[Issue, ...] = ()
        if not text.strip():
            message = f"{path.name}:{sentence.line}: the post has no text"
            issues = (Issue("input", None, "empty-text", message),)
        image_id = sentence.image_id or None
        return Sample(
            id=image_id or f"line-{sentence.line}",
            text=text,
            tokens=sentence.tokens,
            offsets=offsets,
            image=None if image_id is None else ImageRef(self._image(image_id)),
            caption=None if image_id is None else captions.get(image_id),
            issues=issues,
        )

    def _image(self, image_id: str) -> str:
        names = [f"{image_id}{suffix}" for suffix in self.suffixes]
        if len(names) > 1:
            for name in names:
                if any(_is_file(root / name) for root in self.image_roots):
                    return name
        return names[0]

    def _annotated(self, sample: Sample, sentence: ConllSentence, place: str) -> Row:
        found = self._annotation(sentence.image_id)
        entities = tuple(self._entities(sentence, found.objects)) if sentence.tokens else ()
        text_defects = (*_tag_defects(sentence, place), *_fine_defects(sentence, place))
        return Row(
            place,
            sample,
            gold=None if found.defects else Gold(sample.id, entities),
            defects=(*found.defects, *text_defects, *_unmatched(found, entities)),
            size=found.size,
            objects=None if found is _NO_FILE else len(found.objects),
            forms=found.forms,
        )

    def _annotation(self, image_id: str | None) -> ImageAnnotation:
        if self.annotations is None or not image_id:
            return _NO_FILE
        return self.annotations.read(image_id) or _NO_FILE

    def _entities(
        self, sentence: ConllSentence, objects: Sequence[NamedObject]
    ) -> Iterator[GoldEntity]:
        has_boxes = self.annotations is not None
        has_masks = self.annotations is not None and self.annotations.has_masks
        for span, label in bio_to_spans(sentence.columns[0]):
            text = joined_tokens(sentence.tokens, span)
            own = [item for item in objects if item.name == text]
            fine = sentence.columns[1][span.start] if self.fine else ""
            yield GoldEntity(
                text=text,
                label=self.label_map.get(label, label),
                span=span,
                fine_label=fine.partition("-")[2] or None,
                boxes=tuple(item.box for item in own) if has_boxes else None,
                masks=tuple(item.mask for item in own if item.mask) if has_masks else None,
            )


_NO_FILE = ImageAnnotation("")


def _tag_defects(sentence: ConllSentence, place: str) -> Iterator[Defect]:
    for column in sentence.columns:
        before = OUTSIDE
        for token, tag in zip(sentence.tokens, column, strict=True):
            if tag != OUTSIDE and not _TAG.fullmatch(tag):
                yield Defect("bad-tag", place, f"{quoted(token)} has the tag {quoted(tag)}")
            elif tag.startswith("I-") and before[1:] != tag[1:]:
                message = f"{quoted(token)} has the tag {quoted(tag)} but continues no entity"
                yield Defect("orphan-i", place, f"{message}; it opens one")
            before = tag


def _fine_defects(sentence: ConllSentence, place: str) -> Iterator[Defect]:
    if len(sentence.columns) < 2:
        return
    coarse, fine = ([span for span, _ in bio_to_spans(column)] for column in sentence.columns[:2])
    if coarse != fine:
        message = "the coarse and the fine tags mark different entities; the coarse ones are taken"
        yield Defect("fine-tag-mismatch", place, message)


def _unmatched(found: ImageAnnotation, entities: Sequence[GoldEntity]) -> Iterator[Defect]:
    known = {entity.text for entity in entities}
    for name in dict.fromkeys(item.name for item in found.objects):
        if name not in known:
            near = suggest(quoted(name), map(quoted, known))
            message = f"the name {quoted(name)} is no entity of the post; {near}"
            yield Defect("name-without-entity", found.file, message)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the file system
        return False
