"""A BERT encoder that also reads each word's case shape, with linear heads on its words."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from transformers import BertModel

from riveg.nn.word_shapes import SHAPES


class ShapeTagger(nn.Module):
    """BIO logits for every word piece, and logits of side tasks, which only training looks at.

    The shape embedding is added to the word embedding and starts at zero. So training starts from
    exactly the pretrained encoder, and runs of several seeds can be averaged weight by weight.

    Args:
        encoder: The pretrained encoder.
        tags: Number of BIO tags.
        side_tasks: Number of classes of every side task, by name.
        dropout: Probability, on the last hidden state, in [0, 1).
    """

    def __init__(
        self, encoder: BertModel, tags: int, side_tasks: Mapping[str, int], dropout: float
    ) -> None:
        super().__init__()
        hidden = encoder.config.hidden_size
        self.encoder = encoder
        self.shapes = nn.Embedding(len(SHAPES), hidden)
        self.dropout = nn.Dropout(dropout)
        self.tag_head = nn.Linear(hidden, tags)
        self.side_heads = nn.ModuleDict(
            {name: nn.Linear(hidden, classes) for name, classes in side_tasks.items()}
        )
        nn.init.zeros_(self.shapes.weight)

    def encode(self, input_ids: Tensor, attention_mask: Tensor, shape_ids: Tensor) -> Tensor:
        """The last hidden state, with dropout in training.

        *Shape:* all arguments ``(batch, pieces)``, result ``(batch, pieces, hidden)``.
        """
        return self.read(self.embed(input_ids, shape_ids), attention_mask)

    def embed(self, input_ids: Tensor, shape_ids: Tensor) -> Tensor:
        """The vector of each piece, with its word's shape.

        *Shape:* all arguments ``(batch, pieces)``, result ``(batch, pieces, hidden)``.
        """
        words: Tensor = self.encoder.embeddings.word_embeddings(input_ids)
        shapes: Tensor = self.shapes(shape_ids)
        return words + shapes

    def read(self, vectors: Tensor, attention_mask: Tensor) -> Tensor:
        """The last hidden state from the vectors of pieces, with dropout in training.

        *Shape:* ``vectors`` and result ``(batch, pieces, hidden)``, the mask ``(batch, pieces)``.
        """
        output = self.encoder(inputs_embeds=vectors, attention_mask=attention_mask)
        hidden: Tensor = self.dropout(output.last_hidden_state)
        return hidden

    def forward(self, input_ids: Tensor, attention_mask: Tensor, shape_ids: Tensor) -> Tensor:
        """BIO logits.

        *Shape:* all arguments ``(batch, pieces)``, result ``(batch, pieces, tags)``.
        """
        logits: Tensor = self.tag_head(self.encode(input_ids, attention_mask, shape_ids))
        return logits
