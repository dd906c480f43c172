"""OCR text in an image: located in a smaller copy, read from the full one, by rapidocr."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.checkpoints.onnx_session import silence_telemetry
from riveg.geometry.boxes import clip_box
from riveg.types import Box, ImageSize, Observation
from riveg.vision.plain.package_files import package_files

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels


_LINE_RATIO = 7.0
"""Width over height of a standard line; the reader pads shorter ones to it."""
_LEAST_LINE = 7
"""Lines lower than this many pixels cannot be read."""
_LEAST_COPY = 16
"""The locator takes sides in steps of 32 pixels, rounded: a lower copy would have none."""


def reading_models() -> tuple[Path, ...]:
    """The locating and the reading model inside the rapidocr package.

    Given by path, because rapidocr would download what it does not find.

    Raises:
        UserError: If they are not there.
    """
    return package_files("rapidocr", "models", "*_det_*.onnx", "*_rec_*.onnx")


class OcrReader:
    """Locates and reads OCR text; for one thread at a time."""

    def __init__(self, side: int, lines: int, least_score: float) -> None:
        # rapidocr sets its logger up when it is imported, and logs every model that it loads.
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        silence_telemetry()
        from rapidocr import RapidOCR

        locator, reader = reading_models()
        self._ocr: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Global.text_score": 0.0,
                "Det.model_path": str(locator),
                "Det.limit_type": "max",
                "Det.limit_side_len": side,
                "Rec.model_path": str(reader),
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._side = side
        self._budget = lines * _LINE_RATIO
        self._least_score = least_score

    def read(self, pixels: Pixels) -> tuple[Observation, ...]:
        """Lines of OCR text from top to bottom.

        *Shape:* ``(height, width, 3)``.
        """
        import numpy as np

        height, width = pixels.shape[:2]
        scale = min(1.0, self._side / max(height, width))
        if min(height, width) < _LEAST_LINE or min(height, width) * scale <= _LEAST_COPY:
            return ()
        blue_first = np.ascontiguousarray(pixels[:, :, ::-1])
        located = self._ocr(blue_first, use_det=True, use_cls=False, use_rec=False).boxes
        found: list[tuple[Box, float, str]] = []
        for corners in self._worth_reading([] if located is None else located):
            line = _straightened(blue_first, corners)
            answer = self._ocr(line, use_det=False, use_cls=False, use_rec=True)
            box = clip_box(_hull(corners), ImageSize(width, height))
            for text, score in zip(answer.txts or (), answer.scores or (), strict=True):
                if box and text.strip() and score >= self._least_score:
                    found.append((box, round(min(1.0, float(score)), 4), text.strip()))
        found.sort(key=lambda one: (one[0].y_min, one[0].x_min, one[2]))
        return tuple(Observation("text", box, score, text) for box, score, text in found)

    def _worth_reading(self, located: Sequence[Any]) -> list[Any]:
        sized = [(*_line_size(corners), corners) for corners in located]
        tall = [one for one in sized if one[1] >= _LEAST_LINE]
        tall.sort(key=lambda one: (-one[1], *map(float, one[2][0])))
        chosen: list[Any] = []
        work = 0.0
        for width, height, corners in tall:
            work += max(_LINE_RATIO, width / height)
            if chosen and work > self._budget:
                break
            chosen.append(corners)
        return chosen


def _hull(corners: Any) -> Box:
    (x_min, y_min), (x_max, y_max) = corners.min(axis=0), corners.max(axis=0)
    return Box(
        float(x_min), float(y_min), max(float(x_max), x_min + 1), max(float(y_max), y_min + 1)
    )


def _line_size(corners: Any) -> tuple[float, float]:
    """Width and height of a line whose corners run clockwise from its upper left."""
    import numpy as np

    width, height = (float(np.linalg.norm(corners[0] - corners[i])) for i in (1, 3))
    # A column of upright OCR text is turned before it is read.
    return (height, width) if height > 1.5 * width else (width, height)


def _straightened(pixels: Any, corners: Any) -> Any:
    import cv2
    import numpy as np

    width, height = (max(1, round(float(np.linalg.norm(corners[0] - corners[i])))) for i in (1, 3))
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    turn = cv2.getPerspectiveTransform(np.asarray(corners, dtype=np.float32), frame)
    line = cv2.warpPerspective(
        pixels, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(np.rot90(line)) if height > 1.5 * width else line
