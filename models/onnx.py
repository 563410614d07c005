"""Export a network to ONNX, for other languages and runtimes."""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from models.network import R2N2
from models.recurrence import GRID
from utils.errors import InputError
from utils.files import atomic_write
from utils.metrics import occupancy_logits


class OnnxNetwork(nn.Module):
    """An `R2N2` whose loop over the views is ONNX's Scan, so that their number stays free."""

    def __init__(self, network: R2N2):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the probability that a voxel is occupied: (B, V, 3, S, S) -> (B, D, D, D)."""
        recurrence, (B, V) = self.network.recurrence, images.shape[:2]
        features = self.network.encoder(images.flatten(0, 1))  # (B*V, F)
        # FewRowLinear would fix the number of rows.
        inputs = nn.functional.linear(features, recurrence.input.weight, recurrence.input.bias)
        inputs = inputs.view(B, V, -1, GRID, GRID, GRID).transpose(0, 1)

        def step(states: tuple[Tensor, ...], x: Tensor):
            states = recurrence.step(x, *states)
            return states, states[0].clone()

        shape = B, recurrence.hidden.in_channels, GRID, GRID, GRID
        zeros = tuple(images.new_zeros(shape) for _ in range(recurrence.num_states))
        (state, *_), _ = scan(step, zeros, inputs)
        return torch.sigmoid(occupancy_logits(self.network.decoder(state)))


def save_onnx(path: str | Path, network: R2N2) -> None:
    """Write a network as ONNX: "images" (B, V, 3, S, S) to "occupancy" (B, D, D, D), B and V free.

    The metadata have the network's name and threshold.
    """
    try:
        import onnxscript  # noqa: F401 (optional)
    except ImportError:
        raise InputError(f"{path}: ONNX needs `pip install onnx onnxscript`") from None
    size = network.image_size
    images = torch.zeros(2, 3, 3, size, size)  # numbers that are not taken for constants
    dimensions = {0: torch.export.Dim("B"), 1: torch.export.Dim("V")}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # about torchvision
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about torch's own parts
        program = torch.onnx.export(
            OnnxNetwork(network).eval(),
            (images,),
            input_names=["images"],
            output_names=["occupancy"],
            dynamic_shapes=(dimensions,),
            dynamo=True,
            verbose=False,
        )
    metadata = {"network": network.name, "threshold": str(network.threshold)}
    program.model.metadata_props.update(metadata)
    with atomic_write(path) as temporary:
        program.save(temporary, external_data=False)
