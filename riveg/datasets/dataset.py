"""A dataset as the rest of riveg sees it: a stream of samples and, separately, one of gold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from riveg.datasets.column_names import ColumnChoice
from riveg.datasets.first_seen import FirstSeen
from riveg.errors import UserError
from riveg.files import text_digest
from riveg.images.paths import spelling_on_disk
from riveg.labels import Levels
from riveg.stores.files import copy_of, place_of
from riveg.stores.store import store_address
from riveg.types import Gold, ImageSize, Sample


@dataclass(frozen=True, slots=True)
class Defect:
    """Something wrong with the data: its kind, the file and line, and a message."""

    kind: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """What a reader found at one place.

    Args:
        place: File and line, for messages.
        sample: The sample, perhaps with an Issue of the stage ``input``.
        gold: ``None`` where nothing is annotated, or where ``defects`` say why it is unusable.
        defects: What is wrong with the annotation.
        size: What the annotation declares for the image, if anything.
        objects: How many objects the image's own file annotates; ``None`` where it has no file.
        unmatched_objects: How many of them belong to no entity.
        forms: How each of the objects is written, for sets whose format is not published.
        is_sought: Whether the image was looked for on disk: its path hangs on what is there.
    """

    place: str
    sample: Sample
    gold: Gold | None = None
    defects: tuple[Defect, ...] = ()
    size: ImageSize | None = None
    objects: int | None = None
    unmatched_objects: int = 0
    forms: tuple[str, ...] = ()
    is_sought: bool = False


class Reader(Protocol):
    """Reads one format; a value, so that it travels to other processes."""

    @property
    def files(self) -> Mapping[str, Path]:
        """The file, or folder, of each split."""

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        """Rows in file order, one in memory at a time; with gold only if ``annotated``."""

    def digest(self, split: str) -> str | None:
        """Digest of all that the samples of a split are made of; ``None``: that cannot be told."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples and their annotation on disk; nothing is read before it is needed.

    Args:
        name: Its name; that of the file where there is no YAML file.
        version: The publisher's version, if any.
        splits: The splits that are read, in this order.
        image_roots: Image folders, looked up in order.
        labels: The types that may occur, ``()`` where they are not declared.
        has_gold: Whether there is an annotation.
        has_boxes: Whether the annotation has boxes.
        notes: What a user should know, for example that a file is missing.
        reader: What reads the files.
        columns: What the user said which column is which.
        knowledge: Files with a language model's knowledge about the posts of each split.
        fine_labels: The fine types of each type, ``()`` of one that has none; empty where no fine
            types are declared.
        file: The user's own YAML file that describes it, if one does.
    """

    name: str
    version: str | None
    splits: tuple[str, ...]
    image_roots: tuple[Path, ...]
    labels: tuple[str, ...]
    has_gold: bool
    has_boxes: bool
    notes: tuple[str, ...]
    reader: Reader
    columns: ColumnChoice = field(default_factory=dict)
    knowledge: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    fine_labels: Levels = field(default_factory=dict)
    file: Path | None = None

    @property
    def origin(self) -> tuple[str, ...]:
        """Full paths of the files that are read, or their addresses; they identify the data."""
        return tuple(place_of(self.reader.files[split].resolve()) for split in self.splits)

    @property
    def split(self) -> str | None:
        """The split, or ``None`` where several are read one after the other."""
        return self.splits[0] if len(self.splits) == 1 else None

    def by_split(self) -> tuple[Dataset, ...]:
        """The same dataset cut into its splits."""
        return tuple(replace(self, splits=(split,)) for split in self.splits)

    def rows(self, *, annotated: bool = True) -> Iterator[Row]:
        """Samples with their gold and with the defects at their place, for checks and copies.

        The absolute path, or the address in a store, of an image below one of the roots becomes a
        relative one, and a path that is written in another way than the file's own becomes that.
        """
        roots = [_Root.of(root) for root in self.image_roots]
        for split in self.splits:
            for row in self.reader.rows(split, annotated=annotated):
                yield _with_path_on_disk(_with_relative_image(row, roots), self.image_roots)

    def unique_rows(self, *, annotated: bool) -> Iterator[Row]:
        """Rows whose ids are all different.

        Raises:
            UserError: If two samples have one id, or a file cannot be read.
        """
        with FirstSeen() as seen:
            for row in self.rows(annotated=annotated):
                first = seen.place_of(row.sample.id, row.place)
                if first is not None:
                    raise UserError(
                        f"{self.name}: the id {quoted(row.sample.id)} stands in {first} and again "
                        f"in {row.place}; give each post an id of its own"
                    )
                yield row

    def samples(self) -> Iterator[Sample]:
        """Samples in file order, one in memory at a time; no image is opened.

        Raises:
            UserError: If two samples have one id, or a file cannot be read.
        """
        return (row.sample for row in self.unique_rows(annotated=False))

    def reading(self) -> Reading:
        """One pass over the samples, which can tell afterwards what they were made of."""
        return Reading(self)

    def digest(self) -> str | None:
        """Digest of all that the samples are made of, but for images that are looked for.

        ``None`` where that cannot be told.
        """
        parts = [self.reader.digest(split) for split in self.splits]
        if None in parts:
            return None
        roots = [(str(root.absolute()), str(root.resolve())) for root in self.image_roots]
        return text_digest(repr((self.name, self.origin, roots, parts)))

    def gold(self) -> Iterator[Gold]:
        """The annotation of every annotated sample, in file order.

        Raises:
            UserError: If the annotation of a sample cannot be used.
        """
        for row in self.rows():
            gold = usable_gold(row)
            if gold is not None:
                yield gold

    def annotated_samples(self) -> Iterator[tuple[Sample, Gold]]:
        """Every annotated sample with its gold, in file order.

        Raises:
            UserError: If two samples have one id, or an annotation cannot be used.
        """
        for row in self.unique_rows(annotated=True):
            gold = usable_gold(row)
            if gold is not None:
                yield row.sample, gold


class Reading:
    """One pass over the samples of a dataset, which can tell afterwards what they were made of.

    Args:
        dataset: What is read.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.expected = dataset.digest()
        """Digest of all that the samples would be made of; ``None``: that cannot be told."""
        self._dataset = dataset
        self._is_sought = False

    def __iter__(self) -> Iterator[Sample]:
        for row in self._dataset.unique_rows(annotated=False):
            self._is_sought = self._is_sought or row.is_sought
            yield row.sample

    def digest(self) -> str | None:
        """The same of what they were made of; ``None`` also where that hangs on images on disk.

        Or where the data have changed meanwhile.
        """
        same = not self._is_sought and self._dataset.digest() == self.expected
        return self.expected if same else None


