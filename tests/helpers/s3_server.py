"""A real S3 server on a loopback port, and the environment that leads to it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from helpers.fault_server import free_port

BUCKET = "bucket"

needs_s3 = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("s3fs", "moto", "flask_cors")),
    reason='no S3 server: pip install s3fs "moto[server]"',
)


@contextmanager
def s3_server(log: Path) -> Iterator[dict[str, str]]:
    """A server with an empty bucket; gives the environment for clients."""
    port = free_port()
    with log.open("wb") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _make_bucket(port, process, log)
        yield {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }
    finally:
        process.kill()
        process.wait()


def client(environment: dict[str, str]) -> Any:
    """A client that riveg has no part in."""
    s3fs = import_module("s3fs")

    return s3fs.S3FileSystem(
        key=environment["AWS_ACCESS_KEY_ID"],
        secret=environment["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def names_of(environment: dict[str, str], name: str) -> list[str]:
    """The objects in the bucket below a name."""
    start = f"{BUCKET}/{name}/"
    return [path.removeprefix(start) for path in client(environment).find(start)]


def objects_of(environment: dict[str, str], name: str) -> dict[str, bytes]:
    """What lies in the bucket below a name."""
    start = f"{BUCKET}/{name}/"
    store = client(environment)
    found = store.cat(store.find(start))
    return {path.removeprefix(start): content for path, content in found.items()}


def put(environment: dict[str, str], name: str, content: bytes) -> None:
    """Writes an object into the bucket."""
    client(environment).pipe_file(f"{BUCKET}/{name}", content)


def _make_bucket(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("PUT", f"/{BUCKET}", headers=_SIGNED)
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()
    pytest.fail(f"no S3 server: {log.read_text()[-2000:]}")


_SIGNED = {
    "Host": "s3.amazonaws.com",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0",
}
"""The server asks which service is meant, and looks at no signature."""
