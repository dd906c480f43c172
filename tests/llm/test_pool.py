"""Models by name, with a little server of the protocol that riveg starts and stops itself."""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.factories import NoImages
from helpers.fault_server import fault_server
from helpers.marked_processes import command_of, end_marked, marked_processes

from riveg.errors import ServerGone, UserError
from riveg.llm.conversation import ChatAnswer, Message, Request
from riveg.llm.endpoint import Endpoint, Serve
from riveg.llm.pool import Models
from riveg.llm.response_cache import ResponseCache

ECHO = """
import http.server, json, os, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer " + os.environ["VLLM_API_KEY"]:
            return self.answer(401, {})
        text = asked["messages"][-1]["content"]
        if text == "die":
            print("RuntimeError: out of luck", flush=True)
            os._exit(9)
        message = {"role": "assistant", "content": "said " + text}
        self.answer(200, {"choices": [{"message": message, "finish_reason": "stop"}]})
    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Echo).serve_forever()
"""


def test_a_key_that_is_not_set_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent: a server would only say that it does not know who asks."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    away = Endpoint(model="m", base_urls=("http://127.0.0.1:9/v1",), api_key_variable="NO_SUCH_KEY")
    models = Models(
        {"main": away}, cache=ResponseCache(None), images=NoImages(), say=lambda text: None
    )
    with models, pytest.raises(UserError, match="NO_SUCH_KEY is not set"):
        models["main"].ask([make_request("q")])


AWAY = Endpoint(model="m", base_urls=("http://127.0.0.1:9/v1",), api_key_variable="A_KEY", tries=1)


@pytest.mark.parametrize("ending", ["\n", "\r\n", " \t\n\n"])
def test_a_key_with_a_line_break_at_its_end_is_one(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets that are mounted as files end so, and no header may hold a line break."""
    monkeypatch.setenv("A_KEY", f"hush-hush-93711{ending}")
    with fault_server(tmp_path / "counts", "--key", "hush-hush-93711") as server:
        away = AWAY.model_copy(update={"base_urls": (server.url,)})
        models = Models(
            {"main": away}, cache=ResponseCache(None), images=NoImages(), say=lambda text: None
        )
        with models:
            (answer,) = models["main"].ask([make_request("q")])
    assert isinstance(answer, ChatAnswer)


@pytest.mark.parametrize("key", ["hush\nhush", "hush hush", "hush\x1bhush", "húshhush"])
def test_a_key_that_no_header_can_hold_is_said_without_it(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", key)
    models = Models(
        {"main": AWAY}, cache=ResponseCache(None), images=NoImages(), say=lambda text: None
    )
    with models, pytest.raises(UserError, match="A_KEY holds no key") as caught:
        models["main"].ask([make_request("q")])
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def make_request(text: str) -> Request:
    return Request((Message("user", text),), lambda response: response.text)


class Served:
    """Endpoints whose server is the little one, and who is alive of it."""

    def __init__(self, folder: Path) -> None:
        self.marker = f"riveg-test-{uuid.uuid4().hex}"
        self.script = folder / "echo.py"
        self.script.write_text(ECHO)
        self.lines: list[str] = []
        self.cache = ResponseCache(None)

    def endpoint(self, model: str = "echo", *, stop: bool = True, **fields: Any) -> Endpoint:
        serve = Serve(
            command=(sys.executable, str(self.script)),
            environment={"MARKER": self.marker},
            stop_after_use=stop,
        )
        return Endpoint(model=model, serve=serve, tries=1, **fields)

    def models(self, **endpoints: Endpoint) -> Models:
        return Models(endpoints, cache=self.cache, images=NoImages(), say=self.lines.append)

    @property
    def running(self) -> int:
        lines = [command_of(number) for number in marked_processes(self.marker)]
        return len([line for line in lines if b"echo.py" in line and b"guard.py" not in line])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.cache.close()
    end_marked(made.marker)


def value(models: Models, name: str, text: str) -> str:
    (answer,) = models[name].ask([make_request(text)])
    assert isinstance(answer, ChatAnswer), answer
    return str(answer.value)


def test_names_are_those_of_the_endpoints(served: Served) -> None:
    with served.models(main=served.endpoint(), other=served.endpoint("two")) as models:
        assert list(models) == ["main", "other"]
        assert models["other"].model == "two"
        assert models["main"] is models["main"]
        with pytest.raises(KeyError):
            models["nobody"]


@pytest.mark.slow
@pytest.mark.server
def test_nothing_starts_for_answers_on_file(served: Served) -> None:
    with served.models(main=served.endpoint()) as models:
        assert value(models, "main", "hello") == "said hello"
    assert served.running == 0
    served.lines.clear()
    with served.models(main=served.endpoint()) as models:
        assert models["main"].cached(make_request("hello")) is not None
        assert value(models, "main", "hello") == "said hello"
    assert served.lines == []


@pytest.mark.slow
@pytest.mark.server
def test_a_server_is_shared_and_stopped_with_the_last_name_that_uses_it(served: Served) -> None:
    both = {"main": served.endpoint(), "cold": served.endpoint(picture_side=512)}
    with served.models(**both) as models:
        assert value(models, "main", "a") == "said a"
        models.release("main")
        assert served.running == 1  # the other name has yet to ask
        assert value(models, "cold", "a") == "said a"
        assert served.running == 1
        models.release("cold")
        assert served.running == 0
        assert value(models, "main", "b") == "said b"  # started again
    assert served.running == 0


@pytest.mark.slow
@pytest.mark.server
def test_a_server_may_stay_until_the_end(served: Served) -> None:
    with served.models(main=served.endpoint(stop=False)) as models:
        assert value(models, "main", "a") == "said a"
        models.release("main")
        assert served.running == 1
        assert value(models, "main", "b") == "said b"
        assert len([line for line in served.lines if "ready in" in line]) == 1
    assert served.running == 0


@pytest.mark.slow
@pytest.mark.server
def test_different_models_have_a_server_each(served: Served) -> None:
    with served.models(one=served.endpoint("one"), two=served.endpoint("two")) as models:
        assert value(models, "one", "a") == "said a"
        assert value(models, "two", "a") == "said a"
        assert served.running == 2
    assert served.running == 0


@pytest.mark.slow
@pytest.mark.server
def test_a_server_that_dies_tells_its_last_words(served: Served) -> None:
    with served.models(main=served.endpoint()) as models, pytest.raises(ServerGone) as caught:
        models["main"].ask([make_request("die")] + [make_request(f"after {n}") for n in range(40)])
    message = str(caught.value)
    assert "echo.py echo: ended with exit code 9; its last lines:" in message
    assert "RuntimeError: out of luck" in message


def test_a_model_elsewhere_is_connected_to_and_not_started(served: Served) -> None:
    endpoint = Endpoint(model="m", base_urls=("http://127.0.0.1:9/v1",), tries=1)
    with served.models(main=endpoint) as models, pytest.raises(ServerGone, match=r"127\.0\.0\.1:9"):
        models["main"].ask([make_request("x")])
    assert served.lines == []
