"""The 3D-convolutional recurrences: a grid of hidden states gathers the views (section 3.2).

Both take the features of all views, (B, V, F), and return the hidden state after each of them, a
list of V grids (B, C, 4, 4, 4). The input's product is made for all views at once; only the
convolution of the hidden state has to wait for the view before. The state starts at zero.
"""

import torch
from torch import Tensor, nn

GRID = 4  # cells a side of the hidden grid


class _Recurrence(nn.Module):
    gates: int

    def project(self, features: Tensor) -> tuple[Tensor, ...]:
        """The input's share of every gate, one tensor a view: V times (B, gates * C, 4, 4, 4).

        The weight is by far the larger factor, and standing first it is multiplied three times as
        fast by a few views.
        """
        batch, views = features.shape[:2]
        gates = (self.input.weight @ features.flatten(0, 1).T).T.contiguous()  # (B*V, gates*C*64)
        if self.input.bias is not None:
            gates = gates + self.input.bias
        return gates.view(batch, views, -1, GRID, GRID, GRID).unbind(1)


class LSTM(_Recurrence):
    """3D-LSTM without output gates (equations 3 to 6), gates in the order input, forget, cell."""

    gates = 3

    def __init__(self, features: int, channels: int, kernel: int):
        super().__init__()
        self.input = nn.Linear(features, self.gates * channels * GRID**3)
        self.hidden = nn.Conv3d(channels, self.gates * channels, kernel, padding=kernel // 2)
        self.input.gates = self.hidden.gates = self.gates

    def forward(self, features: Tensor) -> list[Tensor]:
        states, cell = [], None
        for view in self.project(features):
            gates = view + self.hidden(states[-1] if states else _zero_cell(view, self.hidden))
            i, f, g = gates.chunk(3, dim=1)
            update = torch.sigmoid(i) * torch.tanh(g)
            cell = torch.sigmoid(f) * cell + update if states else update
            states.append(torch.tanh(cell))
        return states


class GRU(_Recurrence):
    """3D-GRU (equations 7 to 9), gates in the order update, reset, candidate.

    Each gate has one bias, that of its convolution.
    """

    gates = 3

    def __init__(self, features: int, channels: int, kernel: int):
        super().__init__()
        self.input = nn.Linear(features, self.gates * channels * GRID**3, bias=False)
        self.hidden = nn.Conv3d(channels, 2 * channels, kernel, padding=kernel // 2)
        self.candidate = nn.Conv3d(channels, channels, kernel, padding=kernel // 2)
        self.input.gates, self.hidden.gates = self.gates, 2

    def forward(self, features: Tensor) -> list[Tensor]:
        states, channels = [], self.candidate.out_channels
        for view in self.project(features):
            from_gates, from_candidate = view.split((2 * channels, channels), dim=1)
            hidden = states[-1] if states else _zero_cell(view, self.hidden)
            update, reset = torch.sigmoid(from_gates + self.hidden(hidden)).chunk(2, dim=1)
            kept = reset * hidden if states else hidden
            candidate = torch.tanh(from_candidate + self.candidate(kept))
            states.append(update * hidden + (1 - update) * candidate)
        return states


def _zero_cell(like: Tensor, convolution: nn.Conv3d) -> Tensor:
    """The zero state as one cell, (1, C, 1, 1, 1), whose convolution stands for that of all cells.

    It costs nothing, and the convolution's weights take part in every step of the optimizer.
    """
    return like.new_zeros(1, convolution.in_channels, 1, 1, 1)
