"""Parameters and multiplications of the networks: python -m models.profile --views 1 3 5"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from data.layout import RESOLUTIONS
from models import NETWORKS, R2N2
from utils.errors import Parser, run


def count_macs(network: R2N2, num_views: int) -> int:
    """Count the multiply-accumulates of a forward pass of one sample, on the meta device."""
    size = network.image_size
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, num_views, 3, size, size, device="meta"))
    return counter.get_total_flops() // 2


def main() -> None:
    parser = Parser(prog="python -m models.profile", description=__doc__)
    parser.add_argument("--views", type=int, nargs="+", default=[1, 3, 5], metavar="V")
    parser.add_argument("--resolution", type=int, default=32, choices=RESOLUTIONS)
    args = parser.parse_args()
    print(f"{'network':12} {'views':>5} {'parameters':>11} {'weights':>8} {'GMAC':>7}")
    for name in NETWORKS:
        with torch.device("meta"):
            network = R2N2(name, resolution=args.resolution)
        parameters = sum(p.numel() for p in network.parameters())
        size = f"{4 * parameters / 2**20:5.0f} MB"
        for num_views in args.views:
            macs = count_macs(network, num_views) / 1e9
            print(f"{name:12} {num_views:5} {parameters:11,} {size:>8} {macs:7.2f}")


if __name__ == "__main__":
    run(main)
