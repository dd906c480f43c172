"""Several datasets read one after the other, as one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from riveg.datasets.dataset import Dataset, Row
from riveg.errors import UserError
from riveg.images.paths import leads_out, spelling_on_disk
from riveg.labels import Levels

_LONGEST_NAME = 60
"""Characters of a joined name."""


@dataclass(frozen=True, slots=True)
class JoinedReader:
    """Reads parts in their order; each part is a dataset with one split.

    Args:
        parts: The part of each split.
        folders: The image folders of all parts; one entry where they are the same for all.
        base: The folder that all of them lie in; ``None``: there is none.
    """

    parts: Mapping[str, Dataset]
    folders: tuple[tuple[Path, ...], ...]
    base: Path | None

    @property
    def files(self) -> Mapping[str, Path]:
        """The file of each split."""
        return {split: part.reader.files[part.splits[0]] for split, part in self.parts.items()}

    @property
    def image_roots(self) -> tuple[Path, ...]:
        """Where the image paths of rows start."""
        roots = dict.fromkeys(root for folders in self.folders for root in folders)
        if len(self.folders) < 2 or self.base is None:
            return tuple(roots)
        return (self.base, *(root for root in roots if not root.is_relative_to(self.base)))

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        """Rows of a split.

        Two parts may have images of one name in different folders: paths then start at the folder
        that holds both.

        Raises:
            UserError: If a file cannot be read, or the images lie in different folders and these
                nowhere together.
        """
        part = self.parts[split]
        rows = part.rows(annotated=annotated)
        return rows if len(self.folders) < 2 else (self._from_base(row, part) for row in rows)

    def digest(self, split: str) -> str | None:
        """Of the part; ``None`` where its images lie in a folder of its own, and are looked for."""
        return self.parts[split].digest() if len(self.folders) < 2 else None

    def _from_base(self, row: Row, part: Dataset) -> Row:
        image = row.sample.image
        if image is None or leads_out(image.path):
            return row
        if self.base is None:
            places = ", ".join(dict.fromkeys(str(folders[0]) for folders in self.folders))
            raise UserError(
                f"the pictures of these data start in {places}, which lie in no folder together; "
                "say where all of them start with --images, or give the data one by one"
            )
        roots = _absolute(part.image_roots)
        root = next((root for root in roots if spelling_on_disk([root], image.path)), roots[0])
        if not root.is_relative_to(self.base):
            return row
        path = (root.relative_to(self.base) / image.path).as_posix()
        return replace(row, sample=replace(row.sample, image=replace(image, path=path)))


def join_datasets(datasets: Mapping[str, Dataset]) -> Dataset:
    """One dataset that is read as all of these, in their order.

    Args:
        datasets: At least one, by what each is called as a split.

    Raises:
        UserError: If a file is among them twice.
    """
    parts = {
        name if len(dataset.splits) == 1 else f"{name}/{part.splits[0]}": part
        for name, dataset in datasets.items()
        for part in dataset.by_split()
    }
    require_different(file for part in parts.values() for file in part.origin)
    folders = tuple(dict.fromkeys(_absolute(part.image_roots) for part in parts.values()))
    reader = JoinedReader(parts, folders, _folder_of_all([one[0] for one in folders if one]))
    every = [*datasets.values()]
    labels = dict.fromkeys(label for dataset in every for label in dataset.labels)
    return Dataset(
        name=joined_name([dataset.name for dataset in every]),
        version=None,
        splits=tuple(parts),
        image_roots=reader.image_roots,
        labels=tuple(labels) if all(dataset.labels for dataset in every) else (),
        fine_labels=_joined_levels([dataset.fine_labels for dataset in every]),
        has_gold=any(dataset.has_gold for dataset in every),
        has_boxes=any(dataset.has_boxes for dataset in every),
        notes=tuple(note for dataset in every for note in dataset.notes),
        reader=reader,
        columns={
            meant: own for dataset in reversed(every) for meant, own in dataset.columns.items()
        },
    )


def _joined_levels(every: Sequence[Levels]) -> Levels:
    """Every label with its fine ones of all; nothing where fine ones are not declared by all."""
    if not all(every):
        return {}
    labels = dict.fromkeys(label for levels in every for label in levels)
    return {
        label: tuple(dict.fromkeys(fine for levels in every for fine in levels.get(label, ())))
        for label in labels
    }


def names_apart(paths: Sequence[Path]) -> list[str]:
    """For each path the shortest end of it that no other path has.

    >>> names_apart([Path("a/x.csv"), Path("b/x.csv"), Path("b/y.csv")])
    ['a/x.csv', 'b/x.csv', 'y.csv']
    """
    parts = [path.absolute().parts for path in paths]

    def name(own: tuple[str, ...]) -> str:
        for length in range(1, len(own) + 1):
            if sum(other[-length:] == own[-length:] for other in parts) == 1:
                return "/".join(own[-length:])
        return str(Path(*own))

    return [name(own) for own in parts]


def require_different(files: Iterable[str]) -> None:
    """Makes sure that nothing is read twice.

    Raises:
        UserError: If a file is.
    """
    for file, number in Counter(files).items():
        if number > 1:
            raise UserError(f"{file}: is given {number} times; name it once")


def _absolute(folders: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(folder.absolute() for folder in folders)


def _folder_of_all(folders: Sequence[Path]) -> Path | None:
    """The innermost folder that holds all; ``None`` where that is the whole disk."""
    if not folders:
        return None
    common = Path(os.path.commonpath(folders))
    return None if common == Path(common.anchor) else common


def joined_name(names: Sequence[str]) -> str:
    """What several datasets together are called; one keeps its name.

    >>> joined_name(["posts"]), joined_name(["one", "two"])
    ('posts', 'one+two')
    """
    joined = "+".join(names)
    return joined if len(joined) <= _LONGEST_NAME else f"{names[0]}-and-{len(names) - 1}-more"
