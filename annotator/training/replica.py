"""One of several processes that train one model together, each on its share of every batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist

__all__ = ["Replica", "sum_over_group"]


def sum_over_group(value: Tensor) -> Tensor:
    """Sum ``value`` over the process group of ``torch.distributed``, in place."""
    dist.all_reduce(value)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A place in the group; by default the only one.

    Attributes:
        rank: Number of this process, from 0. Rank 0 writes.
        n: Number of processes.
        device: Where tensors must be to be summed.
        reduce: Sums a tensor over all processes; all must call it in the same order.
    """

    rank: int = 0
    n: int = 1
    device: torch.device | None = None
    reduce: Callable[[Tensor], Tensor] | None = None

    def share(self, items: Sequence[int]) -> list[int]:
        """Return every n-th of ``items``, starting at this process's rank."""
        return list(items[self.rank :: self.n])

    def sum(self, value: Tensor) -> Tensor:
        """Sum ``value`` over all processes."""
        return value if self.reduce is None else self.reduce(value)

    def wait(self) -> None:
        """Return once all processes have arrived."""
        self.sum(torch.zeros(1, device=self.device))

    def sum_gradients(self, model: nn.Module) -> None:
        """Give every process the sum of all gradients, in one exchange.

        A parameter without a gradient in any process stays without one.
        """
        if self.reduce is None:
            return
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        there = gradients[0].new_tensor([p.grad is not None for p in parameters])
        flat = torch.cat([there, *(gradient.flatten() for gradient in gradients)])  # (all values,)
        sizes = [len(parameters), *(p.numel() for p in parameters)]
        present, *parts = torch.split(self.reduce(flat), sizes)  # (size,) each
        for parameter, part, found in zip(parameters, parts, present.tolist(), strict=True):
            parameter.grad = part.view_as(parameter).clone() if found else None
