"""What ``riveg train vlm`` learns from: the very requests of a run, with their answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')
pytest.importorskip("peft", reason='needs the extra: pip install "riveg[train]"')

import torch
import yaml
from helpers.drawn_posts import write_posts
from helpers.places import ROOT
from helpers.scripted_chat import ScriptedChat
from helpers.tiny_vision_language import KINDS, make_tiny_vision_language_model
from helpers.tiny_vlm_training import ASK, settings
from helpers.torchvision_on_cpu import needs_torchvision, run_with_torchvision
from helpers.training import Heard
from PIL import Image
from torch import Tensor

from riveg.config.reader import load_config
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.images.loader import ImageLoader
from riveg.llm.images import ImageEncoder
from riveg.llm.request import chat_messages
from riveg.runs.building import build_context
from riveg.stages.extractors.chat import ChatExtractorConfig
from riveg.training.batches import Chance
from riveg.training.config import Course
from riveg.training.settings import read_settings
from riveg.training.vlm.config import VlmTrainingConfig
from riveg.training.vlm.export import require_own_form
from riveg.training.vlm.inputs import IGNORED
from riveg.training.vlm.network import load_network
from riveg.training.vlm.settings import VlmSettings
from riveg.training.vlm.trainee import VlmTrainee

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return {
        kind: make_tiny_vision_language_model(tmp_path_factory.mktemp(kind), kind) for kind in KINDS
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_posts(tmp_path_factory.mktemp("data"))


@pytest.fixture
def heard() -> Heard:
    return Heard()


def trainee(config: VlmTrainingConfig, heard: Heard | None = None) -> VlmTrainee:
    return VlmTrainee(config, Course(config, config.out, config.out, heard or Heard()))


@pytest.mark.parametrize("frame", ["pixels-sent", "norm1000"])
def test_the_questions_are_those_of_a_run_byte_for_byte(
    frame: str, models: Mapping[str, Path], tmp_path: Path
) -> None:
    """Prompt, coordinates, images and their sizes, of quickstart's real photos."""
    overrides = [f"extract.frame={frame}", "llm.main.picture_side=640"]
    system = load_config("e2e-gmner", overrides)
    (extract,) = (step for step in system.steps if step.stage.name == "extract")
    config = VlmTrainingConfig.model_validate(
        {
            **{"model": str(models["qwen2_5_vl"]), "data": "quickstart", "out": tmp_path / "out"},
            **{"train_split": "test", "dev_split": "test", "picture_side": 640},
            "extract": extract.config.model_dump(),
        }
    )
    learner = trainee(config)
    dataset = open_dataset("quickstart", split="test")
    images = ImageLoader(dataset.image_roots)
    backend: Any = extract.config.build(
        build_context(system, images, chats={"main": ScriptedChat(lambda _: "None")})
    )
    encoder = ImageEncoder(images, system.llm["main"].picture_side)
    assert len(learner.rows()) == 12
    for sample, row in zip(dataset.samples(), learner.rows(), strict=True):
        assert sample.image is not None
        opened = replace(sample, image=images.probe(sample.image))
        (asked,) = backend.prepare([opened])
        learnt = row.question.request
        sent = encoder.encode(asked.request.images)
        own = ImageEncoder(images, config.picture_side).encode(learnt.images)
        assert json.dumps(chat_messages(learnt.messages, own)) == json.dumps(
            chat_messages(asked.request.messages, sent)
        )
        assert [one.size for one in own.values()] == [one.size for one in sent.values()]
        assert learnt.max_tokens == asked.request.max_tokens


