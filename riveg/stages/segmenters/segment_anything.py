"""Masks by Segment Anything (Kirillov et al. 2023, arXiv:2304.02643) in its authors' own package.

For the official checkpoints (``sam_vit_h_4b8939.pth`` and its smaller sisters) as they are. They
are read with ``weights_only=True``, so that a checkpoint cannot bring code, and their sizes are
taken from the weights themselves. The masks are those of the package's ``SamPredictor``, one for
each box (``multimask_output=False``), but an image is encoded once and its boxes together. Their
source is ``segment-anything``, or ``segment-anything:box`` where the network found no pixel and the
box stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from riveg.checkpoints.folders import ModelFiles, model_file
from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.files import file_digest
from riveg.types import Box
from riveg.vision.runtime.image_worker import Prepared
from riveg.vision.runtime.loading import OF_OTHER_CONTENT, place, read_checkpoint, worker_count
from riveg.vision.segmenters.prompted import Prompt, PromptedSegmenter, PromptOptions, shrunk_size

if TYPE_CHECKING:
    import torch

    from riveg.geometry.arrays import Bitmap, Pixels

    Weights = Mapping[str, torch.Tensor]


class SegmentAnythingConfig(PromptOptions, BackendConfig):
    """``model``: a hub id or a folder with the ``checkpoint``, or itself that file.

    ``batch_size``: images encoded together. ``boxes_at_once``: boxes decoded together. The
    package has one implementation of attention.
    """

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "segment-anything"
    summary: ClassVar[str] = "Segment Anything from the box (its own package, official .pth)"
    extra: ClassVar[str | None] = "sam"
    packages: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "segment_anything")
    needs_image: ClassVar[bool] = True

    model: str = Field(default="ybelkada/segment-anything", min_length=1)
    checkpoint: str = Field(default="checkpoints/sam_vit_h_4b8939.pth", min_length=1)
    licence: str | None = "apache-2.0"
    attention: Literal["auto"] = "auto"

    def own_files(self) -> tuple[ModelFiles, ...]:
        """The checkpoint alone."""
        files = (self.checkpoint,)
        return (ModelFiles(self.model, self.revision, self.licence, self.gated, files=files),)

    def build(self, context: BuildContext) -> PromptedSegmenter:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If the checkpoint is not there or is none of this kind.
        """
        network = read_network(model_file(self.own_files()[0], context.base))
        placement = place(self.device, self.dtype)
        network.to(placement.device)
        # Prompts and decoder stay in float32: a corner in bfloat16 has eight bits for 1024 pixels.
        network.image_encoder.to(placement.dtype)
        if self.compile:
            network.image_encoder.compile()
        return PromptedSegmenter(
            context.images,
            SegmentAnythingNetwork(network),
            source=self.name,
            batch_size=self.batch_size,
            boxes_at_once=self.boxes_at_once,
            workers=worker_count(self),
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the checkpoint."""
        path = model_file(self.own_files()[0], base)
        return {path.name: file_digest(path)}


def read_network(path: Path) -> Any:
    """A ``segment_anything`` ``Sam`` in evaluation mode, with a checkpoint's sizes and weights.

    Raises:
        UserError: If the file is no such checkpoint.
    """
    weights = read_checkpoint(path, "checkpoint of Segment Anything")
    try:
        network = _empty_network(weights)
        network.load_state_dict(weights)
    except OF_OTHER_CONTENT as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{path}: is no checkpoint of Segment Anything: {type(error).__name__}: {reason}"
        ) from error
    return network.eval()


def _empty_network(weights: Weights) -> Any:
    """A network of a checkpoint's sizes; the package itself only knows those of three of them."""
    import torch
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    _, side, _, width = weights["image_encoder.pos_embed"].shape
    patch = weights["image_encoder.patch_embed.proj.weight"].shape[-1]
    prompt = weights["image_encoder.neck.0.weight"].shape[0]
    positions = _relative_positions(weights)
    reach = [len(one) for one in positions]
    encoder = ImageEncoderViT(
        depth=len(positions),
        embed_dim=width,
        img_size=side * patch,
        mlp_ratio=weights["image_encoder.blocks.0.mlp.lin1.weight"].shape[0] / width,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=width // positions[0].shape[1],
        patch_size=patch,
        qkv_bias=True,
        use_rel_pos=True,
        global_attn_indexes=[number for number, one in enumerate(reach) if one == 2 * side - 1],
        window_size=(min(reach) + 1) // 2,
        out_chans=prompt,
    )
    prompts = PromptEncoder(
        embed_dim=prompt,
        image_embedding_size=(side, side),
        input_image_size=(side * patch, side * patch),
        mask_in_chans=16,
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=prompt, mlp_dim=2048, num_heads=8)
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=transformer,
        transformer_dim=prompt,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
    return Sam(encoder, prompts, decoder)


def _relative_positions(weights: Weights) -> list[torch.Tensor]:
    """Of each layer, *shape* ``(2 * side of its window - 1, width of a head)``."""
    name = "image_encoder.blocks.{}.attn.rel_pos_h"
    depth = sum(key.endswith(".attn.rel_pos_h") for key in weights)
    return [weights[name.format(number)] for number in range(depth)]


@dataclass(frozen=True, slots=True)
class _Seen:
    """An image's embedding; its sides ``(height, width)`` as it is and as the network saw it."""

    embedding: torch.Tensor
    size: tuple[int, int]
    seen_size: tuple[int, int]


class SegmentAnythingNetwork:
    """Encodes images and decodes boxes.

    Args:
        network: A ``Sam`` of the package in evaluation mode.
    """

    def __init__(self, network: Any) -> None:
        self.prepare = partial(_shrunk, network.image_encoder.img_size)
        self._network = network

    def look_at(self, images: Sequence[Prepared[torch.Tensor]]) -> Sequence[_Seen]:
        """The embedding of each image."""
        import torch

        network = self._network
        encoder = next(network.image_encoder.parameters())
        with torch.inference_mode():
            shrunk = [image.value.to(network.device) for image in images]
            pixels = torch.cat([network.preprocess(one) for one in shrunk])
            embeddings = network.image_encoder(pixels.to(encoder)).float()
        return [
            _Seen(embedding[None], image.size, (one.shape[2], one.shape[3]))
            for embedding, image, one in zip(embeddings, images, shrunk, strict=True)
        ]

    def cut_out(self, seen: _Seen, prompts: Sequence[Prompt]) -> Iterator[Bitmap]:
        """The pixels of each box."""
        for logits in self._logits(seen, [prompt.box for prompt in prompts]):
            yield self._pixels(seen, logits)

    def _logits(self, seen: _Seen, boxes: Sequence[Box]) -> torch.Tensor:
        """*Shape* ``(boxes, 1, side, side)``, of the square that the network saw."""
        import torch

        prompts = self._network.prompt_encoder
        corners = _scaled(boxes, seen).to(seen.embedding.device)
        with torch.inference_mode():
            sparse, dense = prompts(points=None, boxes=corners, masks=None)
            found: torch.Tensor
            found, _ = self._network.mask_decoder(
                image_embeddings=seen.embedding,
                image_pe=prompts.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
        return found

    def _pixels(self, seen: _Seen, logits: torch.Tensor) -> Bitmap:
        import torch

        with torch.inference_mode():
            grown = self._network.postprocess_masks(logits[None], seen.seen_size, seen.size)
            pixels: Bitmap = (grown[0, 0] > self._network.mask_threshold).cpu().numpy()
        return pixels


def _shrunk(longest: int, pixels: Pixels) -> torch.Tensor:
    """As the package does it, *shape* ``(1, 3, height, width)``, with a longest side."""
    import numpy as np
    import torch
    from PIL import Image

    height, width = shrunk_size(pixels.shape[:2], longest)
    shrunk = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(shrunk)).permute(2, 0, 1)[None]


def _scaled(boxes: Sequence[Box], seen: _Seen) -> torch.Tensor:
    """Boxes in the pixels that the network saw, *shape* ``(boxes, 4)``."""
    import numpy as np
    import torch

    edges = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in boxes]
    (height, width), (seen_height, seen_width) = seen.size, seen.seen_size
    scale = [seen_width / width, seen_height / height] * 2
    return torch.from_numpy(np.array(edges, dtype=float) * scale).float()
