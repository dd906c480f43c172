"""A server, in a process of its own, that speaks the chat/completions protocol and fails on demand.

The first user message of a request says what happens to it: ``key=q7 fault=500*2 answer=...``
fails twice and is then answered. A request that says nothing gets the smallest answer that its JSON
schema allows. Every request is counted in a file, so that counts outlive the process.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gzip
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

DIRECTIVE = re.compile(r"key=(\S+)(?: fault=([\w-]+)(?:\*(\d+))?)?(?: answer=(.*))?")


def completion(text: str | None, finish: str = "stop", **fields: Any) -> bytes:
    message = {"role": "assistant", "content": text, **fields}
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps({**body, "choices": [choice], "usage": usage}).encode()


def continuation(text: str, stop: list[str]) -> bytes:
    """What a text is completed with; without a stop it goes on, as a model would."""
    ended = bool(stop)
    words = f" {text}" if ended else f" {text}\nQuestion: and what else?\nAnswer: a"
    choice = {"index": 0, "text": words, "finish_reason": "stop" if ended else "length"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return json.dumps({"object": "text_completion", "choices": [choice], "usage": usage}).encode()


def smallest(schema: dict[str, Any]) -> Any:
    """The smallest value that a schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return smallest(schema["anyOf"][0])
    kind = schema.get("type", "string")
    kind = kind if isinstance(kind, str) else kind[0]
    if kind == "object":
        rules = schema.get("properties", {})
        return {key: smallest(rules[key]) for key in schema.get("required", rules)}
    if kind == "array":
        return [smallest(schema["items"]) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return "a person in a red coat"[: schema.get("maxLength", 99)]
    return {"boolean": True, "null": None}.get(kind, schema.get("minimum", 0))


@dataclass(frozen=True)
class Sent:
    """An HTTP response; ``cut``: so many bytes of it are sent, then the connection is dropped."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    cut: int | None = None
    after_s: float = 0.0
    charset: str = "utf-8"
    reason: str = "Status"


def error(status: int, message: str, *headers: tuple[str, str]) -> Sent:
    return Sent(json.dumps({"error": {"message": message}}).encode(), status, headers)


def compressed(body: bytes, encoding: str = "gzip", status: int = 200) -> Sent:
    content = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    return Sent(content, status, (("Content-Encoding", encoding),))


@cache
def bomb(status: int) -> Sent:
    """300 MB that are 300 KB until they are expanded."""
    start, block, end, times = b'{"choices": [], "more": "', b"0" * 1_000_000, b'"}', 300
    checksum = zlib.crc32(start)
    for _ in range(times):
        checksum = zlib.crc32(block, checksum)
    checksum = zlib.crc32(end, checksum)
    size = len(start) + times * len(block) + len(end)
    # What follows a full flush looks back at nothing: packed once, a block can stand many times.
    opening = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    middle, ending = (zlib.compressobj(wbits=-zlib.MAX_WBITS) for _ in range(2))
    packed = middle.compress(block) + middle.flush(zlib.Z_FULL_FLUSH)
    body = [opening.compress(start), opening.flush(zlib.Z_FULL_FLUSH), packed * times]
    body += [ending.compress(end), ending.flush(), struct.pack("<II", checksum, size)]
    return Sent(b"".join(body), status, (("Content-Encoding", "gzip"),))


def trailing(content: bytes) -> Sent:
    """A compressed body with much behind its end."""
    sent = compressed(content)
    return replace(sent, body=sent.body + bytes(9_000_000))


def with_numbers(answer: str) -> bytes:
    """A completion whose numbers no 64 bits can hold."""
    logprobs = '{"content": [{"token": "{", "logprob": %s, "top_logprobs": []}]}' % ("9" * 5_000)
    body = completion(answer).decode().replace('"logprobs": null', f'"logprobs": {logprobs}')
    return body.replace('"prompt_tokens": 10', f'"prompt_tokens": {10**400}').encode()


FAULTS: dict[str, Callable[[str], Sent]] = {
    "429": lambda answer: error(429, "slow down", ("Retry-After", "1")),
    "429-date": lambda answer: error(
        429, "slow down", ("Retry-After", formatdate(time.time() + 1.5, usegmt=True))
    ),
    "429-day": lambda answer: error(429, "come back tomorrow", ("Retry-After", "86400")),
    "quota": lambda answer: error(429, "insufficient_quota: see your plan"),
    "408": lambda answer: error(408, "too slow"),
    "409": lambda answer: error(409, "busy"),
    "425": lambda answer: error(425, "too early"),
    "500": lambda answer: error(500, "something broke"),
    "503": lambda answer: error(503, "loading"),
    "html": lambda answer: Sent(b"<html>" + b"bad gateway " * 500 + b"</html>", 502),
    "slow": lambda answer: Sent(completion(answer), after_s=12.0),
    "delayed": lambda answer: Sent(completion(answer), after_s=0.2),
    "cut": lambda answer: Sent(completion(answer), cut=120),
    "dropped": lambda answer: Sent(b"", cut=0),
    "half-body": lambda answer: Sent(completion(answer)[:60]),
    "no-choices": lambda answer: Sent(b'{"choices": []}'),
    "not-text": lambda answer: Sent(b'{"choices": [{"message": {"content": 7}}]}'),
    "error-200": lambda answer: Sent(b'{"error": {"message": "upstream died"}}'),
    "abort": lambda answer: Sent(completion(answer[:5], "abort")),
    "half-json": lambda answer: Sent(completion(answer[: len(answer) // 2])),
    "wrong-json": lambda answer: Sent(completion('{"unasked": 1}')),
    "array": lambda answer: Sent(completion("[1, 2]")),
    "empty": lambda answer: Sent(completion("")),
    "null": lambda answer: Sent(completion(None)),
    "endless-blanks": lambda answer: Sent(completion(answer[:3] + " \n" * 2000, "length")),
    "cut-short": lambda answer: Sent(completion(answer[:-4], "length")),
    "endless-thoughts": lambda answer: Sent(completion("<think>hm, " * 50, "length")),
    "other-entity": lambda answer: Sent(completion(answer.replace('"e', '"x', 1))),
    "filtered": lambda answer: Sent(completion("", "content_filter")),
    "thoughts": lambda answer: Sent(completion(f'<think>{{"e0": 1}}?</think>\n\n{answer}')),
    "thoughts-apart": lambda answer: Sent(completion(answer, reasoning_content="{hm}")),
    "blanks-after": lambda answer: Sent(completion(answer + " " * 999, "length")),
    "odd-finish": lambda answer: Sent(completion(answer, "banana")),
    "fenced": lambda answer: Sent(completion(f"```json\n{answer}\n```")),
    "prose": lambda answer: Sent(completion(f"Sure, here it is: {answer} Anything else?")),
    "comma": lambda answer: Sent(completion(answer[:-1] + ",}")),
    "brace": lambda answer: Sent(completion(answer[:-1])),
    "gzip": lambda answer: compressed(completion(answer)),
    "deflate": lambda answer: compressed(completion(answer), "deflate"),
    "br": lambda answer: Sent(b"\x0b\x02\x80", headers=(("Content-Encoding", "br"),)),
    "no-gzip": lambda answer: Sent(completion(answer), headers=(("Content-Encoding", "gzip"),)),
    "bomb": lambda answer: bomb(200),
    "bomb-503": lambda answer: bomb(503),
    "trailing": lambda answer: trailing(completion(answer)),
    "large": lambda answer: Sent(completion(answer + " " * 9_000_000)),
    "large-503": lambda answer: Sent(b"x" * 9_000_000, 503),
    "numbers": lambda answer: Sent(with_numbers(answer)),
    "odd-charset": lambda answer: Sent(completion(answer), charset="zlib_codec"),
    "other-charset": lambda answer: Sent(completion(answer), charset="utf-16"),
    "odd-charset-503": lambda answer: Sent(b"\xff\xfe", 503, charset="hex"),
    "deep-400": lambda answer: Sent(b"[" * 990 + b"]" * 990, 400),
    "deeper-400": lambda answer: Sent(b"[" * 99_000 + b"]" * 99_000, 400),
    "400": lambda answer: error(400, "this model's context length is 12 tokens"),
    "404": lambda answer: error(404, "the model `m` does not exist"),
    "302": lambda answer: Sent(b"", 302, (("Location", "http://127.0.0.1:9/v1"),)),
}


class Counts:
    """Requests by key, in a file that only grows."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("ab", buffering=0)
        self._counts = Counter(path.read_text().split())

    def add(self, key: str) -> tuple[int, int]:
        """Counts a request; returns how many the key had before, and how many there are in all."""
        with self._lock:
            before = self._counts[key]
            self._counts[key] += 1
            self._file.write(f"{key}\n".encode())
            return before, self._counts.total()

    def as_json(self) -> bytes:
        with self._lock:
            return json.dumps(self._counts).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    counts: Counts
    options: argparse.Namespace

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._send(Sent(self.counts.as_json() if self.path == "/counts" else b"{}"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        authorization = self.headers.get("Authorization", "")
        if self.options.key and authorization != f"Bearer {self.options.key}":
            return self._send(error(401, f"no such key: {authorization}"))
        unknown = sorted(set(self.options.refuse) & body.keys())
        if unknown:
            return self._send(error(422, f"{'No. ' * 99}Unexpected fields: {unknown}"))
        return self._send(self._answer(body))

    def _answer(self, body: dict[str, Any]) -> Sent:
        asked = body.get("messages", body.get("prompt"))
        texts = [body["prompt"]] if "prompt" in body else user_texts(body)
        directive = DIRECTIVE.search(texts[0])
        if directive is None:
            whole = json.dumps(asked, sort_keys=True).encode()
            key, fault, times, answer = hashlib.sha256(whole).hexdigest()[:16], None, None, None
        else:
            key, fault, times, answer = directive.groups()
        before, total = self.counts.add(key)
        if self.options.die_after and total >= self.options.die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = answer or default_answer(body)
        answer = with_key(answer, self.headers.get("Authorization", "").partition(" ")[2])
        if fault and before < int(times or 1):
            return FAULTS[fault](answer)
        if self.options.always:
            return FAULTS[self.options.always](answer)
        if self.options.leaks:
            return self._leak(total)
        if "prompt" in body:
            return Sent(continuation(answer, body.get("stop", [])))
        return Sent(completion(answer), after_s=self.options.delay_s)

    def _leak(self, total: int) -> Sent:
        """The request's headers in several forms: as an answer, and as the words of an error."""
        authorization = self.headers.get("Authorization", "")
        key = authorization.partition(" ")[2]
        user = base64.b64encode(f"me:{key}".encode()).decode()
        said = f"{authorization} {authorization.encode()!r} {user} {urllib.parse.quote(key)}"
        spelt = "\u200b".join(key)
        if total % 2:
            return replace(error(400, f"{said} {spelt}"), reason=authorization)
        return Sent(completion(said if total % 4 else spelt))

    def _send(self, sent: Sent) -> None:
        time.sleep(sent.after_s)
        head = [
            f"HTTP/1.1 {sent.status} {sent.reason}",
            f"Content-Type: application/json; charset={sent.charset}",
        ]
        head += [f"{name}: {value}" for name, value in sent.headers]
        head += [f"Content-Length: {len(sent.body)}", "", ""]
        whole = "\r\n".join(head).encode() + sent.body
        with contextlib.suppress(OSError):  # the client may be gone
            self.wfile.write(whole[: sent.cut])
        if sent.cut is not None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)


def with_key(answer: str, key: str) -> str:
    """The answer with the key of the request, where it asks for it, as it is or escaped."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in key)
    return answer.replace("<the key>", key).replace("<the key escaped>", escaped)


def user_texts(body: dict[str, Any]) -> list[str]:
    return [text_of(one) for one in body["messages"] if one["role"] == "user"]


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def default_answer(body: dict[str, Any]) -> str:
    form = body.get("response_format")
    asked = text_of(body["messages"][0] if "messages" in body else {"content": ""})
    if "<answer>" in asked:
        word = user_texts(body)[0].partition("Text: ")[2].split()[0]
        if "box2d" in asked:
            found = [{"entity": word, "type": "MISC", "box2d": [0, 0, 50, 60]}]
            return f"<reason>I see {word}.</reason><answer>{json.dumps(found)}</answer>"
        return f"<think>I see {word}.</think><answer>{word}|PER|[0,0,50,60]</answer>"
    return json.dumps(smallest(form["json_schema"]["schema"])) if form else "a red coat"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that is gone is no fault


def serve() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--delay-s", type=float, default=0.0)
    parser.add_argument("--key")
    parser.add_argument("--leaks", action="store_true")
    parser.add_argument("--always", choices=FAULTS)
    parser.add_argument("--refuse", nargs="*", default=[])
    Handler.options = parser.parse_args()
    Handler.counts = Counts(Handler.options.counts)
    Server(("127.0.0.1", Handler.options.port), Handler).serve_forever()


@dataclass(frozen=True)
class Running:
    """A server process, for a test."""

    url: str
    process: subprocess.Popen[bytes]
    counts_file: Path

    def counts(self) -> Counter[str]:
        """Requests by key, whether or not the server still runs."""
        return Counter(self.counts_file.read_text().split())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def fault_server(counts: Path, *options: str, port: int | None = None) -> Iterator[Running]:
    """A running server; ``options`` are those of this file's command line."""
    port = port or free_port()
    command = [sys.executable, __file__, "--port", str(port), "--counts", str(counts), *options]
    with subprocess.Popen(command) as process:
        try:
            wait_until_up(f"http://127.0.0.1:{port}/health", process)
            yield Running(f"http://127.0.0.1:{port}/v1", process, counts)
        finally:
            process.kill()


def wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        assert process.poll() is None, "the server has ended"
        time.sleep(0.05)
    raise AssertionError("the server does not come up")


if __name__ == "__main__":
    serve()
