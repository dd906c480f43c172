"""GLiNER2: names of any types in a text (https://arxiv.org/abs/2507.18546), by its own package.

The package loads both of its architectures, spans of up to ``max_width`` words (GLiNER2) and
boundaries (GLiNER2.5), and cuts nothing. Long texts are read in windows here, so that an encoder
with positions finds room and none reads more than it was trained on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

from riveg.checkpoints.folders import require_own_files
from riveg.checkpoints.tokenizer_files import require_bounded_files, require_bounded_tokenizer
from riveg.errors import MissingExtra, UserError, reason
from riveg.formats.json_files import read_json
from riveg.labels import Label
from riveg.nn.windows import word_windows
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.loading import (
    Placement,
    autocast,
    place,
    require_numbers,
    silent_transformers,
)
from riveg.vision.runtime.options import TorchOptions

EXTRA = "gliner"
ENCODER_FOLDER = "encoder_config"
"""Folder of a checkpoint with the settings of its encoder."""

WordSplitter = Literal["whitespace", "char"]
"""What the network takes for words: runs of letters, or every letter that is no Latin one."""

_OVERLAP = 32
"""Words that two neighbouring windows share."""
_LONGEST_WORD = 100
"""Characters of a word; a longer one is several, or it would fill a window."""
_PIECES_OF_A_CHARACTER = 4
"""Most of them: the bytes of UTF-8."""
_SPARE_POSITIONS = 2
"""Some encoders (RoBERTa, XLM-R) begin to count behind the number of their padding."""
_MARGIN = 1e-3
"""How far, relatively, below the threshold names are asked for: scores are rounded afterwards."""

_Splitter = Callable[..., Iterator[tuple[str, int, int]]]


class FoundName(NamedTuple):
    """A name: its half-open range of characters in the text, its type, and P of it in [0, 1]."""

    start: int
    end: int
    label: str
    score: float


class _TextWindow(NamedTuple):
    """A part of a text: what is read, where it begins, and where the names begin that count."""

    text: str
    start: int
    owned: range


def load_gliner(folder: Path, options: TorchOptions, words: WordSplitter) -> Any:
    """The package's model of a folder, in float32 on its device.

    Args:
        folder: The checkpoint.
        options: Device, attention, compilation.
        words: What counts as a word.

    Raises:
        MissingExtra: If the package is not installed.
        UserError: If the folder holds no such checkpoint, weights that are no numbers, or code.
    """
    for package in ("gliner2", "peft"):
        if find_spec(package) is None:
            raise MissingExtra("tag: gliner", package, EXTRA)
    placement = place(options.device, options.dtype)
    _require_checkpoint(folder)
    try:
        with silent_transformers():
            model = _load(folder, options, placement, words)
    except Exception as error:  # of safetensors, tokenizers and whatever odd numbers cause
        raise UserError(f"{folder}: cannot be loaded as GLiNER2: {reason(error)}") from error
    require_bounded_tokenizer(model.processor.tokenizer, folder)
    require_numbers(model, folder)
    return model


def _load(folder: Path, options: TorchOptions, placement: Placement, words: WordSplitter) -> Any:
    from gliner2 import AutoExtractor, ExtractorConfig

    # It warns of each word that its tokenizer makes nothing of, in the midst of riveg's progress.
    logging.getLogger("gliner2").setLevel(logging.CRITICAL)
    config = ExtractorConfig.from_pretrained(folder)
    if options.attention != "auto":
        config.attn_implementation = options.attention
    return AutoExtractor.from_pretrained(
        str(folder),
        config=config,
        map_location=placement.device,
        compile=options.compile,
        attention_backend="standard",
        word_splitter=words,
    ).eval()


def _require_checkpoint(folder: Path) -> None:
    if (folder / "gliner_config.json").is_file():
        raise UserError(
            f"{folder}: is a checkpoint of GLiNER, of another package; take one of GLiNER2, "
            "for example fastino/gliner2.5-base-v1"
        )
    for name in ("config.json", f"{ENCODER_FOLDER}/config.json", "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: is no checkpoint of GLiNER2, it lacks {name}")
    for place_of_files in (folder, folder / ENCODER_FOLDER):
        require_own_files(place_of_files)
        for path in place_of_files.glob("*config.json"):
            # The package lets its encoder run code that a checkpoint brings.
            values = read_json(path)
            if not isinstance(values, dict):
                raise UserError(f"{path}: holds no settings")
            if "auto_map" in values:
                raise UserError(f"{path}: names code of its own (auto_map), which is never run")
    require_bounded_files(folder)


def _bounded(splitter: _Splitter, longest: int) -> _Splitter:
    """The splitter, with words of more characters cut into several."""

    def split(text: str, lower: bool = True) -> Iterator[tuple[str, int, int]]:
        for word, start, end in splitter(text, lower=lower):
            if end - start <= longest:
                yield word, start, end
                continue
            for cut in range(start, end, longest):
                part = text[cut : min(cut + longest, end)]
                yield part.lower() if lower else part, cut, cut + len(part)

    return split


class GlinerNetwork:
    """Finds names of the given types, in windows of a text that overlap.

    A name counts in the window that its first word belongs to (:mod:`riveg.nn.windows`).

    Args:
        model: As :func:`load_gliner` gives it.
        labels: The types; descriptions are read by the network, examples are not.
        threshold: Lowest score.
        max_pieces: Word pieces of types and text in a window; fewer where the encoder has no more
            positions.
        batch_size: Windows in one forward.
        placement: In which numbers it computes.

    Raises:
        UserError: If the types fill more than half of a window, or hold marks of the network.
    """

    def __init__(
        self,
        model: Any,
        labels: Sequence[Label],
        *,
        threshold: float,
        max_pieces: int,
        batch_size: int,
        placement: Placement,
    ) -> None:
        self._model = model
        self._schema = _schema(model, labels)
        self._threshold = threshold
        self._batch_size = batch_size
        self._placement = placement
        most = min(max_pieces, _positions(model.encoder.config) or max_pieces)
        taken = int(self._record(".").text_word_first_positions[0])
        if taken > most / 2:
            raise UserError(
                f"labels: {len(labels)} types with their descriptions take {taken} word pieces of "
                f"the {most} of a window; shorten the descriptions, or raise tag.max_pieces where "
                "the model reads more"
            )
        # The package closes a text without a full stop by one.
        self._room = most - taken - 1
        longest = max(1, min(_LONGEST_WORD, self._room // _PIECES_OF_A_CHARACTER))
        model.set_word_splitter(_bounded(model.processor.word_splitter, longest))

    def find(self, texts: Sequence[str]) -> list[list[FoundName]]:
        """The names of each text, in no order; they may overlap, as may those of one place."""
        windows = [(number, one) for number, text in enumerate(texts) for one in self._cut(text)]
        # Of like length together: a batch is as long as its longest.
        windows.sort(key=lambda pair: len(pair[1].text))
        found: list[list[FoundName]] = [[] for _ in texts]
        answers = in_batches([one for _, one in windows], self._batch_size, self._read)
        for (number, _), names in zip(windows, answers, strict=True):
            found[number] += names
        return found

    def _cut(self, text: str) -> Iterator[_TextWindow]:
        record = self._record(text)
        # Without the full stop that the package has put behind the text.
        count = sum(start < len(text) for start in record.start_token_idx)
        starts, ends = record.start_token_idx[:count], record.end_token_idx[:count]
        firsts = [*record.text_word_first_positions, len(record.input_ids)][: count + 1]
        lengths = [min(stop - start, self._room) for start, stop in pairwise(firsts)]
        for words, owned in word_windows(lengths, self._room, _OVERLAP):
            start, end = starts[words.start], ends[words.stop - 1]
            stop = starts[owned.stop] if owned.stop < count else len(text)
            yield _TextWindow(text[start:end], start, range(starts[owned.start], stop))

    def _record(self, text: str) -> Any:
        return self._model.processor.transform_record(text, self._schema)

    def _read(self, windows: Sequence[_TextWindow]) -> list[list[FoundName]]:
        with autocast(self._placement):
            results = self._model.batch_extract(
                [window.text for window in windows],
                self._schema,
                batch_size=len(windows),
                threshold=self._threshold * (1 - _MARGIN),
                include_confidence=True,
                include_spans=True,
                overlap_policy="allow",
            )
        return [
            list(self._names(window, result["entities"]))
            for window, result in zip(windows, results, strict=True)
        ]

    def _names(self, window: _TextWindow, found: Mapping[str, Any]) -> Iterator[FoundName]:
        for label, names in found.items():
            for name in names:
                start = window.start + name["start"]
                end = window.start + min(name["end"], len(window.text))
                score = round(name["confidence"], 4)
                if start in window.owned and start < end and score >= self._threshold:
                    yield FoundName(start, end, label, score)


def _schema(model: Any, labels: Sequence[Label]) -> Any:
    for label in labels:
        for mark in model.processor.SPECIAL_TOKENS:
            if mark in label.name or mark in label.description:
                raise UserError(f"labels: {label.name}: {mark} is a mark of GLiNER2; write it anew")
    described = {
        label.name: {"description": label.description} if label.description else {}
        for label in labels
    }
    return model.create_schema().entities(described)


def _positions(encoder: Any) -> int | None:
    """How many pieces an encoder has positions for; ``None`` where they are relative."""
    positions: int | None = getattr(encoder, "max_position_embeddings", None)
    if positions is None or getattr(encoder, "position_biased_input", None) is False:
        return None
    return positions - _SPARE_POSITIONS
