"""The paper's five networks (table 1), built from one set of parts."""

from models.network import R2N2

NETWORKS = {
    "3D-LSTM-1": {"recurrence": "LSTM", "hidden_kernel": 1, "residual": False},
    "3D-GRU-1": {"recurrence": "GRU", "hidden_kernel": 1, "residual": False},
    "3D-LSTM-3": {"recurrence": "LSTM", "hidden_kernel": 3, "residual": False},
    "3D-GRU-3": {"recurrence": "GRU", "hidden_kernel": 3, "residual": False},
    "Res3D-GRU-3": {"recurrence": "GRU", "hidden_kernel": 3, "residual": True},
}

# The published layouts: Rutvikk-Khar/3D-Object-Reconstruction's, and the authors' Theano code's.
VARIANTS = {
    "pytorch": {"image_size": 128, "pool_padding": 0, "unpooling": "nearest"},
    "theano": {"image_size": 127, "pool_padding": 1, "unpooling": "zero"},
}


def build_network(name: str, **options) -> R2N2:
    """A new network by its name in the paper, freshly initialised.

    `options` are those of `R2N2`: image_size, pool_padding, unpooling, leaky_slope, width. The
    network keeps both as `name` and, complete, `options`. Raises ValueError for an unknown name.
    """
    if name not in NETWORKS:
        raise ValueError(f"network: expected one of {', '.join(NETWORKS)}, found {name!r}")
    network = R2N2(**NETWORKS[name], **options)
    network.name, network.options = name, R2N2.__init__.__kwdefaults__ | options
    return network
