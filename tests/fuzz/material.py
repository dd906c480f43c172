"""What the fuzz damages: small files of every kind, whole and good."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
from fuzz.stage_answers import write_answers
from helpers.places import QUICKSTART_IMAGES, ROOT
from helpers.tiny_adapter import make_tiny_adapter
from helpers.tiny_siglip import save_siglip
from PIL import Image

from riveg import load_system
from riveg.datasets.convert import convert
from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset
from riveg.exports.registry import export_run
from riveg.exports.source import ExportSource
from riveg.files import asset
from riveg.formats.e2e_answer import Triple, format_answer
from riveg.geometry.masks import mask_from_array
from riveg.llm.cached_response import CachedResponse
from riveg.llm.conversation import Response
from riveg.llm.response_cache import ResponseCache
from riveg.runs.reading import read_records
from riveg.types import Gold, Sample

SAMPLES = ("qs01-astronaut", "qs03-cat", "qs07-slide")

DATA = "data/quick.yaml"
"""The dataset that the run is of, with gold."""


def make_material(folder: Path) -> Path:
    """All of it below a folder: ``data``, ``run``, ``predictions``, ``models``, ``systems``."""
    dataset = _write_data(folder / "data")
    load_system("quickstart").run(folder / DATA, out=folder / "run")
    samples = [*read_records(folder / "run")]
    _write_tables(folder, dataset)
    _write_predictions(folder / "predictions", samples, folder / "run")
    _write_proposals(folder / "proposals", dataset)
    shutil.copytree(asset("tagger"), folder / "models" / "tagger")
    shutil.copytree(asset("entailer"), folder / "models" / "entailer")
    save_siglip(folder / "models" / "siglip")
    _write_systems(folder / "systems")
    _write_adapted(folder / "adapted")
    load_system(folder / "systems" / "short.yaml").run(folder / DATA, out=folder / "short-run")
    write_answers(folder / "answers")
    _write_pictures(folder / "pictures")
    return folder


def _write_data(folder: Path) -> Dataset:
    """Three of the posts that come with riveg, with smaller pictures and their boxes."""
    source = ROOT / "data" / "quickstart"
    for name in ("txt", "xml", "images"):
        (folder / name).mkdir(parents=True)
    blocks = (source / "txt" / "test.txt").read_text(encoding="utf-8").split("\n\n")
    chosen = [one for one in blocks if one.removeprefix("IMGID:").startswith(SAMPLES)]
    (folder / "txt" / "test.txt").write_text("\n\n".join(chosen) + "\n", encoding="utf-8")
    shutil.copy(source / "captions.txt", folder)
    for name in SAMPLES:
        shutil.copy(source / "xml" / f"{name}.xml", folder / "xml")
        shutil.copy(QUICKSTART_IMAGES / f"{name}.jpg", folder / "images")
    settings = (ROOT / "configs" / "datasets" / "quickstart.yaml").read_text(encoding="utf-8")
    text = settings.replace("../../data/quickstart", ".").replace("name: quickstart", "name: quick")
    (folder / "quick.yaml").write_text(text, encoding="utf-8")
    return open_dataset(folder / "quick.yaml")


def _write_tables(folder: Path, dataset: Dataset) -> None:
    """The same posts as tables, and their masks as JSON files."""
    import pyarrow as pa
    from datasets import Dataset as Saved

    tables = folder / "tables"
    convert(dataset, tables / "posts.jsonl", "jsonl")
    convert(dataset, tables / "posts.parquet", "parquet")
    rows = [json.loads(line) for line in (tables / "posts.jsonl").read_text().splitlines()]
    (tables / "list.json").write_text(json.dumps(rows))
    for name, mark in (("posts.csv", ","), ("posts.tsv", "\t")):
        lines = [mark.join(("id", "text", "image", "caption"))]
        lines += [
            mark.join(
                '"{}"'.format(str(row.get(key) or "").replace('"', '""'))
                for key in ("id", "text", "image", "caption")
            )
            for row in rows
        ]
        (tables / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    packed = gzip.compress((tables / "posts.csv").read_bytes(), mtime=0)
    (tables / "packed.csv.gz").write_bytes(packed)
    pictures = [(QUICKSTART_IMAGES / f"{name}.jpg").read_bytes()[:20_000] for name in SAMPLES]
    table = {"text": [row["text"] for row in rows], "image": [{"bytes": one} for one in pictures]}
    pa.parquet.write_table(pa.table(table), tables / "pictures.parquet")
    prompts = [f"Find the names.\nText: {text}" for text in table["text"]]
    gold = [
        json.dumps([{"entity": text.split()[0], "type": "PER", "bbox": [1, 2, 30, 40]}])
        for text in table["text"]
    ]
    sake = {"images": [[one] for one in table["image"]], "prompt": prompts, "ground_truth": gold}
    pa.parquet.write_table(pa.table(sake), tables / "sake.parquet")
    (tables / "sake.yaml").write_text("name: s\nformat: sake\ntext: {train: sake.parquet}\n")
    Saved.from_dict({"text": table["text"]}).save_to_disk(tables / "saved")
    _write_masks(folder / "masked", folder / "data", dataset)


def _write_masks(folder: Path, data: Path, dataset: Dataset) -> None:
    """The posts in the format of Twitter-SMNER, with each box as a mask."""
    shutil.copytree(data / "txt", folder / "txt")
    (folder / "json").mkdir()
    for name, gold in _gold(dataset).items():
        entities = []
        for entity in gold.entities:
            for box in entity.boxes or ():
                pixels = np.zeros((64, 64), dtype=bool)
                pixels[: int(box.height) % 64 + 1, : int(box.width) % 64 + 1] = True
                mask = mask_from_array(pixels, "fuzz")
                lengths = {"size": [mask.height, mask.width], "counts": mask.counts}
                entities.append({"entity": entity.text, "label": entity.label, "mask": lengths})
        (folder / "json" / f"{name}.json").write_text(json.dumps(entities))
    text = "name: masked\nformat: twitter-smner\nroot: .\ntext: {test: txt/test.txt}\n"
    (folder / "masked.yaml").write_text(
        f"{text}masks: json\nimages: [{data / 'images'}]\nlabels: [PER, LOC, ORG, OTHER]\n"
    )


def _gold(dataset: Dataset) -> dict[str, Gold]:
    return {one.sample_id: one for one in dataset.gold()}


def _write_predictions(folder: Path, samples: list[Sample], run: Path) -> None:
    """The run's answers in the formats of other systems."""
    folder.mkdir()
    shutil.copy(run / "records.jsonl", folder / "records.jsonl")
    export_run(ExportSource.of_run(run), "smner", folder / "smner")
    shutil.copy(folder / "smner" / "predicted.conll", folder / "tags.conll")
    answers, sentences, lines, boxes = [], [], [], []
    rollouts = []
    for sample in samples:
        triples, told = [], []
        for number, entity in enumerate(sample.entities or ()):
            found = [region.box for region in entity.regions or ()]
            corners = [(int(b.x_min), int(b.y_min), int(b.x_max), int(b.y_max)) for b in found]
            triples.append(Triple(entity.text, entity.label, tuple(corners)))
            place = "in" if found else "not in"
            told.append(
                f"{entity.text} is a thing and a {entity.label}, which is {place} the image"
            )
            name = f"{sample.id}.jpg#{number:04x}"
            words = f"{entity.text}({entity.label})"
            lines.append(f"Imageid:{name}###{words}###{words}-a###b (c)###{2 if found else 0}")
            boxes += [{"uniq_id": name, "box": [*corners[0]]}] if found else []
        answer = f"<answer>{format_answer(triples)}</answer>"
        answers.append(json.dumps({"image_path": f"{sample.id}.jpg", "answer": answer}))
        said = f"<think>a</think>{answer}"
        rollouts.append(json.dumps({"output": said, "ground_truth": format_answer(triples)}))
        sentences.append(" [SSEP] ".join(told))
    (folder / "e2e.jsonl").write_text("\n".join(answers) + "\n")
    (folder / "rollouts.jsonl").write_text("\n".join(rollouts) + "\n")
    (folder / "tiger.txt").write_text("\n".join(sentences) + "\n")
    (folder / "riveg.txt").write_text("\n".join(lines) + "\n")
    (folder / "boxes.json").write_text(json.dumps(boxes))


