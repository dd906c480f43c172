"""The project's own shape: one-way imports, names that resolve, nothing heavy at import."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from riveg.cli import app
from riveg.config import load_config, shipped_systems
from riveg.inventory import EXTRAS
from riveg.protocols import STAGES
from riveg.registry import BACKENDS, backend_config

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "riveg"

LAYERS = (
    ("types", "errors"),
    ("formats", "text", "records", "resources", "offline"),
    ("conversation", "endpoints"),
    ("protocols",),
    ("registry",),
    ("documents", "artifacts"),
    ("language_models",),
    ("config", "inventory"),
    ("prompts", "runs", "images", "lettering", "answers"),
    ("models",),
    ("chat",),
    ("palette",),
    ("overlay", "post_strip"),
    ("stages",),
    ("datasets",),
    ("pipeline",),
    ("questions", "progress"),
    ("executors", "stage_task"),
    ("execution", "posts"),
    ("readiness", "fetching"),
    ("system", "results"),
    ("dry_run",),
    ("evaluation", "exports"),
    ("report",),
    ("prompt_debug",),
    ("training",),
    ("cli",),
)
"""From the ground up: a module imports its own layer and those before it."""


def layer_of(module: str) -> int:
    name = module.split(".")[1]
    return next(index for index, names in enumerate(LAYERS) if name in names)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "riveg":
            yield from (f"riveg.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("riveg."):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("riveg."))


MODULES = sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "__init__.py", PACKAGE / "__main__.py"})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for module in imports(path):
        if module == "riveg.__version__":
            continue
        assert layer_of(module) <= layer_of(own), f"{own} imports {module}"


def test_stages_know_nothing_of_datasets() -> None:
    for path in (PACKAGE / "stages").rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith("riveg.datasets")], path


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
            found = [
                *(ROOT / "tests" / "stages").glob(f"test_{name}.py"),
                *(ROOT / "tests" / "stages" / folder).glob(f"test_{name}.py"),
            ]
            assert found, f"{stage}: {name}"


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
