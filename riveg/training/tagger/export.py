"""The trained tagger as the files that ``tag: mini`` reads: int8 ONNX and settings."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from riveg.checkpoints.onnx_session import silence_telemetry
from riveg.files import write_atomically, writing
from riveg.geometry.arrays import Floats
from riveg.nn.bio_decoding import decode
from riveg.nn.calibration import log_odds
from riveg.nn.shape_tagger import ShapeTagger
from riveg.stages.taggers.mini import MiniTagger
from riveg.text.bio import bio_to_spans
from riveg.training.logistic import fit_unsmoothed_calibration
from riveg.training.tagger.data import TaggedSentence

INPUTS = ("input_ids", "attention_mask", "shape_ids")


def export_int8(model: ShapeTagger, target: Path) -> None:
    """Writes the encoder and the tag head as ONNX, weights int8 with one scale a column.

    Raises:
        ImportError: If the extra ``train`` is not there.
        UserError: If it cannot be written.
    """
    silence_telemetry()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model.eval()
    ids = torch.ones((1, 8), dtype=torch.int64)
    axes = {name: {0: "batch", 1: "pieces"} for name in (*INPUTS, "logits")}
    with (
        writing(target),
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
    ):
        # It warns about its successor, which needs one more package to write the same file.
        warnings.simplefilter("ignore")
        full = Path(folder) / "full.onnx"
        torch.onnx.export(
            model,
            (ids, ids, ids),
            str(full),
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
        # On the root logger it advises a preparation that has no effect on this graph.
        logging.disable(logging.WARNING)
        try:
            quantize_dynamic(full, target, per_channel=True, weight_type=QuantType.QInt8)
        finally:
            logging.disable(logging.NOTSET)


def int8_logits(folder: Path, sentences: Sequence[TaggedSentence]) -> list[Floats]:
    """What the exported files say of sentences, *shape* ``(words, tags)`` for each."""
    tagger = MiniTagger(folder)
    return [tagger.word_logits(sentence.tokens) for sentence in sentences]


def calibrate_tagger(
    sentences: Sequence[TaggedSentence], logits: Sequence[Floats], tags: Sequence[str]
) -> dict[str, float]:
    """Platt scaling (Platt 1999) of the raw confidence against "span and label are right".

    Args:
        sentences: With their own tags.
        logits: Of each sentence, *shape* ``(tokens, tags)``.
        tags: The tag of each column.

    Returns:
        ``slope`` and ``intercept`` over the confidence's log-odds.
    """
    confidences: list[float] = []
    right: list[float] = []
    for sentence, rows in zip(sentences, logits, strict=True):
        truth = set(bio_to_spans(sentence.tags))
        for found in decode(rows, tags):
            confidences.append(found.confidence)
            right.append(float((found.span, found.label) in truth))
    calibration = fit_unsmoothed_calibration(log_odds(np.array(confidences)), np.array(right))
    return {
        "slope": round(calibration.slope, 4),
        "intercept": round(calibration.intercept, 4),
    }


def write_settings(
    folder: Path, *, tags: Sequence[str], max_pieces: int, calibration: Mapping[str, float]
) -> None:
    """Writes ``tagger.json``.

    Raises:
        UserError: If it cannot be written.
    """
    values = {"tags": list(tags), "max_pieces": max_pieces, "calibration": dict(calibration)}
    write_atomically(folder / "tagger.json", [json.dumps(values, indent=2).encode(), b"\n"])


def average_weights(
    states: Sequence[Mapping[str, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """The mean of several checkpoints that started from the same weights (Wortsman et al. 2022).

    Tensors keep their *shapes* and number types; those of whole numbers are the first checkpoint's.
    """
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }
