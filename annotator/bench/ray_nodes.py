"""A Ray cluster of several nodes on this machine, each a process group of its own."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["RayNodes"]

_STORE_BYTES = 80 * 2**20  # just above Ray's minimum


class RayNodes:
    """A head without cores, and nodes with one core each. ``close()`` ends all.

    Raises:
        ConfigError: if Ray is not installed.
    """

    def __init__(self) -> None:
        from annotator.cluster import import_ray

        import_ray()
        os.environ.setdefault("RAY_worker_niceness", "0")  # else workers run at a lower priority
        from ray.cluster_utils import Cluster

        self._nodes: list[Any] = []
        self._cluster: Any = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "include_dashboard": False,
                "object_store_memory": _STORE_BYTES,
                "_system_config": {  # notice a lost node within seconds, not half a minute
                    "health_check_initial_delay_ms": 2000,
                    "health_check_period_ms": 1000,
                    "health_check_failure_threshold": 5,
                },
            },
        )

    @property
    def address(self) -> str:
        """The address of the head, for a driver."""
        return str(self._cluster.address)

    def __len__(self) -> int:
        """Count the nodes other than the head."""
        return len(self._nodes)

    def fill(self, n: int) -> None:
        """Start nodes until there are ``n``."""
        while len(self._nodes) < n:
            node = self._cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
            self._nodes.append(node)

    @property
    def pids(self) -> list[int]:
        """The raylet process of each node, the parent of its workers."""
        return [node.all_processes["raylet"][0].process.pid for node in self._nodes]

    def kill(self, pid: int) -> None:
        """Kill all processes of the node with this pid, as a power cut would."""
        node = self._nodes.pop(self.pids.index(pid))
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """Stop all nodes. May be called twice."""
        if self._cluster is not None:
            self._cluster.shutdown()
            self._cluster = None
