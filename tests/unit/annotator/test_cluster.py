from __future__ import annotations

import sys
import time

import pytest

from annotator.cluster import Share, joined, plan_share
from annotator.errors import ConfigError

SMALL, LARGE = {"CPU": 4.0, "memory": 1e9}, {"CPU": 16.0}
WITH_GPUS = {"CPU": 8.0, "GPU": 2.0}
HEAD = {"memory": 1e9}


@pytest.mark.parametrize(
    ("nodes", "n", "device", "share"),
    [
        ([LARGE, LARGE], 2, "auto", Share(n=2, cpus=16, gpus=0)),
        ([LARGE, LARGE], 4, "cpu", Share(n=4, cpus=8, gpus=0)),
        ([SMALL, LARGE], 2, "auto", Share(n=2, cpus=8, gpus=0)),
        ([SMALL, LARGE], 5, "auto", Share(n=5, cpus=4, gpus=0)),
        ([HEAD, SMALL], 1, "auto", Share(n=1, cpus=4, gpus=0)),
        ([SMALL], 9, "auto", Share(n=4, cpus=1, gpus=0)),
        ([HEAD, WITH_GPUS, WITH_GPUS], 3, "auto", Share(n=3, cpus=1, gpus=1)),
        ([WITH_GPUS], 3, "cuda", Share(n=2, cpus=1, gpus=1)),
        ([WITH_GPUS], 2, "cpu", Share(n=2, cpus=4, gpus=0)),
    ],
    ids=[
        "a node each",
        "half a node each",
        "what fits twice",
        "as much as the small one has",
        "the head lends nothing",
        "fewer than wanted",
        "GPUs where there are any",
        "fewer GPUs than wanted",
        "GPUs left alone",
    ],
)
def test_a_cluster_is_shared_out_to_processes_of_one_size(
    nodes: list[dict[str, float]], n: int, device: str, share: Share
) -> None:
    assert plan_share(nodes, n=n, device=device) == share


@pytest.mark.parametrize(
    ("nodes", "device", "reason"),
    [
        ([HEAD], "auto", "ray start --num-cpus"),
        ([LARGE], "cuda:0", "no node of the Ray cluster lends a GPU"),
        ([LARGE], "mps", "auto, cpu or cuda, found 'mps'"),
    ],
    ids=["no core", "no GPU", "another device"],
)
def test_a_cluster_that_cannot_compute_is_refused(
    nodes: list[dict[str, float]], device: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        plan_share(nodes, n=1, device=device)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(ConfigError, match="extra ray"), joined("auto"):
        pytest.fail("there is no Ray to join")


def test_a_cluster_that_is_not_there_is_named_at_once() -> None:
    began = time.monotonic()

    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:1 .*nodes"), joined("127.0.0.1:1"):
        pytest.fail("there is no cluster to join")

    assert time.monotonic() - began < 60
