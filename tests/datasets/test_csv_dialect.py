r"""CSV and TSV files as spreadsheets, data frames and databases write them."""

from __future__ import annotations

import csv
import gzip
import io
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.datasets.frame_values import in_text
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.types import Sample


def read(folder: Path, content: str | bytes, name: str = "posts.csv") -> list[Sample]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_dataset(path).samples())


def texts(folder: Path, content: str | bytes, name: str = "posts.csv") -> list[str | None]:
    """The texts, ``None`` for rows that cannot be used."""
    return [None if one.issues else one.text for one in read(folder, content, name)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "id,text\n1,hello Oslo\n2,first line\rsecond line in Rome\n3,plain Paris\n",
            ["hello Oslo", "first line\rsecond line in Rome", "plain Paris"],
        ),
        ('id,text\n1,"a\rb"\n2,c\n', ["a\rb", "c"]),
        ("id,text\r\n1,a\rb\r\n2,c\r\n", ["a\rb", "c"]),
        ("id,text\r\n1,a\r\r\n2,c\r\r\n", ["a", "c"]),
        ("id,text\n1,a\r\n2,b\n", ["a", "b"]),
        ('id,text\r\n1,"a\r\nb"\r\n2,c', ["a\r\nb", "c"]),
        ("id,text\r1,a\r2,b\r", ["a", "b"]),
        ("id,text\r1,a\nb\r2,c\r", ["a\nb", "c"]),
        ("id,text\n1,a\r", ["a"]),
        ("id,text\r\n", []),
        # A lone LF in a file of CRLF, unless most lines, or the cells, say otherwise.
        ("id,text\r\n1,a\nb\r\n2,c\r\n", ["a\nb", "c"]),
        ("text,id\r\na\nb,1\r\nc,2\r\n", ["a\nb", "c"]),
        ("text\r\na\nb\r\nc\r\n", ["a\nb", "c"]),
        ('id,text\r\n1,"a\r\nb"\r\n2,"c\nd"\r\n3,e\nf\r\n', ["a\r\nb", "c\nd", "e\nf"]),
        ("id,text\r\n1,a\n2,b\n", ["a", "b"]),
        ("id,text\r\n1,a\n2,b\r\n3,c\n", ["a", "b", "c"]),
        ("id,text\r\n1,a\nb\r\n2\r\n3,c\r\n", ["a\nb", None, "c"]),
        # CR and LF end a line of a file of CR, too; LF alone does not.
        ("id,text\r1,a\r\n2,b\r3,c\n4,d\r", ["a", "b", None]),
        ('id,text\r1,"a\r\nb"\r\n2,c\r', ["a\r\nb", "c"]),
    ],
)
def test_only_the_files_own_line_ends_end_a_row(
    tmp_path: Path, content: str, expected: list[str]
) -> None:
    assert texts(tmp_path, content) == expected


def test_rows_keep_the_number_of_their_line(tmp_path: Path) -> None:
    rows = read(tmp_path, 'sep=;\ntext;image\na\rb;\n"c\nd";\ne;\nf\n')
    assert [row.id for row in rows] == ["line-3", "line-4", "line-6", "line-7"]
    assert rows[-1].issues[0].message == "posts.csv:7: expected 2 cells, found 1"
    rows = read(tmp_path, 'text,image\r\n"a\nb",\r\nc\nd,\r\n\r\ne,\r\nf,')
    assert [row.id for row in rows] == ["line-2", "line-4", "line-7", "line-8"]


def notes(folder: Path, content: str, name: str = "posts.csv") -> list[str]:
    (folder / name).write_bytes(content.encode())
    return [note for note in open_dataset(folder / name).notes if "column image" not in note]


def test_two_ways_to_read_line_ends_are_said(tmp_path: Path) -> None:
    assert notes(tmp_path, "text\r\na\nb\r\nc\r\n") == [
        "posts.csv has lines that end with CR and LF, others within cells with LF alone "
        "(2 rows, not 3)"
    ]
    assert notes(tmp_path, 'id,text\r\n1,"a\nb"\r\n2,c\r\n') == []


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("id,text\r\n1,a\r2,b\r3,c\r\n", "CR"),
        ("id,text\n1,a\r2,b\r3,c\r", "CR"),
        ("id,text\r1,a\n2,b\r", "LF"),
    ],
)
def test_line_ends_of_another_kind_are_named(tmp_path: Path, content: str, name: str) -> None:
    (issue,) = read(tmp_path, content)[0].issues
    assert f"; {name} alone ends no row here: save the file with one kind of" in issue.message


