"""Commands as a person gives them: output, exit codes, one line for a mistake."""

import inspect
import json
import shutil
from pathlib import Path

import pytest
from helpers.command_line import riveg
from helpers.places import ROOT

from riveg.cli import app

pytestmark = pytest.mark.slow  # every test starts processes

ASTRONAUT = ROOT / "data" / "quickstart" / "images" / "qs01-astronaut.jpg"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = riveg("run", "quickstart", "--out", folder, "--limit", "2")
    assert done.returncode == 0, done.stderr
    assert "partial: --limit 2" in done.stdout
    assert "Eileen Collins" in done.stdout
    assert "samples/s" in done.stdout
    return folder


def test_run_draws_images_and_writes_records(run_folder: Path) -> None:
    names = sorted(path.name for path in (run_folder / "overlays").iterdir())
    assert names == ["00000-qs01-astronaut.png", "00001-qs02-rocket.png"]
    lines = (run_folder / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["qs01-astronaut", "qs02-rocket"]


def test_show_run_prints_the_answer_of_every_stage(run_folder: Path) -> None:
    done = riveg("show", "run", run_folder, "--id", "qs01-astronaut")
    assert done.returncode == 0, done.stderr
    for word in ("tag (mini)", "observe (evidence)", "face", "entail (mini)", "in the picture"):
        assert word in done.stdout
    assert "(by template)" in done.stdout  # never passed off as a language model
    assert "evidence:person" in done.stdout
    assert "mask by selfie" in done.stdout


def test_a_run_finds_its_images_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    shutil.copy(ASTRONAUT, tmp_path / "pictures" / "a.jpg")
    (tmp_path / "posts.jsonl").write_text('{"text": "Eileen Collins", "image": "a.jpg"}\n')
    given = ("--data", "posts.jsonl", "--images", "pictures", "--until", "tag", "--out", "run")
    done = riveg("run", "quickstart", *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["image_roots"] == [str(tmp_path / "pictures")]


def test_show_run_of_an_unknown_sample(run_folder: Path) -> None:
    done = riveg("show", "run", run_folder, "--id", "nobody")
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no sample 'nobody'" in done.stderr


@pytest.mark.parametrize("what", ["systems", "datasets", "backends", "prompts"])
def test_show_lists(what: str) -> None:
    done = riveg("show", what)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "pip install" not in line]
    assert max(map(len, lines)) <= 80
    known = {
        "systems": "quickstart",
        "datasets": "twitter-gmner",
        "backends": "grabcut",
        "prompts": "template.v1",
    }
    assert known[what] in done.stdout


def test_predict_prints_draws_and_records(tmp_path: Path) -> None:
    arguments = ("--text", "Eileen Collins before her flight", "--image", ASTRONAUT)
    done = riveg("predict", *arguments, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Eileen Collins" in done.stdout
    assert done.stdout.splitlines()[2].split()[-1] == "person"
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["entities"][0]["regions"][0]["mask"]["counts"]
    assert (tmp_path / "out" / "overlay.png").stat().st_size > 10_000


def test_predict_marks_a_guess_and_cuts_nothing_out(tmp_path: Path) -> None:
    rocket = ASTRONAUT.with_name("qs02-rocket.jpg")
    arguments = ("--text", "Lionel Messi scores again", "--image", rocket, "--out", tmp_path)
    done = riveg("predict", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2].split()[-1] == "-"
    options = ("--set", "ground.prior=guess", "--set", "entail.threshold=0")
    useless = riveg("predict", *arguments, *options)
    assert (useless.returncode, useless.stdout) == (2, "")
    assert "add --set entail.unseen=text" in useless.stderr
    guessed = riveg("predict", *arguments, *options, "--set", "entail.unseen=text")
    assert guessed.returncode == 0, guessed.stderr
    assert guessed.stdout.splitlines()[2].split()[-1] == "guess"
    (region,) = json.loads((tmp_path / "record.json").read_text())["entities"][0]["regions"]
    assert region["guess"] is True
    assert "mask" not in region


@pytest.mark.slow
def test_predict_prints_only_the_record(tmp_path: Path) -> None:
    done = riveg("predict", "--text", "Eileen Collins", "--image", ASTRONAUT, "--json")
    assert json.loads(done.stdout)["entities"][0]["label"] == "PER"


def test_predict_without_an_image_grounds_nothing() -> None:
    done = riveg("predict", "--text", "Eileen Collins of NASA", "--json")
    entities = json.loads(done.stdout)["entities"]
    assert {len(entity["regions"]) for entity in entities} == {0}


def test_doctor_says_what_is_here_and_what_is_not() -> None:
    done = riveg("doctor")
    assert done.returncode == 0, done.stderr
    for word in ("Python 3", "GPU", 'pip install "riveg[', "grabcut"):
        assert word in done.stdout


def test_validate_says_that_all_is_well() -> None:
    done = riveg("validate", "quickstart", "--set", "entail.threshold=0.4")
    assert done.returncode == 0
    assert "quickstart is right" in done.stdout


def test_validate_tells_every_problem(tmp_path: Path) -> None:
    system = tmp_path / "mine.yaml"
    system.write_text("tag: {backend: mini, thread: 2}\nsegmnt: grabcut\n")
    done = riveg("validate", system)
    assert done.returncode == 2
    assert "tag.thread" in done.stderr
    assert "did you mean segment?" in done.stderr
    assert "2 problems" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("run", "quickstrat"), "did you mean quickstart"),
        (("run", "quickstart", "--data", "quickstrat"), "quickstart"),
        (("run", "quickstart", "--data", "gone.jsonl"), "gone.jsonl"),
        (("run", "quickstart", "--until", "segmnt"), "did you mean segment"),
        (("run", "quickstart", "--set", "entail.treshold=1"), "did you mean threshold"),
        (("run", "quickstart", "--set", "nonsense"), "expected STAGE.KEY=VALUE"),
        (("run", "quickstart", "--split", "trian"), "test"),
        (("predict", "--text", " "), "empty-text"),
        (("predict", "--text", "Ada", "--image", "gone.jpg"), "missing-image"),
        (("predict", "--text", "Ada", "--system", "gone.yaml"), "no such file"),
        (("show", "run", "nowhere"), "is nowhere a run folder"),
        (("data", "check", "nowhere"), "nowhere"),
        (("train", "tagger", "gone.yaml"), "cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], word: str, tmp_path: Path
) -> None:
    done = riveg(*arguments, *(("--out", str(tmp_path)) if arguments[0] == "run" else ()))
    assert done.returncode == 2, done.stdout
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_debug_shows_the_traceback() -> None:
    done = riveg("--debug", "run", "quickstrat")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("group", [(), ("show",), ("data",)])
def test_lists_of_commands_are_whole_sentences(group: tuple[str, ...]) -> None:
    done = riveg(*group, "-h")
    assert done.returncode == 0
    assert "Commands:" in done.stdout
    assert "..." not in done.stdout.split("Commands:")[1]


@pytest.mark.parametrize("command", ["run", "eval", "prompt-debug", "calibrate", "export"])
def test_no_option_is_cut_in_narrow_help(command: str) -> None:
    words = riveg(command, "-h").stdout.split()
    (group,) = [each for each in app.registered_commands if each.name == command]
    assert group.callback is not None
    for parameter in inspect.signature(group.callback).parameters.values():
        for name in getattr(parameter.default, "param_decls", ()) or ():
            assert {*name.split("/")} <= {*words}, name


def test_a_prompt_file_is_given_as_it_is(tmp_path: Path) -> None:
    name = "rewrite/riveg.v1"
    source = (ROOT / "prompts" / f"{name}.jinja").read_text(encoding="utf-8")
    assert riveg("show", "prompts", name, "--raw").stdout == source
    copy = tmp_path / "mine.jinja"
    done = riveg("show", "prompts", name, "--copy-to", copy)
    assert done.returncode == 0, done.stderr
    assert copy.read_text(encoding="utf-8") == source
    again = riveg("show", "prompts", name, "--copy-to", copy)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    unnamed = riveg("show", "prompts", "--raw")
    assert (unnamed.returncode, "name it" in unnamed.stderr) == (2, True)


def test_help_of_every_command_fits_the_terminal() -> None:
    for command in ("run", "predict", "validate", "doctor", "show", "data", "train"):
        done = riveg(command, "--help")
        assert done.returncode == 0
        assert max(map(len, done.stdout.splitlines())) <= 80
