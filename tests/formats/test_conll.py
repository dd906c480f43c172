"""CoNLL files."""

from pathlib import Path

import pytest

from riveg.errors import UserError
from riveg.formats.conll import read_conll


def write(folder: Path, content: bytes) -> Path:
    path = folder / "train.txt"
    path.write_bytes(content)
    return path


def test_sentences_with_ids_columns_and_lines(tmp_path: Path) -> None:
    text = "IMGID:7\na\tO\tO\nB\tB-x\tB-y\n\nIMGID:8\nc\tO\tO\n"
    first, second = read_conll(write(tmp_path, text.encode()))
    assert (first.image_id, first.tokens, first.line) == ("7", ("a", "B"), 1)
    assert first.columns == (("O", "B-x"), ("O", "B-y"))
    assert (second.image_id, second.line) == ("8", 5)


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        (b"IMGID:1\r\na\tO\r\n\r\n", [("a",)]),  # Windows line ends
        (b"a\tO\n\nb\tO", [("a",), ("b",)]),  # no ids, no final newline
        (b"IMGID:1\na\tO\nIMGID:2\nb\tO\n", [("a",), ("b",)]),  # no blank line between
        (b"\n\n\n", []),
        (b"", []),
        (b"IMGID:1\nIMGID:x\tO\n", [("IMGID:x",)]),  # a token that looks like a header
        ("IMGID:1\n\u2028\tO\n".encode(), [("\u2028",)]),  # only \n ends a line
    ],
)
def test_forms_that_occur(tmp_path: Path, content: bytes, tokens: list[tuple[str, ...]]) -> None:
    assert [sentence.tokens for sentence in read_conll(write(tmp_path, content))] == tokens


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"IMGID:1\na O\n", 2), (b"a\tO\nb\tO\tO\n", 2), (b"a\tO\n\nb\n", 3)],
)
def test_a_row_with_other_columns_is_named(tmp_path: Path, content: bytes, line: int) -> None:
    with pytest.raises(UserError, match=rf"train\.txt:{line}: expected"):
        list(read_conll(write(tmp_path, content)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.txt: cannot be read"):
        list(read_conll(tmp_path / "gone.txt"))
