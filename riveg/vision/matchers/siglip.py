"""SigLIP and SigLIP 2 (https://arxiv.org/abs/2303.15343, https://arxiv.org/abs/2502.14786)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.errors import UserError, pip_install
from riveg.vision.matchers.matcher import Pair, Tower
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.loading import load_model, load_processor
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    import torch

    from riveg.vision.runtime.tensors import ImageTensors

MODEL_TYPES = ("siglip", "siglip2")


def load_siglip_matcher(folder: Path, options: TorchOptions) -> SiglipMatcher:
    """The matcher of a folder; its ``model_type`` says which network it holds.

    SigLIP 2 for fixed resolutions is of type ``siglip``, that for any resolution ``siglip2``.

    Raises:
        UserError: If the folder holds neither, or its tokenizer needs a package that is missing.
    """
    import transformers
    from transformers import AutoConfig, AutoTokenizer

    kind = load_processor(AutoConfig, folder).model_type
    if kind not in MODEL_TYPES:
        raise UserError(f"{folder}: expected a model of type siglip or siglip2, found {kind:.60}")
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

    towers: Mapping[Tower, tuple[str, ...]] = {"vision": ("vision_model",), "text": ("text_model",)}
    unused: tuple[str, ...] = ()

    def __init__(
        self, network: Any, tokenizer: Any, processor: Any, *, batch_size: int = 8
    ) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.processor = processor
        self.most_tokens: int = network.config.text_config.max_position_embeddings
        self._batch_size = batch_size

    def with_network(self, network: Any) -> SiglipMatcher:
        """The same around another network of its kind."""
        return SiglipMatcher(network, self.tokenizer, self.processor, batch_size=self._batch_size)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special ones included."""
        return len(self.tokenizer(text.lower(), verbose=False)["input_ids"])

    def words(self, texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
        """Ids of texts, *shape* ``(texts, most_tokens)``."""
        return dict(
            self.tokenizer(
                [text.lower() for text in texts],
                padding="max_length",
                padding_side="right",
                truncation=True,
                max_length=self.most_tokens,
                return_token_type_ids=False,
                return_attention_mask=False,
                return_tensors="pt",
            )
        )

    def log_odds(
        self, images: ImageTensors, words: Mapping[str, torch.Tensor], places: torch.Tensor
    ) -> torch.Tensor:
        """Of each pair: the scaled and shifted product of the embeddings."""
        seen = _directions(self.network.vision_model(**images).pooler_output)
        read = _directions(self.network.text_model(**words).pooler_output)
        return self._log_odds(seen[places], read)

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
            seen = torch.stack(list(in_batches(images, self._batch_size, self._encode_images)))
            read = torch.stack(list(in_batches(texts, self._batch_size, self._encode_texts)))
            odds = self._log_odds(
                seen[[pair.image for pair in pairs]], read[[places[pair.text] for pair in pairs]]
            )
            fits: list[float] = odds.sigmoid().tolist()
        return fits

    def _log_odds(self, seen: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        scale, bias = self.network.logit_scale.float(), self.network.logit_bias.float()
        odds: torch.Tensor = (read * seen).sum(dim=-1) * scale.exp() + bias
        return odds

    def _encode_images(self, images: Sequence[ImageTensors]) -> Sequence[torch.Tensor]:
        from riveg.vision.runtime.tensors import stacked

        inputs = stacked(images, self.network.device)
        return list(_directions(self.network.vision_model(**inputs).pooler_output))

    def _encode_texts(self, texts: Sequence[str]) -> Sequence[torch.Tensor]:
        ids = self.words(texts)["input_ids"].to(self.network.device)
        return list(_directions(self.network.text_model(input_ids=ids).pooler_output))


def _directions(embeddings: torch.Tensor) -> torch.Tensor:
    """Rows of length 1, in float32: the scale is about a hundred and would magnify rounding.

    *Shape:* ``(rows, channels)``.
    """
    rows = embeddings.float()
    directions: torch.Tensor = rows / rows.norm(p=2, dim=-1, keepdim=True)
    return directions
