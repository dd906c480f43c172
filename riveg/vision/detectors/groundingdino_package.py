"""GroundingDINO in its authors' own package, ``groundingdino-py``, for their own checkpoints.

Offers the methods of :class:`~riveg.vision.detectors.grounding_dino.GroundingDinoNetwork`. The
package's network is changed in four points: the wrapper of its text encoder, which calls methods
that transformers no longer has, is replaced; its image half runs once and the result is kept; each
prompt of a batch gets its own attention mask, which the package mixes up; and it looks for no more
places than an image has, where the package looks for as many as it has queries.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from riveg.errors import UserError
from riveg.vision.detectors.grounding_dino import (
    Detections,
    ImageBackbone,
    detections_of,
    padded_tokens,
)
from riveg.vision.detectors.grounding_dino_padding import FeatureMaps
from riveg.vision.detectors.grounding_dino_prompts import PhrasePrompt
from riveg.vision.detectors.groundingdino_configuration import read_configuration
from riveg.vision.runtime.checkpoint_files import OF_OTHER_CONTENT, read_checkpoint
from riveg.vision.runtime.loading import (
    autocast,
    load_processor,
    place,
)
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels
    from riveg.vision.runtime.tensors import Resizer

_NOT_USED = ("label_enc.", "bert.embeddings.position_ids")
"""Beginnings of names in the published checkpoints that are no weights of the network."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_WARNINGS = (
    "torch.meshgrid: in an upcoming release",
    r"`torch\.cuda\.amp\.autocast\(args\.\.\.\)` is deprecated",
    "Importing from timm",
)
"""Beginnings of warnings that other packages give because this one is old."""


class GroundingDinoPackageNetwork:
    """A checkpoint of the package on its device.

    Weights stay in float32; ``dtype`` is what the products are computed in (autocast).

    Args:
        checkpoint: A ``.pth`` file.
        configuration: The network's sizes, a file of the package's kind.
        text_encoder: Folder with BERT's vocabulary and sizes; its weights are in the checkpoint.
        options: Device, number type, compilation.

    Raises:
        UserError: If the files are not what they should be, or do not belong together.
    """

    def __init__(
        self, checkpoint: Path, configuration: Path, text_encoder: Path, options: TorchOptions
    ) -> None:
        from transformers import AutoTokenizer

        self._placement = place(options.device, options.dtype)
        self.prepare: Resizer = _resized_values
        self.tokenizer = load_processor(AutoTokenizer, text_encoder)
        with _quiet():
            network = _empty_network(configuration, text_encoder, self.tokenizer)
        _fill(network, checkpoint)
        network = network.to(self._placement.device).eval()
        positions = network.bert.config.max_position_embeddings
        self.most_tokens = min(network.max_text_len, positions)
        backbone = network.backbone[0]
        self._encoder = ImageBackbone(backbone, type(backbone).forward_raw, network.input_proj)
        self._given = _GivenMaps(network.backbone[1])
        network.backbone = self._given
        network.input_proj = nn.ModuleList(nn.Identity() for _ in network.input_proj)
        for layer in network.transformer.encoder.text_layers:
            layer.register_forward_pre_hook(_own_mask, with_kwargs=True)
        self._queries = _Queries(network.transformer)
        self._tokens = _GivenTokens(self.tokenizer.pad_token_id or 0)
        network.tokenizer = self._tokens
        self._network = network
        if options.compile:
            self._encoder.compile()

    def encode_images(self, pixels: Sequence[Tensor]) -> list[FeatureMaps]:
        """The feature maps of images that all have one size.

        *Shape:* each image ``(3, height, width)``; each map as of :data:`FeatureMaps`.
        """
        values = torch.stack(list(pixels)).to(self._placement.device)
        with torch.inference_mode(), autocast(self._placement), _quiet():
            maps = self._encoder(values)
        # Copies, so that keeping one image does not keep its whole batch.
        return [tuple(one[row].clone() for one in maps) for row in range(len(pixels))]

    def detect(
        self, features: Sequence[FeatureMaps], prompts: Sequence[PhrasePrompt]
    ) -> list[Detections]:
        """What each prompt finds in its image.

        Only images of one size share a forward: the package does not handle padding everywhere.

        *Shape:* as of :data:`FeatureMaps` and :class:`Detections`.

        Args:
            features: Of the image of each prompt; images may differ in size.
            prompts: One for each of ``features``.
        """
        rows_by_size: dict[tuple[int, ...], list[int]] = {}
        for row, one in enumerate(features):
            rows_by_size.setdefault(tuple(one[0].shape), []).append(row)
        found: dict[int, Detections] = {}
        for rows in rows_by_size.values():
            some = self._detect([features[row] for row in rows], [prompts[row] for row in rows])
            found.update(zip(rows, some, strict=True))
        return [found[row] for row in range(len(prompts))]

    def _detect(
        self, features: Sequence[FeatureMaps], prompts: Sequence[PhrasePrompt]
    ) -> list[Detections]:
        from groundingdino.util.misc import NestedTensor

        device = self._placement.device
        with torch.inference_mode(), autocast(self._placement), _quiet():
            self._given.maps = [torch.stack(level) for level in zip(*features, strict=True)]
            self._queries.limit(sum(one.shape[-2] * one.shape[-1] for one in features[0]))
            self._tokens.prompts = prompts
            nothing = torch.zeros(len(prompts), 3, 1, 1, device=device)
            try:
                answer = self._network(
                    NestedTensor(nothing, nothing[:, 0].bool()), captions=[""] * len(prompts)
                )
            finally:  # where memory was short, the next batch needs that of this one
                self._given.maps = []
        return detections_of(answer["pred_logits"], answer["pred_boxes"], prompts)


