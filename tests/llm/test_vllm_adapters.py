"""A LoRA adapter on the real vLLM, served and in process, against its weights merged by hand."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest
from helpers.factories import NoImages
from helpers.marked_processes import end_marked
from helpers.places import ROOT
from helpers.real_servers import (
    ENVIRONMENT,
    VLLM_ARGUMENTS,
    require_package,
    tiny_model,
    vllm_command,
)
from helpers.tiny_adapter import make_tiny_adapter

from riveg.llm.conversation import ChatAnswer, Message, NoAnswer, Request
from riveg.llm.endpoint import Endpoint, Serve
from riveg.llm.pool import Models
from riveg.llm.response_cache import ResponseCache

pytestmark = [pytest.mark.server, pytest.mark.slow]

NAMES = ("Ann", "Tom", "Nairobi", "the man in the red shirt")
TOKENS = 16

MERGED = """
import json, sys
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

model, adapter, names, tokens = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
words = AutoTokenizer.from_pretrained(model)
network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

def written():
    for name in names:
        turn = [{"role": "user", "content": name}]
        asked = words.apply_chat_template(
            turn, add_generation_prompt=True, enable_thinking=False, return_tensors="pt",
            return_dict=True,
        )
        made = network.generate(**asked, max_new_tokens=tokens, do_sample=False)
        yield words.decode(made[0, asked["input_ids"].shape[1]:], skip_special_tokens=True).strip()

plain = list(written())
settings = json.load(open(adapter + "/adapter_config.json"))
parts = load_file(adapter + "/adapter_model.safetensors")
for name, first in parts.items():
    if name.endswith(".lora_A.weight"):
        second = parts[name.replace("lora_A", "lora_B")]
        path = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        module = network.get_submodule(path)
        module.weight.data += settings["lora_alpha"] / settings["r"] * second @ first
print(json.dumps([plain, list(written())]))
"""

OFFLINE = """
import json, sys
from helpers.factories import NoImages
from riveg.llm.conversation import Message, Request
from riveg.llm.endpoint import Endpoint
from riveg.llm.pool import Models
from riveg.llm.response_cache import ResponseCache

names, tokens = json.loads(sys.argv[2]), int(sys.argv[3])
requests = [
    Request((Message("user", name),), lambda response: response.text, max_tokens=tokens)
    for name in names
]
endpoint = Endpoint.model_validate_json(sys.argv[1])
with ResponseCache(None) as cache:
    models = Models({"main": endpoint}, cache=cache, images=NoImages(), say=print)
    answers = models["main"].ask(requests)
    models.close()
print(json.dumps([answer.response.text for answer in answers]))
"""


def printed(script: str, *arguments: object, marker: str = "") -> str:
    """The last line that a script prints in the environment of vLLM."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    done = subprocess.run(
        [require_package("vllm"), "-c", script, *map(str, arguments)],
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path, "MARKER": marker},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()[-1]


def text_of(answer: ChatAnswer | NoAnswer) -> str:
    assert answer.response is not None, answer
    return answer.response.text


def test_served_and_in_process_it_answers_as_its_weights_merged(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    adapter = make_tiny_adapter(tmp_path / "my, adapter", model, rank=12, strength=0.3)
    plain, merged = json.loads(printed(MERGED, model, adapter, json.dumps(NAMES), TOKENS))
    assert plain != merged, "the adapter would not be noticed"
    common = {"model": str(model), "adapter": str(adapter), "re_asks": 0}
    marker = f"riveg-test-{uuid.uuid4().hex}"
    serve = Serve(
        command=vllm_command(),
        arguments=VLLM_ARGUMENTS,
        environment={**ENVIRONMENT, "MARKER": marker},
        ready_timeout_s=300,
    )
    options = {"dtype": "float32", "max_model_len": 2048, "enforce_eager": True}
    offline = Endpoint(**common, engine="vllm-offline", options=options)
    requests = [
        Request((Message("user", name),), lambda response: response.text, max_tokens=TOKENS)
        for name in NAMES
    ]
    try:
        line = printed(OFFLINE, offline.model_dump_json(), json.dumps(NAMES), TOKENS, marker=marker)
        said: list[str] = json.loads(line)
        with (
            ResponseCache(None) as cache,
            Models(
                {"main": Endpoint(**common, serve=serve)}, cache=cache, images=NoImages(), say=print
            ) as models,
        ):
            served: list[str] = [text_of(answer) for answer in models["main"].ask(requests)]
    finally:
        end_marked(marker)
    # What is cut off within a character ends in as many signs as a decoder likes.
    texts = [[text.replace("\ufffd", "") for text in one] for one in (said, served, merged)]
    assert texts[0] == texts[1] == texts[2]
