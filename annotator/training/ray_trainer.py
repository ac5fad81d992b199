"""One training run on a Ray cluster: Ray Train places the processes and replaces lost ones.

The loop and its checkpoints are those of any run. The state for resuming is kept beside the run's
folder, so that folder must be on storage that all nodes share under one path.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from annotator.cluster import joined, plan_share
from annotator.domain import TaggedSentence
from annotator.errors import AnnotatorError, CancelledError, ConfigError, TrainingError
from annotator.training.loop import TrainingResult, train
from annotator.training.replica import Replica, sum_over_group
from annotator.training.run import TrainingProgress

__all__ = ["train_on_ray"]

_MAX_FAILURES = 5  # lost processes and nodes per run before giving up
_LOOK_S = 0.2
_TELL_S = 0.5
_STOP_S = 30.0
_SHARED_S = 10.0


def train_on_ray(
    sentences: Sequence[TaggedSentence],
    *,
    address: str,
    n_processes: int,
    folder: Path,
    device: str = "auto",
    encoder: str,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    **arguments: Any,
) -> TrainingResult:
    """Train one model in up to ``n_processes`` of a cluster, each on its share of every batch.

    If a process or its node is lost, the others resume from the last saved state, with as many
    processes as can be placed.

    Args:
        sentences: As for ``train``.
        address: The cluster, see ``annotator.cluster.joined``.
        n_processes: Most processes; with GPUs one each.
        folder: Where the checkpoint is written, on storage that all nodes share.
        device: ``auto``, ``cpu`` or ``cuda``, for the nodes.
        encoder: As for ``train``; a local folder must exist on all nodes.
        on_progress: Called in this process; what it raises stops all.
        **arguments: The others of ``train``.

    Raises:
        ConfigError: if there is no such cluster or it has no resources to compute on.
        TrainingError: if processes are lost again and again, or as ``train`` does.
    """
    folder = Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    local = Path(encoder)
    encoder = str(local.resolve()) if local.is_dir() else encoder
    config: dict[str, Any] = {
        "sentences": list(sentences),
        "arguments": {**arguments, "encoder": encoder, "folder": folder},
    }
    with joined(address) as ray, ThreadPoolExecutor(max_workers=1) as pool, _records(folder) as own:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        config["share"] = plan_share(nodes, n=n_processes, device=device)
        config["box"] = box = _open_mailbox(ray)
        trainer = _trainer(config, n_processes=n_processes, records=own)
        result = _follow(ray, pool.submit(trainer.fit), box, on_progress)
    if not folder.is_dir():
        raise TrainingError(
            f"the cluster has trained {folder.name}, but it is not here: the folder models must be "
            "on storage that all nodes share under one path"
        )
    return result


@contextmanager
def _records(folder: Path) -> Iterator[Path]:
    """Keep a folder for Ray Train; nodes that see it know that the storage is shared."""
    records = folder.with_name(f"{folder.name}.ray")
    records.mkdir(exist_ok=True)
    try:
        yield records
    finally:
        shutil.rmtree(records, ignore_errors=True)


def _trainer(config: dict[str, Any], *, n_processes: int, records: Path) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    share = config["share"]
    resources = {"CPU": float(share.cpus)}
    if share.gpus:
        resources["GPU"] = float(share.gpus)
    return TorchTrainer(
        _work,
        train_loop_config=config,
        torch_config=TorchConfig(timeout_s=600),
        scaling_config=ScalingConfig(
            num_workers=(1, n_processes) if n_processes > 1 else 1,
            use_gpu=bool(share.gpus),
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=records.name,
            storage_path=str(records.parent),
            failure_config=FailureConfig(max_failures=_MAX_FAILURES),
        ),
    )


class _Mailbox:
    """Actor on the driver's node that passes progress one way and requests to stop the other."""

    def __init__(self) -> None:
        self._progress: TrainingProgress | None = None
        self._outcome: TrainingResult | AnnotatorError | None = None
        self._stop = False

    def tell(self, progress: TrainingProgress) -> bool:
        self._progress = progress
        return self._stop

    def settle(self, outcome: TrainingResult | AnnotatorError) -> None:
        self._outcome = outcome

    def is_settled(self) -> bool:
        return self._outcome is not None or self._stop

    def stop(self) -> None:
        self._stop = True

    def read(self) -> tuple[TrainingProgress | None, TrainingResult | AnnotatorError | None]:
        progress, self._progress = self._progress, None
        return progress, self._outcome


