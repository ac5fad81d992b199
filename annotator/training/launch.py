"""Training as in ``loop`` in several processes of one machine: one per GPU, or gloo on the CPU."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from accelerate import PartialState

from annotator.domain import TaggedSentence
from annotator.errors import AnnotatorError, TrainingError
from annotator.training.loop import TrainingResult, train
from annotator.training.replica import Replica, sum_over_group
from annotator.training.run import TrainingProgress

__all__ = ["train_together"]


def train_together(
    sentences: Sequence[TaggedSentence],
    *,
    n_processes: int,
    device: str = "cpu",
    on_progress: Callable[[TrainingProgress], None] | None = None,
    **arguments: Any,
) -> TrainingResult:
    """Train one model in ``n_processes``, each on its share of every batch.

    The weights equal those of a run in one process except for rounding and dropout. If one
    process dies, all end. ``device`` is ``cpu``, or ``cuda`` with at most one process per GPU.
    ``on_progress`` is called in this process; what it raises stops all. The other arguments are
    those of ``train``.

    Raises:
        TrainingError: if a process dies, the device does not support several, or as ``train``
            does.
    """
    kind = torch.device(device).type
    if kind not in ("cpu", "cuda"):
        raise TrainingError(f"{kind} takes one process, found {n_processes}; set processes to 1")
    if kind == "cuda" and n_processes > torch.cuda.device_count():
        n_gpus = torch.cuda.device_count()
        raise TrainingError(f"there are {n_gpus} GPUs for {n_processes} processes; ask for fewer")
    context = torch.multiprocessing.get_context("spawn")
    port = _free_port()
    receiver, sender = context.Pipe(duplex=False)
    processes = [
        context.Process(
            target=_work,
            args=(rank, n_processes, port, kind, sender if rank == 0 else None),
            kwargs={"sentences": sentences, "arguments": arguments},
            daemon=True,
        )
        for rank in range(n_processes)
    ]
    try:
        for process in processes:
            process.start()
        return _follow(processes, receiver, on_progress)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _follow(
    processes: Sequence[BaseProcess],
    receiver: Any,
    on_progress: Callable[[TrainingProgress], None] | None,
) -> TrainingResult:
    """Forward messages of the first process until it has a result or one process is dead."""
    while True:
        ready = wait([receiver, *(process.sentinel for process in processes)])
        if receiver in ready:
            message = receiver.recv()
            if isinstance(message, TrainingResult):
                return message
            if isinstance(message, AnnotatorError):
                raise message
            if on_progress is not None:
                on_progress(message)
            continue
        for rank, process in enumerate(processes):
            if process.exitcode:
                raise TrainingError(
                    f"process {rank} of {len(processes)} ended with exit code {process.exitcode}; "
                    "look at its output, and see whether the memory sufficed"
                )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _work(
    rank: int,
    n: int,
    port: int,
    kind: str,
    sender: Any,
    *,
    sentences: Sequence[TaggedSentence],
    arguments: dict[str, Any],
) -> None:
    """Train as process ``rank`` of ``n``; the one with a ``sender`` reports progress and result."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(n),
        LOCAL_WORLD_SIZE=str(n),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    if kind == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // n))
    state = PartialState(cpu=kind == "cpu")
    replica = Replica(rank=rank, n=n, device=state.device, reduce=sum_over_group)
    on_progress = sender.send if sender is not None else None
    try:
        result = train(
            sentences, device=state.device, replica=replica, on_progress=on_progress, **arguments
        )
    except AnnotatorError as error:
        if sender is None:
            raise
        sender.send(error)
    else:
        if sender is not None:
            sender.send(result)
    finally:
        state.destroy_process_group()
