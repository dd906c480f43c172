"""Rows for trainers: what riveg asks, the answer that riveg reads, in each trainer's form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from helpers.factories import make_context
from helpers.scripted_chat import ScriptedChat
from PIL import Image
from typer.testing import CliRunner

from riveg.cli import app
from riveg.config.reader import load_config
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.exports.trainers.forms import TRAINERS
from riveg.exports.trainers.rows import SYSTEMS
from riveg.exports.trainers.writing import TrainingData, write_training_data
from riveg.formats.records import encode
from riveg.geometry.boxes import box_iou, clip_box
from riveg.geometry.frames import FrameName
from riveg.images.loader import ImageLoader
from riveg.lessons.making import TaskName
from riveg.llm.endpoint import Endpoint
from riveg.protocols import Mention
from riveg.rewards import compute_score
from riveg.stages.extractors.chat import ChatExtractorConfig
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.types import Box, Entity, Gold, ImageSize, Sample

Values = dict[str, Any]
SIZES = {"wide.jpg": (1400, 600), "small.png": (90, 130)}
E2E, JSON, SAKE = "extract/e2e-gmner.v1", "extract/json.v1", "extract/sake.v1"


def entity(label: str, start: int, end: int, *boxes: list[float]) -> Values:
    return {"label": label, "start": start, "end": end, "boxes": [*boxes]}


ROWS: list[Values] = [
    {
        "id": "a",
        "text": "Ann Lee and Bo in Paris , Paris of Texas",
        "image": "wide.jpg",
        "entities": [
            entity("LOC", 5, 6),
            entity("PER", 0, 2, [10, 20.5, 300, 590], [800, 0, 1400, 600]),
            entity("PER", 3, 4, [333, 100, 334, 101]),
        ],
    },
    {"id": "b", "text": "nothing to name here", "image": "small.png", "entities": []},
    {
        "id": "c",
        "text": 'the "Big" Apple {x} 50% <br> ünï',
        "image": "small.png",
        "entities": [entity("OTHER", 1, 5, [-4, 5, 95, 131])],
    },
]


def write(folder: Path, rows: Sequence[Values] = ROWS, name: str = "posts.jsonl") -> Path:
    for image, size in SIZES.items():
        if not (folder / image).exists():
            Image.new("RGB", size, "red").save(folder / image)
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def converted(
    folder: Path, trainer: str, *overrides: str, task: TaskName = "extract", rows: Any = ROWS
) -> tuple[TrainingData, list[Values]]:
    dataset = open_dataset(write(folder, rows))
    config = load_config(SYSTEMS[task], overrides)
    done = write_training_data(dataset, config, task, trainer, folder / "out")
    return done, read(folder / "out" / "posts.jsonl")


def read(path: Path) -> list[Values]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def seen(folder: Path) -> list[tuple[Sample, Gold]]:
    """The samples with their images opened, as a stage gets them, and their gold."""
    dataset = open_dataset(folder / "posts.jsonl")
    images = ImageLoader(dataset.image_roots)
    found = []
    for sample, gold in dataset.annotated_samples():
        assert sample.image is not None
        found.append((replace(sample, image=images.probe(sample.image)), gold))
    return found


ENDPOINT = Endpoint(model="any", base_urls=("http://127.0.0.1:9/v1",), picture_side=1400)


def asks(config: ChatExtractorConfig | ChatGrounderConfig, answers: Sequence[str]) -> Any:
    """The stage with a model that gives these answers, one after the other."""
    waiting = iter(answers)
    chat = ScriptedChat(lambda _: next(waiting), re_asks=0)
    return chat, config.build(make_context(chats={"main": chat}, endpoints={"main": ENDPOINT}))


def texts_of(chat: ScriptedChat) -> list[tuple[str, str]]:
    return [(asked.messages[0].text, asked.messages[-1].text) for asked in chat.asked]


@pytest.mark.parametrize("prompt", [E2E, JSON, SAKE])
@pytest.mark.parametrize("frame", get_args(FrameName))
def test_what_was_trained_is_asked_and_read(tmp_path: Path, prompt: str, frame: str) -> None:
    """The very words of ``extract: chat``, and it finds gold in the answer that was trained."""
    overrides = [f"extract.prompt={prompt}", f"extract.frame={frame}"]
    _, rows = converted(tmp_path, "trl", *overrides)
    samples = seen(tmp_path)
    config = load_config("e2e-gmner", overrides)
    (step,) = (step for step in config.steps if step.stage.name == "extract")
    assert isinstance(step.config, ChatExtractorConfig)
    chat, backend = asks(step.config, [row["completion"][0]["content"] for row in rows])
    answers = backend.extract([sample for sample, _ in samples])
    assert texts_of(chat) == [tuple(turn["content"] for turn in row["prompt"]) for row in rows]
    for (sample, gold), answer in zip(samples, answers, strict=True):
        in_order = sorted(gold.entities, key=lambda one: one.span.start)
        assert [(one.label, one.text, one.span) for one in answer.entities] == [
            (one.label, one.text, one.span) for one in in_order
        ]
        for found, wanted in zip(answer.entities, in_order, strict=True):
            pairs = zip(found.regions, wanted.boxes or (), strict=True)
            assert all(near(region.box, box, sample) for region, box in pairs)


def near(said: Box, gold: Box, sample: Sample) -> bool:
    """Whether a box is the part of gold's in the image, but for rounding."""
    assert sample.image is not None
    assert sample.image.size is not None
    width, height = sample.image.size
    inside = clip_box(gold, ImageSize(width, height))
    assert inside is not None
    shares = zip(astuple(said), astuple(inside), (width, height, width, height), strict=True)
    return all(abs(one - other) <= side / 400 for one, other, side in shares)


