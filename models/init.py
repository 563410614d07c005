"""Initial weights: the paper's, or scaled by the first images."""

import torch
from torch import Tensor, nn

LAYERS = (nn.Conv2d, nn.Conv3d, nn.Linear)


@torch.no_grad()
def xavier_init(network: nn.Module) -> None:
    """Draw the weights of an `R2N2` as the official code does: Xavier normal, gain √2; biases 0.1.

    Each gate of the recurrence counts as a layer of its own.
    """
    gates = {f"recurrence.{name}": n for name, n in network.recurrence.num_gates.items()}
    for name, module in network.named_modules():
        if isinstance(module, LAYERS):
            for weight in module.weight.chunk(gates.get(name, 1)):
                nn.init.xavier_normal_(weight, gain=2**0.5)
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.1)


@torch.no_grad()
def data_dependent_init(network: nn.Module, images: Tensor) -> None:
    """Scale the weights of a new `R2N2` so that differences between images reach its output.

    With the paper's initial weights, the constant part of a feature is twelve times the part that
    varies between images, and a short training stays near the mean shape. Here every layer of
    encoder and decoder gets outputs of mean 0 and deviation 1, the last one of deviation 0.1
    (Krähenbühl et al., "Data-dependent initializations of convolutional neural networks", ICLR
    2016).

    Args:
        network (R2N2): New network, changed in place.
        images (Tensor): (B, V, 3, S, S) float32 in [0, 1].
    """
    layers = []

    def hook(layer, _inputs, outputs):
        layers.append(layer)
        return _standardize(layer, outputs)

    modules = [*network.encoder.modules(), *network.decoder.modules()]
    handles = [m.register_forward_hook(hook) for m in modules if isinstance(m, LAYERS)]
    features = network.encoder(images.flatten(0, 1)).view(*images.shape[:2], -1)  # (B, V, F)
    network.decoder(network.recurrence(features)[-1])
    for handle in handles:
        handle.remove()
    layers[-1].weight.mul_(0.1)
    layers[-1].bias.mul_(0.1)


def _standardize(layer: nn.Module, outputs: Tensor) -> Tensor:
    """Scale and shift a layer to outputs (N, C, ...) of mean 0 and deviation 1 in each channel."""
    axes = [axis for axis in range(outputs.ndim) if axis != 1]
    mean, std = outputs.mean(axes), outputs.std(axes, correction=0)  # of one value: 0, not NaN
    std = std.where(std > 1e-6, 1)  # a constant channel is only shifted
    layer.weight.div_(std.view(-1, *[1] * (layer.weight.ndim - 1)))
    layer.bias.sub_(mean).div_(std)
    shape = (-1, *[1] * (outputs.ndim - 2))
    return (outputs - mean.view(shape)) / std.view(shape)
