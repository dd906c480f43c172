"""A cluster of Ray: joined, asked for its machines, and noticed when its head is gone."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from riveg.errors import MissingExtra, UserError

ADDRESS = "RAY_ADDRESS"
"""Ray's own environment variable: ``HOST:PORT`` of a cluster, ``auto``, or ``local``."""

_MOST_CORES = 8
"""For a network on processors; beyond these one forward gains little."""
_PATIENCE_S = 10.0
"""How long it may take to be heard by the head."""
_MUTE_S = 20.0
"""A head that has not answered for so long is gone: Ray itself ends this process after a minute."""

_TLS = "RAY_USE_TLS"
"""Ray's own environment variable: everything in the cluster is encrypted."""

_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS
"""How HTTP/2, which a head speaks, begins (RFC 9113, 3.4): the other side sends its settings."""


def cluster_nodes() -> Sequence[Mapping[str, Any]]:
    """The machines of the cluster as Ray tells of them; this process joins it if it has not.

    Raises:
        MissingExtra: If Ray is not installed.
        UserError: If there is no cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("executor: ray", "ray", "ray") from error
    address = os.environ.get(ADDRESS, "auto")
    try:
        if not ray.is_initialized():
            _refuse_deaf(address)
            ray.init(address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"executor: ray: no cluster at {ADDRESS}={address} ({first_line(error)}); start one "
            f"with `ray start --head`, name one with {ADDRESS}=HOST:PORT, or take this machine "
            f"alone with {ADDRESS}=local"
        ) from error
    wait_for_head(ray)
    nodes: Sequence[Mapping[str, Any]] = ray.nodes()
    return nodes


def wait_for_head(ray: Any) -> None:
    """Asked for anything while its head is gone, Ray ends this process without a word of riveg's.

    Raises:
        UserError: If the head is gone.
    """
    head = ray.get_runtime_context().gcs_address
    deadline = time.monotonic() + _MUTE_S
    while True:
        try:
            _refuse_deaf(head)
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"the head of the cluster at {head} is gone ({first_line(error)}); the same "
                    "command goes on with what is done"
                ) from error
            time.sleep(1)
        else:
            return


def _refuse_deaf(address: str) -> None:
    """Ray itself tries for minutes where nobody listens, or something else than a cluster.

    Raises:
        OSError: If it is so.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "//" in address:
        return
    with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S) as asked:
        if os.environ.get(_TLS, "0").lower() not in {"", "0", "false"}:
            return  # it would not answer this
        asked.sendall(_HELLO)
        with asked.makefile("rb") as answer:
            if answer.read(len(_SETTINGS))[3:4] != _SETTINGS[3:4]:
                raise ConnectionError("what listens there is no head of a cluster")


def needs_of(device: str | None, nodes: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
    """The cores and GPUs of a copy.

    Args:
        device: What its network runs on, as configured; ``None``: it has none.
        nodes: As Ray tells of them.

    Raises:
        UserError: If it wants a GPU and the cluster has none.
    """
    has_gpu = any(node["Alive"] and node["Resources"].get("GPU", 0) >= 1 for node in nodes)
    if device is not None and device.startswith("cuda") and not has_gpu:
        raise UserError(f"device: {device}: no machine of the cluster has a GPU; say auto or cpu")
    if device is None:
        return {"CPU": 1, "GPU": 0}
    if has_gpu and device != "cpu":
        return {"CPU": 1, "GPU": 1}
    cores = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    return {"CPU": min([_MOST_CORES, *(count for count in cores if count)]), "GPU": 0}


def room_for(needs: Mapping[str, int], nodes: Sequence[Mapping[str, Any]]) -> int:
    """How many copies the machines that are alive have room for; at least 1."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    wanted = {name: count for name, count in needs.items() if count}
    return max(1, sum(min(int(has.get(n, 0) // c) for n, c in wanted.items()) for has in alive))


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