def test_answers_are_read_as_the_gold_and_are_moved_anew_at_every_visit(
    models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    rows = trainee(settings(models["qwen2_5_vl"], data, tmp_path)).rows()
    assert rows[6].question.answer(None) == "<think></think><answer>None</answer>"
    assert rows[7].question.answer(None).count("[") == 3, "a list of two boxes"
    visits = [rows[0].question.answer(f"1/{epoch}") for epoch in (0, 0, 1)]
    assert visits[0] == visits[1] != visits[2]
    assert rows[0].question.answer(None) not in visits
    still = trainee(settings(models["qwen2_5_vl"], data, tmp_path, jitter=None)).rows()
    assert (
        still[0].question.answer("1/0")
        == still[0].question.answer(None)
        == rows[0].question.answer(None)
    )


def test_types_are_called_as_the_model_calls_them(
    models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    ask = {**ASK, "label_map": {"PLACE": "LOC"}, "list_types": False}
    rows = trainee(settings(models["qwen2_5_vl"], data, tmp_path, extract=ask)).rows()
    assert "Rome|PLACE|None" in rows[0].question.answer(None)
    assert "Types:" not in rows[0].question.request.messages[0].text


def test_a_batch_learns_answers_alone(
    models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    """The loss is that of the library's own forward with the same labels."""
    for kind in KINDS:
        more = {"extract": {**ASK, "frame": "norm1000"}}
        learner = trainee(settings(models[kind], data, tmp_path, **more))
        batch = learner.batch(learner.rows()[5:8], visit("1/0"))
        tokenizer = learner.inputs.tokenizer
        for row, tokens, labels in zip(
            learner.rows()[5:8], batch["input_ids"], batch["labels"], strict=True
        ):
            learnt = tokens[labels != IGNORED]
            assert tokenizer.decode(learnt) == f"{row.question.answer('1/0')}<|im_end|>"
            assert torch.equal(labels[labels != IGNORED], learnt)
        network: Any = learner.network().eval()
        with torch.no_grad():
            own = network(**batch).loss
            assert learner.loss(network, batch).item() == pytest.approx(own.item(), rel=1e-5)


def visit(name: str) -> Chance:
    chance = Chance(name)
    chance.visit = name
    return chance


@pytest.mark.parametrize("checkpointing", [True, False])
def test_only_the_language_half_learns(
    checkpointing: bool, models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    for kind in KINDS:
        config = settings(models[kind], data, tmp_path, gradient_checkpointing=checkpointing)
        network = load_network(config, models[kind])
        learnt = [name for name, one in network.named_parameters() if one.requires_grad]
        assert len(learnt) == 2 * 2 * 7, "two matrices, two layers, seven places"
        assert all(".language_model.layers." in name and ".lora_" in name for name in learnt)


@pytest.mark.slow
def test_memory_is_saved_without_another_gradient(
    models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    for kind in KINDS:
        gradients: list[Tensor] = []
        for checkpointing in (True, False):
            more = {"extract": {**ASK, "frame": "norm1000"}, "lora": {"dropout": 0.0}}
            learner = trainee(
                settings(models[kind], data, tmp_path, gradient_checkpointing=checkpointing, **more)
            )
            network = learner.network().train()
            learner.loss(network, learner.batch(learner.rows()[:2], visit("1/0"))).backward()
            found = [one.grad for one in network.parameters() if one.requires_grad]
            gradients.append(torch.cat([one.flatten() for one in found if one is not None]))
        assert gradients[0].abs().sum() > 0
        assert torch.allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-7)


@needs_torchvision
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_and_patches_are_those_of_the_librarys_processor(
    kind: str, models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    """Which needs torchvision, so that it runs in a process of its own."""
    frame = {**ASK, "frame": "norm1000"}
    learner = trainee(settings(models[kind], data, tmp_path, extract=frame))
    row = learner.rows()[0]
    mine = learner.batch([row], visit("1/0"))
    texts = [message.text for message in row.question.request.messages]
    ask = {"system": texts[0], "user": texts[1], "answer": row.question.answer("1/0")}
    (tmp_path / "ask.json").write_text(json.dumps(ask))
    (image,) = (
        ImageEncoder(ImageLoader([data.parent / "images"]), 140)
        .encode(row.question.request.images)
        .values()
    )
    (tmp_path / "image.txt").write_text(image.data_url)
    run_with_torchvision(_PROCESSOR, models[kind], tmp_path)
    theirs = torch.load(tmp_path / "batch.pt")
    for name in ("input_ids", "mm_token_type_ids", "image_grid_thw"):
        assert torch.equal(mine[name].long(), theirs[name].long()), name
    # Its resizing is not Pillow's: some steps of 255 at the sharpest edges.
    apart = (mine["pixel_values"] - theirs["pixel_values"]).abs()
    assert apart.max() < 0.1
    assert apart.mean() < 0.002


_PROCESSOR = """
import base64, io, json, sys
from pathlib import Path
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, Qwen2VLImageProcessorPil
import transformers
folder, here = map(Path, sys.argv[1:])
kind = json.loads((folder / "config.json").read_text())["model_type"]
name = "Qwen2_5_VLProcessor" if kind == "qwen2_5_vl" else "Qwen3VLProcessor"
processor = getattr(transformers, name).from_pretrained(folder)
ask = json.loads((here / "ask.json").read_text())
messages = [
    {"role": "system", "content": ask["system"]},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ask["user"]}]},
]
text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
data = base64.b64decode((here / "image.txt").read_text().partition(",")[2])
image = Image.open(io.BytesIO(data))
made = processor(text=[text + ask["answer"] + "<|im_end|>"], images=[image], return_tensors="pt")
torch.save(dict(made), here / "batch.pt")
"""


def test_what_cannot_be_learnt_is_named_and_nothing_is_cut(
    models: Mapping[str, Path], tmp_path: Path, heard: Heard
) -> None:
    def post(name: str, text: str = "Ann in Rome", **more: Any) -> dict[str, Any]:
        entity = {"label": "PER", "start": 0, "end": 1, "boxes": []}
        return {"id": name, "text": text, "image": "p0.png", "entities": [entity], **more}

    long = " ".join(["Ann"] + ["word"] * 2000)
    lines = (
        post("long", long),
        post("none", image=None),
        post("gone", image="gone.png"),
        post("tiny", image="tiny.png"),
        post("thin", image="thin.png"),
        post(
            "semicolon",
            "A ; B in Rome",
            entities=[{"label": "PER", "start": 0, "end": 3, "boxes": []}],
        ),
    )
    data = write_posts(tmp_path / "data", more=lines)
    for name, size in (("tiny", (100, 27)), ("thin", (6000, 29))):
        Image.new("RGB", size).save(tmp_path / "data" / "images" / f"{name}.png")
    ask = {**ASK, "max_tokens": 45}
    rows = trainee(settings(models["qwen2_5_vl"], data, tmp_path, extract=ask), heard).rows()
    assert len(rows) == 7
    told = "\n".join(heard.notes)
    for words in (
        "too-long: 1 left out ('long'): ",
        "more than max_length (2048)",
        "no-picture: 1 left out ('none')",
        "missing-image: 1 left out ('gone')",
        "image-shape: 2 left out ('tiny', 'thin'): the picture has 100 x 27 pixels",
        "unreadable-answer: 1 left out ('semicolon'): a name holds a sign",
        "long-answer: ",
        "more than max_tokens (45)",
    ):
        assert words in told, told


def test_thoughts_are_joined_by_id_and_by_image(
    models: Mapping[str, Path], data: Path, tmp_path: Path, heard: Heard
) -> None:
    lines = [
        {"id": "p0-0", "reasoning": "Ann sings ; she is seen."},
        {"image_path": "/elsewhere/p1.jpg", "think": "Bob cooks."},
        {"id": "nobody", "reasoning": "Not there."},
        {"id": "p2-0", "reasoning": ""},
    ]
    path = tmp_path / "cot.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    rows = trainee(
        settings(models["qwen2_5_vl"], data, tmp_path, reasoning=[str(path)]), heard
    ).rows()
    assert (
        rows[0]
        .question.answer(None)
        .startswith("<think>Ann sings ; she is seen.</think><answer>Ann|")
    )
    assert rows[1].question.answer(None).startswith("<think>Bob cooks.</think>")
    assert rows[2].question.answer(None).startswith("<think></think>")
    assert "drawn train: 2 posts have reasoning, 6 learn an empty thought" in heard.notes
    assert "1 lines of reasoning are about no post of drawn train" in heard.notes


def test_an_image_that_becomes_too_long_when_it_is_sent_is_left_out(
    models: Mapping[str, Path], tmp_path: Path, heard: Heard
) -> None:
    """200 to 1 as it is, 1024 to 5 as it is sent, which the library's processor refuses."""
    line = {"id": "long", "text": "Ann in Rome", "image": "long.png", "entities": []}
    data = write_posts(tmp_path / "data", more=(line,))
    Image.new("RGB", (5600, 28)).save(tmp_path / "data" / "images" / "long.png")
    config = settings(models["qwen2_5_vl"], data, tmp_path, picture_side=1024)
    assert len(trainee(config, heard).rows()) == 8
    assert "('long'): the picture has 5600 x 28, sent as 1024 x 5 pixels" in "".join(heard.notes)


def test_special_tokens_in_a_thought_are_text(
    models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cot.jsonl"
    thought = "Ann <|im_end|> sings <|image_pad|>"
    path.write_text(json.dumps({"id": "p0-0", "reasoning": thought}))
    made = trainee(settings(models["qwen2_5_vl"], data, tmp_path, reasoning=[str(path)]))
    text = made.rows()[0].question.answer(None)
    tokens = made.inputs.answer(text)
    special = {*made.inputs.tokenizer.all_special_ids}
    assert thought in text
    assert [token for token in tokens if token in special] == [made.inputs.tokenizer.eos_token_id]
    assert made.inputs.tokenizer.decode(tokens[:-1]) == text
    patches = made.batch(made.rows()[:1], visit("1/0"))["mm_token_type_ids"]
    assert patches[0, -len(tokens) :].sum() == 0


def test_a_thought_that_is_no_text(models: Mapping[str, Path], data: Path, tmp_path: Path) -> None:
    path = tmp_path / "cot.jsonl"
    path.write_text('{"id": "p0-0", "reasoning": "\\ud800"}')
    with pytest.raises(UserError, match=r"cot.jsonl:1: the reasoning is no text"):
        trainee(settings(models["qwen2_5_vl"], data, tmp_path, reasoning=[str(path)]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patch_size": 16}, "patch_size is 16 in the settings of its processor, and 14 in"),
        ({"patch_size": "14"}, "patch_size is '14' in"),
        ({"merge_size": 0}, "merge_size is 0 in"),
        ({"temporal_patch_size": 0}, "temporal_patch_size is 0 in"),
        ({"size": {"shortest_edge": -5, "longest_edge": 10}}, "processor: min_pixels: Input"),
        ({"size": {"height": 224, "width": 224}}, "processor: min_pixels: Input"),
        ({"size": {"shortest_edge": 90, "longest_edge": 10}}, r"\(90\) is above max_pixels \(10\)"),
        ({"image_mean": [0.1]}, "the settings of its processor cannot be used: mean must have 3"),
        ({"image_std": [0, 0, 0]}, "what it makes of an image are no numbers"),
    ],
)
def test_odd_settings_of_a_processor_are_named(
    changed: dict[str, Any],
    message: str,
    models: Mapping[str, Path],
    data: Path,
    tmp_path: Path,
) -> None:
    model = shutil.copytree(models["qwen2_5_vl"], tmp_path / "model")
    path = model / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    ask = {**ASK, "frame": "norm1000"}
    with pytest.raises(UserError, match=f"^model: {model}: .*{message}") as raised:
        trainee(settings(model, data, tmp_path, extract=ask))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("template", ["{{ raise_exception('no') }}", "{% for m in messages %}"])
def test_a_chat_template_that_fails_is_one_line(
    template: str, models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(models["qwen2_5_vl"], tmp_path / "model")
    (model / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match="its chat template fails: "):
        trainee(settings(model, data, tmp_path))


def test_layers_that_are_not_there(models: Mapping[str, Path], data: Path, tmp_path: Path) -> None:
    config = settings(models["qwen2_5_vl"], data, tmp_path, lora={"modules": ["q_proj", "k_prj"]})
    with pytest.raises(UserError, match=r"has no layer 'k_prj'; did you mean k_proj"):
        load_network(config, models["qwen2_5_vl"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target_modules": ["q_proj"]}, "holds 8 matrices, and .* has 4$"),
        ({"target_modules": ["q_proj", "k_proj", "v_proj"]}, "Found missing adapter keys"),
    ],
)
def test_an_adapter_is_taken_whole_or_not_at_all(
    changed: dict[str, Any],
    message: str,
    models: Mapping[str, Path],
    data: Path,
    tmp_path: Path,
) -> None:
    model, folder = models["qwen2_5_vl"], tmp_path / "adapter"
    config = settings(model, data, tmp_path, lora={"modules": ["q_proj", "k_proj"]})
    load_network(config, model).save_pretrained(folder)
    more = {"adapter": str(folder)}
    load_network(settings(model, data, tmp_path, **more), model)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(UserError, match=message):
        load_network(settings(model, data, tmp_path, **more), model)


@pytest.mark.parametrize(
    ("merge", "there", "what"),
    [(True, "adapter_config.json", "an adapter"), (False, "config.json", "whole weights")],
)
def test_an_adapter_and_whole_weights_do_not_share_a_folder(
    merge: bool, there: str, what: str, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / there).write_text("{}")
    config = settings(tmp_path / "model", data, tmp_path / "out", merge=merge)
    with pytest.raises(UserError, match=f"out holds {what} .* name another folder"):
        config.train(Course(config, tmp_path / "made", tmp_path / "work", Heard()))
    require_own_form(settings(tmp_path / "model", data, tmp_path / "out", merge=not merge))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": ["PER", "ORG"]}, r"labels: 'p0-0' has an entity of the type 'LOC', which is"),
        ({"extract": {**ASK, "prompt": "extract/no"}}, "extract/no"),
        ({"extract": {**ASK, "resize": {"multiple": 32}}}, "resize: multiple: 32 does not fit"),
        ({"model": "no/such-model"}, "`hf download no/such-model` gets it"),
        ({"max_length": 64}, "no post is left to learn from"),
        ({"reasoning": ["REASONING"]}, "is about a post of drawn train"),
        (
            {"reasoning": ["REASONING"], "extract": {**ASK, "prompt": "extract/json.v1"}},
            "is about a post of drawn train",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    more: dict[str, Any], message: str, models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "x", "reasoning": "y"}\n')
    more = {key: [str(other)] if value == ["REASONING"] else value for key, value in more.items()}
    with pytest.raises(UserError, match=message) as fault:
        trainee(settings(Path(more.pop("model", models["qwen2_5_vl"])), data, tmp_path, **more))
    assert "\n" not in str(fault.value)


def test_json_holds_no_thought(models: Mapping[str, Path], data: Path, tmp_path: Path) -> None:
    path = tmp_path / "cot.jsonl"
    path.write_text('{"id": "p0-0", "reasoning": "Ann sings."}\n')
    ask = {**ASK, "prompt": "extract/json.v1"}
    config = settings(models["qwen2_5_vl"], data, tmp_path, extract=ask, reasoning=[str(path)])
    with pytest.raises(UserError, match="hold no thought; leave reasoning out"):
        trainee(config)


def test_the_block_of_the_task_is_needed(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="task: ground needs the block ground:"):
        settings(tmp_path, data, tmp_path, task="ground")
    assert "peft" in VlmSettings.packages


@pytest.mark.parametrize(
    ("preset", "size", "rate", "decay"), [("paper", 0.03, 4e-5, 1e-3), ("released", 0.1, 5e-4, 0.1)]
)
def test_the_shipped_settings_are_those_of_the_paper_and_of_the_released_program(
    preset: str, size: float, rate: float, decay: float
) -> None:
    path = ROOT / "configs" / "train" / "e2e-gmner.yaml"
    config = read_settings(path, VlmTrainingConfig, [f"preset={preset}"])
    assert config.jitter is not None
    assert (config.jitter.beta, config.jitter.gamma) == (size, size)
    assert (config.loop.learning_rate, config.loop.weight_decay) == (rate, decay)
    assert (config.jitter.iou_min, config.jitter.tries, config.jitter.trunc_k) == (0.6, 5, 2.0)
    assert (config.lora.rank, config.lora.alpha, config.lora.dropout) == (32, 64, 0.05)
    assert config.loop.batch_size * config.loop.accumulate == 16


def test_the_shipped_settings_ask_as_the_shipped_system_does() -> None:
    config = read_settings(ROOT / "configs" / "train" / "e2e-gmner.yaml", VlmTrainingConfig)
    (step,) = (one for one in load_config("e2e-gmner").steps if one.stage.name == "extract")
    system, mine = step.config, config.extract
    assert isinstance(system, ChatExtractorConfig)
    assert mine is not None
    assert (mine.prompt, mine.frame, mine.resize) == (system.prompt, system.frame, system.resize)
    reranker = read_settings(ROOT / "configs" / "train" / "gem-reranker.yaml", VlmTrainingConfig)
    assert (reranker.task, reranker.lora.rank, reranker.loop.epochs) == ("rerank", 64, 3)
    labels = {label.name: label.fine for label in reranker.labels}
    dataset = yaml.safe_load((ROOT / "configs" / "datasets" / "twitter-fmnerg.yaml").read_text())
    assert {name: list(fine) for name, fine in labels.items()} == dataset["labels"]