def _write_proposals(folder: Path, dataset: Dataset) -> None:
    folder.mkdir()
    for name in SAMPLES:
        corners = np.array([[1, 2, 30, 40], [5, 5, 200, 300], [0, 0, 400, 400]], dtype=np.float32)
        np.savez(folder / f"{name}.jpg.npz", bounding_boxes=corners, num_boxes=3)


_CHAT = """\
name: mine
description: what the fuzz damages
labels: [{name: PER, description: people, examples: [Ann]}, {name: LOC}]
llm:
  main:
    model: tiny/model
    base_urls: ["http://127.0.0.1:9/v1"]
    prices: {input: 1.0, output: 2.0}
    temperature: 0
tag: {backend: mini}
rewrite: {backend: chat, prompt: mine.jinja, batch: entity}
observe: {backend: evidence}
entail: {backend: mini, threshold: 0.5}
ground: {backend: evidence}
segment: {backend: grabcut}
run: {overlays: 2, part_size: 8}
"""

_MODELS = """\
name: models
tag: {backend: mini, model: ../models/tagger}
rewrite: {backend: template, prompt: plain.jinja}
observe: {backend: evidence}
entail: {backend: mini, model: ../models/entailer}
ground: {backend: evidence}
"""

_SIGLIP = """\
name: siglip
tag: {backend: mini}
rewrite: {backend: template, prompt: plain.jinja}
entail: {backend: siglip, model: ../models/siglip, licence: none, threshold: 0.5, device: cpu}
"""


