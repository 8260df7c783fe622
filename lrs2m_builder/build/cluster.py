"""The Ray cluster that replicas run on: an existing one, or one that is started here and ended."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.declared.recipe import load_recipe
from lrs2m_builder.errors import MissingExtraError, UserError, one_line
from lrs2m_builder.terminal import say

CONNECT_S = 20.0
CPUS_WITH_GPU = 4  # per replica: tokens, images, journals


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where replicas run.

    Attributes:
        replicas: their number; "auto": as many as the cluster has GPUs for, also if nodes come or go.
        address: of a Ray cluster; "auto" for the one of this machine; None starts one here and ends it.
        stall_minutes: after so long without a report a replica is killed and its shards are handed out again.
        start_minutes: the same for a replica whose engine is starting.
    """

    replicas: int | Literal["auto"]
    address: str | None = None
    stall_minutes: float = 15.0
    start_minutes: float = 60.0


def parse_cluster(replicas: str, address: str | None, stall_minutes: float, options: BuildOptions) -> Cluster | None:
    """What the options say; None for one engine in this process.

    Raises:
        UserError: it is not a number, or replicas do not help this build.
    """
    if replicas == "1" and address is None:
        return None
    if replicas != "auto" and not (replicas.isascii() and replicas.isdecimal() and 0 < int(replicas) < 100_000):
        raise UserError(f"--replicas {replicas}: give a whole number from 1 on, or auto")
    if options.engine == "openai-batch":
        raise UserError("--replicas: one process sends any number of batches; leave it out")
    if options.engine == "openai":
        raise UserError(
            "--replicas: an endpoint answers many requests at once by itself; "
            "raise its number with --engine-option max_in_flight=N"
        )
    if not load_recipe(options.recipe).steps:
        raise UserError(f"--replicas: recipe {options.recipe} asks no model, and uses every core already")
    return Cluster("auto" if replicas == "auto" else int(replicas), address, stall_minutes)


@dataclass(frozen=True, slots=True)
class Place:
    """A connected cluster.

    Attributes:
        ray: the module.
        num_gpus: of each replica, all on one node.
        num_cpus: of each replica; its engine and its image threads use no more.
    """

    ray: Any
    cluster: Cluster
    num_gpus: int
    num_cpus: int

    def num_replicas(self) -> int:
        """How many should run now."""
        if self.cluster.replicas != "auto":
            return self.cluster.replicas
        return max(1, sum(gpu // self.num_gpus for gpu in _of_nodes(self.ray, "GPU")))

    def here(self, kind: type, *arguments: Any) -> Any:
        """An object in a process of its own on the driver's machine: it is lost only if the driver is."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = NodeAffinitySchedulingStrategy(self.ray.get_runtime_context().get_node_id(), soft=False)
        return self.ray.remote(kind).options(num_cpus=0, scheduling_strategy=node).remote(*arguments)

    def actor(self, kind: type) -> Any:
        """An object in a new process, on a node that has the resources; Ray waits for one."""
        return self.ray.remote(kind).options(num_cpus=self.num_cpus, num_gpus=self.num_gpus, max_restarts=0).remote()


@contextmanager
def connected(cluster: Cluster, engine_options: Mapping[str, Any]) -> Iterator[Place]:
    """Connect to the cluster, or start one.

    Raises:
        UserError: Ray is not installed, there is no cluster, or it has fewer GPUs than the replicas need.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--replicas", "ray", error) from error
    if cluster.address is None:
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # its ports are open to the network
        os.environ.setdefault("RAY_worker_niceness", "0")
    elif not os.environ.get("RAY_AUTH_MODE"):
        say("warning: without RAY_AUTH_MODE=token whoever reaches the cluster's ports can run code on it")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if cluster.address not in (None, "auto"):
        _check_reachable(str(cluster.address))
    try:
        ray.init(
            address=cluster.address or "local",  # None would take RAY_ADDRESS, or a cluster that runs here
            include_dashboard=None if cluster.address else False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        if cluster.address is None:
            raise UserError(f"--replicas: Ray cannot be started on this machine ({one_line(error)})") from error
        raise _unreachable(cluster.address, error) from error
    try:
        yield _place(ray, cluster, engine_options)
    except ray.exceptions.RayTaskError:
        raise  # a bug
    except ray.exceptions.RayError as error:
        raise UserError(
            f"the Ray cluster failed ({one_line(error)[:200]}); what was answered is kept: run the same command again"
        ) from error
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdecimal()) or "/" in host:
        raise UserError(f"--ray-address {address}: give HOST:PORT of the cluster's head, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: BaseException) -> UserError:
    return UserError(
        f"--ray-address {address}: no Ray cluster can be reached ({one_line(error)[:200]}); "
        "start one with: ray start --head"
    )


def _place(ray: Any, cluster: Cluster, engine_options: Mapping[str, Any]) -> Place:
    wanted = int(engine_options.get("tensor_parallel_size", 1)) * int(engine_options.get("pipeline_parallel_size", 1))
    gpus, cpus = _of_nodes(ray, "GPU"), _of_nodes(ray, "CPU")
    number = 1 if cluster.replicas == "auto" else cluster.replicas
    if not sum(gpus):
        if cluster.replicas == "auto":
            raise UserError("--replicas auto: the cluster has no GPU; give a number")
        return Place(ray, cluster, 0, _largest_share(cpus, number))
    room = sum(gpu // wanted for gpu in gpus)  # a replica has its GPUs on one node
    if number > room:
        raise UserError(
            f"--replicas {cluster.replicas}: each needs {wanted} GPUs of one machine, and the cluster has {sum(gpus)}; "
            f"give at most {room}"
        )
    return Place(ray, cluster, wanted, min(CPUS_WITH_GPU, _largest_share(cpus, number)))


def _of_nodes(ray: Any, resource: str) -> list[int]:
    return [int(node["Resources"].get(resource, 0)) for node in ray.nodes() if node["Alive"]]


def _largest_share(cpus: Sequence[int], number: int) -> int:
    """The most CPUs that each of so many replicas can have on one node; at least one."""
    shares = range(max(cpus, default=1), 1, -1)
    return next((share for share in shares if sum(cpu // share for cpu in cpus) >= number), 1)
