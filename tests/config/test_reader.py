"""Systems: every problem at once, with its place."""

from pathlib import Path

import pytest

from riveg.config.reader import load_config
from riveg.config.system import SystemConfig, shipped_systems
from riveg.config.yaml_file import InvalidConfig, Problem
from riveg.errors import UserError


def write(folder: Path, text: str) -> Path:
    path = folder / "system.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path, *overrides: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidConfig) as caught:
        load_config(path, overrides)
    return caught.value.problems


def test_every_shipped_system_is_right() -> None:
    names = list(shipped_systems())
    assert "quickstart" in names
    for name in names:
        assert load_config(name).steps


def test_all_problems_are_told_at_once_with_file_line_key_and_advice(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "name: mine\ntga: {backend: mini}\ntag:\n  backend: mini\n  threats: 3\n"
        "segment: {backend: grabct}\nrun:\n  part_size: none\n",
    )
    found = {problem.key: problem for problem in problems(path)}
    assert set(found) == {"tga", "tag.threats", "segment.backend", "run.part_size"}
    assert found["tga"].line == 2
    assert "did you mean tag?" in found["tga"].allowed
    assert found["tag.threats"].line == 5
    assert "did you mean threads?" in found["tag.threats"].allowed
    assert found["segment.backend"].found == "grabct"
    assert "did you mean grabcut?" in found["segment.backend"].allowed
    assert str(found["segment.backend"]).startswith(f"{path}:6: segment.backend: found grabct; ")


@pytest.mark.parametrize(
    ("text", "key", "word"),
    [
        ("rewrite: template\n", "rewrite", "tag or extract"),  # entities from nowhere
        ("tag: mini\nground: {backend: evidence}\n", "ground", "observe"),
        ("name: x\n", "stages", "tag"),  # nothing to run
        ("tag: [mini]\n", "tag.backend", "name a backend"),
        ("tag: {threads: 2}\n", "tag.backend", "name a backend"),
        ("tag: mini\ntag: mini\n", "tag", "first in line 1"),  # YAML would keep the last, silently
        ("tag: mini\nrun: 3\n", "run", "keys and values"),
        ("tag: mini\nrun: {max_error_rate: 2}\n", "run.max_error_rate", "less than or equal to 1"),
    ],
)
def test_one_problem(tmp_path: Path, text: str, key: str, word: str) -> None:
    (problem,) = problems(write(tmp_path, text))
    assert problem.key == key
    assert word in problem.allowed


def test_none_leaves_a_stage_out(tmp_path: Path) -> None:
    path = write(tmp_path, "tag: mini\nrewrite: none\ncaption: {backend: none}\n")
    assert [step.stage.name for step in load_config(path).steps] == ["tag"]


def test_overrides_change_values_and_backends(tmp_path: Path) -> None:
    path = write(tmp_path, "tag: {backend: mini, threads: 4}\nentail: {backend: mini}\n")
    config = load_config(path, ["entail.threshold=0.25", "tag.backend=gold"])
    tag, entail = config.steps
    assert tag.config.name == "gold"  # and the old backend's `threads` is gone with it
    assert entail.config.model_dump()["threshold"] == 0.25


def test_overrides_keep_the_keys_of_another_override(tmp_path: Path) -> None:
    path = write(tmp_path, "tag: gold\n")
    config = load_config(path, ["tag.threads=1", "tag.backend=mini"])
    assert config.steps[0].config.model_dump()["threads"] == 1


@pytest.mark.parametrize("item", ["tag", "=3", "a.b.c=1", ".x=1"])
def test_an_override_that_is_none(tmp_path: Path, item: str) -> None:
    (problem,) = problems(write(tmp_path, "tag: mini\n"), item)
    assert problem.file == "--set"