_SHORT = """\
name: short
tag: {backend: mini}
rewrite: {backend: template}
entail: {backend: mini}
"""

_SYSTEMS = {"chat": _CHAT, "models": _MODELS, "siglip": _SIGLIP, "short": _SHORT}


_ADAPTED = """\
name: adapted
llm:
  main: {model: adapted/model, adapter: adapted/adapter, serve: vllm}
tag: {backend: chat, llm: main}
"""


def _write_adapted(folder: Path) -> None:
    """The settings of a language model, and a LoRA adapter for it."""
    sizes = {"hidden_size": 8, "num_attention_heads": 1, "head_dim": 8, "num_hidden_layers": 1}
    model = folder / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps(sizes))
    make_tiny_adapter(folder / "adapter", model)
    (folder / "adapted.yaml").write_text(_ADAPTED)


def _write_systems(folder: Path) -> None:
    folder.mkdir()
    visual = (ROOT / "prompts" / "rewrite" / "visual.v1.jinja").read_text(encoding="utf-8")
    (folder / "mine.jinja").write_text(visual, encoding="utf-8")
    plain = (ROOT / "prompts" / "rewrite" / "template.v1.jinja").read_text(encoding="utf-8")
    (folder / "plain.jinja").write_text(plain, encoding="utf-8")
    for name, text in _SYSTEMS.items():
        (folder / f"{name}.yaml").write_text(text)
    with ResponseCache(folder / "answers.sqlite") as cache:
        for number in range(3):
            cache.put(f"key{number}", CachedResponse(Response('{"e0": 1}', "stop"), "plain", "m"))


def _write_pictures(folder: Path) -> None:
    """A picture of each format that is read; one is turned by its EXIF."""
    folder.mkdir()
    with Image.open(QUICKSTART_IMAGES / "qs01-astronaut.jpg") as whole:
        small = whole.convert("RGB").resize((96, 80))
    small.save(folder / "plain.png")
    small.quantize(16).save(folder / "palette.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    small.save(folder / "turned.jpg", exif=exif)
    small.save(folder / "small.webp")
    small.quantize(8).save(folder / "small.gif")
    small.save(folder / "small.bmp")


def gold_of(material: Path) -> dict[str, Gold]:
    """The annotation of the run's posts."""
    return _gold(open_dataset(material / DATA))
