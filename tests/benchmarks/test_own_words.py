"""Pieces of the benchmarks' tokenizers: the same each time, and small enough to tell syllables."""

import runpy

from helpers.places import ROOT

often_pieces = runpy.run_path(str(ROOT / "benchmarks" / "own_words.py"))["often_pieces"]

TEXTS = (
    "Rubville and Zafville , Golville",
    "Rubcorp of Zafcorp , Golcorp and Rubosoft , Rubtech",
    *["out of and back"] * 300,
)


def test_pieces_are_letters_frequent_words_and_what_other_words_share() -> None:
    pieces = often_pieces(TEXTS, 3, whole=["PER"])
    longer = [one for one in pieces if len(one.removeprefix("##")) > 1]
    assert longer == ["per", "and", "back", "of", "out", "##ville", "##corp", "rub"]
    assert "##lle" not in often_pieces(TEXTS, 99), "it never stands but within ##ville"


def test_order_of_texts_does_not_matter() -> None:
    assert often_pieces(TEXTS[::-1]) == often_pieces(TEXTS)
