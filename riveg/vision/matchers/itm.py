"""The image-text matching heads of BLIP and BLIP-2.

https://arxiv.org/abs/2201.12086, https://arxiv.org/abs/2301.12597
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.errors import UserError
from riveg.vision.matchers.matcher import Pair, Tower
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.loading import load_model, load_processor
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    import torch

    from riveg.vision.runtime.tensors import ImageTensors

    Logits = Callable[[Any, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    """Of a network, patches ``(pairs, patches, width)``, ids and mask ``(pairs, tokens)``: what the
    head says, ``(pairs, 2)``, first of "does not fit"."""


def load_itm_matcher(folder: Path, options: TorchOptions) -> ItmMatcher:
    """The matcher of a folder; its ``model_type`` says which network it holds.

    Raises:
        UserError: If the folder holds no BLIP or BLIP-2 with such a head.
    """
    import transformers
    from transformers import AutoConfig, AutoTokenizer, BlipImageProcessorPil

    kind = load_processor(AutoConfig, folder).model_type
    if kind not in MODEL_TYPES:
        raise UserError(
            f"{folder}: expected a model of type {' or '.join(MODEL_TYPES)}, found {kind:.60}"
        )
    head = _HEADS[kind]
    network = getattr(transformers, head.network)
    return ItmMatcher(
        load_model(network, folder, options, ("vision_model", head.reader)),
        load_processor(AutoTokenizer, folder),
        load_processor(BlipImageProcessorPil, folder),
        batch_size=options.batch_size,
    )


class ItmMatcher:
    """The probability of "fits", by the softmax of the head's two logits.

    The text encoder reads text and image together, so it runs once for each distinct pair.

    Args:
        network: ``BlipForImageTextRetrieval`` or ``Blip2ForImageTextRetrieval``.
        tokenizer: Of its text encoder.
        processor: Prepares images.
        batch_size: Images, or pairs, in one forward.
    """

    def __init__(
        self, network: Any, tokenizer: Any, processor: Any, *, batch_size: int = 8
    ) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.processor = processor
        self._head = _HEADS[network.config.model_type]
        settings = getattr(network.config, self._head.reader_config)
        self.most_tokens: int = min(tokenizer.model_max_length, settings.max_position_embeddings)
        self.towers = self._head.towers
        self.unused = self._head.unused
        self._batch_size = batch_size

    def with_network(self, network: Any) -> ItmMatcher:
        """The same around another network of its kind."""
        return ItmMatcher(network, self.tokenizer, self.processor, batch_size=self._batch_size)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special ones included."""
        return len(self.tokenizer(text, verbose=False)["input_ids"])

    def words(self, texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
        """Ids and mask of texts, *shape* ``(texts, tokens)``.

        Padding is behind the texts: BLIP's head reads the first token.
        """
        return dict(
            self.tokenizer(
                list(texts),
                padding=True,
                padding_side="right",
                truncation=True,
                max_length=self.most_tokens,
                return_token_type_ids=False,
                return_attention_mask=True,
                return_tensors="pt",
            )
        )

    def log_odds(
        self, images: ImageTensors, words: Mapping[str, torch.Tensor], places: torch.Tensor
    ) -> torch.Tensor:
        """Of each pair: the difference of the head's logits."""
        patches = self.network.vision_model(**images).last_hidden_state
        logits = self._logits(patches[places], words)
        return logits[:, 1] - logits[:, 0]

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

        inputs = stacked(images, self.network.device)
        return list(self.network.vision_model(**inputs).last_hidden_state)

    def _match(self, images: Sequence[torch.Tensor], batch: Sequence[Pair]) -> Sequence[float]:
        import torch

        patches = torch.stack(list(images))
        words = self.words([pair.text for pair in batch])
        words = {name: one.to(patches.device) for name, one in words.items()}
        fits: list[float] = self._logits(patches, words).softmax(dim=-1)[:, 1].tolist()
        return fits

    def _logits(self, patches: torch.Tensor, words: Mapping[str, torch.Tensor]) -> torch.Tensor:
        ids, mask = words["input_ids"], words["attention_mask"]
        return self._head.logits(self.network, patches, ids, mask).float()


def _blip_logits(
    network: Any, patches: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    hidden = network.text_encoder(
        input_ids=ids,
        attention_mask=mask,
        encoder_hidden_states=patches,
        encoder_attention_mask=mask.new_ones(patches.shape[:2]),
    ).last_hidden_state
    logits: torch.Tensor = network.itm_head(hidden[:, 0])
    return logits


def _blip2_logits(
    network: Any, patches: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """The mean over the queries, which see the patches and, in each layer, the text."""
    import torch

    queries = network.query_tokens.expand(len(patches), -1, -1)
    count = queries.shape[1]
    hidden = network.qformer(
        query_embeds=network.embeddings(input_ids=ids, query_embeds=queries),
        query_length=count,
        attention_mask=torch.cat([mask.new_ones(len(mask), count), mask], dim=1),
        encoder_hidden_states=patches,
        encoder_attention_mask=mask.new_ones(patches.shape[:2]),
    ).last_hidden_state
    seen = hidden[:, :count].to(network.itm_head.weight.dtype)
    logits: torch.Tensor = network.itm_head(seen).mean(dim=1)
    return logits


@dataclass(frozen=True, slots=True)
class _Head:
    """What differs between the networks that have such a head."""

    network: str
    reader: str
    reader_config: str
    towers: Mapping[Tower, tuple[str, ...]]
    unused: tuple[str, ...]
    logits: Logits


_HEADS: Mapping[str, _Head] = {
    "blip": _Head(
        network="BlipForImageTextRetrieval",
        reader="text_encoder",
        reader_config="text_config",
        towers={"vision": ("vision_model",), "text": ("text_encoder",)},
        unused=("vision_proj", "text_proj"),
        logits=_blip_logits,
    ),
    "blip-2": _Head(
        network="Blip2ForImageTextRetrieval",
        reader="qformer",
        reader_config="qformer_config",
        towers={"vision": ("vision_model",), "text": ("qformer", "embeddings", "query_tokens")},
        unused=("vision_projection", "text_projection"),
        logits=_blip2_logits,
    ),
}

MODEL_TYPES = tuple(_HEADS)
"""The ``model_type`` of networks that have such a head."""