@dataclass(frozen=True, slots=True)
class _Root:
    """An image folder as an absolute path: as it was given, and with links resolved."""

    given: Path
    real: Path

    @classmethod
    def of(cls, folder: Path) -> _Root:
        return cls(folder.absolute(), folder.resolve())

    def relative(self, path: Path) -> Path | None:
        for folder in (self.given, self.real):
            if path != folder and path.is_relative_to(folder):
                return path.relative_to(folder)
        return None


def _with_relative_image(row: Row, roots: Sequence[_Root]) -> Row:
    image = row.sample.image
    if image is None:
        return row
    address = store_address(image.path)
    path = Path(image.path) if address is None else copy_of(address)
    if not path.is_absolute() or ".." in path.parts:
        return row
    for position, root in enumerate(roots):
        relative = root.relative(path)
        if relative is None:
            continue
        # The loader takes the first root that has the file, which must be this root.
        row = replace(row, is_sought=row.is_sought or position > 0)
        if any(_exists(earlier.given / relative) for earlier in roots[:position]):
            return row
        return replace(row, sample=replace(row.sample, image=replace(image, path=str(relative))))
    return row


def _with_path_on_disk(row: Row, roots: Sequence[Path]) -> Row:
    image = row.sample.image
    # Most paths can be written in one way only: for them, no file is looked for.
    if image is None or not (
        "\\" in image.path or image.path != image.path.strip() or not image.path.isascii()
    ):
        return row
    row = replace(row, is_sought=True)
    written = spelling_on_disk(roots, image.path)
    if written is None or written == image.path:
        return row
    return replace(row, sample=replace(row.sample, image=replace(image, path=written)))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # for example a name that is too long
        return False


def usable_gold(row: Row) -> Gold | None:
    """A row's gold; ``None`` where it has none.

    Raises:
        UserError: If there is an annotation that cannot be used.
    """
    if row.gold is None and row.defects:
        defect = row.defects[0]
        raise UserError(f"{defect.where}: {defect.message}; riveg data check lists all of these")
    return row.gold


def quoted(text: str, most: int = 60) -> str:
    """A text for a message: in quotes, control characters escaped, cut at ``most`` characters."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}..."
