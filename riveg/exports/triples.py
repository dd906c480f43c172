"""JSON-LD for knowledge graphs: entities, their mentions in posts, their places in images.

The words are schema.org's, the W3C's Web Annotation (``oa``), PROV (``prov``) and ITS 2.0
(``itsrdf:taConfidence``, the confidence of a tool), and FOAF's ``depiction``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from riveg.evaluation.cases import image_size
from riveg.exports.entity_ids import distinct_ids
from riveg.exports.guesses import must_mark
from riveg.exports.json_pieces import compact_json, separated
from riveg.exports.mask_faults import mask_fault
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import make_folder, write_atomically
from riveg.geometry.boxes import touched_edges
from riveg.geometry.polygons import Ring, mask_to_polygons
from riveg.text.spans import character_range
from riveg.types import Box, Entity, ImageRef, ImageSize, Mask, Region, Sample

_Node = dict[str, Any]

CONTEXT: Mapping[str, object] = {
    "foaf": "http://xmlns.com/foaf/0.1/",
    "itsrdf": "http://www.w3.org/2005/11/its/rdf#",
    "oa": "http://www.w3.org/ns/oa#",
    "prov": "http://www.w3.org/ns/prov#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "schema": "https://schema.org/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "id": "@id",
    "type": "@type",
    "name": "schema:name",
    "identifier": "schema:identifier",
    "text": "schema:text",
    "label": "schema:additionalType",
    "expression": "schema:description",
    "picture": {"@id": "schema:image", "@type": "@id"},
    "mentions": {"@id": "schema:mentions", "@type": "@id"},
    "path": "schema:contentUrl",
    "width": {"@id": "schema:width", "@type": "xsd:integer"},
    "height": {"@id": "schema:height", "@type": "xsd:integer"},
    "depiction": {"@id": "foaf:depiction", "@type": "@id"},
    "body": {"@id": "oa:hasBody", "@type": "@id"},
    "target": {"@id": "oa:hasTarget", "@type": "@id"},
    "motivation": {"@id": "oa:motivatedBy", "@type": "@id"},
    "source": {"@id": "oa:hasSource", "@type": "@id"},
    "selector": {"@id": "oa:hasSelector", "@type": "@id"},
    "start": {"@id": "oa:start", "@type": "xsd:nonNegativeInteger"},
    "end": {"@id": "oa:end", "@type": "xsd:nonNegativeInteger"},
    "exact": "oa:exact",
    "value": "rdf:value",
    "standard": {"@id": "http://purl.org/dc/terms/conformsTo", "@type": "@id"},
    "confidence": {"@id": "itsrdf:taConfidence", "@type": "xsd:double"},
    "guess": {"@id": "urn:riveg:guess", "@type": "xsd:boolean"},
    "run": {"@id": "prov:wasGeneratedBy", "@type": "@id"},
    "by": {"@id": "prov:wasAttributedTo", "@type": "@id"},
    "agent": {"@id": "prov:wasAssociatedWith", "@type": "@id"},
}
"""What the short words of the file mean; it is in the file, nothing is fetched."""

FINE_CONTEXT: Mapping[str, object] = {"fineLabel": "urn:riveg:fine-label"}
"""Words that stand in the file as well where an entity has a fine label."""

_CLASSES = {
    "PER": "schema:Person",
    "PERSON": "schema:Person",
    "LOC": "schema:Place",
    "LOCATION": "schema:Place",
    "ORG": "schema:Organization",
    "ORGANIZATION": "schema:Organization",
}
"""Every other label is a ``schema:Thing``; the label itself is always written too."""

_MEDIA_FRAGMENTS = "http://www.w3.org/TR/media-frags/"
_UNBOUNDED = ImageSize(sys.maxsize, sys.maxsize)


def export_triples(source: ExportSource, out: Path) -> ExportReport:
    """Writes ``graph.jsonld``: one document, a node a line.

    Args:
        source: The run.
        out: An empty folder.

    Returns:
        Numbers of posts, entities and regions, and of what the format cannot hold.
    """
    make_folder(out)
    path = out / "graph.jsonld"
    writer = _NodeWriter(source.manifest)
    nodes = (node for sample in source.records() for node in writer.post(sample))
    context = {**CONTEXT, **FINE_CONTEXT} if source.has_fine_labels() else CONTEXT
    write_atomically(path, _document(context, chain([writer.run_node()], nodes)))
    return ExportReport((path,), dict(writer.counts), +writer.left_out)


class _NodeWriter:
    """Makes nodes of samples, and counts what it makes and what it leaves out."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self.counts = Counter({"posts": 0, "entities": 0, "regions": 0})
        self.left_out: Counter[str] = Counter()
        self._manifest = manifest
        data = Path(str(manifest.get("data") or "data")).name
        self._base = iri("urn:riveg", data, str(manifest.get("split") or "all"))
        content = json.dumps(manifest, sort_keys=True).encode()
        self._run = iri("urn:riveg:run", hashlib.blake2b(content, digest_size=16).hexdigest())

    def run_node(self) -> _Node:
        """The run, and the system that made it."""
        name = str(self._manifest.get("system", ""))
        system = {"id": iri("urn:riveg:system", name), "type": "prov:SoftwareAgent", "name": name}
        return {"id": self._run, "type": "prov:Activity", "agent": system}

    def post(self, sample: Sample) -> Iterator[_Node]:
        """The post with its image and entities, then an annotation for each mention and place."""
        self.counts["posts"] += 1
        if sample.entities is None:
            self.left_out["sample that was not tagged"] += 1
        post = iri(self._base, "post", sample.id)
        entities = sample.entities or ()
        names = [iri(post, "entity", name) for name in distinct_ids(entities)]
        node: _Node = {
            "id": post,
            "type": "schema:SocialMediaPosting",
            "identifier": sample.id,
            "text": sample.text,
        }
        if sample.image is not None:
            node["picture"] = self._image(sample.image)
        if names:
            node["mentions"] = names
        yield node
        for name, entity in zip(names, entities, strict=True):
            yield from self._entity(sample, post, name, entity)

    def _image(self, image: ImageRef) -> _Node:
        node: _Node = {"id": self._image_iri(image), "type": "schema:ImageObject"}
        sides = {"width": image.width, "height": image.height}
        known = {name: side for name, side in sides.items() if side is not None}
        return {**node, "path": image.path, **known}

    def _image_iri(self, image: ImageRef) -> str:
        return iri(self._base, "picture", image.path)

    def _entity(self, sample: Sample, post: str, name: str, entity: Entity) -> Iterator[_Node]:
        self.counts["entities"] += 1
        regions = self._regions(sample, entity)
        places = [iri(name, "region", str(rank)) for rank in range(len(regions))]
        node: _Node = {
            "id": name,
            "type": _CLASSES.get(entity.label.upper(), "schema:Thing"),
            "name": entity.text,
            "label": entity.label,
        }
        if entity.fine_label is not None:
            node["fineLabel"] = entity.fine_label
        if entity.expression is not None:
            node["expression"] = entity.expression
        # That the picture depicts the entity is a claim; of a guess nobody makes it.
        shown = [place for place, region in zip(places, regions, strict=True) if not region.guess]
        if shown:
            node["depiction"] = shown
        yield node
        yield from self._mention(sample, post, name, entity)
        for place, region in zip(places, regions, strict=True):
            yield self._place(sample, name, place, region)

    def _regions(self, sample: Sample, entity: Entity) -> list[Region]:
        """The regions that can be pointed at in the post's image."""
        if entity.regions is None:
            self.left_out["that an entity's place was not answered"] += 1
        regions = entity.regions or ()
        if sample.image is None:
            self.left_out["region of a post without a picture"] += len(regions)
            return []
        size = image_size(sample)
        inside = [region for region in regions if pixels_of_box(region.box, size)]
        self.left_out["box outside its picture"] += len(regions) - len(inside)
        return inside

    def _mention(self, sample: Sample, post: str, name: str, entity: Entity) -> Iterator[_Node]:
        place = character_range(sample.offsets, entity.span)
        if place is None:
            self.left_out["span beyond the post's tokens"] += 1
            return
        start, end = place
        selectors = [
            {"type": "oa:TextPositionSelector", "start": start, "end": end},
            {"type": "oa:TextQuoteSelector", "exact": sample.text[start:end]},
        ]
        target = {
            "id": iri(name, "span"),
            "type": "oa:SpecificResource",
            "source": post,
            "selector": selectors,
        }
        yield self._annotation(iri(name, "mention"), name, target, entity.score)

    def _place(self, sample: Sample, name: str, place: str, region: Region) -> _Node:
        self.counts["regions"] += 1
        size = image_size(sample)
        numbers = ",".join(map(str, pixels_of_box(region.box, size) or ()))
        selectors: list[_Node] = [
            {
                "type": "oa:FragmentSelector",
                "standard": _MEDIA_FRAGMENTS,
                "value": f"xywh=pixel:{numbers}",
            }
        ]
        if region.mask is not None:
            fault = mask_fault(region.mask, size)
            if fault is None:
                selectors.append(_mask_selector(region.mask))
            else:
                self.left_out[fault] += 1
        target: _Node = {"id": place, "type": "oa:SpecificResource", "selector": selectors}
        if sample.image is not None:
            target["source"] = self._image_iri(sample.image)
        node = self._annotation(iri(place, "annotation"), name, target, region.score)
        if must_mark(region, self.counts):
            node["guess"] = True
        if region.source is not None:
            agent = {"id": iri("urn:riveg:backend", region.source), "type": "prov:SoftwareAgent"}
            node["by"] = {**agent, "name": region.source}
        return node

    def _annotation(self, name: str, body: str, target: _Node, score: float | None) -> _Node:
        node: _Node = {
            "id": name,
            "type": "oa:Annotation",
            "motivation": "oa:identifying",
            "body": body,
            "target": target,
            "run": self._run,
        }
        return node if score is None else {**node, "confidence": score}


