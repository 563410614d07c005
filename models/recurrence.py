"""3D convolutional recurrences: a grid of hidden states gathers the views (section 3.2).

T(x) is the feature vector of a view, h the hidden state, s the cell state, * a convolution and σ
the sigmoid. W T(x) of all views is one product; only U * h has to wait for the view before.
"""

import torch
from torch import Tensor, nn

from models.layers import FewRowLinear

GRID = 4  # side of the hidden grid


class Recurrence(nn.Module):
    """What 3D-LSTM and 3D-GRU share: the views, one after the other.

    Args:
        in_features (int): F, length of a feature vector.
        hidden_channels (int): C, channels of the hidden state.
        kernel_size (int): Side of the convolution's kernel, 1 or 3.
    """

    num_states: int  # grids that a view leaves to the next one, the hidden state first

    def forward(self, features: Tensor) -> list[Tensor]:
        """Return the hidden state after each view: (B, V, F) -> V times (B, C, 4, 4, 4)."""
        # Zeros, as one cell that broadcasts to the whole grid. Convolving it gives `hidden.weight`
        # a gradient even with one view, which DistributedDataParallel needs.
        states = [features.new_zeros(1, self.hidden.in_channels, 1, 1, 1)] * self.num_states
        hidden_states = []
        for x in self.inputs(features).unbind(1):
            states = self.step(x, *states)
            hidden_states.append(states[0])
        return hidden_states

    def inputs(self, features: Tensor) -> Tensor:
        """Compute W T(x) of all views: (B, V, F) -> (B, V, 3C, 4, 4, 4)."""
        inputs = self.input(features.flatten(0, 1))
        return inputs.view(*features.shape[:2], -1, GRID, GRID, GRID)


class ConvLSTM(Recurrence):
    """3D-LSTM without output gates (equations 3 to 6); arguments as of `Recurrence`."""

    num_states = 2
    num_gates = {"input": 3, "hidden": 3}  # in the order input, forget, cell

    def __init__(self, in_features: int, hidden_channels: int, kernel_size: int):
        super().__init__()
        C, padding = hidden_channels, kernel_size // 2
        self.input = FewRowLinear(in_features, 3 * C * GRID**3)  # W, b
        self.hidden = nn.Conv3d(C, 3 * C, kernel_size, padding=padding)  # U

    def step(self, x: Tensor, h: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        i, f, g = (x + self.hidden(h)).chunk(3, dim=1)
        i, f = torch.sigmoid(i), torch.sigmoid(f)  # equations 3 and 4
        s = f * s + i * torch.tanh(g)  # equation 5
        h = torch.tanh(s)  # equation 6
        return h, s


class ConvGRU(Recurrence):
    """3D-GRU (equations 7 to 9); arguments as of `Recurrence`.

    As in the official code, u = 1 keeps the hidden state; equation 9 has u and 1 - u exchanged.
    """

    num_states = 1
    num_gates = {"input": 3, "hidden": 2, "candidate": 1}  # in the order update, reset, candidate

    def __init__(self, in_features: int, hidden_channels: int, kernel_size: int):
        super().__init__()
        C, padding = hidden_channels, kernel_size // 2
        self.input = FewRowLinear(in_features, 3 * C * GRID**3, bias=False)  # W
        self.hidden = nn.Conv3d(C, 2 * C, kernel_size, padding=padding)  # U, b
        self.candidate = nn.Conv3d(C, C, kernel_size, padding=padding)  # U, b

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        x_u, x_r, x_candidate = x.chunk(3, dim=1)
        h_u, h_r = self.hidden(h).chunk(2, dim=1)
        u = torch.sigmoid(x_u + h_u)  # equation 7
        r = torch.sigmoid(x_r + h_r)  # equation 8
        candidate = torch.tanh(x_candidate + self.candidate(r * h))
        h = u * h + (1 - u) * candidate  # equation 9
        return (h,)