def test_resolved_fills_in_every_default(tmp_path: Path) -> None:
    resolved = load_config(write(tmp_path, "tag: mini\n")).resolved()
    assert resolved["tag"] == {"backend": "mini", "model": None, "threads": "auto"}
    assert resolved["run"]["part_size"] == 64


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("tag: [", r"\.yaml:1: not YAML"),
        ("- a\n", "keys and values"),
        ("\x00", "not YAML"),
        ("tag: mini\nname: 2020-13-45\n", r"\.yaml:2: not YAML: '2020-13-45'"),  # no such month
        ("name: !!int x\n", r"\.yaml:1: not YAML: 'x'"),
        ("name: !!int ''\n", r"\.yaml:1: not YAML: ''"),
        (f"name: {'9' * 5000}\n", r"\.yaml:1: not YAML"),  # Python reads 4300 digits
        ('name: "a\\0b"\n', r"\.yaml:1: not YAML"),
        ('name: "\\ud800"\n', r"\.yaml:1: not YAML"),
        ("name: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("name: " + "{a: " * 5000 + "}" * 5000, "nested too deeply"),
        ("name: &a [*a]\n", r"\.yaml:1: .*alias"),  # holds itself
        ("tag: &a {x: 1}\nrun: *a\n", r"\.yaml:2: .*alias"),
        ("a: &a {x: 1}\nb: {<<: *a}\n", r"\.yaml:2: .*alias"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(UserError, match=word):
        load_config(write(tmp_path, text))


def test_an_unknown_system_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean quickstart"):
        load_config("quickstrat")
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file"):
        load_config("nowhere.yaml")


def test_until_names_a_stage_of_the_system(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "tag: mini\nentail: always\n"))
    assert [step.stage.name for step in config.until("tag")] == ["tag"]
    with pytest.raises(UserError, match="did you mean entail"):
        config.until("ential")


def test_aliases_that_multiply_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1, y: 1}"]
    lines += [f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, 60)]
    with pytest.raises(UserError, match=r"\.yaml:2: .*alias"):
        load_config(write(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize(
    "text",
    [
        "2020-13-45",
        "[" * 5000,
        "[" * 5000 + "]" * 5000,
        "&a [*a]",
        "!!int x",
        "9" * 5000,
        "@x",
        "*x",
    ],
)
def test_an_override_that_is_no_yaml_is_text(tmp_path: Path, text: str) -> None:
    config = load_config(write(tmp_path, "tag: mini\n"), [f"description={text}"])
    assert config.description == text


def test_an_override_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--set 'tag\.model': not valid Unicode"):
        load_config(write(tmp_path, "tag: mini\n"), ["tag.model=\udcff"])


def test_a_key_of_earlier_versions_is_said_to_be_gone(tmp_path: Path) -> None:
    (problem,) = problems(
        write(tmp_path, "tag: mini\nobserve: {backend: evidence, face_side: 9}\n")
    )
    assert (problem.key, problem.line) == ("observe.face_side", 2)
    assert problem.found == "a key of earlier versions, which is gone"
    assert problem.allowed.startswith("leave it out. Known: least_face, ")


def test_a_key_that_is_no_string_is_an_unknown_key(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, "tag: mini\nrun: {1: 2}\n"))
    assert (problem.key, problem.line, problem.found) == ("run.1", 2, "an unknown key")


@pytest.mark.parametrize(
    "name",
    [
        "{}",
        "[]",
        "7",
        "''",
        "' '",
        "a/b",
        "'..'",
        "'.'",
        r"a\b",
        r'"a\tb"',
        r'"a\x7f"',
        r'"a\nb"',
        r'"\u202eab"',
        "a" * 101,
        "\N{FACE WITH TEARS OF JOY}" * 50,
    ],
)
def test_a_name_that_makes_no_folder_is_a_problem(tmp_path: Path, name: str) -> None:
    (problem,) = problems(write(tmp_path, f"name: {name}\ntag: mini\n"))
    assert (problem.key, problem.line) == ("name", 1)


@pytest.mark.parametrize("name", ["mine", "my system 2", "\u4f60\u597d", "v1.2", "-x"])
def test_names_that_make_folders(tmp_path: Path, name: str) -> None:
    assert load_config(write(tmp_path, f"name: {name}\ntag: mini\n")).name == name


def test_the_name_taken_from_the_file_is_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "a\tb.yaml"
    path.write_text("tag: mini\n")
    (problem,) = problems(path)
    assert problem.key == "name"


@pytest.mark.parametrize("key", ["description", "data"])
@pytest.mark.parametrize("value", ["{}", "[a]", "3", "2020-01-01"])
def test_texts_are_text(tmp_path: Path, key: str, value: str) -> None:
    (problem,) = problems(write(tmp_path, f"tag: mini\n{key}: {value}\n"))
    assert (problem.key, problem.line) == (key, 2)
    assert "text" in problem.allowed


def test_what_was_found_is_told_in_short(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, f"tag: mini\nname: [{'1, ' * 9000}]\n"))
    assert len(str(problem)) < 1000


SYSTEM = "name: mine\ntag: mini\nobserve: evidence\nentail: mini\nground: evidence\n"


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("tag.threads=0", "tag.threads"),
        ("tag.backend=mni", "tag.backend"),
        ("observe.threads=no", "observe.threads"),
    ],
)
def test_a_stage_that_is_wrong_is_no_missing_stage(tmp_path: Path, override: str, key: str) -> None:
    (problem,) = problems(write(tmp_path, SYSTEM), override)
    assert problem.key == key


def test_a_misspelt_stage_is_no_missing_stage(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, SYSTEM.replace("tag:", "tags:")))
    assert problem.key == "tags"


@pytest.mark.parametrize(
    ("override", "file", "key"),
    [
        ("entail.threshold=9", "--set entail.threshold", "entail.threshold"),
        ("entail.treshold=9", "--set entail.treshold", "entail.treshold"),
        ("entail.backend=maxi", "--set entail.backend", "entail.backend"),
        ("entail.backend=recorded", "--set entail.backend", "entail.file"),  # which it requires
        ("entail=maxi", "--set entail", "entail.backend"),
        ("ential.threshold=1", "--set ential.threshold", "ential"),
        ("run={part_size: 0}", "--set run", "run.part_size"),
        ("run.part_size=0", "--set run.part_size", "run.part_size"),
        ("name={}", "--set name", "name"),
        ("name.x=1", "--set name.x", "name.x"),
        ("tag=3", "--set tag", "tag.backend"),
    ],
)
def test_a_problem_of_an_override_is_not_the_files(
    tmp_path: Path, override: str, file: str, key: str
) -> None:
    (problem,) = problems(write(tmp_path, SYSTEM), override)
    assert (problem.file, problem.line, problem.key) == (file, None, key)


