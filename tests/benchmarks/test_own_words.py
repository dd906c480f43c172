"""Pieces of the benchmarks' tokenizers: the same each time, and small enough to tell syllables."""

import runpy

from helpers.places import ROOT

often_pieces = runpy.run_path(str(ROOT / "benchmarks" / "own_words.py"))["often_pieces"]

TEXTS = ("Rubville and Zafville , Golville", "Rubcorp of Zafcorp , Golcorp and Rubosoft , Rubtech")


def test_pieces_are_letters_and_what_most_words_share() -> None:
    pieces = often_pieces(TEXTS, 3, whole=["of and"])
    longer = [one for one in pieces if len(one.removeprefix("##")) > 1]
    assert longer == ["of", "and", "##ville", "##corp", "rub"]
    assert "##lle" not in often_pieces(TEXTS, 99), "it never stands but within ##ville"


def test_order_of_texts_does_not_matter() -> None:
    assert often_pieces(TEXTS[::-1]) == often_pieces(TEXTS)
