"""The whole network: encoder, recurrence and decoder around one set of options."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models import decoder, encoder
from models.layers import UNPOOLINGS, UnpoolConv3d, standardise, xavier_init
from models.recurrence import GRU, LSTM

HIDDEN = 128
# Pictures that are encoded at once where no gradient is kept. It bounds the memory of many views,
# and on a CPU four of them stay in its caches.
ENCODED_AT_ONCE, ENCODED_AT_ONCE_BY_CPU = 64, 4
RECOMPUTED_AT_ONCE = 8  # pictures
RECOMPUTE = {"use_reentrant": False, "preserve_rng_state": False}


class R2N2(nn.Module):
    """3D-R2N2: pictures of an object in, the logits of its voxels out.

    `recurrence` is "LSTM" or "GRU", with a convolution of `hidden_kernel` over its grid;
    `residual` chooses the deep encoder and decoder. The defaults of the rest are those of the
    PyTorch seed; the authors' code has image_size 127, pool_padding 1 and "zero" unpooling.
    `width` scales every number of channels. Where `recompute` is set, the activations of encoder
    and decoder are computed again in the backward pass, and not kept for it. Where `coarse` is set,
    the decoder ends at 16³ voxels.
    """

    recompute, coarse = False, False

    def __init__(
        self,
        *,
        recurrence: str,
        hidden_kernel: int,
        residual: bool,
        image_size: int = 128,
        pool_padding: int = 0,
        unpooling: str = "nearest",
        leaky_slope: float = 0.01,
        width: float = 1.0,
    ):
        super().__init__()
        if unpooling not in UNPOOLINGS:
            raise ValueError(f"unpooling: expected one of {UNPOOLINGS}, found {unpooling!r}")
        if encoder.pooled_size(image_size, pool_padding) < 1:
            raise ValueError(f"image_size: expected at least 64 pixels, found {image_size}")

        def scaled(*channels: int) -> tuple[int, ...]:
            return tuple(max(1, round(width * count)) for count in channels)

        (hidden,), (features,) = scaled(HIDDEN), scaled(encoder.FEATURES)
        make_encoder = encoder.ResidualEncoder if residual else encoder.ShallowEncoder
        make_decoder = decoder.ResidualDecoder if residual else decoder.ShallowDecoder
        self.image_size = image_size
        self.encoder = make_encoder(
            scaled(*encoder.CHANNELS), features, image_size, pool_padding, leaky_slope
        )
        self.recurrence = {"LSTM": LSTM, "GRU": GRU}[recurrence](features, hidden, hidden_kernel)
        self.decoder = make_decoder(hidden, scaled(*decoder.CHANNELS), unpooling, leaky_slope)
        xavier_init(self)

    @torch.no_grad()
    def data_dependent_init(self, images: Tensor) -> None:
        """Scale a new network so that what tells `images`, (B, V, 3, S, S), apart reaches the end.

        Every layer of encoder and decoder puts out mean 0 and deviation 1 on them, the last a tenth
        of it (the 1×1×1 skip of Res3D-GRU-3 is left as it is). As the paper begins, the constant
        part of a feature is twelve times what varies, and a short training goes no farther than the
        mean shape. After Krähenbühl et al., "Data-dependent initializations of convolutional neural
        networks", ICLR 2016.
        """
        layers = []

        def fit(layer, _inputs, outputs):
            layers.append(layer)
            return standardise(layer, outputs)

        kinds = (nn.Conv2d, nn.Linear, nn.Conv3d, UnpoolConv3d)
        parts = [*self.encoder.modules(), *self.decoder.modules()]
        hooks = [part.register_forward_hook(fit) for part in parts if isinstance(part, kinds)]
        features = self.encoder(images.flatten(0, 1))
        self.decoder(self.recurrence(features.view(*images.shape[:2], -1))[-1])
        for hook in hooks:
            hook.remove()
        layers[-1].weight.mul_(0.1)
        layers[-1].bias.mul_(0.1)

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct from all views.

        `images` is (B, V, 3, S, S) in [0, 1] with S = image_size and any B and V of at least 1.
        Returns logits (B, 2, 32, 32, 32): channel 1 says occupied, axes are x, y, z.
        """
        return self.decode(self.hidden_states(images)[-1])

    def forward_all_views(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the logits from the first view, from the first two, ... from all V of `images`.

        One pass of the encoder and of the recurrence serves all of them.
        """
        for state in self.hidden_states(images):
            yield self.decode(state)

    def hidden_states(self, images: Tensor) -> list[Tensor]:
        """The hidden state after each view: V grids (B, C, 4, 4, 4)."""
        batch, views = images.shape[:2]
        pictures = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        if not torch.is_grad_enabled():
            on_cpu = pictures.device.type == "cpu"
            parts = pictures.split(ENCODED_AT_ONCE_BY_CPU if on_cpu else ENCODED_AT_ONCE)
            features = torch.cat([self.encoder(few) for few in parts])
        elif self.recompute:
            parts = pictures.split(RECOMPUTED_AT_ONCE)
            features = torch.cat([checkpoint(self.encoder, few, **RECOMPUTE) for few in parts])
        else:
            features = self.encoder(pictures)
        return self.recurrence(features.view(batch, views, -1))

    def decode(self, state: Tensor) -> Tensor:
        """Logits (B, 2, 32, 32, 32), of 16 a side where `coarse` is set, of a state."""
        state = state.contiguous(memory_format=torch.channels_last_3d)
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self.decoder, state, self.coarse, **RECOMPUTE)
        return self.decoder(state, self.coarse)