def _resized_values(pixels: Pixels, shortest: int, longest: int) -> Tensor:
    """The network's input of an image, *shape* ``(3, height, width)``.

    Args:
        pixels: Of the upright image, *shape* ``(height, width, 3)``.
        shortest: Length of the shorter side after resizing, in pixels, unless the longer one
            would be above ``longest``.
        longest: Highest length of the longer side, in pixels.
    """
    with _quiet():
        from groundingdino.datasets import transforms
    image = Image.fromarray(pixels)
    size: int | tuple[int, int] = shortest
    if round(longest * min(image.size) / max(image.size)) < 1:
        # Such a thin image would become 0 pixels wide in the package.
        size = (longest, 1) if image.width > image.height else (1, longest)
    image, _ = transforms.resize(image, None, size, longest)
    values, _ = transforms.ToTensor()(image, None)
    normalised: Tensor
    normalised, _ = transforms.Normalize(_MEAN, _DEVIATION)(values)
    return normalised


def _empty_network(configuration: Path, text_encoder: Path, tokenizer: Any) -> Any:
    import transformers
    from groundingdino.models import build_model
    from groundingdino.models.GroundingDINO import groundingdino as module

    sizes = read_configuration(configuration)
    # Both save memory in training only.
    sizes |= {"use_checkpoint": False, "use_transformer_ckpt": False, "text_encoder_type": "bert"}
    try:
        config = transformers.BertConfig.from_pretrained(text_encoder, local_files_only=True)
        bert = transformers.BertModel(config)
        with _text_encoder(module, tokenizer, bert):
            return build_model(SimpleNamespace(**sizes))
    except (*OF_OTHER_CONTENT, AssertionError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{configuration}: no GroundingDINO can be made of it: {type(error).__name__}: {reason}"
        ) from error


@contextmanager
def _text_encoder(module: Any, tokenizer: Any, bert: Any) -> Iterator[None]:
    """Within the block, the package builds with a given text encoder and the wrapper below."""
    given = SimpleNamespace(
        get_tokenlizer=lambda _: tokenizer, get_pretrained_language_model=lambda _: bert
    )
    before = module.get_tokenlizer, module.BertModelWarper
    module.get_tokenlizer, module.BertModelWarper = given, TextEncoder
    try:
        yield
    finally:
        module.get_tokenlizer, module.BertModelWarper = before


