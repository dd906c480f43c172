import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.factories import NoImages
from helpers.fault_server import Running, fault_server, free_port
from helpers.places import TESTS
from pydantic import ValidationError

from riveg.errors import ImageFault, ServerGone, UserError
from riveg.llm.conversation import AttachedImage, ChatAnswer, Message, NoAnswer, Request, Response
from riveg.llm.endpoint import Endpoint
from riveg.llm.http_chat import HttpChat
from riveg.llm.json_answers import parse_json
from riveg.llm.response_cache import ResponseCache
from riveg.types import ImageRef

pytestmark = [pytest.mark.server, pytest.mark.slow]

KEY = "sk-a-very-secret-key-93711"
SCHEMA = {
    "type": "object",
    "properties": {"e0": {"type": "string", "maxLength": 40}},
    "required": ["e0"],
    "additionalProperties": False,
}
SYSTEM = Message("system", "You say what is to be seen.")


def parse_e0(response: Response) -> str:
    return str(parse_json(response, SCHEMA)["e0"])


def make_request(key: str, fault: str | None = None, **fields: Any) -> Request:
    directive = f" fault={fault}" if fault else ""
    text = f"key={key}{directive} answer={json.dumps({'e0': f'the answer to {key}'})}"
    fields = {"schema": SCHEMA, "max_tokens": 64, **fields}
    return Request(
        (SYSTEM, Message("user", text)),
        lambda response: parse_json(response, SCHEMA)["e0"],
        **fields,
    )


def endpoint(*urls: str, **fields: Any) -> Endpoint:
    return Endpoint(model="m", base_urls=urls, **{"timeout_s": 20, **fields})


Opener = Callable[..., HttpChat]


@pytest.fixture
def said() -> list[str]:
    """What the chats of :func:`open_chat` tell the user while they go on."""
    return []


@pytest.fixture
def open_chat(tmp_path: Path, said: list[str]) -> Iterator[Opener]:
    """Makes chats on one cache, and closes them."""
    cache = ResponseCache(tmp_path / "answers.sqlite")
    chats = []

    def opened(*urls: str, images: Any = None, **fields: Any) -> HttpChat:
        chat = HttpChat(
            endpoint(*urls, **fields),
            cache=cache,
            images=images or NoImages(),
            urls=lambda: urls,
            api_key=lambda: KEY,
            say=said.append,
            pause_s=0.05,
        )
        chats.append(chat)
        return chat

    yield opened
    for chat in chats:
        chat.close()
    cache.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with fault_server(tmp_path / "counts", "--key", KEY) as running:
        yield running


MENDED = {
    # fault: requests that the server counts, how the answer came about
    "429": (2, "schema"),
    "408": (2, "schema"),
    "409": (2, "schema"),
    "425": (2, "schema"),
    "500": (2, "schema"),
    "500*3": (4, "schema"),
    "503": (2, "schema"),
    "html": (2, "schema"),
    "cut": (2, "schema"),
    "dropped": (2, "schema"),
    "half-body": (2, "schema"),
    "no-choices": (2, "schema"),
    "not-text": (2, "schema"),
    "error-200": (2, "schema"),
    "abort": (2, "schema"),
    "half-json": (2, "re-asked"),
    "half-json*2": (3, "re-asked"),
    "wrong-json": (2, "re-asked"),
    "array": (2, "re-asked"),
    "empty": (2, "re-asked"),
    "null": (2, "re-asked"),
    "endless-blanks": (2, "re-asked"),
    "cut-short": (2, "re-asked"),
    "endless-thoughts": (2, "re-asked"),
    "other-entity": (2, "re-asked"),
    "thoughts": (1, "schema"),
    "thoughts-apart": (1, "schema"),
    "blanks-after": (1, "schema"),
    "odd-finish": (1, "schema"),
    "fenced": (1, "lenient"),
    "prose": (1, "lenient"),
    "comma": (1, "repaired"),
    "brace": (1, "repaired"),
    "gzip": (1, "schema"),
    "deflate": (1, "schema"),
    "numbers": (1, "schema"),
    "odd-charset": (1, "schema"),
    "other-charset": (1, "schema"),
    "odd-charset-503": (2, "schema"),
    "br": (2, "schema"),
    "no-gzip": (2, "schema"),
    "large": (2, "schema"),
    "large-503": (2, "schema"),
    "trailing": (2, "schema"),
    "bomb": (2, "schema"),
    "bomb-503": (2, "schema"),
}
HOPELESS = {
    # fault: requests until it is given up, why
    "500*99": (4, "no-answer"),
    "cut*99": (4, "no-answer"),
    "half-json*99": (3, "unparsable-answer"),
    "other-entity*99": (3, "unparsable-answer"),
    "endless-blanks*99": (2, "truncated-answer"),
    "filtered*99": (1, "no-answer"),
    "400*99": (1, "no-answer"),
    "deep-400*99": (1, "no-answer"),
    "deeper-400*99": (1, "no-answer"),
    "large*99": (4, "no-answer"),
}


