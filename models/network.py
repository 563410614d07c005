"""3D-R2N2: encoder, recurrence and decoder, and the table of the paper's networks."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from data.layout import RENDERING_SIZE, RESOLUTIONS
from models import decoder, encoder
from models.decoder import ResidualDecoder, ShallowDecoder
from models.encoder import ResidualEncoder, ShallowEncoder
from models.layers import UNPOOLINGS, in_chunks, recomputed
from models.recurrence import ConvGRU, ConvLSTM
from utils.errors import InputError

NETWORKS = {  # table 1 of the paper: encoder, recurrence, its kernel size, decoder
    "3D-LSTM-1": (ShallowEncoder, ConvLSTM, 1, ShallowDecoder),
    "3D-GRU-1": (ShallowEncoder, ConvGRU, 1, ShallowDecoder),
    "3D-LSTM-3": (ShallowEncoder, ConvLSTM, 3, ShallowDecoder),
    "3D-GRU-3": (ShallowEncoder, ConvGRU, 3, ShallowDecoder),
    "Res3D-GRU-3": (ResidualEncoder, ConvGRU, 3, ResidualDecoder),
}
VARIANTS = {  # where the PyTorch port (see convert.py) and the official Theano code differ
    "pytorch": {"image_size": 128, "pool_padding": 0, "unpooling": "nearest"},
    "theano": {"image_size": 127, "pool_padding": 1, "unpooling": "zero"},
}
HIDDEN_CHANNELS = 128
THRESHOLD = 0.4


class R2N2(nn.Module):
    """3D recurrent reconstruction network (section 3 of the paper).

    Args:
        name (str): A key of `NETWORKS`.
        image_size (int): S, side of the input images, 64 to 137 pixels.
        pool_padding (int): Padding of the encoder's max-pooling, 0 or 1.
        unpooling (str): Unpooling of the decoder, "nearest" or "zero".
        leaky_slope (float): Slope of LeakyReLU for negative inputs, 0 to 1.
        width (float): Factor for every number of channels, above 0 and at most 4.
        resolution (int): D, side of the output grid, 32 or 64 voxels.

    Attributes:
        name (str), options (dict): The arguments, which build the same network again.
        image_size (int), resolution (int): S and D.
        threshold (float): Probability from which a voxel counts as occupied: the paper's 0.4,
            unless the weights came with a better one.
        grad_checkpointing (bool): Recompute the activations of encoder and decoder in the backward
            pass. A training step then needs less memory and more time.

    Raises:
        InputError: For an unknown name or an option out of range.
    """

    def __init__(
        self,
        name: str,
        *,
        image_size: int = 128,
        pool_padding: int = 0,
        unpooling: str = "nearest",
        leaky_slope: float = 0.01,
        width: float = 1.0,
        resolution: int = 32,
    ):
        super().__init__()
        self.name = name
        self.options = {
            "image_size": image_size,
            "pool_padding": pool_padding,
            "unpooling": unpooling,
            "leaky_slope": leaky_slope,
            "width": width,
            "resolution": resolution,
        }
        _check_options(name, **self.options)
        self.image_size, self.resolution = image_size, resolution
        self.threshold = THRESHOLD
        self.grad_checkpointing = False

        def scale(channels: int) -> int:
            return max(1, round(width * channels))

        make_encoder, make_recurrence, kernel_size, make_decoder = NETWORKS[name]
        channels = [scale(c) for c in encoder.CHANNELS]
        features, hidden_channels = scale(encoder.FEATURES), scale(HIDDEN_CHANNELS)
        self.encoder = make_encoder(channels, features, image_size, pool_padding, leaky_slope)
        self.recurrence = make_recurrence(features, hidden_channels, kernel_size)
        channels = [scale(c) for c in decoder.CHANNELS]
        self.decoder = make_decoder(hidden_channels, channels, unpooling, leaky_slope, resolution)
        xavier_init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct from all views.

        Args:
            images (Tensor): (B, V, 3, S, S) float in [0, 1]; any B and V of at least 1.

        Returns:
            Tensor: Logits (B, 2, D, D, D): channel 1 is "occupied", the axes are x, y, z.

        Raises:
            ValueError: If `images` has another shape.
        """
        features = self.encode(images)  # (B, V, F)
        states = self.recurrence(features)  # V times (B, C, 4, 4, 4)
        return self.decode(states[-1])

    def forward_all_views(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the logits from the first view, the first two, ..., all V; see `forward`.

        Encoder and recurrence run once for all of them.
        """
        for state in self.recurrence(self.encode(images)):
            yield self.decode(state)

    def encode(self, images: Tensor) -> Tensor:
        """Compute the feature vector of each view: (B, V, 3, S, S) -> (B, V, F)."""
        size = self.image_size
        if images.ndim != 5 or images.shape[2:] != (3, size, size) or 0 in images.shape:
            raise ValueError(
                f"images: expected the shape (B, V, 3, {size}, {size}) with B and V of at least 1, "
                f"got {tuple(images.shape)}"
            )
        B, V = images.shape[:2]
        images = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = in_chunks(self.encoder, images, self.grad_checkpointing)  # (B*V, F)
        return features.view(B, V, -1)

    def decode(self, state: Tensor) -> Tensor:
        """Compute the logits of a hidden state: (B, C, 4, 4, 4) -> (B, 2, D, D, D)."""
        state = state.contiguous(memory_format=torch.channels_last_3d)
        if self.grad_checkpointing and torch.is_grad_enabled():
            return recomputed(self.decoder, state)
        return self.decoder(state)


@torch.no_grad()
def xavier_init(network: R2N2) -> None:
    """Draw the weights as the official code does: Xavier normal, gain √2; biases 0.1.

    Each gate of the recurrence counts as a layer of its own.
    """
    gates = {f"recurrence.{name}": n for name, n in network.recurrence.num_gates.items()}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            for weight in layer.weight.chunk(gates.get(name, 1)):
                nn.init.xavier_normal_(weight, gain=2**0.5)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, 0.1)


def with_resolution(network: R2N2, resolution: int) -> tuple[R2N2, list[str]]:
    """Return a network of another resolution with the weights of `network`.

    Also returns the names of the layers that are new, as their weights are. The output layer starts
    with a gain of 0.01 in place of √2: features of a trained network are large.
    """
    other = R2N2(network.name, **network.options | {"resolution": resolution})
    new_weights = other.state_dict()
    kept = {
        name: weight
        for name, weight in network.state_dict().items()
        if name in new_weights and weight.shape == new_weights[name].shape
    }
    other.load_state_dict(new_weights | kept)
    output_layer = [m for m in other.decoder.modules() if isinstance(m, nn.Conv3d)][-1]
    nn.init.xavier_normal_(output_layer.weight, gain=0.01)
    return other, sorted({name.rpartition(".")[0] for name in new_weights.keys() - kept.keys()})


def _check_options(name, image_size, pool_padding, unpooling, leaky_slope, width, resolution):
    """Raise InputError for an unknown name or an option out of range."""
    if name not in NETWORKS:
        raise InputError(f"network: expected one of {', '.join(NETWORKS)}, got {name!r}")
    if not 64 <= image_size <= RENDERING_SIZE:
        raise InputError(f"image_size: expected 64 to {RENDERING_SIZE} pixels, got {image_size}")
    if pool_padding not in (0, 1):
        raise InputError(f"pool_padding: expected 0 or 1, got {pool_padding}")
    if unpooling not in UNPOOLINGS:
        raise InputError(f"unpooling: expected one of {', '.join(UNPOOLINGS)}, got {unpooling!r}")
    if not 0 <= leaky_slope <= 1:
        raise InputError(f"leaky_slope: expected 0 to 1, got {leaky_slope}")
    if not 0 < width <= 4:
        raise InputError(f"width: expected above 0 and at most 4, got {width}")
    if resolution not in RESOLUTIONS:
        raise InputError(f"resolution: expected 32 or 64, got {resolution}")
