"""docs/protocols.md tells what the cases hold."""

import re

from helpers.places import ROOT
from helpers.worked_cases import worked_cases

from riveg.evaluation.counts import Count
from riveg.evaluation.protocols import PROTOCOLS

PAGE = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
CASES = {worked.case.id: worked for worked in worked_cases()}
ROW = re.compile(r"^\| `([\w-]+)` [^|]*\| (\w+) \|(.*)\|$", re.MULTILINE)


def test_the_counts_of_the_table_are_those_of_the_cases() -> None:
    rows = ROW.findall(PAGE)
    assert len(rows) > 10
    for name, metric, cells in rows:
        told = [cell.strip(" *") for cell in cells.split("|")]
        for protocol, cell in zip(PROTOCOLS, told, strict=True):
            expected = CASES[name].expected[protocol]
            if cell == "error":
                assert isinstance(expected, str)
            elif cell:
                assert Count(*map(int, cell.split("/"))) == expected[metric.lower()], (name, cell)
            else:
                assert metric.lower() not in expected, (name, protocol)


def test_every_case_that_sets_protocols_apart_is_pointed_at() -> None:
    pointed_at = {*re.findall(r"`([\w-]+)`", PAGE)} & {*CASES}
    assert {*CASES} - pointed_at <= {"5a", "5c", "wrong-type"}, "the same under all protocols"


def test_every_protocol_has_its_part() -> None:
    for name in PROTOCOLS:
        assert f"\n## {name}\n" in PAGE
