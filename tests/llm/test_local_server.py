import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.marked_processes import command_of, end_marked, gone_within, marked_processes
from helpers.places import ROOT
from helpers.tiny_adapter import make_tiny_adapter
from pydantic import ValidationError

from riveg.errors import MissingModel, RivegError, UserError
from riveg.llm import guard
from riveg.llm.endpoint import Endpoint, Serve, ServeEngine
from riveg.llm.local_server import Server
from riveg.llm.server_command import arguments_of, environment_of, launcher
from riveg.llm.server_log import readable, reasons

LITTLE = """
import http.server, os, subprocess, sys, time
words = sys.argv[1:]
port = int(words[words.index("--port") + 1])
print("arguments", words, flush=True)
print("key", os.environ["VLLM_API_KEY"], flush=True)
if "child" in words:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
if "taken" in words and not os.path.exists(os.environ["MARK"]):
    open(os.environ["MARK"], "w").close()
    sys.exit("OSError: [Errno 98] Address already in use")
if "broken" in words:
    print("ValueError: the model has no head", flush=True)
    for number in range(40):
        print("INFO 11-20 22:35:22 [core.py:7] closing", number, flush=True)
    sys.exit(3)
if "slow" in words:
    print("loading shards", flush=True)
    time.sleep(600)
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""
"""Plays a model server: listens, has children, fails on demand."""


class Little:
    """Makes servers of the little kind whose processes carry a marker."""

    def __init__(self, folder: Path) -> None:
        self.marker = f"riveg-test-{uuid.uuid4().hex}"
        self.script = folder / "little.py"
        self.script.write_text(LITTLE)
        self.folder = folder
        self.lines: list[str] = []

    def endpoint(self, *words: str, **serve: Any) -> Endpoint:
        return Endpoint(
            model="org/tiny",
            serve=Serve(
                command=(sys.executable, str(self.script)),
                arguments=words,
                environment={"MARKER": self.marker, "MARK": str(self.folder / "mark")},
                **serve,
            ),
        )

    def server(self, *words: str, logs: Path | None = None, **serve: Any) -> Server:
        return Server(self.endpoint(*words, **serve), say=self.lines.append, logs=logs)


@pytest.fixture
def little(tmp_path: Path) -> Iterator[Little]:
    made = Little(tmp_path)
    yield made
    end_marked(made.marker)


def endpoint(command: Sequence[str], *words: str, revision: str | None = None) -> Endpoint:
    serve = Serve(command=tuple(command), arguments=words)
    return Endpoint(model="org/model", revision=revision, serve=serve)


@pytest.mark.parametrize(
    ("command", "revision", "expected"),
    [
        (("vllm", "serve"), None, ["org/model"]),
        (("transformers", "serve"), None, ["org/model"]),
        (("python", "-m", "vllm.entrypoints.openai.api_server"), None, ["--model", "org/model"]),
        (("vllm", "serve"), "abc", ["org/model", "--revision", "abc"]),
    ],
    ids=["positional", "any-serve", "module", "pinned"],
)
def test_the_model_is_named_as_the_command_wants(
    command: tuple[str, ...], revision: str | None, expected: list[str]
) -> None:
    made = arguments_of(endpoint(command, "--dtype", "float32", revision=revision), 4321)
    address = ["--host", "127.0.0.1", "--port", "4321"]
    assert made == [*expected, *address, "--dtype", "float32"]


def test_an_adapter_is_a_model_of_the_server_with_its_own_name(tmp_path: Path) -> None:
    sizes = {"hidden_size": 8, "num_attention_heads": 1, "head_dim": 8, "num_hidden_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    folder = make_tiny_adapter(tmp_path / "one, two", tmp_path, rank=9)
    serve = Serve(arguments=("--max-loras", "1"))
    made = arguments_of(Endpoint(model=str(tmp_path), adapter=str(folder), serve=serve), 4321)
    module = json.dumps({"name": "adapter", "path": str(folder)})
    assert made == [
        *(str(tmp_path), "--host", "127.0.0.1", "--port", "4321", "--enable-lora"),
        *("--lora-modules", module, "--max-lora-rank", "16", "--max-loras", "1"),
    ]


@pytest.mark.parametrize("word", ["--host", "--port=80", "--api-key", "--uds"])
def test_where_it_listens_is_not_the_users_to_say(word: str) -> None:
    with pytest.raises(UserError, match=r"serve.arguments: --\S+ is riveg's to choose"):
        arguments_of(endpoint(("vllm", "serve"), word), 1)


def test_a_program_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError) as caught:
        launcher(Serve(command=("no-such-launcher", "serve")))
    message = str(caught.value)
    assert "no program 'no-such-launcher'" in message
    assert 'pip install "riveg[vllm]"' in message
    assert "serve.command" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("engine", "command", "extra"),
    [("vllm", ("vllm", "serve"), "vllm"), ("transformers", ("transformers", "serve"), "laptop")],
)
def test_each_engine_has_its_command_and_extra(
    engine: ServeEngine, command: tuple[str, ...], extra: str
) -> None:
    assert Serve(engine=engine).command == command
    assert Serve(engine=engine, command=("mine",)).command == ("mine",)
    with pytest.raises(UserError, match=rf'pip install "riveg\[{extra}\]"'):
        launcher(Serve(engine=engine, command=("no-such-launcher", "serve")))


def test_variables_of_an_engine_are_the_users_to_change() -> None:
    serve = Serve(engine="transformers", environment={"A": "1"})
    usual = environment_of(serve, "key", {"B": "2"})
    assert usual["OMP_WAIT_POLICY"] == "PASSIVE"
    assert (usual["A"], usual["B"]) == ("1", "2")
    assert (
        environment_of(serve, "key", {"OMP_WAIT_POLICY": "ACTIVE"})["OMP_WAIT_POLICY"] == "ACTIVE"
    )
    assert "OMP_WAIT_POLICY" not in environment_of(Serve(), "key", {})


def test_a_pinned_model_is_not_for_transformers() -> None:
    with pytest.raises(ValidationError, match="takes no revision"):
        Endpoint(model="a/b", revision="abc", serve=Serve(engine="transformers"))


def test_a_model_that_was_not_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = Endpoint(model="models/smollm2", serve=Serve(engine="transformers"))
    with pytest.raises(MissingModel, match="riveg fetch smollm2 makes it"):
        Server(missing, say=print).start()


def test_a_program_beside_the_running_python_is_found() -> None:
    program = Path(sys.executable).name
    assert launcher(Serve(command=(program, "serve")))[1:] == ("serve",)


def test_a_log_reads_well() -> None:
    log = (
        "\x1b[1;36m(EngineCore pid=77)\x1b[0;0m INFO 11-20 22:35:28 [core.py:133] Loading\n"
        "(APIServer pid=7) \n"
        "Shards:  0%\rShards: 100%\n"
        " ▄▄ ▄█ █\n"
        "Traceback (most recent call last):\n"
    )
    assert readable(log) == ["Loading", "Shards: 100%", "Traceback (most recent call last):"]


def test_the_first_line_that_names_an_error_is_shown_before_the_last_ones() -> None:
    lines = ["hello", "ValueError: too long", *(f"line {number}" for number in range(30))]
    assert reasons(lines)[:3] == ["ValueError: too long", "...", "line 18"]
    assert reasons(lines[1:5]) == lines[1:5]


@pytest.mark.slow
@pytest.mark.server
def test_it_starts_once_with_a_key_that_no_argument_shows(little: Little, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with little.server("child", logs=logs) as server:
        url = server.start()
        assert server.start() == url
        (log,) = logs.iterdir()
        assert log.stat().st_mode & 0o777 == 0o600
        arguments, key = re.search(r"arguments (.*)\nkey (\S+)", log.read_text()).groups()  # type: ignore[union-attr]
        assert key == server.api_key
        assert key not in arguments
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", url)
        assert server.last_words() is None
        assert len(marked_processes(little.marker)) == 3  # guard, server, child
    assert marked_processes(little.marker) == []
    assert [path.name for path in logs.iterdir()] == [log.name]
    assert "key [key]\n" in log.read_text()
    assert server.api_key not in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert little.lines[0].endswith("org/tiny: waiting for it, 0 s")
    assert little.lines[-1].endswith("s")
    assert "ready in" in little.lines[-1]


@pytest.mark.slow
@pytest.mark.server
def test_one_that_ends_says_why_without_its_key(little: Little) -> None:
    server = little.server("broken")
    with pytest.raises(RivegError) as caught:
        server.start()
    message = str(caught.value)
    assert "org/tiny: ended with exit code 3 before it was ready; its last lines:" in message
    assert "\n  ValueError: the model has no head\n  ...\n" in message
    assert message.endswith("\n  closing 39")
    assert server.api_key not in message
    assert marked_processes(little.marker) == []


@pytest.mark.slow
@pytest.mark.server
def test_one_that_is_late_is_stopped(little: Little, tmp_path: Path) -> None:
    server = little.server("slow", "child", logs=tmp_path, ready_timeout_s=4)
    with pytest.raises(RivegError) as caught:
        server.start()
    message = str(caught.value)
    assert "not ready within 4 s (serve.ready_timeout_s)" in message
    assert "\n  key [key]\n  loading shards" in message
    assert str(tmp_path) in message
    assert marked_processes(little.marker) == []


@pytest.mark.slow
@pytest.mark.server
def test_a_port_that_was_taken_meanwhile_is_tried_no_more(little: Little) -> None:
    with little.server("taken") as server:
        assert server.start()


@pytest.mark.slow
@pytest.mark.server
def test_one_that_dies_later_is_started_anew(little: Little) -> None:
    with little.server() as server:
        server.start()
        for number in marked_processes(little.marker):
            if b"guard.py" not in command_of(number):
                os.kill(number, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while server.last_words() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "ended with exit code 137 (killed: out of memory?)" in (server.last_words() or "")
        assert server.start()


OWNER = """
import json, sys, time
from riveg.llm.local_server import Server
from riveg.llm.endpoint import Endpoint
server = Server(Endpoint.model_validate_json(sys.argv[1]), say=lambda line: None)
print(server.start(), flush=True)
{then}
"""

FORKS = "import os\nos.fork() or (time.sleep(7), os._exit(0))\ntime.sleep(600)"


def owner(little: Little, then: str, *words: str) -> subprocess.Popen[str]:
    """A process that has started a server."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(then=then), little.endpoint(*words).model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    return process


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize(
    ("then", "number"),
    [
        ("time.sleep(600)", signal.SIGKILL),  # no chance to clean up
        ("time.sleep(600)", signal.SIGTERM),  # nobody catches it here
        ("time.sleep(600)", signal.SIGINT),  # a KeyboardInterrupt that nobody catches
        (
            "import os\nos.fork() or (time.sleep(7), os._exit(0))\ntime.sleep(600)",
            signal.SIGKILL,
        ),  # pipe held
        ("raise SystemExit(0)", None),  # the interpreter's end
    ],
    ids=["killed", "terminated", "interrupted", "killed-with-a-fork", "ended"],
)
def test_nothing_outlives_its_owner(
    little: Little, then: str, number: signal.Signals | None
) -> None:
    with owner(little, then, "child") as process:
        started = marked_processes(little.marker)
        if number is not None:
            assert len(started) == 3
            process.send_signal(number)
        process.wait(10)
        assert gone_within(started, 5)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="parent-death signal of Linux")
def test_a_server_does_not_outlive_its_guard(little: Little) -> None:
    with little.server() as server:
        server.start()
        started = marked_processes(little.marker)
        (guard,) = [number for number in started if b"guard.py" in command_of(number)]
        os.kill(guard, signal.SIGKILL)
        assert gone_within(started, 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "ended"), [("", True), ("done\n", False)], ids=["owner-gone", "dismissed"]
)
def test_a_watched_process_ends_with_its_owner_unless_that_says_otherwise(
    word: str, ended: bool
) -> None:
    watched = [sys.executable, "-c", "import time; time.sleep(600)"]
    watch = [sys.executable, "-I", "-S", guard.__file__, "0.3", "--watch"]
    with (
        subprocess.Popen(watched) as process,
        subprocess.Popen(watch, stdin=subprocess.PIPE, text=True) as watching,
    ):
        watching.communicate(f"{process.pid}\n{word}")
        assert (process.poll() is not None or gone_within([process.pid], 2 * ended)) == ended
        process.kill()