def test_backslashes_before_quotes_are_recognised_and_said(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(
        'id,text\n1,"Ann said \\"hello\\" in Oslo"\n2,"Bob\'s 5\\" screen, from Rome"\n'
        '3,"a \\\\ b"\n4,plain Paris\n'
    )
    dataset = open_dataset(path)
    assert "posts.csv writes quotes in cells with backslashes, and is read so" in dataset.notes
    assert [sample.text for sample in dataset.samples()] == [
        'Ann said "hello" in Oslo',
        "Bob's 5\" screen, from Rome",
        "a \\ b",
        "plain Paris",
    ]


@pytest.mark.parametrize(
    "content",
    [
        'text,image\n"C:\\",a.jpg\n"say ""hi""",b.jpg\n',
        "text,image\nC:\\new,a.jpg\n",
    ],
)
def test_backslashes_of_usual_files_stay(tmp_path: Path, content: str) -> None:
    assert texts(tmp_path, content)[0] in {"C:\\", "C:\\new"}


def test_where_a_dialect_does_not_fit_the_whole_file_the_quote_is_named(tmp_path: Path) -> None:
    mixed = read(tmp_path, 'text\n"a \\"b\\" c"\n"say ""hi"" to \\n"\n')
    assert [bool(row.issues) for row in mixed] == [True, False]
    assert r'a quote in a quoted cell is written "", here it is written \"' in (
        mixed[0].issues[0].message
    )
    (inner, plain) = read(tmp_path, 'id,text\n1,"Dwayne "The Rock" Johnson"\n2,Paris\n')
    assert 'a quote in a quoted cell is written ""' in inner.issues[0].message
    assert plain.text == "Paris"


def test_quotes_of_unquoted_tsv_are_text(tmp_path: Path) -> None:
    path = tmp_path / "posts.tsv"
    path.write_text('id\ttext\n1\t"Hello" he said in Oslo\n2\t"Rome\n3\t5" of snow\n')
    dataset = open_dataset(path)
    assert [sample.text for sample in dataset.samples()] == [
        '"Hello" he said in Oslo',
        '"Rome',
        '5" of snow',
    ]
    assert "posts.tsv has quotes that do not enclose cells, and is read so" in dataset.notes


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # Unquoted cells, as data frames write them with escapechar and without doublequote.
        ('id,text\n1,say \\"Oslo\\" \\\\ x\n2,b\\\\n\n', ['say "Oslo" \\ x', "b\\n"]),
        ('id,text\n1,say \\"Oslo\\"\\, x\n2,b\n', ['say "Oslo", x', "b"]),
        ("id,text\n1,Hello\\, Oslo\n2,b\n", ["Hello, Oslo", "b"]),
        # Both ways in one cell.
        ('text\n"He said \\"Oslo\\" and ""Rome"""\n', ['He said "Oslo" and "Rome"']),
        # Backslashes that mean themselves.
        ('id,text\n1,say \\"Oslo\\"\n2,C:\\new\n', ['say \\"Oslo\\"', "C:\\new"]),
        ('id,text\n1,"say \\""x"\n2,"C:\\"\n', ['say \\"x', "C:\\"]),
    ],
)
def test_backslashes_in_cells(tmp_path: Path, content: str, expected: list[str]) -> None:
    assert texts(tmp_path, content) == expected


def test_rows_that_quotes_would_take_in_are_read_and_said(tmp_path: Path) -> None:
    content = 'id\ttext\n1\t"open here\n2\tmid\n3\tend"\n4\tRome\n'
    assert texts(tmp_path, content, "posts.tsv") == ['"open here', "mid", 'end"', "Rome"]
    assert notes(tmp_path, content, "posts.tsv") == [
        "posts.tsv has quotes that do not enclose cells, and is read so (4 rows, not 2)"
    ]
    quoted = '"id"\t"text"\n"1"\t"open here\n2\tmid"\n'
    assert texts(tmp_path, quoted, "posts.tsv") == ["open here\n2\tmid"]
    alone = 'text\n"two\nlines"\nRome\n'
    assert texts(tmp_path, alone, "posts.tsv") == ["two\nlines", "Rome"]
    assert notes(tmp_path, alone, "posts.tsv") == [
        "posts.tsv has quoted cells with line breaks in them, and is read so (2 rows, not 3)"
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('id, text\n1, "Hello Oslo"\n2, "Rome, Italy"\n', ["Hello Oslo", "Rome, Italy"]),
        ('id, text\n1, "Hello Oslo"\n2, Rome\n', ["Hello Oslo", "Rome"]),
        ('id, text\n1, "Hello Oslo"\n2\n3, "Rome"\n', ["Hello Oslo", None, "Rome"]),
        ('id;text\n1;  "a; b"\n', ["a; b"]),
        ('id,text\n1,"say, ""hi"""\n2," ""b"""\n3, c\n', ['say, "hi"', ' "b"', " c"]),
        ('id,text\n1, "never closed\n2,b\n', [' "never closed', "b"]),
    ],
)
def test_blanks_between_a_delimiter_and_a_quote_are_nothing(
    tmp_path: Path, content: str, expected: list[str]
) -> None:
    assert texts(tmp_path, content) == expected


