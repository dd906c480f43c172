"""Triples: what a reader of JSON-LD finds in the file, names that hold, shapes that are exact."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pytest
from defusedxml import ElementTree
from helpers.small_runs import SIDES, answered, named, region, ring, trap_samples, write_run
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from riveg.exports.triples import export_triples, iri, pixels_of_box, svg_of_mask
from riveg.geometry.masks import mask_from_array
from riveg.types import Box, Sample

EXPECTED = {"posts": 6, "entities": 6, "regions": 4}


def exported(folder: Path, *samples: Sample) -> tuple[list[dict[str, Any]], Any]:
    report = export_triples(write_run(folder, samples), folder / "out")
    document = json.loads((folder / "out" / "graph.jsonld").read_bytes())
    assert list(document) == ["@context", "@graph"]
    return document["@graph"], report


def of_type(nodes: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [node for node in nodes if node["type"] == kind]


def test_an_entity_a_mention_and_a_place(tmp_path: Path) -> None:
    nodes, _ = exported(tmp_path, answered("Ann here", named("Ann", 0, region(mask=ring()))))
    run, told, entity, mention, place = nodes
    assert (run["type"], run["agent"]["name"]) == ("prov:Activity", "quick")
    assert (told["text"], told["mentions"]) == ("Ann here", [entity["id"]])
    assert told["picture"]["path"] == "a.jpg"
    assert entity == {
        "id": "urn:riveg:posts:test:post:1:entity:e0",
        "type": "schema:Person",
        "name": "Ann",
        "label": "PER",
        "expression": "a Ann",
        "depiction": ["urn:riveg:posts:test:post:1:entity:e0:region:0"],
    }
    assert mention["target"]["selector"] == [
        {"type": "oa:TextPositionSelector", "start": 0, "end": 3},
        {"type": "oa:TextQuoteSelector", "exact": "Ann"},
    ]
    assert place["target"]["id"] == entity["depiction"][0]
    assert place["target"]["source"] == told["picture"]["id"]
    assert place["target"]["selector"][0]["value"] == "xywh=pixel:4,6,20,20"
    assert (mention["confidence"], place["confidence"]) == (0.75, 0.5)
    assert place["by"]["name"] == "evidence:face"
    assert mention["run"] == place["run"] == run["id"]


def test_what_is_written_and_left_out_is_counted(tmp_path: Path) -> None:
    nodes, report = exported(tmp_path, *trap_samples())
    assert report.counts == EXPECTED
    assert report.left_out == {
        "sample that was not tagged": 1,
        "region of a post without a picture": 1,
        "that an entity's place was not answered": 1,
    }
    assert len(of_type(nodes, "schema:SocialMediaPosting")) == 6
    assert len(of_type(nodes, "oa:Annotation")) == 6 + 4
    assert {node["label"] for node in nodes if "label" in node} == {"PER", "LOC", "SHIP & CO"}


def test_places_outside_the_image_are_counted(tmp_path: Path) -> None:
    ann = named("Ann", 0, region(70, mask=ring()), region(mask=mask_from_array(np.eye(3) > 0)))
    nodes, report = exported(tmp_path, answered("Ann", ann))
    assert report.left_out == {
        "box outside its picture": 1,
        "mask of another size than its picture": 1,
    }
    assert len(nodes[-1]["target"]["selector"]) == 1


def test_a_sample_is_one_name_whatever_its_id(tmp_path: Path) -> None:
    ids = ["1", "1:entity:e0", "1%3A", "ü/../", " ", "1 ", ""]
    nodes, _ = exported(tmp_path, *(answered("Ann", named("Ann", 0), id=id) for id in ids))
    names = [node["id"] for node in nodes]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"urn:riveg(:[A-Za-z0-9._~%-]*)+", name) for name in names)


def test_entities_with_one_name_are_two(tmp_path: Path) -> None:
    nodes, _ = exported(tmp_path, answered("Ann Ann", named("Ann", 0), named("Ann", 1)))
    people = of_type(nodes, "schema:Person")
    assert [each["id"].rpartition(":")[2] for each in people] == ["e0", "e0~2"]


@given(st.lists(st.tuples(st.text(), st.text()), unique=True, max_size=6))
def test_names_never_collide(pairs: list[tuple[str, str]]) -> None:
    assert len({iri("urn:riveg", *pair) for pair in pairs}) == len(pairs)


def filled(svg: str) -> NDArray[np.bool_]:
    """The pixels whose centres an even-odd fill of the path covers."""
    root: Element = ElementTree.fromstring(svg)
    *_, width, height = map(int, root.get("viewBox", "").split())
    crossings = np.zeros((height, width + 1), dtype=int)
    for ring_path in (root[0].get("d") or "").split("M")[1:]:
        x, y = map(int, re.findall(r"\d+", ring_path)[:2])
        points = [(x, y)]
        for axis, number in re.findall(r"([HV])(\d+)", ring_path):
            x, y = (int(number), y) if axis == "H" else (x, int(number))
            points.append((x, y))
        assert points[0][0] == points[-1][0] or points[0][1] == points[-1][1]
        for (x1, y1), (x2, y2) in zip(points, [*points[1:], points[0]], strict=True):
            if x1 == x2:
                crossings[min(y1, y2) : max(y1, y2), x1] += 1
    inside: NDArray[np.bool_] = crossings.cumsum(axis=1)[:, :width] % 2 == 1
    return inside


@st.composite
def pixels(draw: st.DrawFn) -> NDArray[np.bool_]:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    bits = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    return np.array(bits, dtype=bool).reshape(height, width)


@pytest.mark.parametrize(
    ("box", "expected", "reason"),
    [
        (Box(4, 6, 24, 26), (4, 6, 20, 20), "whole pixels stay"),
        (Box(4.2, 6.9, 4.3, 7.1), (4, 6, 1, 2), "less than a pixel is the pixels it touches"),
        (Box(-9, -9, 99, 99), (0, 0, *SIDES), "cut at all edges"),
        (Box(64, 0, 70, 9), None, "beside the picture"),
        (Box(0, -9, 9, 0), None, "above it"),
    ],
)
def test_boxes_as_whole_pixels(box: Box, expected: tuple[int, ...] | None, reason: str) -> None:
    assert pixels_of_box(box, SIDES) == expected


@given(pixels())
def test_shapes_are_exact(array: NDArray[np.bool_]) -> None:
    assert np.array_equal(filled(svg_of_mask(mask_from_array(array))), array)


def test_a_mask_with_a_hole_and_a_part_of_its_own() -> None:
    svg = svg_of_mask(ring())
    assert svg.count("M") == 3
    assert f'viewBox="0 0 {SIDES[0]} {SIDES[1]}"' in svg
    assert np.array_equal(filled(svg), ring().to_numpy())


def test_exports_repeat_byte_by_byte(tmp_path: Path) -> None:
    source = write_run(tmp_path, trap_samples())
    contents = []
    for name in ("one", "two"):
        export_triples(source, tmp_path / name)
        contents.append((tmp_path / name / "graph.jsonld").read_bytes())
    assert contents[0] == contents[1]


# rdflib's own reader still uses its old name for a data set.
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_a_graph_library_finds_every_place(tmp_path: Path) -> None:
    rdflib = pytest.importorskip("rdflib", reason="needs rdflib")
    exported(tmp_path, *trap_samples())
    with (tmp_path / "out" / "graph.jsonld").open("rb") as handle:
        graph = rdflib.Graph().parse(handle, format="json-ld")
    rows = [tuple(map(str, row)) for row in graph.query(QUERY)]
    assert len(rows) == EXPECTED["regions"]
    assert ("Ann", "sub/b ü&?.png", "xywh=pixel:30,10,8,8") in rows
    assert ("Climber", "../../etc/x", "xywh=pixel:0,40,16,8") in rows
    spans = {tuple(map(str, row)) for row in graph.query(SPANS)}
    assert ("Łódź", "19", "23") in spans
    assert len(spans) == EXPECTED["entities"]


QUERY = """
PREFIX foaf: <http://xmlns.com/foaf/0.1/>
PREFIX oa: <http://www.w3.org/ns/oa#>
PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#>
PREFIX schema: <https://schema.org/>
SELECT ?name ?path ?box WHERE {
  ?entity schema:name ?name ; foaf:depiction ?place .
  ?place oa:hasSource/schema:contentUrl ?path ; oa:hasSelector ?selector .
  ?selector a oa:FragmentSelector ; rdf:value ?box .
}
"""

SPANS = """
PREFIX oa: <http://www.w3.org/ns/oa#>
PREFIX schema: <https://schema.org/>
SELECT ?name ?start ?end WHERE {
  ?mention oa:hasBody/schema:name ?name ; oa:hasTarget/oa:hasSelector ?selector .
  ?selector oa:start ?start ; oa:end ?end .
}
"""
