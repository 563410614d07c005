"""The paper's five networks: build them with R2N2, load and save them."""

from pathlib import Path

from models.network import NETWORKS, R2N2, VARIANTS
from models.weights import network_from_state, read_safetensors, read_torch, save_network

__all__ = ["NETWORKS", "R2N2", "VARIANTS", "load_network", "save_network"]


def load_network(path: str | Path) -> R2N2:
    """Load a network from a file alone, in evaluation mode, on the CPU.

    Args:
        path: Weights (.safetensors, .pth) or a checkpoint of this project, one of the three files
            of the PyTorch port, or the official Theano weights (.npy).

    Raises:
        InputError: If the file is damaged or its weights do not fit, naming the parameter.
    """
    from models import convert  # late, or `python -m models.convert` would import it twice

    if Path(path).suffix == ".safetensors":
        return network_from_state(read_safetensors(path), path)
    return convert.load_third_party(path) or network_from_state(read_torch(path), path)