class TextEncoder(nn.Module):
    """The package's ``BertModelWarper`` without the methods that transformers 5 removed."""

    def __init__(self, bert_model: Any) -> None:
        super().__init__()
        self.config = bert_model.config
        self.embeddings = bert_model.embeddings
        self.encoder = bert_model.encoder
        self.pooler = bert_model.pooler

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The last hidden state, by its name.

        *Shape:* all arguments ``(prompts, tokens)``, but the mask ``(prompts, tokens, tokens)``;
        result ``(prompts, tokens, hidden)``.
        """
        words = self.embeddings(
            input_ids=input_ids, position_ids=position_ids, token_type_ids=token_type_ids
        )
        hidden = (1 - attention_mask[:, None].to(words.dtype)) * torch.finfo(words.dtype).min
        return {"last_hidden_state": self.encoder(words, attention_mask=hidden)[0]}


def _fill(network: Any, checkpoint: Path) -> None:
    """Loads weights: all of the network's and no others."""
    content = read_checkpoint(checkpoint, "checkpoint of GroundingDINO")
    try:
        weights = content.get("model", content)
        weights = {name.removeprefix("module."): value for name, value in weights.items()}
        missing, more = network.load_state_dict(weights, strict=False)
    except OF_OTHER_CONTENT as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{checkpoint}: is no checkpoint of GroundingDINO of this architecture: "
            f"{type(error).__name__}: {reason}"
        ) from error
    more = [name for name in more if not name.startswith(_NOT_USED)]
    if missing or more:
        first = f"it lacks {missing[0]}" if missing else f"it has {more[0]}"
        raise UserError(
            f"{checkpoint}: is no checkpoint of GroundingDINO of this architecture: {first}, "
            f"{len(missing) + len(more)} such weights in all"
        )


class _GivenMaps(nn.Module):
    """Takes the place of the backbone and gives maps that were computed before, unpadded."""

    def __init__(self, position_embedding: Any) -> None:
        super().__init__()
        self.position_embedding = position_embedding
        self.maps: list[Tensor] = []

    def forward(self, _: Any) -> tuple[list[Any], list[Tensor]]:
        from groundingdino.util.misc import NestedTensor

        pairs = [NestedTensor(one, torch.zeros_like(one[:, 0]).bool()) for one in self.maps]
        return pairs, [self.position_embedding(one).to(one.tensors.dtype) for one in pairs]


class _GivenTokens:
    """Takes the place of the tokenizer: the prompts are already in tokens."""

    def __init__(self, padding: int) -> None:
        self._padding = padding
        self.prompts: Sequence[PhrasePrompt] = ()

    def __call__(self, *_: Any, **__: Any) -> Any:
        from transformers import BatchEncoding

        tokens, mask = padded_tokens(self.prompts, self._padding)
        return BatchEncoding(
            {"input_ids": tokens, "token_type_ids": torch.zeros_like(mask), "attention_mask": mask}
        )


class _Queries:
    """Limits a network's queries to the number of places in the image."""

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer
        self._most = transformer.num_queries
        self._learned = transformer.tgt_embed
        if self._learned is not None:
            del transformer.tgt_embed

    def limit(self, places: int) -> None:
        self._transformer.num_queries = min(self._most, places)
        if self._learned is not None:
            weight = self._learned.weight[: self._transformer.num_queries]
            self._transformer.tgt_embed = SimpleNamespace(weight=weight)


def _own_mask(layer: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Repeats each prompt's mask for its own heads; the layer itself mixes up the prompts."""
    return given, {**named, "src_mask": named["src_mask"].repeat_interleave(layer.nhead, dim=0)}


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        for message in _WARNINGS:
            warnings.filterwarnings("ignore", message)
        yield
