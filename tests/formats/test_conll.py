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
    assert (first.first_row, second.first_row) == (2, 6)


def test_the_first_row_is_that_of_the_first_token(tmp_path: Path) -> None:
    (sentence,) = read_conll(write(tmp_path, b"\n-DOCSTART-\tO\na\tO\n"))
    assert (sentence.line, sentence.first_row) == (3, 3)


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        (b"IMGID:1\r\na\tO\r\n\r\n", [("a",)]),  # Windows line ends
        (b"a\tO\n\nb\tO", [("a",), ("b",)]),  # no ids, no final newline
        (b"IMGID:1\na\tO\nIMGID:2\nb\tO\n", [("a",), ("b",)]),  # no blank line between
        (b"\n\n\n", []),
        (b"", []),
        (b"IMGID:1\nIMGID:x\tO\n", [("IMGID:x",)]),  # a token that looks like a header
        ("IMGID:1\n\u2028\tO\n\x85\tO\n".encode(), [("\u2028", "\x85")]),  # only \n ends a line
        (b"IMGID:1\na\rb\tO\n\r\tO\n", [("a\rb", "\r")]),  # not a CR within it
        (b"IMGID:1\ra\tO\r\rIMGID:2\rb\tO\r", [("a",), ("b",)]),  # unless there is no \n at all
        ("\ufeffIMGID:1\na\tO\n".encode(), [("a",)]),  # a byte order mark
        ("IMGID:1\n \tO\n\tO\n\u3000\tO\n\ufe0f\tO\n".encode(), [(" ", "", "\u3000", "\ufe0f")]),
        (b"-DOCSTART-\tO\n\na\tO\n\n-DOCSTART-\tO\n\nb\tO\n", [("a",), ("b",)]),
        (b"-DOCSTART- -X- O O\n\na\tO\n", [("a",)]),  # as in CoNLL-2003
        (b"-DOCSTART- (1 EU)\na\tO\n", [("a",)]),  # as in AIDA, no blank line behind it
        (b"IMGID:1\n-DOCSTART-\tO\n\nIMGID:2\na\tO\n", [("a",)]),  # with an id of its own
        (b"IMGID:1\na\tO\n-DOCSTART-\tO\n", [("a", "-DOCSTART-")]),  # a word among others
    ],
)
def test_forms_that_occur(tmp_path: Path, content: bytes, tokens: list[tuple[str, ...]]) -> None:
    assert [sentence.tokens for sentence in read_conll(write(tmp_path, content))] == tokens


@pytest.mark.parametrize("end", ["", " ", "\t", " \t", "\t \t", "\u00a0", "\r"])
def test_what_is_not_seen_at_the_end_of_a_line_is_not_read(tmp_path: Path, end: str) -> None:
    lines = ("IMGID:1", "Ann\tB-PER", "Lee\t I-PER", " \tO", "")
    text = "".join(line + end * bool(line) + "\r\n" for line in lines)
    (sentence,) = read_conll(write(tmp_path, text.encode()))
    assert sentence.image_id == "1"
    assert sentence.tokens == ("Ann", "Lee", " ")
    assert sentence.columns == (("B-PER", "I-PER", "O"),)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"IMGID:1\na O\n", 2),
        (b"-DOCSTART- -X- O O\n\na NNP B-NP O\n", 3),
        (b"a\tO\nb\tO\tO\n", 2),
        (b"a\tO\n\nb\n", 3),
    ],
)
def test_a_row_with_other_columns_is_named(tmp_path: Path, content: bytes, line: int) -> None:
    with pytest.raises(UserError, match=rf"train\.txt:{line}: expected"):
        list(read_conll(write(tmp_path, content)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.txt: cannot be read"):
        list(read_conll(tmp_path / "gone.txt"))
