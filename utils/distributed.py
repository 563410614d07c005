"""Training with several processes (`torchrun --nproc_per_node=2 train.py`).

Each process trains on its shard of every batch. Without torchrun there is one process, and the
collectives return at once. A process that does not answer for TIMEOUT ends the others.
"""

import ctypes
import os
import re
import signal
import sys
import threading
import time
import timeit
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor

from utils.errors import InputError, Interrupted
from utils.signals import stop_requested

TIMEOUT = timedelta(minutes=10)  # rank 0 may build the synthetic dataset in this time
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # in glibc's malloc.h
FAILED_PEER = re.compile("gloo|nccl", re.IGNORECASE)  # in torch's errors


def init(device: torch.device) -> tuple[int, int]:
    """Prepare this process for training; return its rank and the world size.

    It joins the others that torchrun started, if any, and keeps the memory that it frees.

    Raises:
        InputError: If the variables that torchrun sets are wrong, or the others do not answer.
    """
    keep_freed_memory()
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return 0, 1
    if device.type == "cuda":
        torch.cuda.set_device(device)
    nccl = device.type == "cuda" and dist.is_nccl_available()  # not on Windows
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        names = ("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT")
        found = ", ".join(f"{name}={os.environ.get(name, '(unset)')}" for name in names)
        reason = str(error).split("\n")[0]
        raise InputError(f"{found}: {reason}; start with torchrun or unset WORLD_SIZE") from error
    if "TORCHELASTIC_RUN_ID" in os.environ:
        threading.Thread(target=_stop_without_parent, args=(os.getppid(),), daemon=True).start()
    if dist.get_rank() > 0:  # only rank 0 prints
        sys.stdout = open(os.devnull, "w", encoding="utf-8", errors="replace")  # noqa: SIM115
    return dist.get_rank(), dist.get_world_size()


def keep_freed_memory() -> None:
    """Let this process reuse freed memory, where glibc would return large blocks to the system.

    Page faults of new blocks would take a sixth of a training step on a CPU. The peak of memory
    rises by 5 to 20%.
    """
    with suppress(AttributeError, TypeError):  # other C libraries, Windows
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _stop_without_parent(parent: int) -> None:
    """Ask this process to stop when torchrun, its parent, was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def explain_failed_peer():
    """Raise InputError in place of torch's error if another process died or did not answer."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or FAILED_PEER.search(str(error)):
            raise InputError(
                f"another process of the training died or did not answer for {TIMEOUT}; "
                "resume with --resume_epoch=last"
            ) from error
        raise


def shutdown() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def rank_zero_first():
    """Let rank 0 run the block first, the others when it is done."""
    if not is_rank_zero():
        barrier()
    yield
    if is_rank_zero():
        barrier()


def is_rank_zero() -> bool:
    return not dist.is_initialized() or dist.get_rank() == 0


def barrier() -> None:
    if dist.is_initialized():
        dist.barrier()


def all_reduce_sum(values: Tensor) -> Tensor:
    """Return the sum of `values` over all ranks (in place)."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def all_gather(rows: list) -> list:
    """Return the rows of all ranks, interleaved: of 0, 1, 0, 1, ... for two."""
    if not dist.is_initialized():
        return rows
    shards = [None] * dist.get_world_size()
    dist.all_gather_object(shards, rows)
    longest = max(map(len, shards))
    return [shard[i] for i in range(longest) for shard in shards if i < len(shard)]


def raise_if_stopped() -> None:
    """Raise Interrupted in all processes if a signal asked one of them to stop."""
    number = torch.tensor(stop_requested())  # on the CPU: the accelerator need not wait
    if dist.is_initialized():
        dist.all_reduce(number, dist.ReduceOp.MAX)
    if number:
        raise Interrupted(128 + number.item())


def raise_if_asked_to_stop() -> None:
    """Call `raise_if_stopped` early, as the other processes do before their next step."""
    if stop_requested():
        raise_if_stopped()


def choose_device(name: str) -> torch.device:
    """Return the device of the option `device`; torchrun's processes get a GPU each.

    Raises:
        InputError: If it does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        reason = str(error).split("\n")[0]
        raise InputError(f"device: cannot use {name}: {reason}") from error
    return torch.device(name)


def is_bf16_faster(device: torch.device) -> bool:
    """Return whether a device multiplies matrices faster in bfloat16 than in float32.

    A GPU that has bfloat16 does. A processor with instructions for it is timed: AVX512-BF16 doubles
    the speed of some, and halves that of others.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    if not any(has and "bf16" in name for name, has in capabilities.items()):
        return False  # an emulated product takes seconds
    products = []
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(1024, 1024, dtype=dtype)
        products.append(partial(torch.mm, matrix, matrix))
    # In turn, as other programs may slow down any of them.
    seconds = [[timeit.timeit(product, number=1) for product in products] for _ in range(5)]
    fp32, bf16 = map(min, zip(*seconds, strict=True))
    return bf16 < 0.75 * fp32  # clearly, as the rest of a step gains nothing


class Precision:
    """The number format of forward and backward passes on a device.

    Args:
        name (str): "fp32", "tf32" (faster products on a GPU), "bf16" or "fp16" (mixed precision:
            weights stay float32), or "auto": bf16 if the device is faster in it, else fp32.
        device (torch.device): Of the network.

    Attributes:
        name (str): What "auto" has become, on rank 0, else the argument.
    """

    def __init__(self, name: str, device: torch.device):
        if name == "auto":
            name = all_gather(["bf16" if is_bf16_faster(device) else "fp32"])[0]
        self.name, self.device, self.tf32 = name, device, name == "tf32"
        self.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name)
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    @contextmanager
    def autocast(self):
        """Run the network within this context, in its number format."""
        enabled = self.dtype is not None
        with self._tf32(), torch.autocast(self.device.type, self.dtype, enabled=enabled):
            yield

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Take an optimizer step; with fp16, the loss is scaled so that no gradient vanishes."""
        optimizer.zero_grad(set_to_none=True)
        with self._tf32():
            self.scaler.scale(loss).backward()
        self.scaler.step(optimizer)
        self.scaler.update()

    @contextmanager
    def _tf32(self):
        backends = torch.backends.cuda.matmul, torch.backends.cudnn
        usual = [backend.allow_tf32 for backend in backends]
        for backend in backends:
            backend.allow_tf32 = self.tf32
        try:
            yield
        finally:
            for backend, allowed in zip(backends, usual, strict=True):
                backend.allow_tf32 = allowed
