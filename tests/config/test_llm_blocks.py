"""The blocks ``llm:`` and ``labels:`` of a system file."""

from pathlib import Path

import pytest
import yaml

from riveg.config.reader import load_config
from riveg.config.yaml_file import InvalidConfig
from riveg.errors import UserError
from riveg.labels import USUAL_LABELS

HEAD = "tag: {backend: mini}\nrewrite: {backend: chat, llm: main}\n"
HUSH = "hush93711hush"
"""Part of every secret; no message may hold it."""
URL = "http://127.0.0.1:8000/v1"


def system(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_a_model_that_riveg_starts(tmp_path: Path) -> None:
    config = load_config(
        system(tmp_path, f"llm:\n  main: {{model: m, licence: mit, serve: vllm}}\n{HEAD}")
    )
    endpoint = config.llm["main"]
    assert endpoint.serve is not None
    assert endpoint.serve.command == ("vllm", "serve")
    assert config.labels == USUAL_LABELS
    rewrite = next(step for step in config.steps if step.stage.name == "rewrite")
    assert config.endpoint_of(rewrite) == endpoint
    tag = next(step for step in config.steps if step.stage.name == "tag")
    assert config.endpoint_of(tag) is None


def test_a_key_of_a_model_is_set_from_outside(tmp_path: Path) -> None:
    path = system(tmp_path, f"llm:\n  main: {{model: m, serve: vllm}}\n{HEAD}")
    config = load_config(
        path,
        ["llm.main.serve=null", f"llm.main.base_urls=[{URL}]", "llm.main.temperature=0.5"],
    )
    assert config.llm["main"].base_urls == (URL,)
    assert config.llm["main"].shaping()["temperature"] == 0.5
    assert load_config(path).llm["main"].base_urls == ()


def test_an_override_that_goes_too_deep_is_shown_how(tmp_path: Path) -> None:
    path = system(tmp_path, f"llm:\n  main: {{model: m, serve: vllm}}\n{HEAD}")
    with pytest.raises(InvalidConfig, match=r"expected llm\.NAME\.KEY=VALUE, such as"):
        load_config(path, ["llm.main.serve.command=[mine]"])


def test_where_a_model_is_does_not_shape_its_answers(tmp_path: Path) -> None:
    served = load_config(system(tmp_path, f"llm:\n  main: {{model: m, serve: vllm}}\n{HEAD}"))
    remote = load_config(
        system(tmp_path, f"llm:\n  main: {{model: m, base_urls: ['{URL}'], tries: 2}}\n{HEAD}")
    )
    assert served.llm["main"].shaping() == remote.llm["main"].shaping()


def test_types_of_ones_own(tmp_path: Path) -> None:
    text = (
        "labels:\n- VESSEL\n- {name: SPONSOR, description: who pays, examples: [Acme]}\n"
        "tag: {backend: mini}\n"
    )
    config = load_config(system(tmp_path, text))
    assert [label.name for label in config.labels] == ["VESSEL", "SPONSOR"]
    assert config.labels[1].examples == ("Acme",)
    assert config.resolved()["labels"][1]["description"] == "who pays"
    # A run's own config.yaml is read back to the same.
    again = system(tmp_path, yaml.safe_dump(config.resolved()))
    assert load_config(again).labels == config.labels


def test_types_may_have_fine_types(tmp_path: Path) -> None:
    text = "labels: [{name: PER, fine: [actor, athlete]}, LOC]\ntag: {backend: mini}\n"
    config = load_config(system(tmp_path, text))
    assert [label.fine for label in config.labels] == [("actor", "athlete"), ()]
    first, second = config.resolved()["labels"]
    assert first["fine"] == ["actor", "athlete"]
    assert "fine" not in second
    again = system(tmp_path, yaml.safe_dump(config.resolved()))
    assert load_config(again).labels == config.labels


def reached_at(url: str) -> str:
    return f"llm:\n  main: {{model: m, base_urls: ['{url}']}}\n{HEAD}"


PROBLEMS = [
    (f"llm: [m]\n{HEAD}", "expected models by name", "a list"),
    (f"llm:\n  main: {{model: m}}\n{HEAD}", "say one of base_urls, serve", "no way to reach it"),
    (
        f"llm:\n  main: {{model: m, serve: vllm, base_urls: ['{URL}']}}\n{HEAD}",
        "say one of base_urls, serve",
        "two ways",
    ),
    (reached_at("127.0.0.1:8000/v1"), "expected http://host:port/v1", "a URL without a scheme"),
    (reached_at("ftp://a/v1"), "expected http://host:port/v1", "another scheme"),
    (reached_at("http://a:port/v1"), "expected http://host:port/v1", "a port that is none"),
    (
        f"llm:\n  main: {{model: m, base_urls: '{URL}'}}\n{HEAD}",
        "expected a list",
        "one URL by itself",
    ),
    (f"llm:\n  main: {{model: m, serve: vlm}}\n{HEAD}", "vllm", "an unknown server"),
    (f"llm:\n  main: {{model: m, serve: vllm, temprature: 1}}\n{HEAD}", "temperature", "a typo"),
    (f"llm:\n  other: {{model: m, serve: vllm}}\n{HEAD}", "no such model", "not the one asked"),
    (HEAD, "add it under llm:", "none at all"),
    ("labels: []\ntag: {backend: mini}\n", "expected a list of types", "no type"),
    ("labels: [A, A]\ntag: {backend: mini}\n", "a type is named once", "twice"),
    ("labels: [{nme: A}]\ntag: {backend: mini}\n", "this key is required", "a typo"),
    ('labels: ["A\\nB"]\ntag: {backend: mini}\n', "text on one line", "a line end in a name"),
    (
        "labels: [{name: A, fine: [x]}, {name: B, fine: [x]}]\ntag: {backend: mini}\n",
        "labels: found x; the fine type 'x' stands below A and below B; a fine type belongs to one",
        "a fine type of two types",
    ),
    (
        "labels: [{name: A, fine: [B]}, B]\ntag: {backend: mini}\n",
        "'B' stands below A and is a type itself",
        "a fine type with the name of a type",
    ),
    ("labels: [{name: A, fine: x}]\ntag: {backend: mini}\n", "expected a list", "a bare text"),
    ("labels: [[A]]\ntag: {backend: mini}\n", "expected a name", "a list in a list"),
]


@pytest.mark.parametrize(("text", "advice", "why"), PROBLEMS)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, advice: str, why: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_config(system(tmp_path, text))
    assert advice in str(caught.value), why
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("base_urls: ['http://me:hush-hush@a/v1']", id="a password in a URL"),
        pytest.param("base_urls: ['http://a/v1?key=hush-hush']", id="a key in a URL"),
        pytest.param(f"base_urls: ['{URL}'], api_key_variable: hush-hush", id="a key as its name"),
        *(
            pytest.param(f"base_urls: ['{URL}'], api_key_variable: {key}", id=f"{key} as its name")
            for key in (f"hf_{HUSH}", f"sk_live_{HUSH}", f"gsk_{HUSH}", f"{HUSH}{HUSH}")
        ),
        *(
            pytest.param(f"base_urls: ['{url}']", id=url)
            for url in (
                f"me:{HUSH}@a/v1",
                f"//me:{HUSH}@a/v1",
                f"http:me:{HUSH}@a/v1",
                f"http:/me:{HUSH}@a/v1",
                f"http:///me:{HUSH}@a/v1",
                f"http:\\\\me:{HUSH}@a/v1",
                f"http://me%3A{HUSH}%40a/v1",
                f"http://me%253A{HUSH}%2540a/v1",
                f"http://a/me:{HUSH}%40b/v1",
                f"http://me:{HUSH}\uff20a/v1",
                f"http://me:{HUSH}:80/v1",
                f"ftp://me:{HUSH}@a/v1",
                f"http://a/v1;key={HUSH}",
                f"http://a/v1#{HUSH}",
                f"http://a/sk-{HUSH}{HUSH}/v1",
            )
        ),
        *(
            pytest.param(f"serve: {{{serve}}}", id=serve)
            for serve in (
                f"environment: {{HF_TOKEN: {HUSH}}}",
                f"environment: {{A: sk-{HUSH}{HUSH}}}",
                f"environment: {{PGPASSWORD: {HUSH}}}",
                f"environment: {{HF_TOKEN_2: {HUSH}}}",
                f"environment: {{HTTPS_PROXY: 'http://me:{HUSH}@proxy'}}",
                f"arguments: [--hf-token, {HUSH}]",
                f"arguments: [--hf-token={HUSH}]",
                f"arguments: ['--header=Authorization: Bearer {HUSH}']",
                f"command: [env, HF_TOKEN={HUSH}, vllm, serve]",
            )
        ),
        pytest.param(f"engine: vllm-offline, options: {{hf_token: {HUSH}}}", id="in options"),
        pytest.param(f"base_urls: ['{URL}'], revision: hf_{HUSH}{HUSH}", id="as a revision"),
    ],
)
def test_a_key_does_not_belong_in_a_system_file(tmp_path: Path, model: str) -> None:
    """A run folder keeps a copy of the system."""
    with pytest.raises(InvalidConfig, match=r"api_key_variable|environment variable") as caught:
        load_config(system(tmp_path, f"llm:\n  main: {{model: m, {model}}}\n{HEAD}"))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"llm: sk-{HUSH}{HUSH}\n{HEAD}", id="in place of models"),
        pytest.param(f"llm: {{main: sk-{HUSH}{HUSH}}}\n{HEAD}", id="in place of a model"),
        pytest.param(f"llm: {{main: {{model: m, api_key: {HUSH}}}}}\n{HEAD}", id="unknown key"),
        pytest.param(
            f"llm: {{main: {{model: m, base_urls: 'http://me:{HUSH}@a/v1'}}}}\n{HEAD}",
            id="a URL by itself",
        ),
        pytest.param(
            f"llm: {{main: {{model: m, serve: vllm, base_urls: ['http://me:{HUSH}@a']}}}}\n{HEAD}",
            id="two ways",
        ),
        pytest.param(
            f"llm: {{main: {{model: m, serve: {{environment: 'HF_TOKEN={HUSH}'}}}}}}\n{HEAD}",
            id="an environment in one text",
        ),
        pytest.param(
            "llm: {main: {model: m, serve: {environment: {PASSWORD: 93711937}}}}\n" + HEAD,
            id="a password that is a number",
        ),
        pytest.param(f"llm: {{main: !!int sk-{HUSH}{HUSH}}}\n{HEAD}", id="no YAML"),
    ],
)
def test_what_is_wrong_is_said_without_a_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config(system(tmp_path, text))
    assert "93711" not in str(caught.value)


def test_variables_that_are_no_secrets_may_be_set(tmp_path: Path) -> None:
    names = "{TOKENIZERS_PARALLELISM: 'false', HF_TOKEN_PATH: /run/token, TLS_KEY: /etc/tls.pem}"
    serve = f"{{environment: {names}, arguments: [--max-num-batched-tokens, '4096']}}"
    text = f"llm:\n  main: {{model: m, serve: {serve}}}\n{HEAD}"
    serving = load_config(system(tmp_path, text)).llm["main"].serve
    assert serving is not None
    assert serving.environment["TOKENIZERS_PARALLELISM"] == "false"


def test_a_variable_that_is_set_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("hf_tokenformyself", "x")
    model = f"base_urls: ['{URL}'], api_key_variable: hf_tokenformyself"
    config = load_config(system(tmp_path, f"llm:\n  main: {{model: m, {model}}}\n{HEAD}"))
    assert config.llm["main"].api_key_variable == "hf_tokenformyself"