def iri(base: str, *parts: str) -> str:
    """A name below another name; all but ASCII letters, digits and ``-._~`` is escaped.

    >>> iri("urn:riveg", "post", "a:b é")
    'urn:riveg:post:a%3Ab%20%C3%A9'
    """
    return ":".join([base, *(quote(part, safe="") for part in parts)])


def svg_of_mask(mask: Mask) -> str:
    """The mask as an SVG of the image's size, exact to the pixel, holes by the even-odd rule."""
    rings = [
        ring for polygon in mask_to_polygons(mask) for ring in (polygon.exterior, *polygon.holes)
    ]
    drawn = "".join(map(_closed, rings))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {mask.width} {mask.height}">'
        f'<path fill-rule="evenodd" d="{drawn}"/></svg>'
    )


def _closed(ring: Ring) -> str:
    """An SVG path of the ring: its sides run along pixels, so only one number changes at a time."""
    (left, top), *_ = ring
    sides = (f"H{x:g}" if y == v else f"V{v:g}" for (_, y), (x, v) in pairwise(ring))
    return f"M{left:g},{top:g}{''.join(sides)}Z"


def pixels_of_box(box: Box, size: ImageSize | None = None) -> tuple[int, int, int, int] | None:
    """Left, top, width, height of the whole pixels that the box touches, inside the image.

    Media fragments have neither parts of pixels nor negative numbers. ``None`` where the box lies
    outside; without a size the image has no right and no lower edge.

    >>> pixels_of_box(Box(-3.5, 10.2, 20.1, 30), ImageSize(64, 48))
    (0, 10, 21, 20)
    """
    edges = touched_edges(box, size or _UNBOUNDED)
    if edges is None:
        return None
    left, top, right, bottom = edges
    return left, top, right - left, bottom - top


def _mask_selector(mask: Mask) -> _Node:
    return {"type": "oa:SvgSelector", "value": svg_of_mask(mask)}


def _document(context: Mapping[str, object], nodes: Iterable[_Node]) -> Iterator[bytes]:
    """A document of one node a line; the context comes first, for readers that stream."""
    yield b'{"@context":' + compact_json(context) + b',\n"@graph":['
    yield from separated(map(compact_json, nodes))
    yield b"\n]}\n"
