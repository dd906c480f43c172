import json
from pathlib import Path

import pytest
from helpers.factories import NoImages
from tokenizers import Tokenizer, models, pre_tokenizers

from riveg.llm.conversation import AttachedImage, Message, Request, TokenCount
from riveg.llm.endpoint import Endpoint
from riveg.llm.images import ImageEncoder
from riveg.llm.token_counts import TokenCounter
from riveg.types import ImageRef

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}> {{ message.content }} "
    "{% endfor %}{% if add_generation_prompt %}<assistant> {{ eos_token }}{% endif %}"
)
WORDS = ["user", "a", "red", "ball", "assistant", "end", "<", ">"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vocabulary = {word: number for number, word in enumerate(["?", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def counter(model: str) -> TokenCounter:
    endpoint = Endpoint(model=model, base_urls=("http://127.0.0.1:1/v1",))
    return TokenCounter(endpoint, ImageEncoder(NoImages(), 280))


def make_request(*images: AttachedImage) -> Request:
    return Request((Message("user", "a red ball", images),), str)


def test_without_a_tokenizer_it_is_an_estimate() -> None:
    found = counter("nobody/none").count(make_request())
    assert not found.exact
    assert 5 <= found.tokens <= 12


def test_with_tokenizer_and_template_it_is_exact(folder: Path) -> None:
    config = {"chat_template": TEMPLATE, "eos_token": {"content": "end"}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    found = counter(str(folder)).count(make_request())
    assert (found.tokens, found.exact) == (10, True)  # < user > a red ball < assistant > end


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in",
        "{{ raise_exception('no') }}",
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        None,
    ],
)
def test_with_a_tokenizer_alone_the_marks_are_estimated(template: str | None, folder: Path) -> None:
    if template:
        (folder / "chat_template.jinja").write_text(template)
    found = counter(str(folder)).count(make_request())
    assert (found.tokens, found.exact) == (3 + 5, False)


def test_images_are_estimated_from_their_sent_size(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    image = AttachedImage(ImageRef("a.jpg", 560, 1120))
    plain, seen = (
        counter(str(folder)).count(make_request()),
        counter(str(folder)).count(make_request(image)),
    )
    assert not seen.exact
    assert seen.tokens - plain.tokens == 5 * 10  # 140 x 280 pixels in cells of 28


def test_a_tokenizer_that_is_damaged_is_passed_over(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    assert not counter(str(folder)).count(make_request()).exact


def test_a_text_to_complete_is_counted_as_it_is(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    request = Request((Message("completion", "a red ball"),), str)
    assert counter(str(folder)).count(request) == TokenCount(3, exact=True)
