"""The Twitter sets: CoNLL text, and beside it a folder with one annotation file for each image.

Twitter-GMNER, Twitter-FMNERG, Twitter-2015, Twitter-2017 and Twitter-SMNER differ in the number of
tag columns and in the annotation files only, so one reader serves them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from riveg.datasets.annotations import AnnotationFolder, ImageAnnotation, NamedObject
from riveg.datasets.captions import captions_by_image
from riveg.datasets.dataset import Defect, Row, quoted
from riveg.errors import UserError, suggest
from riveg.formats.conll import ConllSentence, column_schemes, read_conll
from riveg.text.folding import fold_blanks
from riveg.text.spans import joined_tokens
from riveg.text.tag_schemes import TagScheme, is_tag
from riveg.text.tokenise import join_tokens
from riveg.types import Gold, GoldEntity, ImageRef, Issue, Sample, Span


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
        scheme: The tag scheme of all columns; ``None``: of each column the one that its tags have.
        file_names: What ids of posts without one begin with, by file, where several are read.
    """

    files: Mapping[str, Path]
    fine: bool = False
    label_map: Mapping[str, str] = field(default_factory=dict)
    annotations: AnnotationFolder | None = None
    captions: tuple[Path, ...] = ()
    image_roots: tuple[Path, ...] = ()
    suffixes: tuple[str, ...] = (".jpg",)
    scheme: TagScheme | None = None
    file_names: Mapping[Path, str] = field(default_factory=dict)

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        """Rows of a split.

        Raises:
            UserError: If a file is missing, is no UTF-8, or has another number of columns; where
                gold is read, also if its tags are of two schemes, or not of the named one.
        """
        path = self.files[split]
        if annotated and self.annotations is not None and not self.annotations.folder.is_dir():
            raise UserError(
                f"{self.annotations.folder}: no such folder; it should hold one "
                f"<id>{self.annotations.suffix} for each picture that shows an entity"
            )
        schemes = self.schemes(split) if annotated else ()
        captions = captions_by_image(self.captions)
        for sentence in self._sentences(path):
            sample = self._sample(sentence, path, captions)
            place = f"{path.name}:{sentence.line}"
            if annotated:
                yield self._annotated(sample, sentence, schemes, place)
            else:
                yield Row(place, sample)

    def digest(self, split: str) -> str | None:  # noqa: ARG002
        """Nothing: images are looked for, and these sets are small."""
        return None

    def schemes(self, split: str) -> tuple[TagScheme, ...]:
        """The tag scheme of each column of a split, for which its whole file is read.

        Raises:
            UserError: As :meth:`rows`.
        """
        path = self.files[split]
        columns = range(2 if self.fine else 1)
        return column_schemes(self._sentences(path), path, columns, named=self.scheme)

    def _sentences(self, path: Path) -> Iterator[ConllSentence]:
        expected = 2 if self.fine else 1
        for sentence in read_conll(path):
            if sentence.tokens and len(sentence.columns) != expected:
                raise UserError(
                    f"{path}:{sentence.line}: expected {expected + 1} columns (token and "
                    f"{expected} of tags), found {len(sentence.columns) + 1}"
                )
            yield sentence

    def _sample(self, sentence: ConllSentence, path: Path, captions: Mapping[str, str]) -> Sample:
        text, offsets = join_tokens(sentence.tokens)
        issues: tuple[Issue, ...] = ()
        if not text.strip():
            message = f"{path.name}:{sentence.line}: the post has no text"
            issues = (Issue("input", None, "empty-text", message),)
        image_id = sentence.image_id or None
        file = f"{self.file_names[path]}:" if path in self.file_names else ""
        return Sample(
            id=image_id or f"{file}line-{sentence.line}",
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

    def _annotated(
        self, sample: Sample, sentence: ConllSentence, schemes: Sequence[TagScheme], place: str
    ) -> Row:
        found = self._annotation(sentence.image_id)
        spans = [*map(TagScheme.spans, schemes, sentence.columns)]
        entities = tuple(self._entities(sentence, spans, found.objects)) if spans else ()
        tag_defects = (*_tag_defects(sentence, schemes, place), *_fine_defects(spans, place))
        unmatched = _unmatched(found.objects, entities)
        return Row(
            place,
            sample,
            gold=None if found.defects else Gold(sample.id, entities),
            defects=(*found.defects, *tag_defects, *_name_defects(found.file, unmatched, entities)),
            size=found.size,
            objects=None if found is _NO_FILE else len(found.objects),
            unmatched_objects=len(unmatched),
            forms=found.forms,
        )

    def _annotation(self, image_id: str | None) -> ImageAnnotation:
        if self.annotations is None or not image_id:
            return _NO_FILE
        return self.annotations.read(image_id) or _NO_FILE

    def _entities(
        self,
        sentence: ConllSentence,
        spans: Sequence[Sequence[tuple[Span, str]]],
        objects: Sequence[NamedObject],
    ) -> Iterator[GoldEntity]:
        has_boxes = self.annotations is not None
        has_masks = self.annotations is not None and self.annotations.has_masks
        for span, label in spans[0]:
            text = joined_tokens(sentence.tokens, span)
            own = [item for item in objects if fold_blanks(item.name) == fold_blanks(text)]
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


_READ_AS = {
    "orphan-i": "but continues no entity; it opens one",
    "open-entity": "but no tag ends its entity; it ends one",
}


def _tag_defects(
    sentence: ConllSentence, schemes: Sequence[TagScheme], place: str
) -> Iterator[Defect]:
    for scheme, column in zip(schemes, sentence.columns, strict=False):
        for token, tag in zip(sentence.tokens, column, strict=True):
            if not is_tag(tag):
                yield Defect("bad-tag", place, f"{quoted(token)} has the tag {quoted(tag)}")
        for position, kind in scheme.irregular(column):
            token, tag = quoted(sentence.tokens[position]), quoted(column[position])
            yield Defect(kind, place, f"{token} has the tag {tag} {_READ_AS[kind]}")


def _fine_defects(spans: Sequence[Sequence[tuple[Span, str]]], place: str) -> Iterator[Defect]:
    if len(spans) < 2:
        return
    coarse, fine = ([span for span, _ in column] for column in spans[:2])
    if coarse != fine:
        message = "the coarse and the fine tags mark different entities; the coarse ones are taken"
        yield Defect("fine-tag-mismatch", place, message)


def _unmatched(
    objects: Sequence[NamedObject], entities: Sequence[GoldEntity]
) -> tuple[NamedObject, ...]:
    """The objects whose name is no entity, blanks aside."""
    known = {fold_blanks(entity.text) for entity in entities}
    return tuple(item for item in objects if fold_blanks(item.name) not in known)


def _name_defects(
    file: str, unmatched: Sequence[NamedObject], entities: Sequence[GoldEntity]
) -> Iterator[Defect]:
    known = {quoted(entity.text) for entity in entities}
    for name in dict.fromkeys(item.name for item in unmatched):
        message = (
            f"the name {quoted(name)} is no entity of the post; {suggest(quoted(name), known)}"
        )
        yield Defect("name-without-entity", file, message)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the file system
        return False
