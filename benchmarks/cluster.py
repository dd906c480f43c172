"""Does a cluster lose anything, and what does it cost? Ray on one machine, against local runs.

    python benchmarks/cluster.py [--posts 2000] [--part-size 20] [--kills 20] [--seed 1]

Starts a real cluster (a head and two nodes of one core, all processes of this machine) and runs the
first two stages of the system ``quickstart`` over made posts:

- one worker, then two: seconds, and the efficiency of two (1: twice as fast as one). Start-up is
  measured apart, by a run that has nothing to do but to open the backends.
- the same parts in one local process: what a part costs more on the cluster.
- workers, and whole nodes, killed by SIGKILL at random moments until ``--kills`` are dead; each run
  has to write the bytes of the local one.

Needs the extra ``ray``.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.ray_clusters import address_of, kill, ray_cluster, workers_of


def main() -> None:
    """Prints a line for each measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posts", type=int, default=2000)
    parser.add_argument("--part-size", type=int, default=20)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ray_cluster(nodes=2) as cluster:
        folder = Path(name)
        runs = _Runs(folder, options.posts, options.part_size, cluster)
        local = runs.seconds("local", "run.workers=1")
        one, two = runs.seconds("one", *_ray(1)), runs.seconds("two", *_ray(2))
        parts = 2 * options.posts // options.part_size
        print(f"{options.posts} posts, {parts} parts; seconds of the stages, start-up left out")
        print(f"local, one process  {local:7.1f}")
        print(f"Ray, one worker     {one:7.1f}   {1000 * (one - local) / parts:.1f} ms more a part")
        print(f"Ray, two workers    {two:7.1f}   efficiency {one / (2 * two):.2f}")
        for run in ("one", "two"):
            runs.require_equal(run)
        killed = rounds = 0
        chance = random.Random(options.seed)
        while killed < options.kills:
            killed += runs.kill_some(f"killed-{rounds}", chance, options.kills - killed)
            rounds += 1
        print(f"{killed} kills in {rounds} runs: every run wrote the bytes of the local one")


def _ray(workers: int) -> Sequence[str]:
    return "executor=ray", f"run.workers={workers}"


class _Runs:
    """Runs over the same posts."""

    def __init__(self, folder: Path, posts: int, part_size: int, cluster: Any) -> None:
        self._folder = folder
        self._cluster = cluster
        self._part_size = part_size
        self._data = folder / "posts.jsonl"
        rows = ({"id": f"p{i}", "text": _text(i)} for i in range(posts))
        self._data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self._first = folder / "first.jsonl"
        self._first.write_text(
            "".join(self._data.read_text().splitlines(keepends=True)[:part_size])
        )

    def seconds(self, name: str, *settings: str) -> float:
        """Of a run, less those of one over a single part, where backends are opened as well."""
        return self._run(name, self._data, settings) - self._run(f"{name}-1", self._first, settings)

    def _run(self, name: str, data: Path, settings: Sequence[str]) -> float:
        with self._started(name, data, settings) as running:
            said = running.communicate()[0]
        if running.returncode:
            raise SystemExit(said)
        manifest = json.loads((self._folder / name / "manifest.json").read_text())
        return float(sum(manifest["seconds"].values()))

    @contextmanager
    def _started(
        self, name: str, data: Path, settings: Sequence[str]
    ) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "riveg", "run", "quickstart", "--until", "rewrite"]
        command += ["--data", str(data), "--out", str(self._folder / name)]
        for setting in (f"run.part_size={self._part_size}", *settings):
            command += ["--set", setting]
        with subprocess.Popen(
            command,
            env=address_of(self._cluster),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            yield running

    def kill_some(self, name: str, chance: random.Random, most: int) -> int:
        """Runs while workers are killed, and now and then a node; how many were."""
        killed = 0
        with self._started(name, self._data, _ray(2)) as running:
            while running.poll() is None:
                time.sleep(chance.uniform(0.1, 1.5))
                workers = workers_of(self._cluster)
                if killed < min(most, 4) and workers:
                    killed += 1
                    if killed == 3:
                        self._lose_a_node(chance)
                    else:
                        kill(chance.choice(workers))
            said = running.stdout.read() if running.stdout else ""
        if running.returncode:
            raise SystemExit(said)
        self.require_equal(name)
        return killed

    def _lose_a_node(self, chance: random.Random) -> None:
        nodes = [node for node in self._cluster.list_all_nodes() if not node.head]
        self._cluster.remove_node(chance.choice(nodes), allow_graceful=False)
        self._cluster.add_node(num_cpus=1)

    def require_equal(self, name: str) -> None:
        """Stops where a run's records are not those of the local one."""
        local, other = (self._folder / run / "records.jsonl" for run in ("local", name))
        if local.read_bytes() != other.read_bytes():
            raise SystemExit(f"{name}: other records than the local run")


def _text(number: int) -> str:
    return f"Lionel Messi left Barcelona {number} days ago , and Paris is happy about it tonight"


if __name__ == "__main__":
    main()