def test_the_files_own_problems_stay_the_files(tmp_path: Path) -> None:
    path = write(tmp_path, "tag: {backend: mini, threads: 0}\nentail: {backend: mini}\n")
    (problem,) = problems(path, "entail.threshold=0.3")
    assert (problem.file, problem.line) == (str(path), 1)


def test_an_override_below_what_has_no_keys(tmp_path: Path) -> None:
    found = problems(write(tmp_path, "tag: 3\nrun: 4\n"), "tag.threads=1", "run.overlays=1")
    assert {problem.key for problem in found} == {"tag.backend", "run"}


def test_a_whole_stage_that_is_overridden_keeps_its_other_overrides(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "tag: gold\n"), ["tag.threads=1", "tag=mini"])
    assert config.steps[0].config.model_dump()["threads"] == 1


def option(config: SystemConfig, stage: str, key: str) -> object:
    (step,) = [step for step in config.steps if step.stage.name == stage]
    return step.config.model_dump()[key]


def test_paths_of_overrides_start_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    path = write(
        folder,
        "caption: {backend: recorded, files: [c.txt]}\ntag: {backend: mini, model: m}\n"
        "rewrite: {backend: template, prompt: rg.jinja}\ndata: posts.jsonl\n",
    )
    monkeypatch.chdir(tmp_path)
    config = load_config(path)
    assert option(config, "tag", "model") == Path("m")  # from the file's folder, when it is read
    assert option(config, "rewrite", "prompt") == "rg.jinja"
    assert config.data is not None
    assert Path(config.data) == folder / "posts.jsonl"
    overrides = ["caption.files=[d.txt, /e.txt]", "tag.model=m", "rewrite.prompt=rg.jinja"]
    config = load_config(path, [*overrides, "data=posts.jsonl"])
    assert option(config, "caption", "files") == (tmp_path / "d.txt", Path("/e.txt"))
    assert option(config, "tag", "model") == tmp_path / "m"
    assert option(config, "rewrite", "prompt") == str(tmp_path / "rg.jinja")
    assert config.data is not None
    assert Path(config.data).absolute() == tmp_path / "posts.jsonl"


def test_a_block_given_as_an_override_starts_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config("quickstart", ["rewrite={backend: template, prompt: rg.jinja}"])
    assert option(config, "rewrite", "prompt") == str(tmp_path / "rg.jinja")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("quickstart", "quickstart"),  # a name
        ("twitter-gmner-v1", "twitter-gmner-v1"),
        ("posts.jsonl", "FOLDER/posts.jsonl"),
        ("./posts", "FOLDER/posts"),
        ("../x/posts.csv", "FOLDER/../x/posts.csv"),
        ("/data/posts.csv", "/data/posts.csv"),
    ],
)
def test_the_data_of_a_file_starts_at_its_folder(tmp_path: Path, value: str, expected: str) -> None:
    config = load_config(write(tmp_path, f"tag: mini\ndata: {value}\n"))
    assert config.data == expected.replace("FOLDER", str(tmp_path))


def test_names_of_prompts_are_no_paths() -> None:
    config = load_config("quickstart", ["rewrite.prompt=rewrite/template.v1"])
    assert option(config, "rewrite", "prompt") == "rewrite/template.v1"


REVIEW = """
name: reviewed
data: quickstart
llm: {main: {model: any, base_urls: ["http://127.0.0.1:9/v1"]}}
tag: {backend: mini}
GROUND
review: {backend: chat, GATES}
"""


@pytest.mark.parametrize(
    ("ground", "gates", "told"),
    [
        (True, "span: 0.4, type: 0.3, region: 0.5, frame: norm1000", None),
        (False, "span: 0.4", None),
        (False, "region: 0.5, frame: norm1000", "add the stage ground, whose regions are reviewed"),
        (True, "region: 0.5", "say the frame that the model states boxes in"),
        (True, "boxes: 0.5", "review.boxes"),
        (True, "span: 1.5", "review.span"),
        (True, "max_tokens: 99", "nothing is reviewed; give a gate"),
        (True, "span: 0.5, uncertainty: dropout", "dropout_passes: 10"),
    ],
)
def test_a_review_needs_gates_that_mean_something(
    tmp_path: Path, ground: bool, gates: str, told: str | None
) -> None:
    path = tmp_path / "system.yaml"
    stages = "ground: {backend: chat, frame: norm1000}" if ground else ""
    path.write_text(REVIEW.replace("GROUND", stages).replace("GATES", gates), encoding="utf-8")
    if told is None:
        names = [step.stage.name for step in load_config(path).steps]
        assert names[-1] == "review"
        return
    with pytest.raises(InvalidConfig) as caught:
        load_config(path)
    assert told in str(caught.value)
