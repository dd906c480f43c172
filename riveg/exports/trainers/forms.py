"""Rows in the documented form of each trainer.

ms-swift: docs "Custom dataset", the grounding format. LLaMA-Factory: ``data/README.md``, sharegpt.
TRL: docs "Dataset formats and types", prompt-completion with images. verl: docs "Prepare data for
post-training". Checked against ms-swift 4.6.0, LLaMA-Factory 0.9.5, TRL 1.16.0 and verl 0.9.1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from types import MappingProxyType
from typing import Any, Literal

from riveg.errors import UserError
from riveg.exports.trainers.rows import TrainingRow
from riveg.geometry.frames import FrameName, Resize
from riveg.lessons.questions import StatedObject
from riveg.types import Box, ImageSize

BoxType = Literal["real", "norm1"]
"""ms-swift's ``bbox_type``: pixels of the stored image, or shares of its sides."""

IMAGE, REF, BOX = "<image>", "<ref-object>", "<bbox>"
PLACEHOLDERS = (IMAGE, "<video>", "<audio>", BOX, REF, "<cot-process>", "<start-image>")
"""Words that trainers replace; a row that has one of its own is not written."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the rows of a file share.

    Args:
        source: The dataset's name.
        task: What is learnt.
        split: The split.
        shows_images: Whether posts are asked about with their images.
        frame: The frame of the answers; ``None``: they hold no boxes.
        resize: How the model's processor resizes images; ``None``: nothing depends on it.
        box_type: How ms-swift is told boxes.
        has_examples: Whether turns of the assistant before the answer are examples.
    """

    source: str
    task: str
    split: str
    shows_images: bool
    frame: FrameName | None = None
    resize: Resize | None = None
    box_type: BoxType = "real"
    has_examples: bool = False

    @property
    def bounds(self) -> dict[str, int]:
        """The least and most pixels of an image, where answers depend on them."""
        if self.frame != "pixels-sent" or self.resize is None or self.resize.multiple == 1:
            return {}
        return {"min_pixels": self.resize.min_pixels, "max_pixels": self.resize.max_pixels}


@dataclass(frozen=True, slots=True)
class TrainerForm:
    """The form of a trainer.

    Args:
        row: Makes the line of a row, from the row, its number in the file and its setting.
        advice: What to set in the trainer, so that it sees what the answers say.
        heeds_exif: Whether it turns images as their EXIF says.
        frames: The only frames that it can write; ``None``: any.
    """

    row: Callable[[TrainingRow, int, Setting], dict[str, Any]]
    advice: Callable[[Setting], str | None]
    heeds_exif: bool = False
    frames: frozenset[FrameName] | None = None


def _messages(row: TrainingRow, answer: str | None = None) -> list[dict[str, Any]]:
    """The turns up to the answer, and perhaps the answer; an image stands before its text."""
    turns: list[dict[str, Any]] = [
        {"role": turn.role, "content": f"{IMAGE * len(turn.images)}{turn.text}"}
        for turn in row.messages
    ]
    return turns if answer is None else [*turns, {"role": "assistant", "content": answer}]


def _images(row: TrainingRow, setting: Setting) -> dict[str, Any]:
    """The column of images; none where no row of the file has one."""
    if not setting.shows_images:
        return {}
    return {"images": [] if row.image is None else [str(row.image.path)]}


def _ms_swift(row: TrainingRow, _number: int, setting: Setting) -> dict[str, Any]:
    answer, references, boxes = _with_placeholders(row.answer, row.objects)
    messages = _messages(row, answer)
    for example in messages[:-1]:
        if example["role"] == "assistant":
            example["loss"] = False
    line = {"id": row.id, "messages": messages, **_images(row, setting)}
    if setting.frame is not None:
        assert row.image is not None, "boxes are in an image"
        line["objects"] = {
            "ref": references,
            "bbox": [_edges(box, row.image.size, setting.box_type) for box in boxes],
            "bbox_type": setting.box_type,
        }
    return {**line, "ground_truth": row.answer}


def _with_placeholders(
    answer: str, objects: Sequence[StatedObject]
) -> tuple[str, list[str], list[Box]]:
    """The answer with a placeholder for each name and box, and what stands in their places.

    A name that JSON writes with escapes stays as it is.
    """
    done, rest = "", answer
    references: list[str] = []
    boxes: list[Box] = []

    def replace_next(piece: str, placeholder: str) -> bool:
        nonlocal done, rest
        before, found, after = rest.partition(piece)
        if found:
            done, rest = f"{done}{before}{placeholder}", after
        return bool(found)

    for one in objects:
        if one.words is not None and replace_next(one.words, REF):
            references.append(one.words)
        for box, numbers in zip(one.boxes, one.stated, strict=True):
            if any(replace_next(written, BOX) for written in _written(numbers)):
                boxes.append(box)
    return done + rest, references, boxes