def test_the_same_of_ground(tmp_path: Path) -> None:
    done, rows = converted(tmp_path, "trl", task="ground")
    assert [row["id"] for row in rows] == ["a#e0", "a#e1", "a#e2", "c#e0"]
    mentions = [
        Mention(sample, Entity(f"e{number}", one.text, one.label, one.span))
        for sample, gold in seen(tmp_path)
        for number, one in enumerate(gold.entities)
    ]
    config = ChatGrounderConfig(frame="norm1000")
    chat, backend = asks(config, [row["completion"][0]["content"] for row in rows])
    found = backend.ground(mentions)
    assert texts_of(chat) == [tuple(turn["content"] for turn in row["prompt"]) for row in rows]
    assert [len(regions) for regions in found] == [0, 2, 1, 1]
    assert box_iou(found[1][0].box, Box(10, 20.5, 300, 590)) > 0.99
    assert done.notes == ()


FINE_ROWS: list[Values] = [
    {
        "id": "a",
        "text": "Ann in Rome",
        "image": "small.png",
        "entities": [
            {"label": "PER", "fine_label": "musician", "start": 0, "end": 1},
            {"label": "LOC", "fine_label": "city", "start": 2, "end": 3},
        ],
    },
    {
        "id": "b",
        "text": "Bo sings",
        "image": None,
        "entities": [{"label": "PER", "fine_label": "actor", "start": 0, "end": 1}],
    },
]
SYSTEM = """
llm: {main: {model: any, base_urls: [http://127.0.0.1:9/v1]}}
labels:
  - {name: PER, fine: [musician, actor, author, athlete]}
  - {name: LOC, fine: [city, park]}
tag: {backend: chat}
rerank: {backend: chat, prompt: rerank/gem.v2}
rewrite: {backend: chat, prompt: rewrite/visual.v1}
"""


def lessons_of(folder: Path, task: TaskName, trainer: str, **options: Any) -> list[Values]:
    """Rows of fine types and no boxes, by a system with stages that learn from these."""
    system = folder / "system.yaml"
    system.write_text(SYSTEM)
    dataset = open_dataset(write(folder, FINE_ROWS))
    config = load_config(system, options.pop("overrides", ()))
    out = folder / f"{task}-{trainer}-{options.get('seed')}"
    write_training_data(dataset, config, task, trainer, out, **options)
    return read(out / "posts.jsonl")


