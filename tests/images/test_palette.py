"""Colours of types: fixed for the usual ones, stable for the others, legible on any ground."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.images.palette import INK, PALETTE, contrast, ink_on, is_usual, type_colours


@pytest.mark.parametrize("colour", PALETTE)
@pytest.mark.parametrize("ground", ["#ffffff", "#17191c"])
def test_every_colour_stands_out_from_light_and_dark(colour: str, ground: str) -> None:
    assert contrast(colour, ground) >= 3  # WCAG 2.2, 1.4.11: what is no text


@pytest.mark.parametrize("colour", PALETTE)
def test_letters_on_a_colour_can_be_read(colour: str) -> None:
    assert ink_on(colour) in (INK, "#ffffff")
    assert contrast(ink_on(colour), colour) >= 4


@given(st.sets(st.text(max_size=6)))
def test_usual_types_keep_their_colour_beside_any_others(others: set[str]) -> None:
    usual = {"PER", "LOC", "ORG", "OTHER", "MISC"}
    colours = type_colours([*usual, *others])
    assert {label: colours[label] for label in usual} == {
        "PER": "#0072B2",
        "LOC": "#009E73",
        "ORG": "#D55E00",
        "OTHER": "#CC79A7",
        "MISC": "#CC79A7",
    }
    assert {*colours} == usual | others
    assert all(colours[label] not in PALETTE[:4] for label in others if not is_usual(label))


def test_the_types_of_the_fine_grained_set_differ() -> None:
    labels = ["person", "location", "organization", "other", "building", "art", "product", "event"]
    assert len(set(type_colours(labels).values())) == len(labels)


@given(st.permutations([f"t{number}" for number in range(9)]))
def test_order_does_not_matter(labels: list[str]) -> None:
    assert type_colours(labels) == type_colours(sorted(labels))


def test_more_labels_than_colours_begin_again() -> None:
    colours = type_colours(f"{number:02d}" for number in range(51))
    assert len(set(colours.values())) == len(PALETTE) - 4
    assert colours["00"] == colours["07"]


def test_no_labels() -> None:
    assert type_colours([]) == {}
