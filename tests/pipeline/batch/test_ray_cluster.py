"""Recordings on a Ray cluster of two nodes: done as on one machine, also where one of them is killed."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from perception.errors import ConfigError
from perception.pipeline.batch import ray_address, run_batch, run_on_ray
from perception.pipeline.batch.run_batch import BatchResult
from tests.pipeline.batch.test_exactly_once import here, tree
from tests.pipeline.batch.text_jobs import CountJob

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ray", ""),
        ("ray://head", "ray://head:10001"),
        ("ray://head:7", "ray://head:7"),
        ("ray://[::1]", "ray://[::1]:10001"),
    ],
)
def test_the_address_of_a_cluster_has_its_port(text: str, address: str) -> None:
    assert ray_address(text) == address


@pytest.mark.parametrize("text", ["spark", "ray://", "http://head"])
def test_what_is_no_cluster_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected ray or ray://HOST"):
        ray_address(text)


def node() -> dict[str, int]:
    """Return the arguments of a node. Ray gives up on ports that it is to choose where a machine is busy."""
    names = (
        "metrics_agent_port",
        "metrics_export_port",
        "dashboard_agent_listen_port",
        "runtime_env_agent_port",
    )
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}
    for each in sockets:
        each.close()
    return {"num_cpus": 1, "object_store_memory": 80 << 20, **ports}


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A cluster of two nodes of one processor each, that this process is connected to."""
    patch = pytest.MonkeyPatch()
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster

    patch.setenv("PYTHONPATH", str(ROOT))  # the workers know the jobs of these tests
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    store = {"object_store_memory": 80 << 20}
    started = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **store}
    )
    started.add_node(num_cpus=1, **store)
    ray.init(started.address, logging_level="error", log_to_driver=False)
    yield started
    ray.shutdown()
    started.shutdown()
    patch.undo()


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.log" for name in "abcdef"]
    for size, path in enumerate(paths):
        path.write_bytes(b"x" * (size + 1))
    return paths


def on_ray(jobs: list[CountJob], folder: Path) -> BatchResult:
    return run_batch(jobs, folder, lambda tasks: run_on_ray(tasks, ""))


@pytest.mark.slow  # on a busy machine a node takes a minute to start, or does not
def test_workers_and_a_node_that_are_killed_change_nothing(
    cluster: object, logs: list[Path], tmp_path: Path
) -> None:
    run_batch([CountJob(log) for log in logs], tmp_path / "calm", lambda tasks: here(tasks))  # type: ignore[arg-type]
    kill = tmp_path / "kill"
    kill.write_bytes(b"!")
    jobs = [CountJob(log, kill=kill, pause_s=1.0) for log in logs]

    def lose_node() -> None:
        time.sleep(2.0)
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)  # type: ignore[attr-defined]

    thread = Thread(target=lose_node)
    thread.start()
    result = on_ray(jobs, tmp_path / "wild")
    thread.join()
    assert [log.error for log in result.logs] == [""] * len(logs)
    assert kill.read_bytes() == b""
    assert tree(tmp_path / "wild") == tree(tmp_path / "calm")
    assert not (tmp_path / "wild" / ".partial").exists()
    assert all(log.skipped for log in on_ray(jobs, tmp_path / "wild").logs)