def recorded(folder: Path) -> Path:
    """A run's records with an expression for each name."""
    path = folder / "expressions.jsonl"
    dataset = open_dataset(write(folder, FINE_ROWS))
    lines = [
        encode(
            replace(
                sample,
                entities=tuple(
                    Entity(f"x{one.span.start}", one.text, one.label, one.span, expression="tall")
                    for one in gold.entities
                ),
            )
        )
        for sample, gold in dataset.annotated_samples()
    ]
    path.write_bytes(b"".join(line.rstrip(b"\n") + b"\n" for line in lines))
    return path


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_type_among_candidates(tmp_path: Path, trainer: str) -> None:
    """The gold type is offered, another seed offers others, and a post may have no picture."""
    rows = lessons_of(tmp_path, "rerank", trainer)
    ids = [row["extra_info"]["id"] if trainer == "verl" else row["id"] for row in rows]
    assert ids == ["a#e0", "a#e1", "b#e0"]
    questions = [question_of(row) for row in rows]
    for question, row, right in zip(questions, rows, ["musician", "city", "actor"], strict=True):
        assert answer_of(row) == json.dumps({"label": right})
        (line,) = (one for one in question.splitlines() if one.startswith("Candidates: "))
        assert right in line.removeprefix("Candidates: ").split(", ")
        assert "objects" not in row
    assert [len(row["images"]) for row in rows] == [1, 1, 0]
    shown = [question.count("<image>") for question in questions]
    assert shown == ([0, 0, 0] if trainer == "trl" else [1, 1, 0])
    assert rows == lessons_of(tmp_path, "rerank", trainer, seed=1)
    others = lessons_of(tmp_path, "rerank", trainer, seed=2)
    assert questions != [question_of(row) for row in others]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_expressions_of_a_run(tmp_path: Path, trainer: str) -> None:
    """Text alone, so without a column of images."""
    rows = lessons_of(tmp_path, "rewrite", trainer, expressions=[recorded(tmp_path)])
    assert len(rows) == 2
    assert [one["phrase"] for one in json.loads(answer_of(rows[0])).values()] == ["tall", "tall"]
    assert "<image>" not in question_of(rows[0])
    assert not {"images", "objects"} & {*rows[0]}
    info = tmp_path / "rewrite-llama-factory-None" / "dataset_info.json"
    if trainer == "llama-factory":
        ((_, entry),) = json.loads(info.read_text()).items()
        assert entry["columns"] == {"messages": "messages"}


def test_examples_that_are_turns_are_not_learnt(tmp_path: Path) -> None:
    options: Values = {
        "overrides": ["rewrite.prompt=rewrite/riveg.v2", "rewrite.prompt_form=turns"],
        "expressions": [recorded(tmp_path)],
    }
    system = tmp_path / "system.yaml"
    system.write_text(SYSTEM)
    done = write_training_data(
        open_dataset(write(tmp_path, FINE_ROWS)),
        load_config(system, options["overrides"]),
        "rewrite",
        "llama-factory",
        tmp_path / "out",
        expressions=options["expressions"],
    )
    assert done.notes[-1].endswith("dataset: posts_rewrite_posts, mask_history: true")
    row = lessons_of(tmp_path, "rewrite", "ms-swift", **options)[0]
    answers = [turn for turn in row["messages"] if turn["role"] == "assistant"]
    assert len(answers) > 1
    assert [turn.get("loss") for turn in answers] == [*[False] * (len(answers) - 1), None]
    options["overrides"] = ["rewrite.prompt_form=completion"]
    with pytest.raises(UserError, match="what is learnt are turns; say chat or turns"):
        lessons_of(tmp_path, "rewrite", "trl", **options)


def question_of(row: Values) -> str:
    turns = row["prompt"] if "prompt" in row else row["messages"][:-1]
    return str(turns[-1]["content"])


def answer_of(row: Values) -> str:
    if "reward_model" in row:
        return str(row["reward_model"]["ground_truth"])
    return str((row["completion"] if "completion" in row else row["messages"])[-1]["content"])


