"""The network under training as a language model that a stage asks, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import torch
from torch import nn

from riveg.errors import ImageFault
from riveg.llm.conversation import ChatAnswer, NoAnswer, Request, Response, TokenCount
from riveg.llm.images import ImageEncoder, image_failure
from riveg.llm.json_answers import thoughts_in, whole_characters, without_thoughts
from riveg.llm.reasking import Dialogue
from riveg.training.vlm.inputs import Prompt, VlmInputs


class NetworkChat:
    """Answers greedily, asks nothing again, keeps no answer; :attr:`network` is set before.

    Args:
        model: The model's name.
        inputs: Makes tensors of messages.
        encoder: Makes images as they are sent.
        batch_size: Answers that are generated together.
    """

    def __init__(
        self, model: str, inputs: VlmInputs, encoder: ImageEncoder, *, batch_size: int
    ) -> None:
        self._model = model
        self._inputs = inputs
        self._encoder = encoder
        self._batch_size = batch_size
        self.network: nn.Module | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self._model

    def ask(self, requests: Sequence[Request]) -> Sequence[ChatAnswer | NoAnswer]:
        """Answers in the order of the requests."""
        prompts = [self._prompt(request) for request in requests]
        answers: list[ChatAnswer | NoAnswer | None] = [
            one if isinstance(one, NoAnswer) else None for one in prompts
        ]
        # Prompts of like length together, the longest first: a lack of memory shows at once.
        waiting = [number for number, one in enumerate(prompts) if isinstance(one, Prompt)]
        waiting.sort(key=lambda number: -_length(prompts[number]))
        for start in range(0, len(waiting), self._batch_size):
            numbers = waiting[start : start + self._batch_size]
            texts = self._generated(
                [one for number in numbers if isinstance(one := prompts[number], Prompt)],
                max(requests[number].max_tokens for number in numbers),
            )
            for number, response in zip(numbers, texts, strict=True):
                answers[number] = Dialogue(requests[number], 0, structured=False).take(response)
        return [answer for answer in answers if answer is not None]

    def cached(self, request: Request) -> ChatAnswer | None:  # noqa: ARG002
        """Nothing is kept: the network changes."""
        return None

    def count(self, request: Request) -> TokenCount:
        """Tokens of the request, those of its images among them."""
        found = self._prompt(request)
        return TokenCount(_length(found), exact=isinstance(found, Prompt))

    def _prompt(self, request: Request) -> Prompt | NoAnswer:
        try:
            sent = self._encoder.encode(request.images)
        except (ImageFault, ValueError) as fault:
            return image_failure(fault)
        return self._inputs.prompt(request.messages, [sent[image] for image in request.images])

    def _generated(self, prompts: Sequence[Prompt], most: int) -> Iterator[Response]:
        network: Any = self.network
        assert network is not None
        device = next(network.parameters()).device
        batch = {name: one.to(device) for name, one in self._inputs.batch(prompts).items()}
        # The rest as the model says, which a server goes by, too: a repetition penalty, for one.
        settings = copy(network.get_base_model().generation_config)
        settings.update(
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=most,
            pad_token_id=self._inputs.padding,
        )
        with torch.inference_mode():
            made = network.generate(**batch, generation_config=settings)
        tokenizer, ends = self._inputs.tokenizer, settings.eos_token_id
        ends = {*ends} if isinstance(ends, list) else {ends}
        for row in made[:, batch["input_ids"].shape[1] :].tolist():
            words = whole_characters(tokenizer.decode(row, skip_special_tokens=True))
            yield Response(
                without_thoughts(words),
                "stop" if ends & {*row} else "length",
                thoughts=thoughts_in(words),
            )


def _length(prompt: Prompt | NoAnswer) -> int:
    return len(prompt.tokens) if isinstance(prompt, Prompt) else 0
