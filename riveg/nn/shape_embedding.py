"""The case shape of each word, added to what an encoder reads."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from riveg.nn.word_shapes import SHAPES


class ShapeEmbedding(nn.Embedding):
    """One vector a shape, added to the embeddings of a word's pieces.

    All start at zero. So training starts from exactly the pretrained encoder, and runs of several
    seeds can be averaged weight by weight.

    Args:
        encoder: The pretrained encoder, any of transformers'.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__(len(SHAPES), encoder.get_input_embeddings().embedding_dim)
        nn.init.zeros_(self.weight)

    def read(
        self, encoder: Any, input_ids: Tensor, attention_mask: Tensor, shape_ids: Tensor
    ) -> Tensor:
        """The encoder's last hidden state.

        *Shape:* all ``(batch, pieces)``, result ``(batch, pieces, hidden)``.
        """
        pieces = encoder.get_input_embeddings()(input_ids)
        output = encoder(inputs_embeds=pieces + self(shape_ids), attention_mask=attention_mask)
        hidden: Tensor = output.last_hidden_state
        return hidden