def test_the_command_takes_a_seed_and_runs(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text(SYSTEM)
    command = ["data", "convert", str(write(tmp_path, FINE_ROWS)), "--to", "trl"]
    command += ["--system", str(tmp_path / "system.yaml")]
    more = ["--task", "rerank", "--seed", "7", "--out", str(tmp_path / "types")]
    result = CliRunner().invoke(app, [*command, *more])
    assert result.exit_code == 0, result.output
    assert read(tmp_path / "types" / "posts.jsonl") == lessons_of(tmp_path, "rerank", "trl", seed=7)
    more = ["--task", "rewrite", "--expressions", str(recorded(tmp_path))]
    result = CliRunner().invoke(app, [*command, *more, "--out", str(tmp_path / "words")])
    assert result.exit_code == 0, result.output
    assert "2 rows written to" in result.output


def test_ms_swift_writes_the_answer_from_its_objects(tmp_path: Path) -> None:
    """By the rule of its documentation: pixels times the size that the model sees, rounded."""
    done, rows = converted(tmp_path, "ms-swift")
    assert done.notes[-1] == (
        "ms-swift: train with QWENVL_BBOX_FORMAT=new MIN_PIXELS=200704 MAX_PIXELS=802816 in the "
        "environment"
    )
    config = load_config("e2e-gmner").steps[0].config
    assert isinstance(config, ChatExtractorConfig)
    for row in rows:
        objects = row["objects"]
        assert [*objects] == ["ref", "bbox", "bbox_type"]
        assert objects["bbox_type"] == "real"
        with Image.open(row["images"][0]) as image:
            size = image.size
        shown_size = config.resize(ImageSize(*size))
        answer = row["messages"][-1]["content"]
        assert answer.count("<ref-object>") == len(objects["ref"])
        assert answer.count("<bbox>") == len(objects["bbox"])
        for words in objects["ref"]:
            answer = answer.replace("<ref-object>", words, 1)
        for box in objects["bbox"]:
            shares = zip(box, (*size, *size), (*shown_size, *shown_size), strict=True)
            numbers = [round(edge / side * shown) for edge, side, shown in shares]
            answer = answer.replace("<bbox>", str(numbers).replace(" ", ""), 1)
        assert answer == row["ground_truth"]
    assert rows[0]["messages"][-1]["content"] == (
        "<think></think><answer><ref-object>|PER|[<bbox>,<bbox>]; <ref-object>|PER|<bbox>; "
        "<ref-object>|LOC|None</answer>"
    )


def test_ms_swift_takes_shares_of_the_sides(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path))
    config = load_config("one-vlm")
    write_training_data(dataset, config, "ground", "ms-swift", tmp_path / "out", box_type="norm1")
    row = read(tmp_path / "out" / "posts.jsonl")[1]
    assert row["objects"] == {
        "ref": [],
        "bbox": [[0.007143, 0.034167, 0.214286, 0.983333], [0.571429, 0, 1, 1]],
        "bbox_type": "norm1",
    }
    answer = row["messages"][-1]["content"]
    assert answer == '{"boxes": [{"bbox_2d": <bbox>}, {"bbox_2d": <bbox>}]}'


def test_llama_factory_finds_its_files(tmp_path: Path) -> None:
    """The columns and tags that ``dataset_info.json`` promises, by its README."""
    done, rows = converted(tmp_path, "llama-factory")
    ((name, info),) = json.loads((tmp_path / "out" / "dataset_info.json").read_text()).items()
    assert name == "posts_extract_posts"
    assert f"dataset: {name}, image_min_pixels: 200704" in done.notes[-1]
    assert info["formatting"] == "sharegpt"
    assert (tmp_path / "out" / info["file_name"]).is_file()
    tags = info["tags"]
    for row in rows:
        turns = row[info["columns"]["messages"]]
        roles = [turn[tags["role_tag"]] for turn in turns]
        assert roles == [tags["system_tag"], tags["user_tag"], tags["assistant_tag"]]
        text = "".join(turn[tags["content_tag"]] for turn in turns)
        assert text.count("<image>") == len(row[info["columns"]["images"]]) == 1


def test_trl_loads_its_files(tmp_path: Path) -> None:
    """With the loader that TRL uses, which opens the images from their paths."""
    datasets = pytest.importorskip("datasets", reason="needs the extra data")
    converted(tmp_path, "trl")
    loaded = datasets.load_dataset(
        "json", data_files=str(tmp_path / "out" / "posts.jsonl"), cache_dir=str(tmp_path / "cache")
    )["train"].cast_column("images", datasets.List(datasets.Image()))
    assert [row["images"][0].size for row in loaded] == [(1400, 600), (90, 130), (90, 130)]
    assert [[turn["role"] for turn in row["prompt"]] for row in loaded] == [["system", "user"]] * 3
    assert "<image>" not in loaded[0]["prompt"][1]["content"], "TRL puts it there"
    assert loaded[1]["completion"] == [
        {"role": "assistant", "content": "<think></think><answer>None</answer>"}
    ]


