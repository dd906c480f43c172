"""Florence-2 (Xiao et al. 2023, arXiv 2311.06242) in two parts: images, and texts in images.

The image encoder and its projection to tokens do not depend on the text, so their result is kept
for every text. The rest of the network reads image and text together, and so runs for each pair of
them. It writes boxes as words, four to a box: ``<loc_0>`` to ``<loc_999>`` are thousandths of the
image's sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from riveg.errors import UserError
from riveg.vision.runtime.loading import load_model, load_processor
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.tensors import pixel_values

_BINS = 1000
TASKS = {
    "phrase-grounding": "<CAPTION_TO_PHRASE_GROUNDING>",
    "open-vocabulary": "<OPEN_VOCABULARY_DETECTION>",
}
"""The network's name of each task, by the name in a configuration."""


class TextInImage(NamedTuple):
    """A text to find, and the image's tokens, *shape* ``(tokens, channels)``."""

    image: Tensor
    text: str


class Florence2Network:
    """A checkpoint on its device.

    Args:
        folder: Files of the checkpoint.
        options: Device, number type, attention, compilation.
        task: One of :data:`TASKS`.
        max_new_tokens: Highest number of tokens that are written.

    Raises:
        UserError: If the folder is no such checkpoint.
    """

    def __init__(
        self, folder: Path, options: TorchOptions, *, task: str, max_new_tokens: int
    ) -> None:
        import transformers

        kind = transformers.Florence2ForConditionalGeneration
        self._network = load_model(kind, folder, options, ("model.vision_tower",))
        self._processor = load_processor(transformers.Florence2Processor, folder)
        self.prepare: Callable[[NDArray[np.uint8]], Tensor] = partial(
            pixel_values, self._processor.image_processor
        )
        """Makes the network's input, *shape* ``(3, height, width)``, of an image."""
        self._task = TASKS[task]
        self.most_tokens = int(self._network.config.text_config.max_position_embeddings)
        # The decoder has as many positions as the encoder; the first is that of the start token.
        self._max_new_tokens = min(max_new_tokens, self.most_tokens - 1)
        if self.most_tokens <= self.count_tokens(""):
            raise UserError(f"{folder}: reads {self.most_tokens} tokens, fewer than of a picture")

    def count_tokens(self, text: str) -> int:
        """Tokens of the input for a text, those of the image included."""
        return len(self._input_tokens([text])["input_ids"][0])

    def encode_images(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        """The tokens of images.

        *Shape:* each image ``(3, height, width)``, all of one size; each result ``(tokens,
        channels)``.
        """
        network = self._network
        values = torch.stack(list(pixels)).to(network.device, network.dtype)
        with torch.inference_mode():
            tokens = network.get_image_features(values).pooler_output
        # Copies, so that keeping one image does not keep its whole batch.
        return [image.clone() for image in tokens]

    def find_boxes(self, pairs: Sequence[TextInImage]) -> list[NDArray[np.float64]]:
        """The boxes of each text, xyxy in [0, 1] of its image, in the order of writing.

        The likeliest token is written each time.

        *Shape:* each ``(boxes, 4)``.
        """
        network = self._network
        read = self._input_tokens([pair.text for pair in pairs]).to(network.device)
        with torch.inference_mode():
            embedded = network.get_input_embeddings()(read["input_ids"])
            places = (read["input_ids"] == network.config.image_token_id)[:, :, None]
            images = torch.stack([pair.image for pair in pairs]).to(embedded.dtype)
            encoded = network.model.language_model.encoder(
                attention_mask=read["attention_mask"],
                inputs_embeds=embedded.masked_scatter(places, images),
            )
            written = network.generate(
                encoder_outputs=encoded,
                attention_mask=read["attention_mask"],
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                num_beams=1,
                early_stopping=False,
            )
        lines = self._processor.batch_decode(written, skip_special_tokens=False)
        return [self._boxes(line) for line in lines]

    def _input_tokens(self, texts: Sequence[str]) -> Any:
        """Of the whole inputs: a place for each of the image's tokens, then the task and text."""
        processor, tokenizer = self._processor, self._processor.tokenizer
        image_places = processor.image_token * processor.num_image_tokens + tokenizer.bos_token
        question = processor.task_prompts_with_input[self._task]
        return tokenizer(
            [image_places + question.format(input=text) + tokenizer.eos_token for text in texts],
            add_special_tokens=False,
            padding=True,
            padding_side="right",
            return_tensors="pt",
            verbose=False,
        )

    def _boxes(self, line: str) -> NDArray[np.float64]:
        # In an image of 1000 x 1000 pixels, the library's whole pixels are the bins.
        answer = self._processor.post_process_generation(
            line, task=self._task, image_size=(_BINS, _BINS)
        )[self._task]
        shapes = [*answer["bboxes"], *map(_around, answer.get("polygons", ()))]
        bins = np.array(shapes, dtype=np.float64).reshape(-1, 4)
        return (bins + 0.5) / _BINS


def _around(polygons: Sequence[Sequence[int]]) -> list[int]:
    """The box around an object's polygons, each ``x, y, x, y, ...``."""
    across = [x for polygon in polygons for x in polygon[0::2]]
    down = [y for polygon in polygons for y in polygon[1::2]]
    if not across or not down:
        return [0, 0, 0, 0]
    return [min(across), min(down), max(across), max(down)]
