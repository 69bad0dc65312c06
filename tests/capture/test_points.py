"""One point for each call of a name, and the one tensor that stands for an output."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .models import Apply, assert_counts, axes, run


class Residual(nn.Module):
    """A ResNet block: one in-place ReLU used twice."""

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + x)


def test_a_module_called_again_has_points_of_its_own() -> None:
    """Pitfall 3: keyed by (name, call); the index starts again at each forward. Pitfall 4: in-place ReLU."""
    torch.manual_seed(0)
    model = Residual().eval()
    batches = [torch.randn(n, 3, 5, 5) for n in (4, 1, 3)]
    result = run(model, *batches)
    assert axes(result) == {"relu": 1, "relu:2": 1}
    clean = Residual(inplace=False).eval()
    clean.load_state_dict(model.state_dict())
    kept: list[Tensor] = []
    clean.relu.register_forward_hook(lambda m, args, output: kept.append(output))
    with torch.no_grad():
        for x in batches:
            clean(x)
    assert_counts(result.layers["relu"], kept[0::2], 1)
    assert_counts(result.layers["relu:2"], kept[1::2], 1)


def test_a_function_and_a_module_of_one_name_share_their_calls() -> None:
    model = Apply(lambda self, x: F.relu(self.relu(x) - 1), relu=nn.ReLU())
    result = run(model, torch.randn(2, 3), torch.randn(2, 3))
    assert {n: layer.kind for n, layer in result.layers.items()} == {"relu": "ReLU", "relu:2": "relu"}
    assert {layer.state.examples for layer in result.layers.values()} == {4}


def test_outputs_that_are_not_tensors() -> None:
    """Pitfall 6: of a tuple, a dict or a dataclass, the first floating-point tensor."""
    output = torch.randn(2, 3)
    for made in ((output, 1), [None, output], {"ids": output.long(), "x": output}, ((output,), output + 1)):
        model = nn.Sequential(Apply(lambda self, x, made=made: made))
        assert_counts(run(model, output, layers=["0"]).layers["0"], [output], 1)
    lstm = nn.LSTM(4, 5, batch_first=True)
    x = torch.randn(2, 3, 4)
    assert_counts(run(lstm, x).layers["LSTM"], [lstm(x)[0]], 2)
