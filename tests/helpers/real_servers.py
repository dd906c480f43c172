"""Real engines for tests marked ``server``: vLLM and transformers in an environment of their own.

``make llm-env`` builds it; ``RIVEG_LLM_PYTHON`` names another environment's Python.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from helpers.places import ROOT

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # Its worker writes compiled kernels there; the default is the user's home.
    "VLLM_CACHE_ROOT": str(Path("/tmp") / "riveg-test-vllm-cache"),
}

VLLM_ARGUMENTS = (
    *("--dtype", "float32", "--max-model-len", "2048", "--enforce-eager"),
    *("--structured-outputs-config", '{"backend":"xgrammar","disable_any_whitespace":true}'),
)
"""For a CPU and random weights: such a model would write white space in JSON for ever."""


def llm_python() -> Path:
    """The Python of the environment that has vLLM; the test is skipped if there is none."""
    python = Path(os.environ.get("RIVEG_LLM_PYTHON") or ROOT / ".venv-llm" / "bin" / "python")
    if not python.exists():
        pytest.skip(f"no {python}: `make llm-env` builds it, or set RIVEG_LLM_PYTHON")
    return python


def require_package(package: str) -> Path:
    """The same Python, if it can import a package; the test is skipped otherwise."""
    python = llm_python()
    fault = _import_fault(python, package)
    if fault is not None:
        pytest.skip(f"{python} cannot import {package}: {fault}")
    return python


@cache
def _import_fault(python: Path, package: str) -> str | None:
    script = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({package!r}))"
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else (done.stderr.strip() or "no such package")


def vllm_command() -> tuple[str, ...]:
    """vLLM's server; as a module, because the CPU build's own command does not start."""
    return (str(require_package("vllm")), "-m", "vllm.entrypoints.openai.api_server")


def tiny_model(folder: Path) -> Path:
    """The tiny language model, made by the other environment."""
    script = ROOT / "tests" / "helpers" / "tiny_language_model.py"
    subprocess.run(
        [require_package("transformers"), script, folder],
        check=True,
        capture_output=True,
        env={**os.environ, **ENVIRONMENT},
    )
    return folder
