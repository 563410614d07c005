"""3D convolutional recurrences: a grid of hidden states gathers the views (section 3.2).

T(x) is the feature vector of a view, h the hidden state, s the cell state, * a convolution and σ
the sigmoid. W T(x) of all views is one product; only U * h has to wait for the view before.

The states before the first view are zero, as one cell that broadcasts to the whole grid. Convolving
it gives `hidden.weight` a gradient even with one view, which DistributedDataParallel needs.

`forward` returns the hidden state after each view, and `steps` each with its two gates.
"""

import torch
from torch import Tensor, nn

from models.layers import FewRowLinear

GRID = 4  # side of the hidden grid


class ConvLSTM(nn.Module):
    """3D-LSTM without output gates (equations 3 to 6).

    Args:
        in_features (int): F, length of a feature vector.
        hidden_channels (int): C, channels of the hidden state.
        kernel_size (int): Side of the convolution's kernel, 1 or 3.
    """

    num_gates = {"input": 3, "hidden": 3}  # in the order input, forget, cell
    gate_names = ("input gate (1 lets the view in)", "forget gate (1 keeps the state)")

    def __init__(self, in_features: int, hidden_channels: int, kernel_size: int):
        super().__init__()
        self.hidden_channels = hidden_channels
        gates = 3 * hidden_channels
        self.input = FewRowLinear(in_features, gates * GRID**3)  # W, b
        self.hidden = nn.Conv3d(hidden_channels, gates, kernel_size, padding=kernel_size // 2)  # U

    def forward(self, features: Tensor) -> list[Tensor]:  # (B, V, F) -> V times (B, C, 4, 4, 4)
        return [h for h, _ in self.steps(features)]

    def steps(self, features: Tensor) -> list[tuple[Tensor, tuple[Tensor, Tensor]]]:
        B, V, _ = features.shape
        inputs = self.input(features.flatten(0, 1)).view(B, V, -1, GRID, GRID, GRID)
        h = s = features.new_zeros(1, self.hidden_channels, 1, 1, 1)
        steps = []
        for x in inputs.unbind(1):  # (B, 3C, 4, 4, 4)
            i, f, g = (x + self.hidden(h)).chunk(3, dim=1)
            i, f = torch.sigmoid(i), torch.sigmoid(f)  # equations 3 and 4
            s = f * s + i * torch.tanh(g)  # equation 5
            h = torch.tanh(s)  # equation 6
            steps.append((h, (i, f)))
        return steps


class ConvGRU(nn.Module):
    """3D-GRU (equations 7 to 9); arguments as of `ConvLSTM`.

    As in the official code, u = 1 keeps the hidden state; equation 9 has u and 1 - u exchanged.
    """

    num_gates = {"input": 3, "hidden": 2, "candidate": 1}  # in the order update, reset, candidate
    gate_names = ("update gate (1 keeps the state)", "reset gate (0 ignores the state)")

    def __init__(self, in_features: int, hidden_channels: int, kernel_size: int):
        super().__init__()
        self.hidden_channels = hidden_channels
        C, padding = hidden_channels, kernel_size // 2
        self.input = FewRowLinear(in_features, 3 * C * GRID**3, bias=False)  # W
        self.hidden = nn.Conv3d(C, 2 * C, kernel_size, padding=padding)  # U, b
        self.candidate = nn.Conv3d(C, C, kernel_size, padding=padding)  # U, b

    def forward(self, features: Tensor) -> list[Tensor]:  # (B, V, F) -> V times (B, C, 4, 4, 4)
        return [h for h, _ in self.steps(features)]

    def steps(self, features: Tensor) -> list[tuple[Tensor, tuple[Tensor, Tensor]]]:
        (B, V, _), C = features.shape, self.hidden_channels
        inputs = self.input(features.flatten(0, 1)).view(B, V, -1, GRID, GRID, GRID)
        h = features.new_zeros(1, C, 1, 1, 1)
        steps = []
        for x in inputs.unbind(1):  # (B, 3C, 4, 4, 4)
            x_gates, x_candidate = x.split((2 * C, C), dim=1)
            u, r = torch.sigmoid(x_gates + self.hidden(h)).chunk(2, dim=1)  # equations 7 and 8
            candidate = torch.tanh(x_candidate + self.candidate(r * h))
            h = u * h + (1 - u) * candidate  # equation 9
            steps.append((h, (u, r)))
        return steps
