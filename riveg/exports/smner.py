"""The batch that an SMNER evaluation reads: a JSON a sample, a CoNLL file, an index."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from riveg.exports.guesses import must_mark
from riveg.exports.images import LeftOut
from riveg.exports.jsonl import box_edges
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import make_folder, write_atomically, writing
from riveg.formats.conll import HEADER
from riveg.formats.records import encode
from riveg.formats.smner import INDEX, SAMPLES, SCHEMA, VERSION, sample_file
from riveg.geometry.masks import mask_area
from riveg.geometry.polygons import flat, mask_to_polygons
from riveg.text.bio import spans_to_bio
from riveg.text.spans import character_range
from riveg.types import Entity, Mask, Sample

CONLL = "predicted.conll"
FINE_CONLL = "predicted-fine.conll"

_BREAKS = re.compile(r"[\t\n\r]")

_MANIFEST_KEYS = (
    "system", "data", "data_version", "split", "samples", "limit", "failed", "oracle_stages",
)  # fmt: skip


def export_smner(source: ExportSource, out: Path, /) -> ExportReport:
    """Writes ``samples/``, ``predicted.conll`` and, at the end, ``index.json``.

    Where an entity has a fine label, ``predicted-fine.conll`` holds fine labels as tags.

    Args:
        source: The run.
        out: An empty folder.
    """
    counts = Counter({"posts": 0, "entities": 0, "regions": 0, "masks": 0})
    left_out = LeftOut()
    make_folder(out / SAMPLES)
    write_atomically(out / CONLL, _sentences(source, out / SAMPLES, counts, left_out))
    tags = {"conll": CONLL}
    if source.has_fine_labels():
        tags["conll_fine"] = FINE_CONLL
        write_atomically(out / FINE_CONLL, _fine_sentences(source))
    write_atomically(out / INDEX, _index(source, counts, left_out, tags))
    files = tuple(out / name for name in (INDEX, SAMPLES, *tags.values()))
    return ExportReport(files, dict(counts), dict(left_out))


def _sentences(
    source: ExportSource, folder: Path, counts: Counter[str], left_out: LeftOut
) -> Iterator[bytes]:
    """Writes the samples' files, and gives the CoNLL file's pieces."""
    for number, sample in enumerate(source.records()):
        document = _document(sample, counts, left_out)
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        path = folder / sample_file(number, sample.id)
        with writing(path):
            path.write_bytes(text.encode() + b"\n")
        counts["posts"] += 1
        yield _sentence(sample, left_out).encode()


def _fine_sentences(source: ExportSource) -> Iterator[bytes]:
    """The same sentences with fine labels; what they leave out is counted already."""
    for sample in source.records():
        yield _sentence(sample, LeftOut(), fine=True).encode()


def _index(
    source: ExportSource,
    counts: Mapping[str, int],
    left_out: Mapping[str, int],
    tags: Mapping[str, str],
) -> Iterator[bytes]:
    head = {
        "schema": SCHEMA,
        "version": VERSION,
        **{key: source.manifest.get(key) for key in _MANIFEST_KEYS},
        "stages": {
            name: {"backend": stage.get("backend")}
            for name, stage in source.manifest.get("stages", {}).items()
        },
        "counts": counts,
        "left_out": left_out,
        **tags,
    }
    yield json.dumps(head, ensure_ascii=False, indent=1).encode()[:-2] + b',\n "files": ['
    for number, sample in enumerate(source.records()):
        entry = {"id": sample.id, "file": f"{SAMPLES}/{sample_file(number, sample.id)}"}
        separator = b",\n  " if number else b"\n  "
        yield separator + json.dumps(entry, ensure_ascii=False).encode()
    yield b"\n ]\n}\n"


def _document(sample: Sample, counts: Counter[str], left_out: LeftOut) -> dict[str, Any]:
    """The record with every key, in simpler forms, and with values derived from it."""
    values = json.loads(encode(sample))
    entities = None
    if sample.entities is not None:
        entities = [
            {
                **_entity(entity, counts, left_out),
                "characters": character_range(sample.offsets, entity.span),
                "groundable": _is_groundable(entity),
            }
            for entity in sample.entities
        ]
        counts["entities"] += len(entities)
    return {**values, "image": values.get("image"), "entities": entities}


def _is_groundable(entity: Entity) -> bool | None:
    """As for scorers: the regions decide, or the gate where no stage has looked for regions."""
    if entity.regions is not None:
        return bool(entity.regions)
    return None if entity.entailment is None else entity.entailment.groundable


def _entity(entity: Entity, counts: Counter[str], left_out: LeftOut) -> dict[str, Any]:
    values = json.loads(encode(entity))
    regions = None
    if entity.regions is not None:
        counts["regions"] += len(entity.regions)
        regions = [
            {
                **written,
                "box": box_edges(region.box),
                "guess": must_mark(region, counts),
                "mask": None if region.mask is None else _mask(region.mask, counts, left_out),
            }
            for written, region in zip(values.get("regions", ()), entity.regions, strict=True)
        ]
    span = [entity.span.start, entity.span.end]
    always = {key: values.get(key) for key in ("score", "entailment")}
    return {**values, **always, "span": span, "regions": regions}


def _mask(mask: Mask, counts: Counter[str], left_out: LeftOut) -> dict[str, Any]:
    """Run lengths as COCO has them, and the same pixels as polygons."""
    counts["masks"] += 1
    runs = {"size": [mask.height, mask.width], "counts": mask.counts, "source": mask.source}
    try:
        polygons = mask_to_polygons(mask)
    except ValueError:
        left_out["polygons of a damaged mask (its run lengths are written as they are)"] += 1
        return {**runs, "area": None, "polygons": []}
    rings = [
        {"exterior": flat(part.exterior), "holes": [flat(hole) for hole in part.holes]}
        for part in polygons
    ]
    return {**runs, "area": mask_area(mask), "polygons": rings}


def _sentence(sample: Sample, left_out: LeftOut, *, fine: bool = False) -> str:
    """A sentence with its image id and one BIO column: of labels, or of fine labels."""
    if sample.entities is None:
        left_out["post not answered (CoNLL only: all of its tags are O)"] += 1
    labels = (
        (entity.span, entity.fine_label if fine else entity.label)
        for entity in _without_overlaps(sample, left_out)
    )
    spans = [(span, label) for span, label in labels if label is not None]
    tags = spans_to_bio(spans, len(sample.tokens))
    rows = zip(sample.tokens, tags, strict=True)
    lines = [f"{_one_field(token, left_out)}\t{_one_field(tag, left_out)}" for token, tag in rows]
    return "\n".join([HEADER + _one_field(sample.id, left_out), *lines, "", ""])


def _without_overlaps(sample: Sample, left_out: LeftOut) -> Iterable[Entity]:
    """Entities that do not overlap, those with the highest score first."""
    taken: set[int] = set()
    for entity in sorted(sample.entities or (), key=lambda entity: -(entity.score or 0.0)):
        tokens = set(range(entity.span.start, entity.span.end))
        if entity.span.end > len(sample.tokens):
            left_out["entity whose span leaves its post (CoNLL only)"] += 1
        elif tokens & taken:
            left_out["entity that overlaps a surer one (CoNLL only)"] += 1
        else:
            taken |= tokens
            yield entity


def _one_field(text: str, left_out: LeftOut) -> str:
    found = _BREAKS.sub(" ", text)
    if found != text:
        left_out["tab or line break in a word, an id or a type (CoNLL only: a space)"] += 1
    return found
