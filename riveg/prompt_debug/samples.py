"""The few samples that a prompt is tried on: from data, from a run, or typed by hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from riveg.datasets.dataset import Dataset, quoted
from riveg.errors import UserError
from riveg.evaluation.gold import GoldSet, read_gold
from riveg.evaluation.predictions import predictions_of_run
from riveg.evaluation.reading import open_gold
from riveg.formats.records import decode
from riveg.runs.folder import RunFolder, StageFolder
from riveg.runs.reading import image_roots_of, own_stages
from riveg.runs.sources import make_sample
from riveg.types import Gold, GoldEntity, Sample

USUAL = 5
"""Samples, if no number is given."""

_SEED = 0

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ChosenSamples:
    """Samples, and the stages that have answered already.

    Args:
        name: Where they are from, for people.
        samples: The samples, with the answers of the ``answered`` stages.
        image_roots: Image folders.
        answered: Stages that have run on them.
        read_gold: Reads their annotation; ``None``: there is none.
        notes: What a reader should know.
    """

    name: str
    samples: tuple[Sample, ...]
    image_roots: tuple[Path, ...]
    answered: tuple[str, ...] = ()
    read_gold: Callable[[], GoldSet] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()


def samples_of_data(
    dataset: Dataset, *, ids: Sequence[str] = (), sample: int | None = None
) -> ChosenSamples:
    """Samples of a dataset: those with these ids, a random sample of some, or the first few.

    The same number draws the same samples each time.

    Raises:
        UserError: If there is no sample of one of the ids, or no sample at all.
    """
    words = dict.fromkeys(filter(None, (dataset.name, dataset.split)))
    return ChosenSamples(
        " ".join(words),
        _choose(dataset.samples(), ids, sample, dataset.name),
        dataset.image_roots,
        read_gold=(lambda: read_gold(dataset)) if dataset.has_gold else None,
    )


def samples_of_run(
    folder: Path,
    upstream: Sequence[str],
    *,
    ids: Sequence[str] = (),
    sample: int | None = None,
    gold: str | None = None,
    split: str | None = None,
) -> ChosenSamples:
    """Samples from the records of a run.

    Args:
        folder: A run folder, finished or not.
        upstream: The stages whose answers are wanted, in their order: records are taken from the
            last of them that the run has, if it has all before it.
        ids: Only samples with these ids.
        sample: How many are drawn at random.
        gold: The dataset with the annotation; ``None``: the run's own.
        split: Its split; ``None``: the run's.

    Raises:
        UserError: If it is no run folder, or holds no such sample.
    """
    run = RunFolder(folder)
    manifest = run.read_manifest()
    if not manifest:
        raise UserError(f"{folder}: holds no manifest.json; is it a run folder?")
    found, answered = _last_of(run, manifest, upstream)
    samples = _choose((decode(Sample, line) for line in found.lines()), ids, sample, str(folder))
    return ChosenSamples(
        str(folder),
        samples,
        image_roots_of(manifest),
        answered,
        lambda: open_gold(gold, predictions_of_run(folder), split=split),
    )


def _last_of(
    run: RunFolder, manifest: dict[str, Any], upstream: Sequence[str]
) -> tuple[StageFolder, tuple[str, ...]]:
    """The last stage whose answers are there; all stages before it are wanted, too."""
    found: StageFolder = run.input
    answered: tuple[str, ...] = ()
    for stage in own_stages(run, manifest):
        if stage.name not in upstream:
            break
        found, answered = stage.folder, (*answered, stage.name)
    return found, answered


def sample_of_text(
    text: str, pixels: Path | None = None, caption: str | None = None
) -> ChosenSamples:
    """One sample typed by hand.

    Raises:
        UserError: If the text is empty or no valid Unicode, or the image does not exist.
    """
    if pixels is not None and not pixels.is_file():
        raise UserError(f"--image {pixels}: there is no such file")
    name = None if pixels is None else pixels.name
    sample = make_sample(text, id="post", image=name, caption=caption)
    if sample.issues:
        raise UserError(f"--text: {sample.issues[0].message}")
    return ChosenSamples("--text", (sample,), () if pixels is None else (pixels.parent,))


def _choose(
    samples: Iterable[Sample], ids: Sequence[str], number: int | None, where: str
) -> tuple[Sample, ...]:
    if ids:
        return _of_ids(samples, ids, where)
    found = _drawn(samples, number) if number else tuple(islice(samples, USUAL))
    if not found:
        raise UserError(f"{where}: no samples in it")
    return found


def _of_ids(samples: Iterable[Sample], ids: Sequence[str], where: str) -> tuple[Sample, ...]:
    wanted = dict.fromkeys(ids)
    found: dict[str, Sample] = {}
    seen: list[str] = []
    for sample in samples:
        seen.append(sample.id)
        if sample.id in wanted:
            found[sample.id] = sample
        if len(found) == len(wanted):
            break
    for missing in wanted:
        if missing not in found:
            near = get_close_matches(missing, seen, n=3) or [
                identity for identity in seen if identity.startswith(missing)
            ]
            known = ", ".join(map(quoted, (near or seen)[:3]))
            advice = f"did you mean {known}?" if near else f"it has {known} ..."
            raise UserError(f"--ids {missing}: {where} has no such sample; {advice}")
    return tuple(found[identity] for identity in wanted)


def _drawn(items: Iterable[Item], number: int) -> tuple[Item, ...]:
    """A random sample in one pass (Vitter, 1985, algorithm R), in the items' order."""
    chance = random.Random(_SEED)  # not for secrets
    kept: list[tuple[int, Item]] = []
    for position, item in enumerate(items):
        if position < number:
            kept.append((position, item))
        elif (place := chance.randrange(position + 1)) < number:
            kept[place] = position, item
    return tuple(item for _, item in sorted(kept, key=lambda pair: pair[0]))


def gold_for_oracles(gold: GoldSet, samples: Iterable[Sample]) -> Iterator[Gold]:
    """The annotation of these samples, as oracle backends take it."""
    for sample in samples:
        known = gold.samples.get(sample.id)
        if known is None:
            continue
        entities = tuple(
            GoldEntity(one.text, one.label, one.span, one.fine_label, one.boxes, one.masks)
            for one in known.entities
            if one.span is not None
        )
        yield Gold(sample.id, entities)
