"""``engine: vllm-offline``: vLLM called directly, for batch jobs without a server.

The same messages, schemas, cache and re-asks as over HTTP: a request that one engine has
answered is not sent to the other.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from riveg.errors import ImageFault, RivegError
from riveg.llm.accounting import Accountant, Book, no_book
from riveg.llm.cached_response import CachedResponse
from riveg.llm.conversation import (
    ChatAnswer,
    NoAnswer,
    Request,
    Response,
    TokenCount,
    text_to_complete,
)
from riveg.llm.endpoint import Endpoint
from riveg.llm.images import ImageEncoder, SentImages, by_image, image_failure
from riveg.llm.json_answers import (
    first_spoken_token,
    thoughts_in,
    whole_characters,
    without_thoughts,
)
from riveg.llm.reasking import Dialogue
from riveg.llm.request import chat_messages, request_key
from riveg.llm.response import Completion
from riveg.llm.response_cache import ResponseCache
from riveg.llm.token_counts import TokenCounter
from riveg.llm.vllm_engine import EngineWatch, adapter_request, first_line, load_engine
from riveg.protocols import ImageSource

_BATCH = 512
"""Requests given to vLLM at once; their responses are cached after each batch."""


class OfflineChat:
    """A model in this process (its engine is a process of its own); loaded when first asked.

    Args:
        endpoint: With ``engine: vllm-offline``; its ``options`` are more arguments of ``vllm.LLM``.
        cache: Where responses are looked up and kept.
        images: Where the images of requests come from.
        book: Takes the account of every request.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        cache: ResponseCache,
        images: ImageSource,
        book: Book = no_book,
    ) -> None:
        self._endpoint = endpoint
        self._cache = cache
        self._accountant = Accountant(endpoint, book)
        self._images = ImageEncoder(images, endpoint.picture_side)
        self._tokens = TokenCounter(endpoint, self._images)
        self._lock = threading.Lock()
        self._engine: Any = None
        self._watch: EngineWatch | None = None

    @property
    def model(self) -> str:
        """The model's id, with its adapter's."""
        return self._endpoint.shown

    def ask(self, requests: Sequence[Request]) -> Sequence[ChatAnswer | NoAnswer]:
        """Answers in order; equal requests are sent once, those about one image together.

        Raises:
            MissingExtra: If vLLM is not installed.
            RivegError: If vLLM cannot load the model, or fails as a whole.
        """
        return by_image(requests, self._ask)

    def _ask(self, requests: Sequence[Request]) -> list[ChatAnswer | NoAnswer]:
        with self._lock:
            outcomes = [self._look_up(request) for request in requests]
            pending: dict[str, _Pending] = {}
            for one in outcomes:
                if isinstance(one, _Pending):
                    pending.setdefault(one.key, one)
            waiting = list(pending.values())
            answers: dict[str, ChatAnswer | NoAnswer] = {}
            for start in range(0, len(waiting), _BATCH):
                answers.update(self._converse(waiting[start : start + _BATCH]))
            return [
                self._settled(one, answers, is_first=pending[one.key] is one)
                if isinstance(one, _Pending)
                else one
                for one in outcomes
            ]

    def cached(self, request: Request) -> ChatAnswer | None:
        """The answer from the cache, if it is there and the request's parser can read it."""
        found = self._look_up(request)
        return found if isinstance(found, ChatAnswer) else None

    def count(self, request: Request) -> TokenCount:
        """Tokens of the request; images are estimated from their sent size."""
        return self._tokens.count(request)

    def close(self) -> None:
        """Frees the model's memory; asked again, it is loaded again."""
        with self._lock:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.llm_engine.engine_core.shutdown()
                del engine
                gc.collect()
            if self._watch is not None:
                self._watch.dismiss()
                self._watch = None

    def _look_up(self, request: Request) -> ChatAnswer | NoAnswer | _Pending:
        try:
            images = self._images.encode(request.images)
        except (ImageFault, ValueError) as fault:
            return image_failure(fault)
        key = request_key(self._endpoint, request, images)
        return self._cache.recall(key, request) or _Pending(
            key,
            request,
            images,
            Dialogue(request, self._endpoint.re_asks, structured=self._endpoint.structured),
        )

    def _settled(
        self,
        pending: _Pending,
        answers: Mapping[str, ChatAnswer | NoAnswer],
        *,
        is_first: bool,
    ) -> ChatAnswer | NoAnswer:
        """The answer to the first of equal requests; the others read it with their own parsers."""
        answer = answers[pending.key]
        if is_first or isinstance(answer, NoAnswer):
            return answer
        return self._cache.recall(pending.key, pending.request) or replace(answer, requests=0)

    def _converse(self, waiting: Sequence[_Pending]) -> Iterator[tuple[str, ChatAnswer | NoAnswer]]:
        """Sends all requests at once, and re-asks until each is answered or given up."""
        while waiting:
            unfinished = []
            for one, (completion, seconds) in zip(waiting, self._complete(waiting), strict=True):
                if isinstance(completion, NoAnswer):
                    yield one.key, completion
                    continue
                answer = one.dialogue.take(completion.response)
                if answer is None:
                    unfinished.append(one)
                elif isinstance(answer, ChatAnswer):
                    yield one.key, self._keep(one.key, answer, completion, seconds)
                else:
                    yield one.key, answer
            waiting = unfinished

    def _keep(
        self, key: str, answer: ChatAnswer, completion: Completion, seconds: float
    ) -> ChatAnswer:
        answer = replace(
            answer,
            prompt_tokens=completion.prompt_tokens,
            answer_tokens=completion.answer_tokens,
            latency_s=round(seconds, 4),
        )
        self._cache.put(key, CachedResponse.of(answer, self.model))
        return answer

    def _complete(
        self, waiting: Sequence[_Pending]
    ) -> Sequence[tuple[Completion | NoAnswer, float]]:
        """What comes back for each request, and after how many seconds."""
        if self._engine is None:
            self._engine, self._watch = load_engine(self._endpoint)
        started = time.monotonic()
        try:
            outputs = self._outputs(waiting)
        except Exception as error:
            if not _is_refusal(error):
                raise RivegError(f"vllm-offline: {self.model}: {first_line(error)}") from error
            # One request that is too long, for example, spoils the batch: each is sent alone.
            if len(waiting) > 1:
                return [outcome for one in waiting for outcome in self._complete([one])]
            refusal = NoAnswer("no-answer", f"vllm refused the question: {first_line(error)}")
            self._accountant.failed()
            return [(refusal, 0.0)]
        seconds = time.monotonic() - started
        completions = [
            _completion(output, one.request.first_tokens)
            for one, output in zip(waiting, outputs, strict=True)
        ]
        for completion in completions:
            self._accountant.answered(completion)
        return [(completion, seconds) for completion in completions]

    def _outputs(self, waiting: Sequence[_Pending]) -> list[Any]:
        """A ``vllm.RequestOutput`` for each: turns and texts to complete are different calls."""
        texts = [text_to_complete(one.dialogue.messages) for one in waiting]
        turns = [one for one, text in zip(waiting, texts, strict=True) if text is None]
        thinking = None if self._endpoint.thinking else {"enable_thinking": False}
        adapter = adapter_request(self._endpoint)
        said = iter(
            self._engine.chat(
                [
                    chat_messages(
                        one.dialogue.messages,
                        one.images,
                        with_ids=self._endpoint.sends_picture_ids,
                    )
                    for one in turns
                ],
                [self._sampling(one.request) for one in turns],
                use_tqdm=False,
                lora_request=adapter,
                chat_template_kwargs=thinking,
            )
            if turns
            else ()
        )
        others = [one for one, text in zip(waiting, texts, strict=True) if text is not None]
        completed = iter(
            self._engine.generate(
                [whole_characters(text) for text in texts if text is not None],
                [self._sampling(one.request) for one in others],
                use_tqdm=False,
                lora_request=adapter,
            )
            if others
            else ()
        )
        return [next(said if text is None else completed) for text in texts]

    def _sampling(self, request: Request) -> Any:
        """As a server's: the model's own defaults, then the endpoint's settings."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        own = self._engine.model_config.get_diff_sampling_param()
        settings: dict[str, Any] = {
            **own,
            "temperature": self._endpoint.temperature,
            "top_p": self._endpoint.top_p,
            "seed": self._endpoint.seed,
            "max_tokens": request.max_tokens,
        }
        if request.schema is not None and self._endpoint.structured:
            settings["structured_outputs"] = StructuredOutputsParams(json=dict(request.schema))
        if request.first_tokens or request.in_full:
            settings["logprobs"] = request.first_tokens
        if request.stop:
            settings["stop"] = list(request.stop)
        return SamplingParams(**settings)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A request that is not cached."""

    key: str
    request: Request
    images: SentImages
    dialogue: Dialogue