def test_quotes_behind_blanks_that_enclose_nothing_are_said(tmp_path: Path) -> None:
    assert notes(tmp_path, 'id,text\n1, "a" ,\n2, "b" c\n') == [
        "posts.csv has quotes behind blanks that enclose no whole cells; they are read as text"
    ]
    assert notes(tmp_path, 'id,text\n1, "a"\n') == []


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("id;text;image\n1;a, b;\n", "posts.csv"),
        ("id\ttext\timage\n1\ta, b\t\n", "posts.csv"),
        ("id|text|image\n1|a, b|\n", "posts.csv"),
        ('"id";"Text";"image"\n1;"a, b";\n', "posts.csv"),
        ('sep=;\nid;text\n1;"a, b"\n', "posts.csv"),
        ('"sep=;"\nid;text\n1;"a, b"\n', "posts.csv"),
        ("id\ttext\n1\ta, b\n", "posts.tsv"),
        ("text\na, b\n", "posts.tsv"),
        ("text\na, b\n", "POSTS.TSV"),
        ('id,text\n1,"a, b"\n', "posts.tsv"),
        ('\ufeffid;text\n1;"a, b"\n', "posts.tsv"),
        ('\ufeff"id","text"\n1,"a, b"\n', "posts.csv"),
    ],
)
def test_delimiters_are_recognised(tmp_path: Path, content: str, name: str) -> None:
    assert texts(tmp_path, content, name) == ["a, b"]


def test_columns_without_a_name_are_nobodys(tmp_path: Path) -> None:
    assert texts(tmp_path, ",id,text,,\n0,1,Oslo,,\n") == ["Oslo"]
    with pytest.raises(UserError, match="the column 'text' stands twice"):
        read(tmp_path, "text,text,,\na,b,,\n")


