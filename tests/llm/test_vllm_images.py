"""vLLM's own reading of a request with a picture: the id that it is sent with arrives."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from helpers.places import ROOT
from helpers.real_servers import ENVIRONMENT, require_package

from riveg.llm.conversation import AttachedImage, Message, Request
from riveg.llm.endpoint import Endpoint
from riveg.llm.images import SentImage
from riveg.llm.request import request_body
from riveg.types import ImageRef, ImageSize

pytestmark = [pytest.mark.server, pytest.mark.slow]

READ = """
import json, sys
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
request = ChatCompletionRequest.model_validate_json(sys.stdin.read())
parts = [dict(part) for part in request.messages[0]["content"]]
print(json.dumps([part.get("uuid") for part in parts if part["type"] == "image_url"]))
"""


def test_vllm_reads_the_id_of_a_picture() -> None:
    picture = AttachedImage(ImageRef("a.jpg"))
    turn = Message("user", "Who?", (picture,))
    asked = Request((turn,), lambda response: response.text)
    sent = {picture: SentImage("data:image/jpeg;base64,AAAA", "digest", ImageSize(2, 2))}
    body = request_body(Endpoint(model="m", serve="vllm"), asked, asked.messages, sent)
    done = subprocess.run(
        [require_package("vllm"), "-c", READ],
        input=json.dumps(body),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT / "tests",
        env={**os.environ, **ENVIRONMENT},
    )
    assert json.loads(done.stdout.splitlines()[-1]) == ["digest"]
