"""Training by several processes: `torchrun --nproc_per_node=2 train.py`.

Each process takes its share of every batch; without torchrun there is one process, and nothing
here does anything.
"""

import os
import sys
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor


def start(device: torch.device) -> tuple[torch.device, int, int]:
    """Join the other processes, if there are any: (this one's device, its rank, their number)."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if processes == 1:
        return device, 0, 1
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    if dist.get_rank() > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the first process speaks for all
    return device, dist.get_rank(), processes


def stop() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def rank_zero_first():
    """Let the process of rank 0 go through the block first, and the others when it is done."""
    if dist.is_initialized() and dist.get_rank() > 0:
        dist.barrier()
    yield
    if dist.is_initialized() and dist.get_rank() == 0:
        dist.barrier()


def barrier() -> None:
    """Until all processes are here."""
    if dist.is_initialized():
        dist.barrier()


def all_reduce_sum(values: Tensor) -> Tensor:
    """The sum of `values` over the processes, in place."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def all_reduce_max(number: int) -> int:
    """The largest of the processes' numbers; no accelerator has to wait for it."""
    if not dist.is_initialized():
        return number
    value = torch.tensor(number)
    dist.all_reduce(value, dist.ReduceOp.MAX)
    return value.item()


def all_gather(rows: list) -> list:
    """The rows of all processes, taken from them in turn: 0, 1, 0, 1, ... for two."""
    if not dist.is_initialized():
        return rows
    shares = [None] * dist.get_world_size()
    dist.all_gather_object(shares, rows)
    longest = max(map(len, shares))
    return [share[n] for n in range(longest) for share in shares if n < len(share)]
