"""Where BLIP looks when it says that a text fits an image: Grad-CAM on its cross-attention.

The formula is GEM's, after PnP-VQA (Tiong et al. 2022, https://arxiv.org/abs/2210.08773): the
attention A of a text layer to the patches, weighted by what the probability P of "fits" gains from
it, ``s_i = 1/H sum_j sum_h relu(dP / dA_ji^h) * A_ji^h`` over tokens j and heads h.

What is differentiated is the difference of the head's two logits. P is its sigmoid, so that each
pair's map is the same but for a factor, ``P (1 - P)``, and a map is only read as shares of its
maximum. That factor is 0 in float32 where the network is sure, and the map with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from riveg.errors import UserError
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.tensors import stacked

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from riveg.vision.matchers.itm import ItmMatcher
    from riveg.vision.runtime.tensors import ImageTensors


class ItmHeat:
    """The heat maps of texts in images.

    Args:
        matcher: The network; its weights need no gradients from now on.
        layer: Number of the text layer whose attention is looked at, from 0.
        batch_size: Images in one forward, each with all its texts.

    Raises:
        UserError: If the network has no such layer.
    """

    def __init__(self, matcher: ItmMatcher, layer: int, *, batch_size: int = 8) -> None:
        layers = matcher.network.text_encoder.encoder.layer
        require_layer(layer, len(layers))
        matcher.network.requires_grad_(False)
        self._matcher = matcher
        self._attention = layers[layer].crossattention.self
        self._batch_size = batch_size

    def maps(
        self, images: Sequence[ImageTensors], texts: Sequence[Sequence[str]]
    ) -> Iterator[Sequence[NDArray[np.float32]]]:
        """For each image, a map of each of its texts: how much a patch speaks for "it fits".

        *Shape:* each image's ``pixel_values`` ``(1, 3, height, width)``, each map ``(rows,
        columns)`` of patches, values at least 0.

        Args:
            images: All of one size.
            texts: At least one for each image.
        """
        return in_batches(list(zip(images, texts, strict=True)), self._batch_size, self._look)

    def _look(
        self, batch: Sequence[tuple[ImageTensors, Sequence[str]]]
    ) -> Sequence[Sequence[NDArray[np.float32]]]:
        import torch

        device = self._matcher.network.device
        counts = [len(texts) for _, texts in batch]
        images = stacked([image for image, _ in batch], device)
        places = torch.arange(len(batch)).repeat_interleave(torch.tensor(counts)).to(device)
        words = self._matcher.words([text for _, texts in batch for text in texts])
        heats = self._heats(images, {name: one.to(device) for name, one in words.items()}, places)
        side = self._matcher.network.config.vision_config.patch_size
        rows, columns = (pixels // side for pixels in images["pixel_values"].shape[-2:])
        maps = iter(heats.cpu().numpy().reshape(-1, rows, columns))
        return [[next(maps) for _ in range(count)] for count in counts]

    def _heats(
        self, images: ImageTensors, words: Mapping[str, torch.Tensor], places: torch.Tensor
    ) -> torch.Tensor:
        """*Shape* ``(pairs, patches)``, float32."""
        import torch

        # Compiled code would not see the hook.
        eager = torch.compiler.set_stance("force_eager")
        with eager, torch.enable_grad(), self._watched() as seen:
            log_odds = self._matcher.log_odds(images, words, places)
            (attention,) = seen
            (gain,) = torch.autograd.grad(log_odds.sum(), attention)
        weighted = gain.float().relu() * attention.detach().float()
        by_token = weighted.mean(dim=1) * words["attention_mask"][:, :, None]
        # The first place of the image stands for all of it, and for no patch.
        return by_token.sum(dim=1)[:, 1:]

    @contextmanager
    def _watched(self) -> Iterator[list[torch.Tensor]]:
        """The attention of the layer, once the network has run: where gradients begin.

        *Shape:* ``(pairs, heads, tokens, 1 + patches)``.
        """
        seen: list[torch.Tensor] = []

        def begin(_: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            seen.append(inputs[0].detach().requires_grad_())
            return (seen[-1],)

        # The module drops nothing out in a network that is used; it only lets the attention by.
        hook = self._attention.dropout.register_forward_pre_hook(begin)
        try:
            yield seen
        finally:
            hook.remove()


def require_layer(layer: int, count: int) -> None:
    """Makes sure that a text encoder has a layer.

    Raises:
        UserError: If it has not.
    """
    if layer >= count:
        raise UserError(
            f"layer: {layer}: the model has text layers 0 to {count - 1}; name one of them"
        )
