"""SigLIP and SigLIP 2 (https://arxiv.org/abs/2303.15343, https://arxiv.org/abs/2502.14786)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.errors import UserError, pip_install
from riveg.vision.matchers.matcher import Pair
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.loading import load_model, load_processor
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    import torch

    from riveg.vision.runtime.tensors import ImageTensors


def load_siglip_matcher(folder: Path, options: TorchOptions) -> SiglipMatcher:
    """The matcher of a folder; its ``model_type`` says which network it holds.

    SigLIP 2 for fixed resolutions is of type ``siglip``, that for any resolution ``siglip2``.

    Raises:
        UserError: If the folder holds neither, or its tokenizer needs a package that is missing.
    """
    import transformers
    from transformers import AutoConfig, AutoTokenizer

    kind = load_processor(AutoConfig, folder).model_type
    if kind not in {"siglip", "siglip2"}:
        raise UserError(f"{folder}: expected a model of type siglip or siglip2, found {kind}")
    name = kind.capitalize()
    network = load_model(
        getattr(transformers, f"{name}Model"), folder, options, ("vision_model", "text_model")
    )
    processor = load_processor(getattr(transformers, f"{name}ImageProcessorPil"), folder)
    try:
        tokenizer = load_processor(AutoTokenizer, folder)
    except ImportError as error:  # the tokenizer of the first SigLIP
        command = pip_install("sentencepiece protobuf")
        raise UserError(
            f"{folder}: its tokenizer needs a package: {command}; models of SigLIP 2 need none"
        ) from error
    return SiglipMatcher(network, tokenizer, processor, batch_size=options.batch_size)


class SiglipMatcher:
    """The sigmoid of the two embeddings' product, with the network's own scale and bias.

    Texts are lower-cased and padded to the full length without a mask, as in training: the
    embedding is that of the last place.

    Args:
        network: ``SiglipModel`` or ``Siglip2Model``.
        tokenizer: Of its text encoder.
        processor: Prepares images.
        batch_size: Images, or texts, in one forward.
    """

    def __init__(
        self, network: Any, tokenizer: Any, processor: Any, *, batch_size: int = 8
    ) -> None:
        self.processor = processor
        self.most_tokens: int = network.config.text_config.max_position_embeddings
        self._network = network
        self._tokenizer = tokenizer
        self._batch_size = batch_size

    def probabilities(
        self, images: Sequence[ImageTensors], pairs: Sequence[Pair]
    ) -> Sequence[float]:
        """Of each pair, in [0, 1]; each distinct text is encoded once.

        *Shape:* each image's tensors ``(1, ...)``: of ``siglip`` ``pixel_values`` ``(1, 3, height,
        width)``, of ``siglip2`` ``(1, patches, channels)`` and what describes the patches.
        """
        import torch

        if not pairs:
            return []
        texts = list(dict.fromkeys(pair.text for pair in pairs))
        places = {text: place for place, text in enumerate(texts)}
        with torch.inference_mode():
            image_rows = torch.stack(
                list(in_batches(images, self._batch_size, self._encode_images))
            )
            text_rows = torch.stack(list(in_batches(texts, self._batch_size, self._encode_texts)))
            of_texts = text_rows[[places[pair.text] for pair in pairs]]
            product = (of_texts * image_rows[[pair.image for pair in pairs]]).sum(dim=-1)
            scale, bias = self._network.logit_scale.float(), self._network.logit_bias.float()
            fits: list[float] = (product * scale.exp() + bias).sigmoid().tolist()
        return fits

    def _encode_images(self, images: Sequence[ImageTensors]) -> Sequence[torch.Tensor]:
        from riveg.vision.runtime.tensors import stacked

        inputs = stacked(images, self._network.device)
        return _directions(self._network.vision_model(**inputs).pooler_output)

    def _encode_texts(self, texts: Sequence[str]) -> Sequence[torch.Tensor]:
        words = self._tokenizer(
            [text.lower() for text in texts],
            padding="max_length",
            padding_side="right",
            truncation=True,
            max_length=self.most_tokens,
            return_attention_mask=False,
            return_tensors="pt",
        ).to(self._network.device)
        return _directions(self._network.text_model(input_ids=words["input_ids"]).pooler_output)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special ones included."""
        return len(self._tokenizer(text.lower(), verbose=False)["input_ids"])


def _directions(embeddings: torch.Tensor) -> Sequence[torch.Tensor]:
    """Rows of length 1, in float32: the scale is about a hundred and would magnify rounding.

    *Shape:* ``(rows, channels)`` to ``(channels,)`` each.
    """
    rows = embeddings.float()
    return list(rows / rows.norm(p=2, dim=-1, keepdim=True))
