"""The paper's five networks and what they cost: python -m models.profile --views 1 3 5"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from models import NETWORKS, build_network
from models.network import R2N2
from utils.errors import InputError, Parser, run


def measure(network: R2N2, views: int, batch: int = 1) -> tuple[int, int]:
    """Multiply-accumulates of a forward pass, and bytes that it keeps for the backward pass.

    The network has to be on the meta device, so that nothing is computed.
    """
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    parameters = {p.untyped_storage()._cdata for p in network.parameters()}
    images = torch.empty(batch, views, 3, network.image_size, network.image_size, device="meta")
    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        logits = network(images)
    activations = sum(size for storage, size in kept.items() if storage not in parameters)
    del logits
    return counter.get_total_flops() // 2, activations


def main() -> None:
    parser = Parser(prog="python -m models.profile", description=__doc__)
    parser.add_argument("--views", type=int, nargs="+", default=[1, 3, 5], metavar="V")
    parser.add_argument("--batch", type=int, default=1, metavar="B")
    arguments = parser.parse_args()
    if min(*arguments.views, arguments.batch, 1) < 1:
        raise InputError("--views and --batch: expected whole numbers of at least 1")
    print(f"Multiply-accumulates and memory of a forward pass of {arguments.batch} objects")
    print(
        f"{'network':12} {'views':>6} {'parameters':>11} {'weights':>9} {'GMAC':>7} {'training':>9}"
    )
    for name in NETWORKS:
        with torch.device("meta"):
            network = build_network(name)
        count = sum(parameter.numel() for parameter in network.parameters())
        for views in arguments.views:
            products, kept = measure(network, views, arguments.batch)
            print(
                f"{name:12} {views:6} {count:11,} {4 * count / 2**20:6.0f} MB "
                f"{products / 1e9:7.2f} {kept / 2**20:6.0f} MB"
            )


if __name__ == "__main__":
    run(main)