def _completion(output: Any, first_tokens: int) -> Completion:
    """The first sequence of a ``vllm.RequestOutput``."""
    sequence = output.outputs[0]
    words, places = whole_characters(sequence.text), sequence.logprobs or ()
    response = Response(
        without_thoughts(words),
        str(sequence.finish_reason),
        _first_token(sequence.token_ids, places, first_tokens),
        thoughts=thoughts_in(words),
        tokens=tuple(
            (str(place[token].decoded_token), float(place[token].logprob))
            for token, place in zip(sequence.token_ids, places, strict=False)
        ),
    )
    return Completion(response, len(output.prompt_token_ids or ()), len(sequence.token_ids))


def _first_token(
    chosen: Sequence[int], places: Sequence[Mapping[int, Any]], most: int
) -> tuple[tuple[str, float], ...]:
    """Alternatives for the first token after the thoughts, likeliest first."""
    texts = (str(place[token].decoded_token) for token, place in zip(chosen, places, strict=False))
    at = first_spoken_token(texts)
    if at is None:
        return ()
    found = ((str(one.decoded_token), float(one.logprob)) for one in places[at].values())
    # vLLM gives the chosen token on top of those that were asked for.
    return tuple(sorted(found, key=lambda option: (-option[1], option[0]))[:most])


def _is_refusal(error: Exception) -> bool:
    """Whether vLLM refuses one request: by a class of its own, once by ``ValueError``."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, ValueError) or "VLLMClientError" in names
