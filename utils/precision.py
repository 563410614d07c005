"""The numbers that training and evaluation compute with."""

import torch

NAMES = ("fp32", "tf32", "bf16", "fp16")
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """fp32, tf32 (products of a GPU), bf16 or fp16 (mixed, weights stay fp32) on a device."""

    def __init__(self, name: str, device: torch.device):
        self.device = device
        self.half = HALVES.get(name)
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"

    def autocast(self) -> torch.autocast:
        """The context in which the network is called."""
        return torch.autocast(self.device.type, self.half, enabled=self.half is not None)

    def step(self, loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimizer's step against `loss`; fp16 scales it so that no gradient vanishes."""
        optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(optimizer)
        self.scaler.update()