def test_verl_loads_its_files(tmp_path: Path) -> None:
    """With the loader that verl uses, and the keys of its documentation."""
    datasets = pytest.importorskip("datasets", reason="needs the extra data")
    converted(tmp_path, "verl")
    loaded = datasets.load_dataset(
        "json", data_files=str(tmp_path / "out" / "posts.jsonl"), cache_dir=str(tmp_path / "cache")
    )["train"]
    for number, row in enumerate(loaded):
        assert row["prompt"][-1]["content"].count("<image>") == len(row["images"]) == 1
        assert (row["images"][0]["min_pixels"], row["images"][0]["max_pixels"]) == (200704, 802816)
        assert Path(row["images"][0]["image"]).is_file()
        assert (row["data_source"], row["ability"]) == ("riveg/posts", "extract")
        assert row["extra_info"]["index"] == number
        gold = row["reward_model"]["ground_truth"]
        assert compute_score(row["data_source"], gold, gold, row["extra_info"])["score"] == 1
        assert row["reward_model"]["style"] == "rule"


TEXT = "Ann Lee ; Bo"


@pytest.mark.parametrize(
    ("changed", "overrides", "kind", "message"),
    [
        ({"entities": [entity("PER", 0, 4)]}, (), "unreadable-answer", "a name holds a sign that"),
        ({"image": None}, (), "no-picture", "has no picture"),
        ({"image": "none.jpg"}, (), "missing-image", "'none.jpg': no such file"),
        ({"image": "thin.png"}, (), "image-shape", "the picture has 27 x 300 pixels"),
        ({"image": "turned.jpg"}, (), "turned-image", "stored turned and upright by its EXIF"),
        ({"entities": [entity("PER", 0, 1, [91, 0, 99, 9])]}, (), "box-outside-picture", "'Ann'"),
        (
            {"entities": [{"label": "PER", "start": 0, "end": 1, "boxes": None}]},
            (),
            "no-boxes",
            "nobody has annotated where 'Ann' is",
        ),
        (
            {"text": None, "tokens": ["Ann", "\xa0"], "entities": [entity("PER", 1, 2)]},
            (),
            "unaligned-entity",
            "is not found again in the text",
        ),
        (
            {"text": "Ann at <image>", "entities": [entity("PER", 2, 5)]},
            ("extract.prompt=extract/json.v1",),
            "placeholder",
            "holds <image>, which trainers replace",
        ),
        ({"text": ""}, (), "empty-text", "no text"),
    ],
)
def test_what_cannot_be_learnt_is_left_out_and_told(
    tmp_path: Path, changed: Values, overrides: tuple[str, ...], kind: str, message: str
) -> None:
    Image.new("RGB", (27, 300)).save(tmp_path / "thin.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    bad = {"id": "bad", "text": TEXT, "image": "small.png", "entities": []} | changed
    done, rows = converted(tmp_path, "verl", *overrides, rows=[ROWS[0], bad, ROWS[1]])
    assert [row["extra_info"]["id"] for row in rows] == ["a", "b"]
    (issue,) = done.left_out
    assert issue.kind == kind
    assert issue.message.startswith("posts.jsonl:2: ")
    assert message in issue.message


def test_an_entity_that_cannot_be_grounded_costs_no_other(tmp_path: Path) -> None:
    bad = ROWS[0] | {"entities": [entity("PER", 0, 2, [2000, 0, 2001, 9]), entity("PER", 3, 4)]}
    done, rows = converted(tmp_path, "trl", task="ground", rows=[bad])
    assert ([row["id"] for row in rows], len(done.left_out)) == (["a#e1"], 1)


def test_trl_turns_images_itself(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 60)).save(tmp_path / "turned.jpg", exif=exif)
    row = ROWS[1] | {"image": "turned.jpg", "text": "Ann", "entities": [entity("PER", 0, 1)]}
    row["entities"][0]["boxes"] = [[0, 0, 60, 90]]
    done, rows = converted(tmp_path, "trl", "extract.frame=norm1000", rows=[row])
    assert done.left_out == ()
    assert "[0,0,1000,1000]" in rows[0]["ground_truth"]


def test_notes_tell_what_differs(tmp_path: Path) -> None:
    rows = [*ROWS, {"id": "d", "text": "no gold", "image": "small.png", "entities": None}]
    done, _ = converted(tmp_path, "trl", "llm.main.picture_side=700", rows=rows)
    assert done.notes == (
        "posts without annotation, so without a row: 1",
        "pictures longer than llm.main.picture_side: 1; run the trained model with --set "
        "llm.main.picture_side=1400, so that it sees them as in training",
        "trl: load the model's processor with min_pixels=200704, max_pixels=802816",
    )


