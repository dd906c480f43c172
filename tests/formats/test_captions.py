"""Published caption files: both forms, mixed or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from riveg.errors import UserError
from riveg.formats.captions import PublishedCaption, read_captions


def read(path: Path, content: bytes, *, is_mixed: bool) -> list[PublishedCaption]:
    path.write_bytes(content)
    return list(read_captions(path, is_mixed=is_mixed))


@pytest.mark.parametrize("is_mixed", [True, False])
def test_both_forms(tmp_path: Path, is_mixed: bool) -> None:
    path = tmp_path / "captions.txt"
    short = b"\xef\xbb\xbf7.jpg :a man : with a colon\r\n\r\n8.PNG: none\nnonsense\n"
    assert read(path, short, is_mixed=is_mixed) == [
        PublishedCaption(1, "7", "a man : with a colon"),
        PublishedCaption(3, "8", "none"),
        PublishedCaption(4, None, "nonsense"),
    ]
    long = b"\nimgid:7### A man.\n\nHe waves: ### yes.\n\nimgid:O_1###\nimgid:7###again\n"
    assert read(path, long, is_mixed=is_mixed) == [
        PublishedCaption(2, "7", "A man.\n\nHe waves: ### yes."),
        PublishedCaption(6, "O_1", ""),
        PublishedCaption(7, "7", "again"),
    ]


@pytest.mark.parametrize(
    ("is_mixed", "expected"),
    [
        pytest.param(
            True,
            [(1, "7", "A man\nand a file.jpg :x"), (3, "8", "a dog"), (4, None, "nonsense")],
            id="the second form ends",
        ),
        pytest.param(
            False,
            [(1, "7", "A man\nand a file.jpg :x\n8.jpg :a dog\nnonsense")],
            id="the second form goes on",
        ),
    ],
)
def test_a_line_of_the_first_form_inside_the_second(
    tmp_path: Path, is_mixed: bool, expected: list[tuple[int, str | None, str]]
) -> None:
    content = b"imgid:7###A man\nand a file.jpg :x\n8.jpg :a dog\nnonsense\n"
    found = read(tmp_path / "captions.txt", content, is_mixed=is_mixed)
    assert found == [PublishedCaption(*each) for each in expected]


def test_what_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"captions\.txt: cannot be read as UTF-8 text"):
        read(tmp_path / "captions.txt", b"7.jpg :caf\xe9\n", is_mixed=True)