@pytest.mark.parametrize("fault", [*MENDED, "429-date"])
def test_a_fault_that_passes_costs_a_request_and_no_answer(
    fault: str, server: Running, open_chat: Opener
) -> None:
    chat = open_chat(server.url)
    requests, path = MENDED.get(fault, (2, "schema"))
    (answer,) = chat.ask([make_request("q", fault)])
    assert isinstance(answer, ChatAnswer)
    assert (answer.value, answer.path, answer.requests) == ("the answer to q", path, requests)
    assert server.counts() == {"q": requests}
    again = chat.cached(make_request("q", fault))
    assert again is not None
    assert (again.value, again.response, again.path) == (answer.value, answer.response, answer.path)
    assert (again.cached, again.requests) == (True, 0)


@pytest.mark.parametrize("fault", HOPELESS)
def test_a_fault_that_stays_is_said_and_not_kept(
    fault: str, server: Running, open_chat: Opener
) -> None:
    chat = open_chat(server.url, tries=4)
    requests, kind = HOPELESS[fault]
    (good,) = chat.ask([make_request("good")])
    (bad,) = chat.ask([make_request("q", fault)])
    assert isinstance(good, ChatAnswer)
    assert isinstance(bad, NoAnswer)
    assert bad.kind == kind
    assert server.counts()["q"] == requests
    assert chat.cached(make_request("q", fault)) is None


