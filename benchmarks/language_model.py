"""What is it worth that the long constant part of a prompt comes first?

Starts vLLM with a tiny model of random weights (or the model given) and asks it for the expressions
of made-up samples, once as riveg does, with the instructions and examples before the sample, and
once with the same words in the other order. Two rounds of each, in turns, no sample asked about
twice. The rates of prefix-cache hits are the server's own, from its ``/metrics``.

    python benchmarks/language_model.py [--posts 100] [--model FOLDER] [--command "vllm serve"]

Without ``--command`` the server is that of ``.venv-llm``, which ``make llm-env`` builds.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from riveg.config.backend import BuildContext
from riveg.images.loader import ImageLoader
from riveg.llm.conversation import Message, Request, Response
from riveg.llm.endpoint import Endpoint, Serve
from riveg.llm.http_chat import HttpChat
from riveg.llm.local_server import Server
from riveg.llm.response_cache import ResponseCache
from riveg.protocols import Mention
from riveg.stages.rewriters.chat import ChatRewriterConfig
from riveg.text.tokenise import join_tokens
from riveg.types import Entity, Sample, Span

ROOT = Path(__file__).resolve().parent.parent
PYTHON = Path(os.environ.get("RIVEG_LLM_PYTHON") or ROOT / ".venv-llm" / "bin" / "python")
ON_CPU = ("--dtype", "float32", "--max-model-len", "8192", "--enforce-eager")
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
ROUNDS = 2
ORDERS = ("constant part first", "constant part last")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one order came to."""

    requests: int
    seconds: float
    hits: float
    tokens: float

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.requests + other.requests,
            self.seconds + other.seconds,
            self.hits + other.hits,
            self.tokens + other.tokens,
        )


def make_sample(number: int) -> Sample:
    """A sample with one name; no two are alike from the first word on."""
    tokens = (f"{number}", "days", "until", "we", "see", f"Nairobi{number}", "again")
    text, offsets = join_tokens(tokens)
    name = Entity("e0", tokens[5], "LOC", Span(5, 6))
    return Sample(str(number), text, tokens, offsets, None, entities=(name,))


def read_anything(response: Response) -> str:
    """Random weights say nothing that could be read."""
    return response.text


def make_questions(chat: HttpChat, numbers: range, order: str) -> list[Request]:
    """The rewriter's own questions, or their words in the other order; answers are cut short."""
    context = BuildContext(ImageLoader([]), chats={"main": chat})
    rewriter = ChatRewriterConfig().build(context)
    samples = [make_sample(number) for number in numbers]
    mentions = [Mention(sample, entity) for sample in samples for entity in sample.entities or ()]
    requests = []
    for prepared in rewriter.prepare(mentions):
        messages = prepared.request.messages
        if order == ORDERS[1]:
            text = "\n\n".join(message.text for message in reversed(messages))
            messages = (Message("user", text),)
        requests.append(
            replace(
                prepared.request,
                messages=messages,
                parse=read_anything,
                schema=None,
                max_tokens=8,
            )
        )
    return requests


def read_counters(url: str) -> tuple[float, float]:
    """Prompt tokens found in the prefix cache so far, and all that were looked up."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url.removesuffix('/v1')}/metrics", timeout=10) as response:
        text = response.read().decode()
    found = {}
    for name in ("hits", "queries"):
        line = re.search(rf"^vllm:prefix_cache_{name}_total\{{.*\}} (\S+)$", text, re.MULTILINE)
        found[name] = float(line[1]) if line else float("nan")
    return found["hits"], found["queries"]


def measure(chat: HttpChat, url: str, requests: Sequence[Request]) -> Measured:
    """Asks all at once."""
    hits, tokens = read_counters(url)
    started = time.perf_counter()
    chat.ask(requests)
    seconds = time.perf_counter() - started
    hits_after, tokens_after = read_counters(url)
    return Measured(len(requests), seconds, hits_after - hits, tokens_after - tokens)


def compare(chat: HttpChat, url: str, samples: int) -> dict[str, Measured]:
    """Both orders, in turns."""
    total = {order: Measured(0, 0.0, 0.0, 0.0) for order in ORDERS}
    start = 0
    for round_number in range(ROUNDS + 1):
        for order in ORDERS:
            size = samples // ROUNDS if round_number else 8
            found = measure(chat, url, make_questions(chat, range(start, start + size), order))
            start += size
            if round_number:  # the first is to warm up
                total[order] += found
    return total


def print_table(found: dict[str, Measured]) -> None:
    """Requests a second and cache hits of both, and their ratio."""
    print(f"{'':<22}{'requests':>9}{'tokens each':>13}{'cache hits':>12}{'requests/s':>12}")
    for order, one in found.items():
        rate = one.requests / one.seconds
        tokens, hits = one.tokens / one.requests, one.hits / one.tokens
        print(f"{order:<22}{one.requests:>9}{tokens:>13.0f}{hits:>12.1%}{rate:>12.1f}")
    first, last = (found[order] for order in ORDERS)
    ratio = (first.requests / first.seconds) / (last.requests / last.seconds)
    print(f"ratio of requests/s: {ratio:.2f}")


def main() -> None:
    """Reads the arguments, starts the server, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=100, help="of each order")
    parser.add_argument("--model", help="hub id or folder; default: a tiny one, made on the spot")
    parser.add_argument("--command", help="the server's launcher, for example: vllm serve")
    parser.add_argument("--arguments", default=shlex.join(ON_CPU), help="more for the launcher")
    wanted = parser.parse_args()
    module = (str(PYTHON), "-m", "vllm.entrypoints.openai.api_server")
    with tempfile.TemporaryDirectory() as folder:
        model = wanted.model or str(Path(folder) / "tiny-random-qwen")
        if wanted.model is None:
            script = ROOT / "tests" / "helpers" / "tiny_language_model.py"
            subprocess.run([PYTHON, script, model], check=True, capture_output=True)
        serve = Serve(
            command=tuple(shlex.split(wanted.command)) if wanted.command else module,
            arguments=tuple(shlex.split(wanted.arguments)),
            environment=ENVIRONMENT,
        )
        endpoint = Endpoint(model=model, serve=serve, re_asks=0)
        with Server(endpoint, say=print) as server, ResponseCache(None) as cache:
            url = server.start()
            chat = HttpChat(
                endpoint,
                cache=cache,
                images=ImageLoader([]),
                urls=lambda: (url,),
                api_key=lambda: server.api_key,
                say=print,
            )
            found = compare(chat, url, wanted.samples)
            chat.close()
        print_table(found)


if __name__ == "__main__":
    main()
