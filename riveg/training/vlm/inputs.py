"""Messages become what a network reads: tokens, and the patches of images.

The processors of the library are not used: they need torchvision for videos. What they do to text
and images is done here with the library's own tokenizer and image processor.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor

from riveg.errors import UserError, reason
from riveg.formats.json_files import checked
from riveg.geometry.frames import Resize
from riveg.llm.conversation import Message
from riveg.llm.images import SentImage
from riveg.types import ImageSize
from riveg.vision.runtime.loading import load_processor

MODEL_TYPES = ("qwen2_5_vl", "qwen3_vl")
"""Of a ``config.json``: families whose images are one run of patches with a grid of their own."""

_PROBE = 64
"""Pixels a side of an image that the processor is tried with."""

IGNORED = -100
"""The label of a token that is not learnt."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked.

    Args:
        tokens: Up to where the answer begins, those of the images among them.
        images: The images, in order, as they are sent.
    """

    tokens: tuple[int, ...]
    images: tuple[SentImage, ...]


class VlmInputs:
    """Makes tensors of messages, for one model.

    Args:
        folder: The model's.
        resize: What is done to images, where the system says it; ``None``: what the model's own
            settings say.

    Attributes:
        resize: What is done to images as they are sent.

    Raises:
        UserError: If the files are of no such model, cannot be read, or do not belong together.
    """

    def __init__(self, folder: Path, resize: Resize | None) -> None:
        self.folder = folder
        config = load_processor(transformers.AutoConfig, folder)
        if config.model_type not in MODEL_TYPES:
            raise UserError(
                f"model: {folder} is a {config.model_type}; `riveg train vlm` trains "
                f"{', '.join(MODEL_TYPES)}"
            )
        self.tokenizer = load_processor(transformers.AutoTokenizer, folder)
        self._images = load_processor(
            transformers.AutoImageProcessor,
            folder,
            backend="pil",
            **({} if resize is None else {"size": _bounds(resize)}),
        )
        self._image_token: int = config.image_token_id
        if self.tokenizer.chat_template is None or self.tokenizer.eos_token_id is None:
            raise UserError(
                f"model: {folder}: its tokenizer has no chat template, or no token that ends an "
                "answer; take a model that was tuned to instructions"
            )
        self.resize = _resize_of(self._images, config.vision_config, folder)
        if resize is not None and resize.multiple != self._multiple:
            raise UserError(
                f"resize: multiple: {resize.multiple} does not fit {folder}, which resizes to "
                f"multiples of {self._multiple}"
            )

    @property
    def _multiple(self) -> int:
        return self.resize.multiple

    @property
    def padding(self) -> int:
        """The token that fills the rows of a batch."""
        found: int | None = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id) if found is None else found

    def prompt(self, messages: Sequence[Message], images: Sequence[SentImage]) -> Prompt:
        """The tokens of messages, as a server makes them.

        Args:
            messages: Their images stand before their texts.
            images: All of these, in order, as they are sent.

        Raises:
            UserError: If the chat template fails, or does not show each image once.
        """
        return Prompt(self.tokens(messages, [image.size for image in images]), tuple(images))

    def tokens(self, messages: Sequence[Message], sizes: Sequence[ImageSize]) -> tuple[int, ...]:
        """The same of images of which only the sizes as sent are known.

        Raises:
            UserError: As :meth:`prompt`.
        """
        try:
            text = self.tokenizer.apply_chat_template(
                [_template_message(message) for message in messages],
                add_generation_prompt=True,
                tokenize=False,
                enable_thinking=False,
            )
        except Exception as error:  # a template is a program
            raise UserError(
                f"model: {self.folder}: its chat template fails: {reason(error)}"
            ) from error
        tokens: list[int] = []
        left = list(sizes)
        for token in self.tokenizer(text, add_special_tokens=False)["input_ids"]:
            is_image = token == self._image_token
            if is_image and not left:
                raise UserError(f"model: {self.folder}: its chat template shows an image twice")
            tokens += [token] * (self._places(left.pop(0)) if is_image else 1)
        if left:
            raise UserError(f"model: {self.folder}: its chat template shows no images")
        return tuple(tokens)

    def answer(self, text: str) -> tuple[int, ...]:
        """The tokens of an answer, with the one that ends it.

        What looks like a special token in the text is learnt letter by letter: names and thoughts
        are of others, and could end the answer or stand for an image.
        """
        tokens = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        return (*tokens, self.tokenizer.eos_token_id)

    def _places(self, sent: ImageSize) -> int:
        width, height = self.resize(sent)
        return (width // self._multiple) * (height // self._multiple)

    def batch(
        self, prompts: Sequence[Prompt], answers: Sequence[Sequence[int]] | None = None
    ) -> dict[str, Tensor]:
        """The tensors of some prompts, alone or with their answers.

        Args:
            prompts: What is asked.
            answers: Tokens of what is learnt, with ``labels`` then; rows are filled on the right.
                ``None``: something is to be generated; rows are filled on the left.
        """
        given = [()] * len(prompts) if answers is None else answers
        pairs = [(prompt.tokens, answer) for prompt, answer in zip(prompts, given, strict=True)]
        whole = [(*asked, *answer) for asked, answer in pairs]
        left = answers is None
        tokens = _filled(whole, self.padding, left=left)
        found = {
            "input_ids": tokens,
            "attention_mask": _filled([[1] * len(row) for row in whole], 0, left=left),
            "mm_token_type_ids": (tokens == self._image_token).int(),
        }
        if not left:
            labels = [(*[IGNORED] * len(asked), *answer) for asked, answer in pairs]
            found["labels"] = _filled(labels, IGNORED, left=left)
        return {**found, **self._patches([one for prompt in prompts for one in prompt.images])}

    def _patches(self, images: Sequence[SentImage]) -> Mapping[str, Tensor]:
        """``pixel_values``, *shape* ``(patches, values)``, and ``image_grid_thw``."""
        if not images:
            return {}
        opened = [Image.open(io.BytesIO(_bytes(image))) for image in images]
        made = self._images(images=opened, return_tensors="pt")
        return {name: made[name] for name in ("pixel_values", "image_grid_thw")}


def _resize_of(images: Any, vision: Any, folder: Path) -> Resize:
    """What an image processor does to sizes.

    Raises:
        UserError: If its settings do not fit the network, or no image can be made ready by them.
    """
    of_network = {
        "patch_size": vision.patch_size,
        "merge_size": vision.spatial_merge_size,
        "temporal_patch_size": vision.temporal_patch_size,
    }
    for name, number in of_network.items():
        if (found := getattr(images, name, None)) != number:
            raise UserError(
                f"model: {folder}: {name} is {found!r:.40} in the settings of its processor, and "
                f"{number} in those of the network"
            )
    settings = {
        "multiple": images.patch_size * images.merge_size,
        "min_pixels": images.size["shortest_edge"],
        "max_pixels": images.size["longest_edge"],
    }
    resize = checked(Resize, settings, f"model: {folder}: the image sizes of its processor")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numbers that are none, which are looked for
            made = images(images=[Image.new("RGB", (_PROBE, _PROBE))], return_tensors="pt")
        if not made["pixel_values"].isfinite().all():
            raise ValueError("what it makes of an image are no numbers")
    except Exception as error:  # whatever odd numbers cause
        raise UserError(
            f"model: {folder}: the settings of its processor cannot be used: {reason(error)}"
        ) from error
    return resize


def _bounds(resize: Resize) -> dict[str, int]:
    return {"shortest_edge": resize.min_pixels, "longest_edge": resize.max_pixels}


def _bytes(image: SentImage) -> bytes:
    return base64.b64decode(image.data_url.partition(",")[2])


def _template_message(message: Message) -> dict[str, Any]:
    """A message as a server hands it to a chat template."""
    if not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, str]] = [{"type": "image"} for _ in message.images]
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.text}]}


def _filled(rows: Sequence[Sequence[int]], value: int, *, left: bool) -> Tensor:
    """Rows of one length. *Shape:* ``(rows, longest)``."""
    longest = max(map(len, rows))
    filled = [
        [value] * (longest - len(row)) + [*row] if left else [*row] + [value] * (longest - len(row))
        for row in rows
    ]
    return torch.tensor(filled, dtype=torch.long)
