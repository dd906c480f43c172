"""``engine: vllm-offline``: vLLM called directly, for batch jobs without a server.

The same conversations, schemas, answers file and re-asks as over HTTP; an answer that one engine
has put on file is not asked of the other.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from riveg.errors import ImageFault, MissingExtra, RivegError
from riveg.llm import guard
from riveg.llm.answer_store import AnswerStore, StoredAnswer
from riveg.llm.conversation import NoReply, Question, RawAnswer, Reply, TokenCount, Unparsable
from riveg.llm.endpoint import Endpoint
from riveg.llm.images import EncodedImages, ImageEncoder
from riveg.llm.json_answers import spoken_token, whole_characters, without_thoughts
from riveg.llm.reasking import Interview
from riveg.llm.request import chat_messages, question_key
from riveg.llm.token_counts import TokenCounter
from riveg.protocols import ImageSource

_BATCH = 512
"""Conversations given to vLLM at once; the answers are on file after each batch."""

_QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    # Its own choice is stdout, which is for riveg's results.
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
}
"""Read by vLLM when it is imported; a variable that the user has set stays as it is."""


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer with what the engine counted."""

    raw: RawAnswer
    prompt_tokens: int
    answer_tokens: int
    latency_s: float


class OfflineChat:
    """A model in this process (vLLM keeps a process of its own behind it); loaded when first asked.

    Args:
        endpoint: With ``engine: vllm-offline``; its ``options`` are more arguments of ``vllm.LLM``.
        store: Where answers are kept.
        images: Where images of the questions come from.
    """

    def __init__(self, endpoint: Endpoint, *, store: AnswerStore, images: ImageSource) -> None:
        self._endpoint = endpoint
        self._store = store
        self._images = ImageEncoder(images, endpoint.picture_side)
        self._tokens = TokenCounter(endpoint, self._images)
        self._lock = threading.Lock()
        self._engine: Any = None
        self._watch: EngineWatch | None = None

    @property
    def model(self) -> str:
        """The model's id."""
        return self._endpoint.model

    def ask(self, questions: Sequence[Question]) -> Sequence[Reply | NoReply]:
        """Answers in the questions' order; the same question twice is asked once.

        Raises:
            MissingExtra: If vLLM is not there.
            RivegError: If it cannot load the model, or fails as a whole.
        """
        with self._lock:
            answers: dict[int, Reply | NoReply] = {}
            twins: dict[int, str] = {}
            open_questions: dict[str, _Open] = {}
            for position, question in enumerate(questions):
                found = self._on_file_or_open(question)
                if not isinstance(found, _Open):
                    answers[position] = found
                elif found.key in open_questions:
                    twins[position] = found.key
                else:
                    open_questions[found.key] = replace(found, position=position)
            waiting = list(open_questions.values())
            for start in range(0, len(waiting), _BATCH):
                answers.update(self._interviewed(waiting[start : start + _BATCH]))
            for position, key in twins.items():
                first = answers[open_questions[key].position]
                answers[position] = self._as_twin(questions[position], first)
        return [answers[position] for position in range(len(questions))]

    def stored(self, question: Question) -> Reply | None:
        """The answer on file, if there is one that can still be read; asks nobody."""
        found = self._on_file_or_open(question)
        return found if isinstance(found, Reply) else None

    def count(self, question: Question) -> TokenCount:
        """Tokens of the question, by the model's own tokenizer where it is at hand."""
        return self._tokens.count(question)

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

    def _on_file_or_open(self, question: Question) -> Reply | NoReply | _Open:
        try:
            images = self._images.encode(
                tuple(image for message in question.messages for image in message.images)
            )
        except ImageFault as fault:
            return NoReply(fault.kind, str(fault))
        except ValueError as fault:
            return NoReply("bad-picture", str(fault))
        key = question_key(self._endpoint, question, images)
        answer = self._store.get(key)
        reply = None if answer is None else _read(question, answer)
        return reply or _Open(
            key,
            question,
            images,
            Interview(question, self._endpoint.re_asks, structured=self._endpoint.structured),
        )

    def _as_twin(self, question: Question, first: Reply | NoReply) -> Reply | NoReply:
        if isinstance(first, NoReply):
            return first
        found = self._on_file_or_open(question)
        return replace(first, asked=0) if isinstance(found, _Open) else found

    def _interviewed(self, waiting: Sequence[_Open]) -> Iterator[tuple[int, Reply | NoReply]]:
        """Asks until each has its answer or is given up, all that are open at once."""
        while waiting:
            still = []
            for one, said in zip(waiting, self._say(waiting), strict=True):
                result = said if isinstance(said, NoReply) else one.interview.take(said.raw)
                if result is None:
                    still.append(one)
                elif isinstance(result, Reply) and isinstance(said, _Said):
                    yield one.position, self._keep(one.key, result, said)
                else:
                    yield one.position, result
            waiting = still

    def _keep(self, key: str, reply: Reply, said: _Said) -> Reply:
        reply = replace(
            reply,
            prompt_tokens=said.prompt_tokens,
            answer_tokens=said.answer_tokens,
            latency_s=round(said.latency_s, 4),
        )
        self._store.put(key, StoredAnswer.of(reply, self.model))
        return reply

    def _say(self, asked: Sequence[_Open]) -> Sequence[_Said | NoReply]:
        if self._engine is None:
            self._engine, self._watch = _load(self._endpoint)
        started = time.monotonic()
        try:
            outputs = self._engine.chat(
                [chat_messages(one.interview.messages, one.images) for one in asked],
                [self._sampling(one.question) for one in asked],
                use_tqdm=False,
                chat_template_kwargs=None
                if self._endpoint.thinking
                else {"enable_thinking": False},
            )
        except Exception as error:
            if not _is_refusal(error):
                raise RivegError(f"vllm-offline: {self.model}: {_line(error)}") from error
            # One conversation, too long for example, spoils the batch: then each alone.
            if len(asked) > 1:
                return [said for one in asked for said in self._say([one])]
            return [NoReply("no-answer", f"vllm refused the question: {_line(error)}")]
        seconds = time.monotonic() - started
        return [
            _said(output, one.question.first_tokens, seconds)
            for one, output in zip(asked, outputs, strict=True)
        ]

    def _sampling(self, question: Question) -> Any:
        """What a server would use: the model's own defaults, then the endpoint's settings."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        own = self._engine.model_config.get_diff_sampling_param()
        settings: dict[str, Any] = {
            **own,
            "temperature": self._endpoint.temperature,
            "top_p": self._endpoint.top_p,
            "seed": self._endpoint.seed,
            "max_tokens": question.max_tokens,
        }
        if question.schema is not None and self._endpoint.structured:
            settings["structured_outputs"] = StructuredOutputsParams(json=dict(question.schema))
        if question.first_tokens:
            settings["logprobs"] = question.first_tokens
        return SamplingParams(**settings)


class EngineWatch:
    """Ends the processes that start in its ``with`` block, if this process is killed later.

    vLLM's engine is a process that waits for its owner for ever.
    """

    def __init__(self) -> None:
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, "5", "--watch"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._before = _children()
        self._named: set[int] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._name_children, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def dismiss(self) -> None:
        """Nothing is left to be ended."""
        self._write("done")
        self._guard.communicate()

    def _name_children(self) -> None:
        # Loading takes minutes, in which this process may be killed too.
        while not self._done.wait(0.1):
            self._name()
        self._name()

    def _name(self) -> None:
        for number in _children() - self._before - self._named:
            self._named.add(number)
            self._write(str(number))

    def _write(self, word: str) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):  # a guard that somebody has killed
            self._guard.stdin.write(f"{word}\n".encode())
            self._guard.stdin.flush()


def _children() -> set[int]:
    return {child.pid for child in multiprocessing.active_children() if child.pid is not None}


@dataclass(frozen=True, slots=True)
class _Open:
    """A question that is not on file."""

    key: str
    question: Question
    images: EncodedImages
    interview: Interview
    position: int = 0


def _load(endpoint: Endpoint) -> tuple[Any, EngineWatch]:
    """The engine with the model's weights, and what ends it if this process is killed.

    Raises:
        MissingExtra: If vLLM is not there.
        RivegError: If it cannot load the model here.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import LLM
    except ImportError as error:
        raise MissingExtra(f"the model {endpoint.model}", "vllm", "vllm") from error
    watch = EngineWatch()
    try:
        with watch:
            engine = LLM(model=endpoint.model, revision=endpoint.revision, **endpoint.options)
    except BaseException as error:
        watch.dismiss()
        if not isinstance(error, Exception):
            raise
        raise RivegError(
            f"vllm-offline: {endpoint.model} cannot be loaded: {_line(error)}; what vllm printed "
            "before says more"
        ) from error
    return engine, watch


