"""Captions by BLIP and BLIP-2 (https://arxiv.org/abs/2201.12086 and 2301.12597)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from riveg.checkpoints.folders import model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import ImageFault, UserError
from riveg.protocols import Captioner, ImageSource, finishing
from riveg.reads import Reads, reads
from riveg.types import Issue, Sample
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.image_queue import PreparedImageQueue
from riveg.vision.runtime.loading import load_model, load_processor, worker_count
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.tensors import image_tensors, stacked

if TYPE_CHECKING:
    import torch

    from riveg.vision.runtime.tensors import ImageTensors

_NETWORKS = {"blip": "BlipForConditionalGeneration", "blip-2": "Blip2ForConditionalGeneration"}
"""By a folder's ``model_type``."""


class BlipConfig(TorchOptions, BackendConfig[Captioner]):
    """``prompt``: how the caption begins; the caption is what follows it.

    ``max_new_tokens``: of the caption; it ends earlier where the model ends it.
    """

    stage: ClassVar[str] = "caption"
    name: ClassVar[str] = "blip"
    summary: ClassVar[str] = "one sentence by BLIP or BLIP-2, the likeliest word each time"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    model: str = Field(default="Salesforce/blip-image-captioning-large", min_length=1)
    licence: str | None = "bsd-3-clause"
    prompt: str = ""
    max_new_tokens: int = Field(default=40, ge=1)

    def reads(self) -> Reads:
        return reads("image")

    def build(self, context: BuildContext) -> Blip:
        """Loads the network.

        Raises:
            UserError: If the model is not there, or is another.
        """
        import transformers

        folder = self.folder(context.base)
        kind = load_processor(transformers.AutoConfig, folder).model_type
        if kind not in _NETWORKS:
            raise UserError(f"{folder}: expected a model of type blip or blip-2, found {kind}")
        network = getattr(transformers, _NETWORKS[kind])
        return Blip(
            context.images,
            # Only the image encoder: the writer's inputs grow with every word.
            load_model(network, folder, self, ("vision_model",)),
            load_processor(transformers.AutoTokenizer, folder),
            load_processor(transformers.BlipImageProcessorPil, folder),
            prompt=self.prompt,
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
            workers=worker_count(self),
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self.folder(base))


class Blip:
    """Describes each distinct image once, greedily, so that answers are the same every time.

    Args:
        images: Where images come from.
        network: ``BlipForConditionalGeneration`` or ``Blip2ForConditionalGeneration``.
        tokenizer: Of its writer.
        processor: Prepares images.
        prompt: How the caption begins.
        max_new_tokens: Of the caption.
        batch_size: Images at once.
        workers: Processes that prepare images.
    """

    def __init__(
        self,
        images: ImageSource,
        network: Any,
        tokenizer: Any,
        processor: Any,
        *,
        prompt: str = "",
        max_new_tokens: int = 40,
        batch_size: int = 8,
        workers: int = 0,
    ) -> None:
        prepare = partial(image_tensors, processor)
        self.image_queue = PreparedImageQueue(images, prepare, workers=workers)
        self._network = network
        self._tokenizer = tokenizer
        self._start = _start(network.config, tokenizer, prompt)
        self._max_new_tokens = max_new_tokens
        self._batch_size = batch_size

    def caption(self, samples: Sequence[Sample]) -> Sequence[str | Issue]:
        """One line of text about each image; the empty caption for a sample without one."""
        prepared = self.image_queue.take_distinct(sample.image for sample in samples)
        usable = {
            path: image.value
            for path, image in prepared.items()
            if not isinstance(image, ImageFault)
        }
        written = in_batches(list(usable.values()), self._batch_size, self._write)
        captions = dict(zip(usable, finishing(written), strict=True))
        return [self._answer(sample, prepared, captions) for sample in samples]

    @staticmethod
    def _answer(
        sample: Sample, prepared: Mapping[str, object], captions: Mapping[str, str]
    ) -> str | Issue:
        if sample.image is None:
            return ""
        fault = prepared[sample.image.path]
        if isinstance(fault, ImageFault):
            return Issue("caption", None, fault.kind, str(fault))
        caption = captions[sample.image.path]
        return caption or Issue("caption", None, "empty-answer", "the model wrote no word")

    def _write(self, images: Sequence[ImageTensors]) -> Sequence[str]:
        import torch

        network = self._network
        pixels = stacked(images, network.device)["pixel_values"].to(network.dtype)
        starts = self._start.tokens.repeat(len(images), 1).to(network.device)
        with torch.inference_mode():
            tokens = network.generate(
                pixel_values=pixels,
                input_ids=starts,
                attention_mask=torch.ones_like(starts),
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                num_beams=1,
            )
        written = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        # Decoded with its start: the second half of a word alone would be decoded with its marks.
        front = tokens[:, : self._start.repeated]
        fronts = self._tokenizer.batch_decode(front, skip_special_tokens=True)
        return [
            " ".join(line.removeprefix(start).split())
            for line, start in zip(written, fronts, strict=True)
        ]


class _Start(NamedTuple):
    """The tokens that a caption goes on from, *shape* ``(1, tokens)``.

    ``repeated``: how many tokens at the front of the output repeat them.
    """

    tokens: torch.Tensor
    repeated: int


def _start(config: Any, tokenizer: Any, prompt: str) -> _Start:
    import torch

    tokens = list(tokenizer(prompt)["input_ids"])
    if config.model_type == "blip":
        # Its own ``generate`` replaces the first token and takes the last one off.
        return _Start(torch.tensor([tokens]), len(tokens) - 1)
    if config.image_token_id is None:
        raise UserError("the model's config.json has no image_token_index; take a newer copy of it")
    first = config.text_config.bos_token_id
    if not prompt and first is not None:
        tokens = [first]
    tokens = [config.image_token_id] * config.num_query_tokens + tokens
    repeated = len(tokens) if config.use_decoder_only_language_model else 0
    return _Start(torch.tensor([tokens]), repeated)
