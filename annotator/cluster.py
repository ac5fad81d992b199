"""Joining a Ray cluster and sharing it out among processes. Ray is imported only when used."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from annotator.errors import ConfigError

__all__ = ["OWN_CLUSTER", "Share", "import_ray", "joined", "plan_share"]

OWN_CLUSTER = "local"  # an address at which Ray starts a cluster of this machine alone
_KNOCK_S = 5.0
_QUIET = ("ray", "ray.data", "ray.train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one process takes of a node, and the most such processes there are."""

    n: int
    cpus: int
    gpus: int

    @property
    def device(self) -> str:
        """The kind of device a process computes on."""
        return "cuda" if self.gpus else "cpu"


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Be a driver of the cluster at ``address`` while the block runs; yield the module ``ray``.

    Args:
        address: ``HOST:PORT`` of the head, ``auto`` for the cluster that this machine is a node
            of, or ``local`` for a cluster of this machine alone that ends with the block.

    Raises:
        ConfigError: if Ray is not installed, or no compatible cluster answers there.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    options: dict[str, Any] = {"include_dashboard": False} if address == OWN_CLUSTER else {}
    try:
        _knock(address)  # Ray itself would wait for minutes
        ray.init(
            address=address,
            namespace="annotator",
            logging_level=logging.WARNING,
            log_to_driver=False,
            **options,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"no Ray cluster that fits answers at {address} ({type(error).__name__}): this machine "
            "must be one of its nodes, with the same Python and Ray; see docs/howto/cluster.md"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def import_ray() -> Any:
    """Return the module ``ray``, configured to log little and to send no usage data.

    Raises:
        ConfigError: if it is not installed.
    """
    # Nothing may leave these machines; the nodes get the same variable when they are started.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Keep the working directory: paths in the settings may be relative.
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    try:
        import pyarrow  # noqa: F401 (missing where ray was installed without its parts)
        import ray
    except ImportError as error:
        raise ConfigError(
            "the setting engine is ray, but Ray is not installed; install the extra ray on every "
            "machine: pip install -c constraints.txt '.[ray]'"
        ) from error
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    return ray


def _knock(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def plan_share(nodes: Sequence[dict[str, float]], *, n: int, device: str) -> Share:
    """Share a cluster out to ``n`` processes of one size.

    Args:
        nodes: Resources of each living node, as Ray counts them: ``{"CPU": 16.0, "GPU": 1.0, …}``.
        n: How many processes are wanted.
        device: The setting of this name; ``auto`` takes GPUs where any node has one.

    Returns:
        One GPU and one core each; or, on a cluster without GPUs, the most cores with which all
        ``n`` fit. If fewer fit, ``n`` is that number.

    Raises:
        ConfigError: if the cluster lends nothing of the kind.
    """
    kind = device.split(":", 1)[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"on a Ray cluster device is auto, cpu or cuda, found {device!r}")
    n_gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if kind == "cuda" or (kind == "auto" and n_gpus):
        if not n_gpus:
            raise ConfigError(
                "device is cuda, but no node of the Ray cluster lends a GPU; ray status shows what "
                "it has"
            )
        return Share(n=min(n, n_gpus), cpus=1, gpus=1)
    cores = [int(node.get("CPU", 0)) for node in nodes]
    if not sum(cores):
        raise ConfigError(
            "no node of the Ray cluster lends a core; start one with ray start --num-cpus"
        )
    fitting = [c for c in range(1, max(cores) + 1) if sum(have // c for have in cores) >= n]
    return Share(n=min(n, sum(cores)), cpus=max(fitting, default=1), gpus=0)