def _open_mailbox(ray: Any) -> Any:
    """Start a mailbox on this node: it is lost only together with the driver."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(
        node_id=ray.get_runtime_context().get_node_id(), soft=False
    )
    return ray.remote(num_cpus=0, scheduling_strategy=here)(_Mailbox).remote()


def _follow(
    ray: Any,
    fit: Future[Any],
    box: Any,
    on_progress: Callable[[TrainingProgress], None] | None,
) -> TrainingResult:
    """Forward progress until Ray Train is done; if that raises, stop Ray Train."""
    from ray.train import TrainingFailedError

    try:
        is_done = False
        while not is_done:
            is_done = bool(wait_for([fit], timeout=_LOOK_S).done)  # then read once more
            progress, outcome = ray.get(box.read.remote())
            if progress is not None and on_progress is not None:
                on_progress(progress)
    except BaseException:
        ray.get(box.stop.remote())
        wait_for([fit], timeout=_STOP_S)
        if not fit.done():
            ray.shutdown()  # ends whatever waits for a node, and so the fitting thread
        raise
    if isinstance(outcome, TrainingResult):
        return outcome
    if isinstance(outcome, AnnotatorError):
        raise outcome
    failure = fit.exception()
    if isinstance(failure, TrainingFailedError):
        causes = getattr(failure, "worker_failures", {}) or {0: failure}
        names = ", ".join(sorted({type(cause).__name__ for cause in causes.values()}))
        raise TrainingError(
            f"the cluster lost processes of this run {_MAX_FAILURES + 1} times, at last by "
            f"{names}; see Ray's logs on the nodes, and whether their memory suffices"
        ) from failure
    raise TrainingError("the cluster ended this run without a result") from failure


class _StoppedError(CancelledError):
    """The driver asked all processes to stop."""


def _work(config: dict[str, Any]) -> None:
    """Run one of the processes."""
    import ray
    import ray.train.torch

    box, arguments, share = config["box"], config["arguments"], config["share"]
    context = ray.train.get_context()
    rank, n = context.get_world_rank(), context.get_world_size()
    if ray.get(box.is_settled.remote()):
        return  # a failure not caused by lost processes would recur
    if not share.gpus:
        torch.set_num_threads(share.cpus)
    device = ray.train.torch.get_device()
    replica = Replica(rank=rank, n=n, device=device, reduce=sum_over_group)
    told_at = 0.0

    def tell(progress: TrainingProgress) -> None:
        # All must stop in the same step, or some would wait for the others forever.
        nonlocal told_at
        stop = torch.zeros(1, device=device)
        is_last = progress.step == progress.n_steps
        if rank == 0 and (is_last or time.monotonic() - told_at >= _TELL_S):
            told_at = time.monotonic()
            stop += float(ray.get(box.tell.remote(progress)))
        if float(replica.sum(stop)):
            raise _StoppedError("stopped by the driver")

    try:
        _check_shared(arguments["folder"])
        result = train(
            config["sentences"], device=device, replica=replica, on_progress=tell, **arguments
        )
    except _StoppedError:
        return
    except AnnotatorError as error:
        ray.get(box.settle.remote(error))
        raise  # so that Ray Train ends the processes that wait for this one
    if rank == 0:
        ray.get(box.settle.remote(result))


def _check_shared(folder: Path) -> None:
    records = folder.with_name(f"{folder.name}.ray")
    deadline = time.monotonic() + _SHARED_S
    while not records.is_dir():
        if time.monotonic() > deadline:
            raise ConfigError(
                f"a node of the cluster does not see {records.parent}: the folder models must be "
                "on storage that all nodes share under one path; see docs/howto/cluster.md"
            )
        time.sleep(0.2)