def test_a_file_for_each_split(tmp_path: Path) -> None:
    write(tmp_path, ROWS[:1], "a.jsonl")
    write(tmp_path, ROWS[1:], "b.jsonl")
    (tmp_path / "set.yaml").write_text(
        "name: my set\nformat: jsonl\ntext: {train: a.jsonl, dev: b.jsonl}\n"
    )
    command = ["data", "convert", str(tmp_path / "set.yaml"), "--to", "llama-factory"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert len(read(tmp_path / "out" / "train.jsonl")) == 1
    assert len(read(tmp_path / "out" / "dev.jsonl")) == 2
    names = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert [*names] == ["my_set_extract_train", "my_set_extract_dev"]
    assert f"2 rows written to {tmp_path / 'out' / 'dev.jsonl'}" in result.output
    text = (tmp_path / "set.yaml").read_text()
    (tmp_path / "set.yaml").write_text(text.replace("train:", "a-1:").replace("dev:", "a_1:"))
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "other")])
    assert "the splits a-1 and a_1 have one name in dataset_info.json" in str(result.exception)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_command_tells_what_it_left_out(tmp_path: Path, trainer: str) -> None:
    rows = [*ROWS, ROWS[1] | {"id": "d", "image": "gone.jpg"}]
    command = ["data", "convert", str(write(tmp_path, rows)), "--to", trainer]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "3 rows written to" in result.output
    assert "left out: 1 missing-image, the first: posts.jsonl:4: 'gone.jpg'" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "llamafactory"], "did you mean llama-factory"),
        (["--to", "trl", "--task", "rerank"], "one-vlm: has no rerank: chat; name a --system"),
        (["--to", "trl", "--seed", "2"], "--seed: only with --task rerank"),
        (["--to", "trl", "--task", "rewrite"], "--task rewrite needs some, no other"),
        (["--to", "trl", "--expressions", "runs/x"], "--task rewrite needs some, no other"),
        (
            ["--to", "ms-swift", "--task", "rerank", "--box-type", "real"],
            "--box-type: answers of --task rerank hold no boxes",
        ),
        (["--to", "trl", "--task", "extrakt"], "did you mean extract"),
        (["--to", "trl", "--system", "quickstart"], "has no extract: chat; name a --system"),
        (["--to", "trl", "--box-type", "real"], "--box-type: only with --to ms-swift"),
        (["--to", "ms-swift", "--box-type", "norm"], "did you mean norm1"),
        (["--to", "ms-swift", "--set", "extract.frame=norm1"], "ms-swift cannot write boxes in"),
        (["--to", "jsonl", "--task", "extract"], "--task: only with --to ms-swift, llama-factory"),
        (["--to", "jsonl", "--set", "a=b"], "--set: only with --to"),
        (["--to", "jsonl", "--seed", "0"], "--seed: only with --to"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    command = ["data", "convert", str(write(tmp_path)), "--out", str(tmp_path / "out"), *arguments]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [ROWS[0] | {"entities": [entity("SHIP", 0, 1, [1, 2, 3, 4])]}],
            "of the type 'SHIP', which is none of them",
        ),
        ([{"id": "a", "text": "a", "image": "small.png"}], "has no gold, which a model could"),
        ([ROWS[0] | {"entities": [{"label": "PER", "start": 0, "end": 1}]}], "has no boxes, which"),
        ([ROWS[0] | {"image": "gone.jpg"}], "no row can be made of its samples: posts.jsonl:1"),
    ],
)
def test_data_that_cannot_be_learnt_from(tmp_path: Path, rows: list[Values], message: str) -> None:
    with pytest.raises(UserError, match=message):
        converted(tmp_path, "trl", rows=rows)
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds files; give --out a new or an empty folder"):
        converted(tmp_path, "trl")


def test_a_type_is_trained_by_the_name_that_the_model_has_for_it(tmp_path: Path) -> None:
    _, rows = converted(tmp_path, "trl", "extract.label_map={HUMAN: PER}")
    assert "Types: HUMAN (a person" in rows[0]["prompt"][0]["content"]
    answers = " ".join(row["completion"][0]["content"] for row in rows)
    assert "|HUMAN|" in answers
    assert "|PER|" not in answers
