"""Parameters, multiplications and memory of the networks: python -m models.profile --views 1 3 5"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from data.layout import RESOLUTIONS
from models import NETWORKS, R2N2, build_network
from utils.errors import Parser, run


def profile(network: R2N2, num_views: int, batch_size: int = 1) -> tuple[int, int]:
    """Count multiply-accumulates of a forward pass and bytes it keeps for the backward pass.

    Nothing is computed: the network has to be on the meta device.
    """
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        saved[storage._cdata] = storage.nbytes()
        return tensor

    parameters = {p.untyped_storage()._cdata for p in network.parameters()}
    size = network.image_size
    images = torch.empty(batch_size, num_views, 3, size, size, device="meta")
    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        logits = network(images)
    activations = sum(size for storage, size in saved.items() if storage not in parameters)
    del logits  # kept until here, or storages freed meanwhile would be counted as one
    return counter.get_total_flops() // 2, activations


def main() -> None:
    parser = Parser(prog="python -m models.profile", description=__doc__)
    parser.add_argument("--views", type=int, nargs="+", default=[1, 3, 5], metavar="V")
    parser.add_argument("--batch", type=int, default=1, metavar="B")
    parser.add_argument("--resolution", type=int, default=32, choices=RESOLUTIONS)
    args = parser.parse_args()
    print(f"{'network':12} {'views':>5} {'parameters':>11} {'weights':>8} {'GMAC':>7} {'training'}")
    for name in NETWORKS:
        with torch.device("meta"):
            network = build_network(name, resolution=args.resolution)
        parameters = sum(p.numel() for p in network.parameters())
        for num_views in args.views:
            macs, activations = profile(network, num_views, args.batch)
            print(
                f"{name:12} {num_views:5} {parameters:11,} {4 * parameters / 2**20:5.0f} MB "
                f"{macs / 1e9:7.2f} {activations / 2**20:5.0f} MB"
            )


if __name__ == "__main__":
    run(main)
