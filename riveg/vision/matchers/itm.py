"""BLIP's image-text matching head (Li et al. 2022, https://arxiv.org/abs/2201.12086)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.vision.matchers.matcher import Pair
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.loading import load_model, load_processor
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    import torch

    from riveg.vision.runtime.tensors import ImageTensors


def load_itm_matcher(folder: Path, options: TorchOptions) -> ItmMatcher:
    """The matcher of a folder.

    Raises:
        UserError: If the folder holds no BLIP with such a head.
    """
    from transformers import AutoTokenizer, BlipForImageTextRetrieval, BlipImageProcessorPil

    return ItmMatcher(
        load_model(BlipForImageTextRetrieval, folder, options, ("vision_model", "text_encoder")),
        load_processor(AutoTokenizer, folder),
        load_processor(BlipImageProcessorPil, folder),
        batch_size=options.batch_size,
    )


class ItmMatcher:
    """The probability of "fits", by the softmax of the head's two logits.

    The text encoder reads text and image together, so it runs once for each distinct pair.

    Args:
        network: ``BlipForImageTextRetrieval``.
        tokenizer: Of its text encoder.
        processor: Prepares images.
        batch_size: Images, or pairs, in one forward.
    """

    def __init__(
        self, network: Any, tokenizer: Any, processor: Any, *, batch_size: int = 8
    ) -> None:
        self.processor = processor
        self.most_tokens: int = min(
            tokenizer.model_max_length, network.config.text_config.max_position_embeddings
        )
        self._network = network
        self._tokenizer = tokenizer
        self._batch_size = batch_size

    def probabilities(
        self, images: Sequence[ImageTensors], pairs: Sequence[Pair]
    ) -> Sequence[float]:
        """Of each pair, in [0, 1].

        *Shape:* each image's ``pixel_values`` ``(1, 3, height, width)``.
        """
        import torch

        distinct = list(dict.fromkeys(pairs))
        counts = {text: self.count_tokens(text) for text in {pair.text for pair in pairs}}
        # Texts of similar length together, for little padding; it does not change the answers.
        distinct.sort(key=lambda pair: counts[pair.text])
        with torch.inference_mode():
            patches = list(in_batches(images, self._batch_size, self._encode))

            def match(batch: Sequence[Pair]) -> Sequence[float]:
                return self._match([patches[pair.image] for pair in batch], batch)

            fits = list(in_batches(distinct, self._batch_size, match))
        by_pair = dict(zip(distinct, fits, strict=True))
        return [by_pair[pair] for pair in pairs]

    def _encode(self, images: Sequence[ImageTensors]) -> Sequence[torch.Tensor]:
        """Each image's patches, *shape* ``(patches, width)``."""
        from riveg.vision.runtime.tensors import stacked

        inputs = stacked(images, self._network.device)
        return list(self._network.vision_model(**inputs).last_hidden_state)

    def _match(self, images: Sequence[torch.Tensor], batch: Sequence[Pair]) -> Sequence[float]:
        import torch

        patches = torch.stack(list(images))
        # The head reads the first token: padding belongs behind the text.
        words = self._tokenizer(
            [pair.text for pair in batch],
            padding=True,
            padding_side="right",
            truncation=True,
            max_length=self.most_tokens,
            return_token_type_ids=False,
            return_tensors="pt",
        ).to(patches.device)
        hidden = self._network.text_encoder(
            input_ids=words["input_ids"],
            attention_mask=words["attention_mask"],
            encoder_hidden_states=patches,
            encoder_attention_mask=torch.ones(
                patches.shape[:2], dtype=torch.long, device=patches.device
            ),
        ).last_hidden_state
        logits = self._network.itm_head(hidden[:, 0]).float()
        fits: list[float] = logits.softmax(dim=-1)[:, 1].tolist()
        return fits

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special ones included."""
        return len(self._tokenizer(text, verbose=False)["input_ids"])
