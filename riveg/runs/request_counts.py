"""The requests of a stage, counted: how many, how many tokens, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

from riveg.config.system import LLM_FIELD, Step
from riveg.llm.conversation import Chat, PreparedRequest
from riveg.llm.endpoint import Endpoint
from riveg.runs.llm_requests import identity


@dataclass(frozen=True, slots=True)
class StageRequests:
    """The requests of one stage.

    Args:
        stage: The stage.
        llm: The model's name in the system.
        model: Its id.
        requests: All requests; equal ones count once.
        answered: Those whose response is cached.
        to_send: The others.
        prompt_tokens: Tokens of those to be sent; ``None``: not known yet.
        exact: Whether the model's own tokenizer has counted them.
        answer_tokens: Most tokens of their responses; ``None``: not known yet.
        cost: At most, in ``currency``; ``None`` without prices, or if not known yet.
        currency: Of the prices.
        estimated: Whether the stage's input is missing so far: then no request counts as answered.
    """

    stage: str
    llm: str
    model: str
    requests: int
    answered: int
    to_send: int
    prompt_tokens: int | None
    exact: bool
    answer_tokens: int | None
    cost: float | None
    currency: str | None
    estimated: bool = False


class RequestCounter:
    """Counts the requests of one stage, equal ones once.

    Args:
        step: The stage with its backend.
        chat: The model that it asks.
        endpoint: The model's prices.
    """

    def __init__(self, step: Step, chat: Chat, endpoint: Endpoint) -> None:
        self._step = step
        self._chat = chat
        self._endpoint = endpoint
        self._counted: set[object] = set()
        self._answered = 0
        self._prompt_tokens = 0
        self._answer_tokens = 0
        self._exact = True

    def add(self, prepared: PreparedRequest, *, is_made: bool) -> None:
        """Counts a request that a run would send.

        Args:
            prepared: The request.
            is_made: Whether the records that it is for are made already.
        """
        request = prepared.request
        if self._is_new(identity(request)):
            if is_made or self._chat.cached(request) is not None:
                self._answered += 1
            else:
                self._add_tokens(prepared)

    def add_alike(self, prepared: PreparedRequest) -> None:
        """Counts a request that is only like the one that a run would send."""
        if self._is_new(prepared.subject):
            self._add_tokens(prepared)

    def _is_new(self, key: object) -> bool:
        is_new = key not in self._counted
        self._counted.add(key)
        return is_new

    def _add_tokens(self, prepared: PreparedRequest) -> None:
        count = self._chat.count(prepared.request)
        self._prompt_tokens += count.tokens
        self._exact = self._exact and count.exact
        self._answer_tokens += prepared.request.max_tokens

    def total(self, *, times: float = 1.0, estimated: bool = False) -> StageRequests:
        """Everything counted so far, multiplied by ``times``."""
        prompt, answer = round(self._prompt_tokens * times), round(self._answer_tokens * times)
        prices = self._endpoint.prices
        return StageRequests(
            stage=self._step.stage.name,
            llm=getattr(self._step.config, LLM_FIELD),
            model=self._chat.model,
            requests=round(len(self._counted) * times),
            answered=self._answered,
            to_send=round((len(self._counted) - self._answered) * times),
            prompt_tokens=prompt,
            exact=self._exact and not estimated,
            answer_tokens=answer,
            cost=None if prices is None else prices.cost(prompt, answer),
            currency=None if prices is None else prices.currency,
            estimated=estimated,
        )

    def unknown(self, requests: int) -> StageRequests:
        """So many requests of which nothing else is known."""
        stage, llm = self._step.stage.name, getattr(self._step.config, LLM_FIELD)
        return StageRequests(
            stage,
            llm,
            self._chat.model,
            requests=requests,
            answered=0,
            to_send=requests,
            prompt_tokens=None,
            exact=False,
            answer_tokens=None,
            cost=None,
            currency=None,
            estimated=True,
        )
