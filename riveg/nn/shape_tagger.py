"""A BERT encoder that also reads each word's case shape, with a linear BIO head."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import BertModel

from riveg.nn.shape_embedding import ShapeEmbedding


class ShapeTagger(nn.Module):
    """BIO logits for every word piece, and logits of the fine types as a side task.

    Args:
        encoder: The pretrained encoder.
        tags: Number of BIO tags.
        fine_types: Number of fine types of the side task, "no entity" among them; 0 for none.
        dropout: Probability, on the last hidden state, in [0, 1).
    """

    def __init__(self, encoder: BertModel, tags: int, fine_types: int, dropout: float) -> None:
        super().__init__()
        hidden = encoder.config.hidden_size
        self.encoder = encoder
        self.shapes = ShapeEmbedding(encoder)
        self.dropout = nn.Dropout(dropout)
        self.tag_head = nn.Linear(hidden, tags)
        self.fine_head = nn.Linear(hidden, fine_types) if fine_types else None

    def encode(self, input_ids: Tensor, attention_mask: Tensor, shape_ids: Tensor) -> Tensor:
        """The last hidden state.

        *Shape:* all arguments ``(batch, pieces)``, result ``(batch, pieces, hidden)``.
        """
        return self.shapes.read(self.encoder, input_ids, attention_mask, shape_ids)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, shape_ids: Tensor) -> Tensor:
        """BIO logits.

        *Shape:* all arguments ``(batch, pieces)``, result ``(batch, pieces, tags)``.
        """
        hidden = self.dropout(self.encode(input_ids, attention_mask, shape_ids))
        logits: Tensor = self.tag_head(hidden)
        return logits

    def training_logits(
        self, input_ids: Tensor, attention_mask: Tensor, shape_ids: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """BIO logits and, where there is a side task, the fine types' logits, of one pass.

        *Shape:* all arguments ``(batch, pieces)``, results ``(batch, pieces, tags)`` and ``(batch,
        pieces, fine types)``.
        """
        hidden = self.dropout(self.encode(input_ids, attention_mask, shape_ids))
        fine = None if self.fine_head is None else self.fine_head(hidden)
        return self.tag_head(hidden), fine
