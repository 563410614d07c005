"""Where a network runs, and in which number format."""

import os
from contextlib import contextmanager

import torch
from torch import Tensor

from utils.errors import InputError


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


class Precision:
    """The number format of forward and backward passes on a device.

    Args:
        name (str): "fp32", "tf32" (faster products on a GPU), "bf16" or "fp16" (mixed precision:
            weights stay float32).
        device (torch.device): Of the network.
    """

    def __init__(self, name: str, device: torch.device):
        self.device, self.tf32 = device, name == "tf32"
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
