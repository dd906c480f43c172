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

from riveg.nn.bio_decoding import Floats, decode
from riveg.nn.onnx_telemetry import silence_telemetry
from riveg.nn.shape_tagger import ShapeTagger
from riveg.text.bio import bio_to_spans
from riveg.training.tagger_data import TaggedSentence

INPUTS = ("input_ids", "attention_mask", "shape_ids")


def export_int8(model: ShapeTagger, target: Path) -> None:
    """Writes the encoder and the tag head as ONNX, weights int8 with one scale a column.

    Raises:
        ImportError: If the extra ``train`` is not there.
    """
    silence_telemetry()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model.eval()
    ids = torch.ones((1, 8), dtype=torch.int64)
    axes = {name: {0: "batch", 1: "pieces"} for name in (*INPUTS, "logits")}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporter warns of its successor, which needs one more package for the same file.
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
        # It advises a preparation that changes nothing for this graph, on the root logger.
        logging.disable(logging.WARNING)
        try:
            quantize_dynamic(full, target, per_channel=True, weight_type=QuantType.QInt8)
        finally:
            logging.disable(logging.NOTSET)


def fit_calibration(
    sentences: Sequence[TaggedSentence], logits: Sequence[Floats], tags: Sequence[str]
) -> dict[str, float]:
    """Platt scaling (Platt 1999) of the raw confidence against "span and label are right".

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
    odds = _log_odds(np.array(confidences))
    features = torch.tensor(np.stack([odds, np.ones_like(odds)], axis=1))
    targets = torch.tensor(right, dtype=torch.float64)
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(features @ weights, targets)
        value.backward()
        return value

    optimizer.step(loss)
    slope, intercept = weights.tolist()
    return {"slope": round(slope, 4), "intercept": round(intercept, 4)}


def _log_odds(confidences: Floats) -> Floats:
    bounded = confidences.clip(1e-9, 1 - 1e-9)
    odds: Floats = np.log(bounded / (1 - bounded))
    return odds


def expected_calibration_error(
    scores: Sequence[float], right: Sequence[bool], bins: int = 10
) -> float:
    """Mean gap between score and accuracy over bins of equal width, weighted by size (Guo 2017)."""
    edges = np.minimum((np.array(scores) * bins).astype(int), bins - 1)
    gaps = 0.0
    for index in range(bins):
        inside = edges == index
        if inside.any():
            gap = abs(np.array(scores)[inside].mean() - np.array(right)[inside].mean())
            gaps += gap * inside.mean()
    return float(gaps)


def write_settings(
    folder: Path, *, tags: Sequence[str], max_pieces: int, calibration: Mapping[str, float]
) -> None:
    """Writes ``tagger.json``."""
    values = {"tags": list(tags), "max_pieces": max_pieces, "calibration": dict(calibration)}
    (folder / "tagger.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def average_weights(
    states: Sequence[Mapping[str, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """The mean of several checkpoints that started from the same weights (Wortsman et al. 2022)."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }
