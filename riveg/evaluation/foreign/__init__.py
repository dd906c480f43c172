"""Readers of other systems' outputs."""

from __future__ import annotations

from pathlib import Path

from riveg.errors import UserError
from riveg.evaluation.foreign.conll import read_predicted_conll
from riveg.evaluation.foreign.e2e import read_e2e
from riveg.evaluation.foreign.predictions import ForeignFile, ForeignPredictions
from riveg.evaluation.foreign.riveg_text import read_riveg, read_riveg_gold
from riveg.evaluation.foreign.sake import read_sake
from riveg.evaluation.foreign.sniff import FORMATS, is_riveg_gold, sniff
from riveg.evaluation.foreign.tiger import read_tiger

__all__ = [
    "FORMATS",
    "READERS",
    "ForeignFile",
    "ForeignPredictions",
    "is_riveg_gold",
    "read_foreign",
    "read_riveg_gold",
    "sniff",
]

READERS = {"e2e": read_e2e, "sake": read_sake, "tiger": read_tiger}
"""Readers of formats of one file that needs no more than its path."""


def read_foreign(
    path: Path, kind: str, boxes: Path | None = None, scheme: str | None = None
) -> ForeignFile:
    """Another system's output.

    Args:
        path: Its file.
        kind: ``riveg``, ``e2e``, ``sake``, ``tiger`` or ``conll``.
        boxes: RiVEG's boxes.
        scheme: The name of a CoNLL file's tag scheme; ``None``: the one that its tags have.

    Raises:
        UserError: If the file is not of this kind, or boxes or a scheme are given for another one.
    """
    if scheme is not None and kind != "conll":
        raise UserError(f"--scheme {scheme}: only the format conll has tags, {path} is {kind}")
    if kind == "riveg":
        return read_riveg(path, boxes)
    if boxes is not None:
        raise UserError(f"{boxes}: boxes come apart in the format riveg only, {path} is {kind}")
    if kind == "conll":
        return read_predicted_conll(path, scheme)
    return READERS[kind](path)
