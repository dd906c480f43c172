"""The wheel, far from the checkout: it carries all that quickstart needs."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from helpers.places import ROOT

pytestmark = pytest.mark.slow


def call(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


def test_it_holds_data_and_no_stray_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "riveg/py.typed",
        "riveg/shipped/configs/systems/quickstart.yaml",
        "riveg/shipped/prompts/rewrite/template.v1.jinja",
        "riveg/shipped/data/quickstart/images/qs01-astronaut.jpg",
        "riveg/assets/tagger/model.onnx",
    ):
        assert needed in names
    assert {name.split("/")[0] for name in names} == {"riveg", "riveg-0.1.0.dist-info"}


def test_quickstart_runs_from_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    call(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    python = environment / "bin" / "python"
    install = ("-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet")
    call(sys.executable, *install, wheel, cwd=tmp_path)
    # The packages that riveg needs come from this environment: installing them again would need
    # the network and test nothing of riveg. A path file does not bring its own path files along,
    # so an editable riveg here stays out.
    (site,) = (environment / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    code = "import riveg, pathlib; print(pathlib.Path(riveg.__file__).parent)"
    assert Path(call(python, "-c", code, cwd=tmp_path).strip()) == site / "riveg"
    output = call(environment / "bin" / "riveg", "run", "quickstart", cwd=tmp_path)
    assert "Eileen Collins" in output
    run = tmp_path / "runs" / "quickstart-quickstart"
    assert len((run / "records.jsonl").read_text().splitlines()) == 12
    assert len(list((run / "overlays").iterdir())) == 12
