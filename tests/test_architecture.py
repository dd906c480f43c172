"""The project's own shape: one-way imports, names that resolve, nothing heavy at import."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.places import ROOT

from riveg.cli import app
from riveg.config.extras import EXTRAS
from riveg.config.reader import load_config
from riveg.config.system import shipped_systems
from riveg.registry import BACKENDS, backend_config
from riveg.stages.table import STAGES

PACKAGE = ROOT / "riveg"

LAYERS = (
    (
        *("types", "labels", "errors", "files", "caches", "stores", "processes"),
        *("geometry.arrays", "geometry.run_lengths"),
    ),
    ("formats", "geometry", "text"),
    ("protocols", "reads", "llm.conversation", "llm.endpoint"),
    ("pipeline", "stages.table", "stages.words", "stages.answer_checks"),
    ("registry", "config", "checkpoints", "images"),
    ("llm", "vision", "nn"),
    ("stages", "datasets"),
    ("executors",),
    ("runs",),
    ("evaluation", "lessons"),
    ("training", "report", "prompt_debug", "exports", "probe", "rewards"),
    ("cli",),
)
"""From the ground up: a module imports its own layer and those before it."""


def layer_of(module: str) -> int:
    """The layer of a module, or of its folder where the module itself is not named."""
    _, *parts = module.split(".")
    named = {name: number for number, names in enumerate(LAYERS) for name in names}
    return named.get(".".join(parts[:2]), named.get(parts[0], len(LAYERS)))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def imports(path: Path) -> Iterator[str]:
    """The modules of riveg that a file imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("riveg."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "riveg":
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield module if is_module(module) else str(node.module)


MODULES = sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "__init__.py", PACKAGE / "__main__.py"})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    own = name_of(path)
    for module in imports(path):
        if module == "riveg":  # its version
            continue
        assert layer_of(module) <= layer_of(own), f"{own} imports {module}"


def test_there_are_few_layers() -> None:
    assert len(LAYERS) <= 12
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    rooms -= {"__init__", "__main__", "__pycache__", "assets", "typed", "py.typed"}
    assert {name for names in LAYERS for name in names if "." not in name} == rooms


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports inside functions count, too: a circle that is put off is one all the same."""
    known = {name_of(path): path for path in MODULES}
    graph = {name: {one for one in imports(path) if one in known} for name, path in known.items()}
    order = graphlib.TopologicalSorter(graph)
    order.prepare()  # raises CycleError, which names the files


def test_the_pipeline_can_be_read_with_types_and_protocols_alone() -> None:
    assert set(imports(PACKAGE / "pipeline.py")) == {
        "riveg.errors",
        "riveg.protocols",
        "riveg.reads",
        "riveg.types",
    }


MOST_LINES = 350


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_short_or_says_why(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(text)) or ""
    assert len(text.splitlines()) <= MOST_LINES or "One file because" in doc


def test_contexts_are_made_in_one_place() -> None:
    makers = [path for path in MODULES if "BuildContext(" in path.read_text(encoding="utf-8")]
    assert [name_of(path) for path in makers] == ["riveg.runs.building"]


@pytest.mark.parametrize("room", ["riveg.datasets", "riveg.evaluation", "riveg.executors"])
def test_stages_know_nothing_of_gold_scores_and_executors(room: str) -> None:
    for path in (PACKAGE / "stages").rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith(room)], path


def test_executors_know_nothing_of_stages() -> None:
    for path in (PACKAGE / "executors").rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith("riveg.stages")], path


@pytest.mark.parametrize(
    ("stage", "name"), [(stage, name) for stage, names in BACKENDS.items() for name in names]
)
def test_every_registry_entry_resolves_to_a_backend_of_its_name(stage: str, name: str) -> None:
    config = backend_config(stage, name)
    assert (config.stage, config.name) == (stage, name)
    folder = next(item.folder for item in STAGES if item.name == stage)
    assert config.__module__ == f"riveg.stages.{folder}.{name.replace('-', '_')}"
    assert config.extra is None or config.extra in EXTRAS
    assert config.summary


def test_every_backend_has_a_test_file() -> None:
    for stage, names in BACKENDS.items():
        folder = next(item.folder for item in STAGES if item.name == stage)
        for name in names:
            file = f"test_{name.replace('-', '_')}.py"
            stages = ROOT / "tests" / "stages"
            found = [stages / file, stages / folder / file]
            assert any(path.is_file() for path in found), f"{stage}: {name}"


def test_names_of_test_files_can_be_imported() -> None:
    assert not [path for path in (ROOT / "tests").rglob("*.py") if "-" in path.name]


HEAVY = ("torch", "transformers", "cv2", "onnxruntime", "rapidocr", "datasets", "pyarrow", "pandas")


def loaded_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    [
        "import riveg",
        "from riveg import load_system; load_system('quickstart')",
        "import riveg.cli",
        "import riveg.lessons.making, riveg.exports.trainers.writing",
        "from riveg.registry import BACKENDS, backend_config\n"
        "[backend_config(stage, name) for stage in BACKENDS for name in BACKENDS[stage]]",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(statement: str) -> None:
    assert not loaded_after(statement) & {*HEAVY}


def test_the_command_line_imports_little() -> None:
    assert not loaded_after("import riveg.cli") & {*HEAVY, "pydantic", "numpy", "yaml", "PIL"}


def test_the_configurations_that_ship_are_all_checked() -> None:
    files = sorted((ROOT / "configs" / "systems").rglob("*.yaml"))
    assert files
    assert {path.stem for path in files} == {*shipped_systems()}
    for path in files:
        assert load_config(path).name == path.stem


def test_the_extras_are_those_of_the_project_file() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    named = set(re.findall(r"^([a-z]+) = \[", block, flags=re.MULTILINE))
    assert named == {*EXTRAS, "dev"}


def test_every_command_has_help() -> None:
    assert all(command.callback and command.callback.__doc__ for command in app.registered_commands)
