"""3D-R2N2: encoder, recurrence and decoder, and the table of the paper's networks."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from models import decoder, encoder
from models.decoder import RESOLUTIONS, ResidualDecoder, ShallowDecoder
from models.encoder import ResidualEncoder, ShallowEncoder
from models.init import xavier_init
from models.layers import UNPOOLINGS, encode, recomputed
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
        threshold (float): Probability from which `demo.py` takes a voxel as occupied; the paper's
            0.4, unless the weights came with the best one on their validation split.
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
        if name not in NETWORKS:
            raise InputError(f"network: expected one of {', '.join(NETWORKS)}, got {name!r}")
        self.name = name
        self.options = {
            "image_size": image_size,
            "pool_padding": pool_padding,
            "unpooling": unpooling,
            "leaky_slope": leaky_slope,
            "width": width,
            "resolution": resolution,
        }
        _check_options(**self.options)
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
        return self._decode(self.hidden_states(images)[-1])

    def forward_all_views(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the logits from the first view, the first two, ..., all V; see `forward`.

        Encoder and recurrence run once for all of them.
        """
        for state in self.hidden_states(images):
            yield self._decode(state)

    def forward_view_orders(self, images: Tensor, orders: list[list[int]]) -> Iterator[Tensor]:
        """Yield the logits from all views in each order (a permutation of 0 to V - 1).

        The encoder runs once for all of them.
        """
        features = self._features(images)
        for order in orders:
            yield self._decode(self.recurrence(features[:, order])[-1])

    def hidden_states(self, images: Tensor) -> list[Tensor]:
        """Return the hidden state after each view, V grids (B, C, 4, 4, 4); see `forward`."""
        return self.recurrence(self._features(images))

    def gates(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return both gates at each view, V pairs of (B, C, 4, 4, 4) in [0, 1]; see `forward`.

        `recurrence.gate_names` says which two they are.
        """
        return [gates for _, gates in self.recurrence.steps(self._features(images))]

    def _features(self, images: Tensor) -> Tensor:  # (B, V, 3, S, S) -> (B, V, F)
        size = self.image_size
        if images.ndim != 5 or images.shape[2:] != (3, size, size) or 0 in images.shape:
            raise ValueError(
                f"images: expected the shape (B, V, 3, {size}, {size}) with B and V of at least 1, "
                f"got {tuple(images.shape)}"
            )
        B, V = images.shape[:2]
        images = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = encode(self.encoder, images, self.grad_checkpointing)  # (B*V, F)
        return features.view(B, V, -1)

    def _decode(self, state: Tensor) -> Tensor:  # (B, C, 4, 4, 4) -> (B, 2, D, D, D)
        state = state.contiguous(memory_format=torch.channels_last_3d)
        if self.grad_checkpointing and torch.is_grad_enabled():
            return recomputed(self.decoder, state)
        return self.decoder(state)


def with_resolution(network: R2N2, resolution: int) -> tuple[R2N2, list[str]]:
    """Return a network of another resolution with the weights of `network`.

    Also returns the names of the layers that are new, as their weights are. The output layer starts
    with a gain of 0.01 in place of √2: features of a trained network are large.
    """
    other = R2N2(network.name, **network.options | {"resolution": resolution})
    weights, new_weights = network.state_dict(), other.state_dict()
    kept = {
        name: weights[name]
        for name, value in new_weights.items()
        if name in weights and weights[name].shape == value.shape
    }
    other.load_state_dict(new_weights | kept)
    *_, output_layer = (m for m in other.decoder.modules() if isinstance(m, nn.Conv3d))
    nn.init.xavier_normal_(output_layer.weight, gain=0.01)
    new = (name.rpartition(".")[0] for name in new_weights.keys() - kept.keys())
    return other, sorted(set(new))


def _check_options(image_size, pool_padding, unpooling, leaky_slope, width, resolution) -> None:
    """Raise InputError for options out of range (they may come from an untrusted file)."""
    if not (isinstance(image_size, int) and 64 <= image_size <= 137):  # renderings have 137 pixels
        raise InputError(f"image_size: expected 64 to 137 pixels, got {image_size!r:.50}")
    if not (isinstance(pool_padding, int) and pool_padding in (0, 1)):
        raise InputError(f"pool_padding: expected 0 or 1, got {pool_padding!r:.50}")
    if not (isinstance(unpooling, str) and unpooling in UNPOOLINGS):
        raise InputError(f"unpooling: expected one of {UNPOOLINGS}, got {unpooling!r:.50}")
    if not (isinstance(leaky_slope, int | float) and 0 <= leaky_slope <= 1):
        raise InputError(f"leaky_slope: expected 0 to 1, got {leaky_slope!r:.50}")
    if not (isinstance(width, int | float) and 0 < width <= 4):
        raise InputError(f"width: expected above 0 and at most 4, got {width!r:.50}")
    if not (isinstance(resolution, int) and resolution in RESOLUTIONS):
        raise InputError(f"resolution: expected 32 or 64, got {resolution!r:.50}")
