"""How many cores there are: by scheduling, by control groups of both versions, by the user."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from riveg.config.threads import count_cores, count_threads
from riveg.errors import UserError

ALLOWED = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIVEG_CORES", raising=False)


def system(root: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_without_control_groups_all_that_it_may_be_scheduled_on_count(tmp_path: Path) -> None:
    assert count_cores(tmp_path) == ALLOWED


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"},
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/cpu.max": "100000 100000\n",
            "sys/fs/cgroup/a/cpu.max": "max 100000\n",
        },
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        {
            "proc/self/cgroup": "1:cpu:/x\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "30000\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
        },
    ],
    ids=["v2", "v2, of the group around", "v2, of the inner one", "v1, a container", "v1"],
)
def test_a_limit_of_one_core_is_one_core(files: Mapping[str, str], tmp_path: Path) -> None:
    assert count_cores(system(tmp_path, files)) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{ALLOWED}00000 100000\n"},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "\n"},
        {"proc/self/cgroup": "3:memory:/\n", "sys/fs/cgroup/memory/cpu.max": "1 100000\n"},
        {
            "proc/self/cgroup": "1:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    ],
    ids=["none", "as many", "damaged", "of another controller", "v1, none"],
)
def test_what_is_no_limit_changes_nothing(files: Mapping[str, str], tmp_path: Path) -> None:
    assert count_cores(system(tmp_path, files)) == ALLOWED


def test_cores_that_it_may_not_use_do_not_count() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from riveg.config.threads import count_threads; print(count_threads('auto'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_the_user_has_the_last_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RIVEG_CORES", "12")
    assert count_cores(tmp_path) == 12
    assert count_threads("auto") == 12
    assert count_threads(3) == 3


@pytest.mark.parametrize("told", ["0", "-1", "many", "", "1.5", "9" * 30])
def test_a_number_of_cores_that_is_none_is_told(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVEG_CORES", told)
    with pytest.raises(UserError, match="RIVEG_CORES: expected a number of cores, at least 1"):
        count_cores()
