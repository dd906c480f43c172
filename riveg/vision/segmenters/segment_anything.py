"""Segment Anything (Kirillov et al. 2023, arXiv:2304.02643) in its authors' own package.

A checkpoint is read with ``weights_only=True``, so that it cannot bring code, and the sizes of its
network are taken from the weights themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from riveg.errors import UserError
from riveg.types import Box, ImageSize
from riveg.vision.runtime.checkpoint_files import OF_OTHER_CONTENT, read_checkpoint
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.loading import place
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.segmenters.encoded_image import EncodedImage
from riveg.vision.segmenters.prompted import BoxPrompt, shrunk_size

if TYPE_CHECKING:
    from riveg.geometry.arrays import Bitmap, Pixels

Weights = Mapping[str, torch.Tensor]


def load_segment_anything(checkpoint: Path, options: TorchOptions) -> SegmentAnythingNetwork:
    """The network of a ``.pth`` file.

    Raises:
        UserError: If the file is no such checkpoint.
    """
    network = _read_network(checkpoint)
    placement = place(options.device, options.dtype)
    network.to(placement.device)
    # Prompts and decoder stay in float32: a corner in bfloat16 has eight bits for 1024 pixels.
    network.image_encoder.to(placement.dtype)
    if options.compile:
        network.image_encoder.compile()
    return SegmentAnythingNetwork(network)


def _read_network(checkpoint: Path) -> Any:
    """A ``segment_anything`` ``Sam`` in evaluation mode."""
    weights = read_checkpoint(checkpoint, "checkpoint of Segment Anything")
    try:
        network = empty_network(weights)
        network.load_state_dict(weights)
    except OF_OTHER_CONTENT as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{checkpoint}: is no checkpoint of Segment Anything: {type(error).__name__}: {reason}"
        ) from error
    return network.eval()


def empty_network(weights: Weights) -> Any:
    """A network of a checkpoint's sizes; the package itself only knows those of three of them.

    *Shape:* of the weights as the package's ``Sam`` has them.
    """
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


class SegmentAnythingNetwork:
    """Encodes images and decodes the masks of boxes.

    Args:
        network: A ``Sam`` of the package in evaluation mode.
    """

    def __init__(self, network: Any) -> None:
        self.prepare = partial(_shrink, network.image_encoder.img_size)
        self._network = network

    def encode_images(
        self, images: Sequence[PreparedImage[torch.Tensor]]
    ) -> Sequence[EncodedImage]:
        """The embedding of each image.

        *Shape:* each input ``(1, 3, height, width)``, shrunk, not padded.
        """
        network = self._network
        encoder = next(network.image_encoder.parameters())
        with torch.inference_mode():
            shrunk = [image.value.to(network.device) for image in images]
            pixels = torch.cat([network.preprocess(one) for one in shrunk])
            embeddings = network.image_encoder(pixels.to(encoder)).float()
        return [
            EncodedImage(embedding[None], image.size, ImageSize(one.shape[3], one.shape[2]))
            for embedding, image, one in zip(embeddings, images, shrunk, strict=True)
        ]

    def decode_masks(self, image: EncodedImage, prompts: Sequence[BoxPrompt]) -> Iterator[Bitmap]:
        """The mask of each prompt's box.

        *Shape:* each ``(height, width)`` of the upright image.
        """
        for logits in self._logits(image, [prompt.box for prompt in prompts]):
            yield self._bitmap(image, logits)

    def _logits(self, image: EncodedImage, boxes: Sequence[Box]) -> torch.Tensor:
        """*Shape* ``(boxes, 1, side, side)``, of the square that the network saw."""
        encoder = self._network.prompt_encoder
        corners = image.corners(boxes).float().to(image.embedding.device)
        with torch.inference_mode():
            sparse, dense = encoder(points=None, boxes=corners, masks=None)
            logits: torch.Tensor
            logits, _ = self._network.mask_decoder(
                image_embeddings=image.embedding,
                image_pe=encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
        return logits

    def _bitmap(self, image: EncodedImage, logits: torch.Tensor) -> Bitmap:
        """*Shape* ``(height, width)`` of the upright image, from ``(1, side, side)``."""
        with torch.inference_mode():
            resized = self._network.postprocess_masks(
                logits[None], image.seen_size[::-1], image.size[::-1]
            )
            bitmap: Bitmap = (resized[0, 0] > self._network.mask_threshold).cpu().numpy()
        return bitmap


def _shrink(longest: int, pixels: Pixels) -> torch.Tensor:
    """The image resized as in the package to a longest side, *shape* ``(1, 3, height, width)``."""
    height, width = pixels.shape[:2]
    size = shrunk_size(ImageSize(width, height), longest)
    shrunk = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(shrunk)).permute(2, 0, 1)[None]
