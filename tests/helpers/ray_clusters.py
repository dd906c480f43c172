"""A real cluster of Ray on this machine: a head that does no work, and nodes of one core."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_WATCHFUL = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}
"""A node that is gone is noticed within seconds."""


@contextmanager
def ray_cluster(nodes: int) -> Iterator[Any]:
    """The cluster (``ray.cluster_utils.Cluster``), which ends with the block."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": _WATCHFUL}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


def address_of(cluster: Any) -> Mapping[str, str]:
    """The environment of a process that shall use the cluster."""
    return {**os.environ, "RAY_ADDRESS": cluster.address}


def workers_of(cluster: Any) -> list[int]:
    """The processes that hold copies of backends now, on all of its nodes."""
    parents = {node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()}
    found = []
    for folder in Path("/proc").iterdir():
        try:
            name = (folder / "cmdline").read_bytes() if folder.name.isdecimal() else b""
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) if name else 0
        except OSError:
            continue
        if name.startswith(b"ray::Copy") and parent in parents:
            found.append(int(folder.name))
    return found


def kill(number: int) -> None:
    """Ends a process at once, if it is still there."""
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return
