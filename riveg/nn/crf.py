"""A linear-chain conditional random field over tags (Lafferty et al. 2001).

Shape letters below: B sentences, N words of the longest of them, T tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from riveg.nn.tag_transitions import legal_transitions, span_tags
from riveg.types import Span

_ILLEGAL = -1.0e4
"""Added to the score of an illegal transition: its probability is exactly 0 in float32.

An infinite number would make gradients that are no numbers.
"""


class _Messages(NamedTuple):
    """Log sums over what lies before each word (itself included) and behind it, and over all."""

    forward: Tensor
    backward: Tensor
    log_partition: Tensor

    def of(self, row: int) -> _Messages:
        """Those of one sentence."""
        return _Messages(*(part[row] for part in self))


class LinearChainCrf(nn.Module):
    """Scores tag sequences; sequences that BIO or BIOES forbids are impossible.

    Everything is computed in float32, whatever autocast says, and probabilities of spans in
    float64. A sentence's numbers do not depend on the others of its batch: padding stands behind
    its words and is never looked at.

    Args:
        tags: The tags, in the order of the emissions' last axis.
        learned: Whether transitions have scores. Without them the field only forbids what is
            illegal: the decoder of a softmax over tags.
    """

    starts: nn.Parameter | None
    follows: nn.Parameter | None
    ends: nn.Parameter | None

    def __init__(self, tags: Sequence[str], *, learned: bool = True) -> None:
        super().__init__()
        self.tags = tuple(tags)
        self._index = {tag: index for index, tag in enumerate(self.tags)}
        self._closes = any(tag[0] in "ES" for tag in self.tags)
        count = len(self.tags)
        shapes = {"starts": (count,), "follows": (count, count), "ends": (count,)}
        for (name, shape), legal in zip(shapes.items(), legal_transitions(self.tags), strict=True):
            penalty = torch.zeros(shape).masked_fill(~torch.from_numpy(legal), _ILLEGAL)
            self.register_buffer(f"_illegal_{name}", penalty, persistent=False)
            start = nn.init.uniform_(torch.empty(shape), -0.1, 0.1) if learned else None
            self.register_parameter(name, None if start is None else nn.Parameter(start))

    def log_likelihood(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Log-probability of whole tag sequences.

        *Shape:* ``emissions (B, N, T)``; ``tags (B, N)``, anything where ``mask (B, N)`` is false,
        which is only behind a sentence's words; result ``(B,)``, 0 for a sentence without words.
        """
        with _float32(emissions):
            emissions = emissions.float()
            tags = tags.masked_fill(~mask, 0)
            return self._score(emissions, tags, mask) - self._log_partition(emissions, mask)

    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """The likeliest tag sequence of each sentence (Viterbi 1967); ties go to the first tag.

        *Shape:* ``emissions (B, N, T)``, ``mask (B, N)``; lists as long as the sentences.
        """
        with torch.no_grad(), _float32(emissions):
            return self._viterbi(emissions.float(), mask)

    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Probability of each tag at each word.

        *Shape:* ``emissions (B, N, T)``, ``mask (B, N)``; result ``(B, N, T)``, zeros at padding.
        """
        with _float32(emissions):
            emissions = emissions.float()
            messages = self._messages(emissions, mask)
            total = messages.log_partition[:, None, None]
            found = (messages.forward + messages.backward - total).exp()
            return found.masked_fill(~mask[:, :, None], 0.0)

    def span_probabilities(
        self, emissions: Tensor, mask: Tensor, spans: Sequence[Sequence[tuple[Span, str]]]
    ) -> list[list[float]]:
        """Probability that exactly this span is an entity of this label, for spans of sentences.

        It is the sum over all tag sequences that hold the entity: the forward messages into its
        first word, its own tags, and the backward messages from behind it.

        *Shape:* ``emissions (B, N, T)``, ``mask (B, N)``, ``spans`` B lists.
        """
        with torch.no_grad():
            # In float64, as a probability near 1 is worth only its distance from 1; and on the CPU,
            # as single numbers are read, which a GPU would make wait for each.
            emissions, mask = emissions.cpu().double(), mask.cpu()
            messages = self._messages(emissions, mask)
            lengths = mask.sum(dim=1).tolist()
            follows = self._potential("follows", emissions)
            return [
                [
                    self._span_probability(
                        emissions[row, : int(lengths[row])], follows, messages.of(row), *one
                    )
                    for one in found
                ]
                for row, found in enumerate(spans)
            ]

    def _potential(self, name: str, beside: Tensor) -> Tensor:
        illegal: Tensor = getattr(self, f"_illegal_{name}")
        learned: Tensor | None = getattr(self, name)
        # Decoding looks at single numbers, and does so on the CPU wherever the network is.
        return (illegal if learned is None else learned.float() + illegal).to(beside)

    def _score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        starts, follows, ends = (
            self._potential(name, emissions) for name in ("starts", "follows", "ends")
        )
        own = emissions.gather(2, tags[:, :, None]).squeeze(2)
        steps = follows[tags[:, :-1], tags[:, 1:]]
        inner = (own * mask).sum(dim=1) + (steps * mask[:, 1:]).sum(dim=1)
        last = tags.gather(1, (mask.sum(dim=1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
        edges = starts[tags[:, 0]] + ends[last]
        return torch.where(mask.any(dim=1), inner + edges, torch.zeros_like(inner))

    def _log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        follows = self._potential("follows", emissions)
        state = self._potential("starts", emissions) + emissions[:, 0]
        for position in range(1, emissions.shape[1]):
            reached = torch.logsumexp(state[:, :, None] + follows, dim=1) + emissions[:, position]
            state = torch.where(mask[:, position, None], reached, state)
        total = torch.logsumexp(state + self._potential("ends", emissions), dim=1)
        return torch.where(mask.any(dim=1), total, torch.zeros_like(total))

    def _messages(self, emissions: Tensor, mask: Tensor) -> _Messages:
        follows, ends = self._potential("follows", emissions), self._potential("ends", emissions)
        words = emissions.shape[1]
        forward = [self._potential("starts", emissions) + emissions[:, 0]]
        for position in range(1, words):
            reached = torch.logsumexp(forward[-1][:, :, None] + follows, dim=1)
            forward.append(reached + emissions[:, position])
        backward = [ends.expand_as(emissions[:, 0])]
        for position in range(words - 1, 0, -1):
            ahead = (emissions[:, position] + backward[-1])[:, None, :]
            reached = torch.logsumexp(follows + ahead, dim=2)
            # Where the next word is padding, this one is the sentence's last.
            backward.append(torch.where(mask[:, position, None], reached, ends))
        behind = torch.stack(backward[::-1], dim=1)
        total = torch.logsumexp(forward[0] + behind[:, 0], dim=1)
        return _Messages(torch.stack(forward, dim=1), behind, total)

    def _span_probability(
        self, emissions: Tensor, follows: Tensor, messages: _Messages, span: Span, label: str
    ) -> float:
        names = span_tags(label, span.end - span.start, closes=self._closes)
        own = [self._index[name] for name in names]
        log_sum = messages.forward[span.start, own[0]]
        for offset, (before, after) in enumerate(pairwise(own), start=1):
            log_sum = log_sum + follows[before, after] + emissions[span.start + offset, after]
        if span.end == len(emissions):
            behind = messages.backward[span.end - 1, own[-1]]
        else:
            ahead = follows[own[-1]] + emissions[span.end] + messages.backward[span.end]
            inside = self._index.get(f"I-{label}")
            if not self._closes and inside is not None:
                ahead[inside] = _ILLEGAL
            behind = torch.logsumexp(ahead, dim=0)
        return min(1.0, float((log_sum + behind - messages.log_partition).exp()))

    def _viterbi(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        follows = self._potential("follows", emissions)
        state = self._potential("starts", emissions) + emissions[:, 0]
        back: list[Tensor] = []
        for position in range(1, emissions.shape[1]):
            best, pointers = (state[:, :, None] + follows).max(dim=1)
            inside = mask[:, position, None]
            state = torch.where(inside, best + emissions[:, position], state)
            stay = torch.arange(len(self.tags), device=state.device).expand_as(pointers)
            back.append(torch.where(inside, pointers, stay))
        last = (state + self._potential("ends", emissions)).argmax(dim=1)
        path = [last]
        for pointers in reversed(back):
            path.append(pointers.gather(1, path[-1][:, None]).squeeze(1))
        rows = torch.stack(path[::-1], dim=1).tolist()
        lengths = mask.sum(dim=1).tolist()
        return [row[:length] for row, length in zip(rows, lengths, strict=True)]


def _float32(emissions: Tensor) -> torch.autocast:
    return torch.autocast(emissions.device.type, enabled=False)