def _written(numbers: Sequence[float]) -> tuple[str, str]:
    """A box as triples and as JSON have it."""
    return f"[{','.join(map(str, numbers))}]", json.dumps([*numbers])


def _edges(box: Box, size: ImageSize, box_type: BoxType) -> list[float]:
    if box_type == "real":
        return [_short(edge) for edge in astuple(box)]
    width, height = size
    shares = (box.x_min / width, box.y_min / height, box.x_max / width, box.y_max / height)
    return [round(share, 6) for share in shares]


def _short(number: float) -> float:
    return int(number) if float(number).is_integer() else round(number, 2)


def _ms_swift_advice(setting: Setting) -> str | None:
    if setting.frame is None:
        return None
    bounds = "".join(f" {name.upper()}={number}" for name, number in setting.bounds.items())
    return f"train with QWENVL_BBOX_FORMAT=new{bounds} in the environment"


def _llama_factory(row: TrainingRow, _number: int, setting: Setting) -> dict[str, Any]:
    return {"id": row.id, "messages": _messages(row, row.answer), **_images(row, setting)}


def dataset_name(setting: Setting) -> str:
    """The name of a file's entry in LLaMA-Factory's ``dataset_info.json``."""
    name = f"{setting.source}_{setting.task}_{setting.split}"
    return "".join(sign if sign.isalnum() else "_" for sign in name)


def dataset_info(settings: Sequence[Setting]) -> dict[str, Any]:
    """LLaMA-Factory's ``dataset_info.json`` for the files of these settings.

    Raises:
        UserError: If two splits get one name there.
    """
    splits: dict[str, str] = {}
    for setting in settings:
        other = splits.setdefault(dataset_name(setting), setting.split)
        if other != setting.split:
            raise UserError(
                f"{setting.source}: the splits {other} and {setting.split} have one name in "
                "dataset_info.json; call one of them otherwise in the data's YAML"
            )
    tags = {"role_tag": "role", "content_tag": "content", "system_tag": "system"}
    tags |= {"user_tag": "user", "assistant_tag": "assistant"}
    return {
        dataset_name(setting): {
            "file_name": file_name(setting.split),
            "formatting": "sharegpt",
            "columns": {
                "messages": "messages",
                **({"images": "images"} if setting.shows_images else {}),
            },
            "tags": tags,
        }
        for setting in settings
    }


def _llama_factory_advice(setting: Setting) -> str:
    bounds = ", ".join(f"image_{name}: {number}" for name, number in setting.bounds.items())
    history = ", mask_history: true" if setting.has_examples else ""
    names = f"dataset_dir is this folder, dataset: {dataset_name(setting)}"
    return f"{names}{f', {bounds}' if bounds else ''}{history}"


def _trl(row: TrainingRow, _number: int, setting: Setting) -> dict[str, Any]:
    # TRL puts the image before the user's text itself.
    prompt = [{**turn, "content": turn["content"].removeprefix(IMAGE)} for turn in _messages(row)]
    return {
        "id": row.id,
        "prompt": prompt,
        "completion": [{"role": "assistant", "content": row.answer}],
        **_images(row, setting),
        "ground_truth": row.answer,
    }


def _trl_advice(setting: Setting) -> str | None:
    if not setting.bounds:
        return None
    bounds = ", ".join(f"{name}={number}" for name, number in setting.bounds.items())
    return f"load the model's processor with {bounds}"


def _verl(row: TrainingRow, number: int, setting: Setting) -> dict[str, Any]:
    return {
        "data_source": f"riveg/{setting.source}",
        "prompt": _messages(row),
        **{
            column: [{"image": path, **setting.bounds} for path in paths]
            for column, paths in _images(row, setting).items()
        },
        "ability": setting.task,
        "reward_model": {"style": "rule", "ground_truth": row.answer},
        "extra_info": {
            "split": setting.split,
            "index": number,
            "id": row.id,
            "answer": row.answer,
        },
    }


def _no_advice(_setting: Setting) -> None:
    return None


TRAINERS: Mapping[str, TrainerForm] = MappingProxyType(
    {
        "ms-swift": TrainerForm(
            _ms_swift, _ms_swift_advice, frames=frozenset({"pixels-sent", "norm1000"})
        ),
        "llama-factory": TrainerForm(_llama_factory, _llama_factory_advice),
        "trl": TrainerForm(_trl, _trl_advice, heeds_exif=True),
        "verl": TrainerForm(_verl, _no_advice),
    }
)
"""By the name that users give to ``--to``."""


def file_name(split: str) -> str:
    """The file of a split."""
    return f"{split}.jsonl"


def own_placeholders(row: TrainingRow) -> Iterator[str]:
    """Words of a row that a trainer would take for places of its image, boxes or names."""
    texts = (*(turn.text for turn in row.messages), row.answer)
    yield from (one for one in PLACEHOLDERS if any(one in text for text in texts))
