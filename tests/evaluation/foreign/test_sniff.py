from pathlib import Path

import pytest
from helpers.factories import make_sample, write_records

from riveg.errors import UserError
from riveg.evaluation.foreign import FORMATS, read_foreign, sniff
from riveg.evaluation.foreign.sniff import is_riveg_gold

TEXTS = [
    ("riveg", "Imageid:1.jpg#0a1b###X(PER)###X(PER)-a###0\n", "predictions of RiVEG"),
    ("riveg", "\ufeffImageid:1.jpg#0a1b###X(PER)###X(PER)-a###0\r\n", "from another system"),
    ("e2e", '{"image": "1.jpg", "prediction": "A|PER|None"}\n', "an answer"),
    ("tiger", "\nRome is a city, which is not in the image\n", "an empty tweet first"),
    ("tiger", "oh\nRome is a city, which is in the image\n", "an unreadable one first"),
    ("conll", "IMGID:1\nNASA\tB-ORG\n", "with ids"),
    ("conll", "NASA\tB-ORG\tS-ORG\n", "without ids"),
    ("e2e", '[{"image": "1.jpg", "prediction": "A|PER|None"}]', "an array"),
    ("e2e", '[\n  {\n    "pred": "[SSEP]"\n  }\n]\n', "an array over lines"),
    ("e2e", '{\n  "pred": ""\n}\n{\n  "pred": "A|PER|None"\n}\n', "objects over lines"),
    ("e2e", '{"pred": ""}{"pred": "A|PER|None"}', "objects in one line"),
    ("conll", "[\tO\nNASA\tB-ORG\n", "a bracket is a token"),
    ("conll", "{\tO\nNASA\tB-ORG\n", "a brace is a token"),
    ("jsonl", '{"id": "1", "tokens": [], "extra": 1}\n', "a record that its reader refuses"),
]


@pytest.mark.parametrize(("name", "text", "reason"), TEXTS)
def test_the_look_of_a_file(tmp_path: Path, name: str, text: str, reason: str) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    assert sniff(path) == name, reason
    assert name in FORMATS


def test_records_and_folders(tmp_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", [make_sample("a b")])
    assert sniff(records) == "jsonl"
    for name, file in {"run": "manifest.json", "smner": "index.json"}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / file).write_text("{}", encoding="utf-8")
        assert sniff(folder) == name


@pytest.mark.parametrize(
    ("content", "message", "reason"),
    [
        (b"", r"is empty", "nothing"),
        (b"\n \n", r"is empty", "blank lines"),
        (b"hello\n", r"none of the formats run, jsonl, smner, .* --format", "prose"),
        (b'{"a": 1}\n', r"none of the formats .* has the keys 'a', and an answer", "no answer"),
        (b'{"pred": ""},\n{"pred": ""}\n', r":1: is not JSON \(Extra data", "commas between"),
        (b"[]", r"is empty", "an array of nothing"),
        (b'[{"a": 1}]', r"none of the formats", "an array without answers"),
        (b'[{"id": "1", "tokens": []}]', r"is an array; expected one record a line", "records"),
        (b"\xff\xfe\n", r"is not UTF-8", "bytes"),
        (None, r"cannot be read", "no file"),
    ],
)
def test_unknown_files(tmp_path: Path, content: bytes | None, message: str, reason: str) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        sniff(path)


def test_a_folder_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of the formats"):
        sniff(tmp_path)


def test_the_label_file_of_riveg(tmp_path: Path) -> None:
    path = tmp_path / "gold.txt"
    path.write_text("1.jpg###X(PER)###d###2###&[1, 2, 3, 4]\n", encoding="utf-8")
    assert is_riveg_gold(path)
    for text in (TEXTS[0][1], "IMGID:1\n", ""):
        path.write_text(text, encoding="utf-8")
        assert not is_riveg_gold(path)
    assert not is_riveg_gold(tmp_path)
    path.write_bytes(b"\xff")
    assert not is_riveg_gold(path)


def test_boxes_belong_to_one_format(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="format riveg only"):
        read_foreign(tmp_path / "pred.jsonl", "e2e", tmp_path / "boxes.json")