def test_columns_of_other_names_tell_the_delimiter_too(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("number;my, tweet;lang\n1;a, b;en\n")
    (sample,) = open_dataset(path, columns={"text": "my, tweet", "id": "number"}).samples()
    assert (sample.id, sample.text) == ("1", "a, b")


@pytest.mark.parametrize("delimiter", ["semicolon", "';'"])
def test_a_delimiter_can_be_named(tmp_path: Path, delimiter: str) -> None:
    (tmp_path / "posts.txt").write_text("text;caption\na, b;c\n")
    config = tmp_path / "posts.yaml"
    config.write_text(f"name: p\nformat: csv\ntext: {{train: posts.txt}}\ndelimiter: {delimiter}\n")
    (sample,) = open_dataset(config).samples()
    assert (sample.text, sample.caption) == ("a, b", "c")


def test_a_rounded_id_says_so(tmp_path: Path) -> None:
    rows = read(tmp_path, "id,text\n1.2942E+18,hello Oslo\n1.2942E+18,hello Rome\n1e5,a\n")
    assert [row.id for row in rows] == ["line-2", "line-3", "1e5"]
    assert [row.issues[0].message for row in rows[:2]] == [
        f"posts.csv:{line}: found '1.2942E+18' in 'id', a number without its last digits "
        "(a spreadsheet has rounded it: import ids as text)"
        for line in (2, 3)
    ]


def test_values_of_data_frames_are_read_as_in_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(
        "id,text,image,caption,entities\n"
        '1.0,Oslo,a.png,x,"[{""label"": ""LOC"", ""start"": 0, ""end"": 1}]"\n'
        "NaN,nan,NaN,nan,NaN\n"
        "3.0,None,NULL,None,\n"
        "007,NaN,<NA>,NA,null\n"
        "9007199254740993.0,b,\\N,,\n"
    )
    rows = list(open_dataset(path).rows())
    assert [row.sample.id for row in rows] == ["1", "line-3", "3", "007", "line-6"]
    assert [row.sample.text for row in rows] == ["Oslo", "nan", "None", "NaN", "b"]
    assert [row.sample.image is None for row in rows] == [False, True, True, True, True]
    assert [row.sample.caption for row in rows] == ["x", None, None, None, None]
    assert [row.gold is not None for row in rows] == [True, False, False, False, False]
    assert not any(row.defects for row in rows)
    assert [len(row.sample.issues) for row in rows] == [0, 0, 0, 0, 1]
    assert "9.0072e+15, which is too large to be exact" in rows[-1].sample.issues[0].message


@pytest.mark.parametrize("kept", [30, -9, -1])
def test_a_damaged_compressed_file_is_one_line(tmp_path: Path, kept: int) -> None:
    whole = gzip.compress(b"text\n" + b"\n".join(b"post %d" % i for i in range(999)))
    with pytest.raises(UserError, match=r"posts\.csv\.gz: damaged, it cannot be uncompressed"):
        read(tmp_path, whole[:kept], "posts.csv.gz")


CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", max_codepoint=0x2FFF), max_size=12
) | st.sampled_from(['"', "a\rb", "a\r\nb", "\n", ";", ",", "\t", "'", "\\", '\\"', "sep=;", "|"])


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), max_size=4),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    has_mark=st.booleans(),
    is_compressed=st.booleans(),
)
def test_what_the_csv_module_writes_is_read_back(
    rows: list[tuple[str, str]],
    delimiter: str,
    line_end: str,
    has_mark: bool,
    is_compressed: bool,
) -> None:
    written = io.StringIO()
    writer = csv.writer(
        written, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL
    )
    writer.writerow(["id", "text", "caption"])
    writer.writerows((f"p{number}", *row) for number, row in enumerate(rows))
    content = written.getvalue().encode("utf-8-sig" if has_mark else "utf-8")
    with TemporaryDirectory() as folder:
        path = Path(folder) / ("posts.csv.gz" if is_compressed else "posts.csv")
        path.write_bytes(gzip.compress(content) if is_compressed else content)
        samples = list(open_dataset(path).samples())
    assert [(one.id, one.text, one.caption) for one in samples] == [
        (f"p{number}", text, in_text(caption) or None)
        for number, (text, caption) in enumerate(rows)
    ]


WORDS = st.text(st.sampled_from('ab \\",;n\n'), max_size=8).map(lambda text: f"x{text}x")


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(WORDS, WORDS), max_size=4),
    delimiter=st.sampled_from([",", ";"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_with_backslashes_is_read_back(
    rows: list[tuple[str, str]], delimiter: str, quoting: int, line_end: str
) -> None:
    written = io.StringIO()
    writer = csv.writer(
        written,
        delimiter=delimiter,
        lineterminator=line_end,
        quoting=quoting,  # type: ignore[arg-type]  # of the stub's literals
        doublequote=False,
        escapechar="\\",
    )
    rows = [('say "hi" to', "x"), *rows]
    writer.writerow(["text", "caption"])
    writer.writerows(rows)
    with TemporaryDirectory() as folder:
        samples = read(Path(folder), written.getvalue())
    assert [(one.text, one.caption) for one in samples] == rows


LINES = st.lists(st.sampled_from(["a", "b c", "\u00e9"]), min_size=1, max_size=3).map("\n".join)


@settings(deadline=None)
@given(rows=st.lists(st.tuples(LINES, LINES), min_size=1, max_size=4), is_quoted=st.booleans())
def test_line_feeds_in_cells_of_crlf_files_are_text(
    rows: list[tuple[str, str]], is_quoted: bool
) -> None:
    sign = '"' if is_quoted else ""
    lines = [f"{sign}{text}{sign},{sign}{caption}{sign}\r\n" for text, caption in rows]
    with TemporaryDirectory() as folder:
        samples = read(Path(folder), "text,caption\r\n" + "".join(lines))
    assert [(one.text, one.caption) for one in samples] == rows


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_rows_or_one_line(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "posts.csv"
        path.write_bytes(b"text,image\n" + content)
        with suppress(UserError):
            assert all(one.tokens or one.issues for one in open_dataset(path).samples())