def _said(output: Any, first_tokens: int, seconds: float) -> _Said:
    spoken = output.outputs[0]
    raw = RawAnswer(
        without_thoughts(whole_characters(spoken.text)),
        str(spoken.finish_reason),
        _first_token(spoken.token_ids, spoken.logprobs or (), first_tokens),
    )
    return _Said(raw, len(output.prompt_token_ids or ()), len(spoken.token_ids), seconds)


def _first_token(
    chosen: Sequence[int], places: Sequence[Mapping[int, Any]], wanted: int
) -> tuple[tuple[str, float], ...]:
    """Alternatives for the first token of the answer itself, likeliest first."""
    spelt = (str(place[token].decoded_token) for token, place in zip(chosen, places, strict=False))
    at = spoken_token(spelt)
    if at is None:
        return ()
    found = ((str(one.decoded_token), float(one.logprob)) for one in places[at].values())
    # The chosen token comes on top of those wanted.
    return tuple(sorted(found, key=lambda option: (-option[1], option[0]))[:wanted])


def _is_refusal(error: Exception) -> bool:
    """Whether it is about the question: vLLM's own class for that, once a ``ValueError``."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, ValueError) or "VLLMClientError" in names


def _read(question: Question, answer: StoredAnswer) -> Reply | None:
    """The reply of an answer on file; ``None`` where the question's parser refuses it."""
    try:
        value = question.parse(answer.raw)
    except Unparsable:
        return None
    return Reply(
        value,
        answer.raw,
        answer.path,
        stored=True,
        asked=0,
        prompt_tokens=answer.prompt_tokens,
        answer_tokens=answer.answer_tokens,
        latency_s=answer.latency_s,
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
