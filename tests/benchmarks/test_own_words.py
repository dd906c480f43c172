"""Pieces of the benchmarks' tokenizers: the same each time, and small enough to tell syllables."""

import runpy

from helpers.places import ROOT

often_pieces = runpy.run_path(str(ROOT / "benchmarks" / "own_words.py"))["often_pieces"]

TEXTS = ("Rubville and Zafville", "Rubcorp of Zafcorp , Rubcorp")


def test_pieces_are_letters_then_what_shortens_most() -> None:
    pieces = often_pieces(TEXTS, 40)
    assert [len(one.removeprefix("##")) > 1 for one in pieces] == sorted(
        len(one.removeprefix("##")) > 1 for one in pieces
    )
    assert {"##ville", "##corp"} <= {*pieces}
    assert "##lle" not in pieces, "it never stands but within ##ville"
    assert "##vill" not in pieces, "it is no end"
    assert often_pieces(TEXTS, 30) == pieces[:30]


def test_order_of_texts_does_not_matter() -> None:
    assert often_pieces(TEXTS[::-1], 40) == often_pieces(TEXTS, 40)