def scripted(number: int) -> str | None:
    """A third of the requests meet a fault; every twelfth of those one that stays."""
    if number % 3:
        return None
    which = number // 3
    faults = list(HOPELESS) if which % 12 == 11 else [*MENDED, "429-date", "slow"]
    return faults[(which // 12 if which % 12 == 11 else which) % len(faults)]


def test_two_thousand_requests_with_a_third_of_them_faulty(
    server: Running, open_chat: Opener
) -> None:
    chat = open_chat(server.url, tries=4, timeout_s=8, concurrency=48)
    faults = {f"q{number}": scripted(number) for number in range(2000)}
    asked = [make_request(key, fault) for key, fault in faults.items()]
    started = time.monotonic()
    outcomes = chat.ask(asked)
    assert time.monotonic() - started < 120

    counts = server.counts()
    assert set(counts) == set(faults), "none is lost, none is made up"
    expected = {
        **{fault: requests for fault, (requests, _) in (MENDED | HOPELESS).items()},
        **{"429-date": 2, "slow": 2},
    }
    for (key, fault), outcome in zip(faults.items(), outcomes, strict=True):
        assert counts[key] == (expected[fault] if fault else 1), (key, fault)
        if fault in HOPELESS:
            assert isinstance(outcome, NoAnswer), (key, fault)
            assert outcome.kind == HOPELESS[fault][1], (key, fault)
        else:
            assert isinstance(outcome, ChatAnswer), (key, fault, outcome)
            assert outcome.value == f"the answer to {key}"
            assert outcome.requests == counts[key], (key, fault)

    answered = [one for one, outcome in zip(asked, outcomes, strict=True) if is_reply(outcome)]
    again = chat.ask(answered)
    assert all(isinstance(one, ChatAnswer) and one.cached for one in again)
    assert server.counts() == counts, "asked once more, nobody is asked"


def is_reply(outcome: ChatAnswer | NoAnswer) -> bool:
    return isinstance(outcome, ChatAnswer)


def test_a_server_that_dies_stops_the_run_and_nothing_answered_is_asked_again(
    tmp_path: Path, open_chat: Opener
) -> None:
    asked = [make_request(f"q{number}") for number in range(200)]
    port, counts_file = free_port(), tmp_path / "counts"
    with fault_server(counts_file, "--die-after", "90", port=port) as server:
        chat = open_chat(server.url, concurrency=8, tries=3)
        with pytest.raises(ServerGone, match=r"127\.0\.0\.1:\d+/v1 .*same command again"):
            chat.ask(asked)
    before = server.counts()
    kept = [one for one in asked if chat.cached(one)]
    assert 50 < len(kept) < 90
    with fault_server(counts_file, port=port) as server:
        outcomes = chat.ask(asked)
    assert all(map(is_reply, outcomes))
    assert sum(one.cached for one in outcomes if isinstance(one, ChatAnswer)) == len(kept)
    after = server.counts()
    for one in kept:
        key = one.messages[1].text.split()[0].removeprefix("key=")
        assert after[key] == before[key] == 1
    # Beside them, only what was in flight when the server died was sent twice.
    assert after.total() - 200 <= 8


def test_a_server_that_fails_at_everything_is_gone(server: Running, open_chat: Opener) -> None:
    chat = open_chat(server.url, tries=2)
    with pytest.raises(ServerGone, match=r"16 questions in a row.*something broke"):
        chat.ask([make_request(f"q{number}", "500*99") for number in range(40)])


def test_a_dead_server_is_passed_over_and_the_load_is_shared(
    tmp_path: Path, open_chat: Opener, said: list[str]
) -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    with (
        fault_server(tmp_path / "a", "--delay-s", "0.01") as first,
        fault_server(tmp_path / "b", "--delay-s", "0.01") as second,
    ):
        chat = open_chat(dead, first.url, second.url, concurrency=8)
        outcomes = chat.ask([make_request(f"q{number}") for number in range(80)])
    assert all(map(is_reply, outcomes))
    shares = first.counts().total(), second.counts().total()
    assert sum(shares) == 80
    assert min(shares) > 20
    (line,) = said
    assert dead in line
    assert "the other servers of m do its work" in line


@pytest.mark.parametrize("fault", ["500", "half-body", "429-day"])
def test_a_question_that_one_server_fails_at_is_asked_of_another(
    fault: str, tmp_path: Path, open_chat: Opener, said: list[str]
) -> None:
    with (
        fault_server(tmp_path / "a", "--always", fault) as broken,
        fault_server(tmp_path / "b", "--delay-s", "0.05") as works,
    ):
        chat = open_chat(broken.url, works.url, tries=2, concurrency=8)
        outcomes = chat.ask([make_request(f"q{number}") for number in range(40)])
    assert all(map(is_reply, outcomes))
    assert works.counts().total() == 40
    (line,) = said
    assert broken.url in line
    assert "the other servers of m do its work" in line


def test_the_same_request_is_asked_once_also_across_threads(
    server: Running, open_chat: Opener
) -> None:
    chat = open_chat(server.url)
    outcomes: list[ChatAnswer | NoAnswer] = []
    same = make_request("q", "delayed")
    threads = [
        threading.Thread(target=lambda: outcomes.extend(chat.ask([same] * 5))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.value for one in outcomes if isinstance(one, ChatAnswer)} == {"the answer to q"}
    assert len(outcomes) == 20
    assert sum(one.requests for one in outcomes if isinstance(one, ChatAnswer)) == 1
    assert server.counts() == {"q": 1}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("404*9", r"answers 404.*is 'm' the name that it knows the model by"),
        ("302*9", "redirects are not followed"),
        ("quota*9", "insufficient_quota.*nothing left"),
    ],
)
def test_a_setting_that_is_wrong_stops_at_once(
    fault: str, message: str, server: Running, open_chat: Opener
) -> None:
    with pytest.raises(UserError, match=message):
        open_chat(server.url).ask([make_request("q", fault), make_request("r")])


def test_a_server_that_wants_to_be_left_alone_is(server: Running, open_chat: Opener) -> None:
    with pytest.raises(ServerGone, match="left alone for 86400 s"):
        open_chat(server.url).ask([make_request("q", "429-day")])


def test_a_proxy_has_no_part_in_the_loopback(
    server: Running, open_chat: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert is_reply(open_chat(server.url).ask([make_request("q")])[0])


def test_a_wrong_key_is_said_without_the_key(
    tmp_path: Path, open_chat: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with fault_server(tmp_path / "counts", "--key", "another") as server:
        chat = open_chat(server.url)
        with pytest.raises(UserError, match=r"answers 401.*\[key\].*api_key_variable") as caught:
            chat.ask([make_request("q")])
    assert caught.value.__cause__ is None
    assert KEY not in str(caught.value) + caplog.text + repr(chat)


def test_the_key_is_in_no_file_message_or_log(
    server: Running, open_chat: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    chat = open_chat(server.url, tries=2)
    outcomes = chat.ask([make_request("q"), make_request("r", "500*9"), make_request("s", "cut*9")])
    chat.close()
    assert KEY not in repr(outcomes) + caplog.text
    for path in tmp_path.rglob("*"):
        assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("form", ["<the key>", "<the key escaped>"])
def test_a_response_that_quotes_the_key_is_kept_without_it(
    form: str, server: Running, open_chat: Opener, tmp_path: Path
) -> None:
    text = f'key=q answer={{"e0": "a sign: {form}!"}}'
    request = Request((Message("user", text),), parse_e0, schema=SCHEMA)
    answer = open_chat(server.url).ask([request])[0]
    assert isinstance(answer, ChatAnswer)
    assert answer.value == "a sign: [key]!"
    for path in tmp_path.rglob("*"):
        assert not holds_key(path.read_bytes()), path


def holds_key(content: bytes) -> bool:
    """Whether the key is there, also as JSON that holds JSON would write it."""
    text = content.decode("utf-8", "replace")
    return any(re.search(rf"\\*{one}", text) for one in (KEY, "u0073", KEY[-12:]))


@pytest.mark.parametrize("fault", ["bomb", "bomb-503", "large"])
def test_a_body_without_end_takes_little_memory(
    fault: str, server: Running, open_chat: Opener
) -> None:
    chat = open_chat(server.url, tries=1)
    chat.ask([make_request("warm")])
    tracemalloc.start()
    try:
        outcome = chat.ask([make_request("q", f"{fault}*9")])[0]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, NoAnswer)
    assert "sends a body of more than 4 MiB" in outcome.message
    assert most < 32_000_000


def test_a_response_that_goes_on_beyond_its_most_tokens_is_cut(
    server: Running, open_chat: Opener
) -> None:
    text = "key=q answer=" + "word " * 2_000
    request = Request((Message("user", text),), lambda response: response.text, max_tokens=4)
    outcome = open_chat(server.url, re_asks=0).ask([request])[0]
    assert isinstance(outcome, NoAnswer)
    assert outcome.kind == "truncated-answer"


@pytest.mark.parametrize(
    "refused",
    [["chat_template_kwargs"], ["response_format", "seed"], ["logprobs", "top_logprobs"]],
    ids=",".join,
)
def test_fields_that_a_server_does_not_know_are_left_out(
    refused: list[str], tmp_path: Path, open_chat: Opener
) -> None:
    with fault_server(tmp_path / "counts", "--refuse", *refused) as server:
        chat = open_chat(server.url)
        first, second = (
            *chat.ask([make_request("q", first_tokens=5)]),
            *chat.ask([make_request("r", first_tokens=5)]),
        )
    assert isinstance(first, ChatAnswer)
    assert isinstance(second, ChatAnswer)
    assert chat.left_out == {*refused}
    assert (first.requests, second.requests) == (2, 1)
    assert first.path == ("plain" if "response_format" in refused else "schema")


def test_words_of_a_sample_in_a_refusal_change_nothing_for_others(
    server: Running, open_chat: Opener
) -> None:
    chat = open_chat(server.url)
    good = chat.ask([make_request("q")])
    bad = chat.ask([make_request("seed-temperature", "400*99")])
    assert is_reply(good[0])
    assert not is_reply(bad[0])
    assert chat.left_out == frozenset()


def test_a_request_holds_what_it_should(server: Running, open_chat: Opener) -> None:
    from riveg.llm.request import request_body

    asked = make_request("q", first_tokens=20)
    body = request_body(endpoint(server.url), asked, asked.messages, {})
    assert body["response_format"]["json_schema"]["strict"] is True
    assert (body["logprobs"], body["top_logprobs"], body["max_tokens"]) == (True, 20, 64)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert not {"guided_json", "guided_choice", "structured_outputs"} & body.keys()


class OneImage:
    """Any path is the same red image, but for one."""

    def load(self, image: ImageRef) -> Any:
        if image.path == "gone.jpg":
            raise ImageFault("missing-image", "gone.jpg: no such file")
        return np.full((40, 60, 3), (200, 0, 0), np.uint8)

    def probe(self, image: ImageRef) -> ImageRef:
        self.load(image)
        return ImageRef(image.path, 60, 40)

    def stamp(self, image: ImageRef) -> str:
        return "1"


def test_an_image_that_cannot_be_used_spoils_its_own_request_only(
    server: Running, open_chat: Opener
) -> None:
    chat = open_chat(server.url, images=OneImage())

    def about(path: str) -> Request:
        text = f"key={path} answer=" + json.dumps({"e0": "red"})
        return Request(
            (Message("user", text, (AttachedImage(ImageRef(path)),)),),
            parse_e0,
            SCHEMA,
        )

    good, bad = chat.ask([about("there.jpg"), about("gone.jpg")])
    assert isinstance(good, ChatAnswer)
    assert isinstance(bad, NoAnswer)
    assert (good.value, bad.kind) == ("red", "missing-image")
    assert chat.count(about("there.jpg")).tokens > chat.count(make_request("q")).tokens // 4
    assert chat.cached(about("gone.jpg")) is None


def test_nothing_is_connected_to_before_something_is_asked(tmp_path: Path) -> None:
    def never(*_: object) -> Any:
        raise AssertionError("asked for")

    with ResponseCache(None) as cache:
        chat = HttpChat(
            endpoint("http://127.0.0.1:1/v1"),
            cache=cache,
            images=NoImages(),
            urls=never,
            api_key=never,
            say=never,
        )
        assert chat.ask([]) == []
        assert chat.cached(make_request("q")) is None
        assert chat.count(make_request("q")).tokens > 10
        chat.close()


def test_a_pace_is_kept(server: Running, open_chat: Opener) -> None:
    chat = open_chat(server.url, requests_per_minute=600)
    started = time.monotonic()
    assert all(map(is_reply, chat.ask([make_request(f"q{number}") for number in range(8)])))
    assert time.monotonic() - started >= 0.7


ASK = """
import sys
sys.path[:0] = {path!r}
from test_http_chat import *

chat = HttpChat(endpoint({url!r}, concurrency=4), cache=ResponseCache(Path({cache!r})),
    images=NoImages(), urls=lambda: ({url!r},), api_key=lambda: KEY, say=print)
print("asking", flush=True)
outcomes = chat.ask([make_request(f"q{{number}}", {fault!r}) for number in range({count})])
print(sum(map(is_reply, outcomes)), flush=True)
chat.close()
"""


def start_asking(
    server: Running, cache: Path, count: int, fault: str | None = None
) -> subprocess.Popen[str]:
    script = ASK.format(
        path=[str(TESTS), str(TESTS / "llm")],
        url=server.url,
        cache=str(cache),
        count=count,
        fault=fault,
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_two_processes_share_one_file_of_answers(server: Running, tmp_path: Path) -> None:
    cache = tmp_path / "shared.sqlite"
    with start_asking(server, cache, 200) as one, start_asking(server, cache, 200) as two:
        outputs = [process.communicate(timeout=60) for process in (one, two)]
    assert [out.split()[-1] for out, _ in outputs] == ["200", "200"], outputs
    counts = server.counts()
    assert len(counts) == 200
    assert max(counts.values()) <= 2
    with start_asking(server, cache, 200) as third:
        assert third.communicate(timeout=60)[0].split()[-1] == "200"
    assert server.counts() == counts


@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_ends_soon_and_what_was_answered_stays(
    signal_sent: signal.Signals, server: Running, tmp_path: Path
) -> None:
    cache = tmp_path / "shared.sqlite"
    with start_asking(server, cache, 400, "delayed") as process:
        while server.counts().total() < 40:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal_sent)
        sent = time.monotonic()
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - sent < 3
    assert process.returncode
    assert signal_sent == signal.SIGKILL or "KeyboardInterrupt" in errors
    before = server.counts()
    with ResponseCache(cache) as answers:
        chat = HttpChat(
            endpoint(server.url, concurrency=64),
            cache=answers,
            images=NoImages(),
            urls=lambda: (server.url,),
            api_key=lambda: KEY,
            say=print,
        )
        outcomes = chat.ask([make_request(f"q{number}", "delayed") for number in range(400)])
        chat.close()
    kept = sum(one.cached for one in outcomes if isinstance(one, ChatAnswer))
    assert kept >= 30
    assert server.counts().total() == before.total() + 400 - kept


def test_a_url_that_is_none_is_said() -> None:
    with pytest.raises(ValidationError, match="expected http://host:port/v1"):
        endpoint("file:///etc/passwd")


def to_complete(key: str) -> Request:
    text = f"Question: what is key={key} answer=a red coat"
    return Request((Message("completion", text),), lambda response: response.text, stop=("\n",))


@pytest.mark.parametrize("refused", [(), ("--refuse", "stop", "seed")], ids=["taken", "refused"])
def test_a_text_is_completed_to_its_lines_end(
    tmp_path: Path, open_chat: Opener, refused: tuple[str, ...]
) -> None:
    with fault_server(tmp_path / "counts", *refused) as server:
        chat = open_chat(server.url)
        answers = chat.ask([to_complete("q1"), to_complete("q2"), to_complete("q1")])
        assert [getattr(one, "value", one) for one in answers] == ["a red coat"] * 3
        assert chat.cached(to_complete("q1"))
