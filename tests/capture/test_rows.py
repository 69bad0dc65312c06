"""Rows: examples, examples and positions folded into one axis, or others; told by following the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from neurocensus import UnitState, reference
from neurocensus.auditor import Auditor, audit
from neurocensus.capture.counting import fitting
from neurocensus.capture.rows import Rows, unfolded

from .models import Apply, assert_is

EXAMPLES, TOKENS = 3, 4


def tokens() -> Tensor:
    """(examples, tokens, 6): each value is its example, and its token as the fraction."""
    numbered = torch.arange(EXAMPLES)[:, None] + torch.arange(TOKENS)[None] / 8
    return numbered[..., None].expand(-1, -1, 6).contiguous()


def seen(chain: Callable[[Tensor], Tensor]) -> tuple[Tensor, Rows]:
    """What comes out of `chain`, and what its rows were taken for."""
    model = Apply(lambda self, x: self.probe(chain(x)), probe=nn.Identity())
    with Auditor(model, layers=["probe"], unit_axis=-1) as auditor:
        out = model(tokens())
    return out, auditor._capture.points["probe"].rows


SHUFFLED = torch.randperm(EXAMPLES * TOKENS, generator=torch.Generator().manual_seed(0))

Step = tuple[str, Callable[[Tensor], Tensor]]
STEPS: list[Step] = [
    ("fold", lambda x: x.flatten(0, 1) if x.dim() > 2 else x),
    ("fold all but the last", lambda x: x.reshape(-1, x.shape[-1])),
    ("unfold", lambda x: x if len(x) % EXAMPLES else x.reshape(EXAMPLES, -1, x.shape[-1])),
    ("split the last", lambda x: x.unflatten(-1, (2, -1)) if x.shape[-1] % 2 == 0 else x),
    ("a new axis", lambda x: x[:, None]),
    ("a new first axis", lambda x: x[None]),
    ("without axes of one", lambda x: x.squeeze()),
    ("swap the first two", lambda x: x.transpose(0, 1)),
    ("swap the middle", lambda x: x.transpose(1, 2) if x.dim() > 2 else x),
    ("cut the tokens", lambda x: x[:, 1:] if x.shape[1] > 1 else x),
    ("pick rows", lambda x: x[torch.arange(x.shape[0]).flip(0)]),
    ("pick rows, listed", lambda x: x[[0, 0]]),
    ("pick tokens", lambda x: x[x[..., 0] >= 0] if x.dim() == 3 else x),
    ("index_select", lambda x: x.index_select(0, torch.arange(x.shape[0]).flip(0))),
    ("flip", lambda x: x.flip(0)),
    ("roll", lambda x: torch.roll(x, 1, 0)),
    ("sort", lambda x: x.sort(dim=0, descending=True).values),
    ("repeat", lambda x: x.repeat_interleave(2, dim=0)),
    ("arithmetic", lambda x: (x * 2 + 1 - x) - 1),
    ("into another", lambda x: torch.zeros_like(x).index_add_(0, torch.arange(x.shape[0]), x)),
]


REORDERING = (
    "pick rows", "pick rows, listed", "pick tokens", "index_select", "flip", "roll", "sort", "repeat",
)  # fmt: skip


def comes_home(chain: list[Step]) -> bool:
    """Rows that were picked, and are unfolded, are taken to be in order again."""
    names = [name for name, _ in chain]
    return any("unfold" in names[at:] for at, name in enumerate(names) if name in REORDERING)


@given(st.lists(st.sampled_from(STEPS), max_size=6).filter(lambda chain: not comes_home(chain)))
def test_what_is_called_folded_is_in_the_order_of_examples_and_tokens(chain: list[Step]) -> None:
    """Pitfall 12: a mask that is laid over other rows would count the wrong tokens, silently."""

    def run(x: Tensor) -> Tensor:
        for _, step in chain:
            x = step(x)
        return x.reshape(len(x), -1)

    out, rows = seen(run)
    if rows is Rows.FOLDED:
        out, axis = unfolded(out, 1, rows, EXAMPLES)
        assert (out.shape[0], axis) == (EXAMPLES, out.dim() - 1)
        numbers = out.reshape(EXAMPLES, -1, out.shape[-1])
        assert (numbers.floor() == torch.arange(EXAMPLES)[:, None, None]).all()
        if numbers.shape[1] == TOKENS:  # so that a mask of tokens fits
            assert (numbers[..., 0].diff(dim=1) >= 0).all()


@pytest.mark.parametrize(
    ("chain", "rows"),
    [
        (lambda x: x, Rows.EXAMPLES),
        (lambda x: x[:, 0], Rows.EXAMPLES),
        (lambda x: x[torch.arange(EXAMPLES), torch.tensor([1, 0, 3])], Rows.EXAMPLES),
        (lambda x: x.transpose(1, 2).transpose(1, 2), Rows.EXAMPLES),
        (lambda x: (x.transpose(0, 1) + 1).transpose(0, 1), Rows.EXAMPLES),
        (lambda x: x.view(-1, 6).t().contiguous().t(), Rows.FOLDED),
        (lambda x: (nn.Parameter(torch.eye(6)) @ x.view(-1, 6).t()).t(), Rows.FOLDED),
        (lambda x: torch.stack([x, x])[1], Rows.EXAMPLES),
        (lambda x: x.view(-1, 2, 6).unflatten(-1, (2, 3)).permute(2, 0, 1, 3)[0], Rows.FOLDED),  # of Swin
        (lambda x: x.permute(2, 1, 0).permute(2, 1, 0), Rows.EXAMPLES),
        (lambda x: x.view(-1, 6), Rows.FOLDED),
        (lambda x: x.view(-1, 6).relu() * x.view(-1, 6), Rows.FOLDED),
        (lambda x: x.view(-1, 6) @ torch.eye(6), Rows.FOLDED),
        (lambda x: torch.zeros_like(x.view(-1, 6)).index_add_(0, torch.tensor([5, 1]), x[0, :2]),
         Rows.FOLDED),
        (lambda x: x.view(-1, 6).view(EXAMPLES, TOKENS, 6), Rows.EXAMPLES),
        (lambda x: x.view(EXAMPLES, TOKENS, 2, 3).transpose(1, 2).reshape(-1, TOKENS, 3), Rows.FOLDED),
        (lambda x: x.view(-1, 1), Rows.FOLDED),
        (lambda x: torch.where(x.view(-1, 6)[SHUFFLED] > 0, x.view(-1, 6), 0.0), Rows.FOLDED),
        (lambda x: x.view(-1, 6)[SHUFFLED][SHUFFLED.argsort()].view(12, 1, 6).sum(1).view(x.shape),
         Rows.EXAMPLES),
        (lambda x: nn.functional.embedding(x.view(-1, 6)[:, 0].long(), nn.Parameter(torch.ones(4, 6))),
         Rows.FOLDED),
        (lambda x: x.transpose(0, 1), Rows.OTHER),
        (lambda x: x.permute(1, 0, 2).reshape(-1, 6), Rows.OTHER),
        (lambda x: x.permute(1, 2, 0).permute(1, 0, 2), Rows.OTHER),
        (lambda x: torch.stack([x, x]), Rows.OTHER),
        (lambda x: x.view(-1, 6)[torch.tensor([4, 2, 7])], Rows.OTHER),
        (lambda x: x.view(-1, 6)[None, torch.tensor([4, 2, 7])].reshape(-1, 6), Rows.OTHER),
        (lambda x: x[torch.ones(EXAMPLES, TOKENS) > 0], Rows.OTHER),
        (lambda x: x.view(-1, 6).sort(dim=0).values, Rows.OTHER),
        (lambda x: x.view(-1, 6).repeat_interleave(2, dim=0), Rows.OTHER),
    ],
)  # fmt: skip
def test_rows(chain: Callable[[Tensor], Tensor], rows: Rows) -> None:
    assert seen(chain)[1] is rows


class Folding(nn.Module):
    """As OPT does: (examples, tokens, width) to rows, a layer, and back; and picks some of them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.relu, self.head, self.expert = nn.Linear(5, 7), nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Any:
        rows = self.relu(self.fc(x.reshape(-1, 5)))
        self.expert(rows[torch.arange(len(x)).flip(0)])
        return self.head(rows.view(*x.shape[:-1], 7).sum(1))


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=3), st.booleans())
def test_folded_rows_are_counted_as_their_examples(sizes: list[tuple[int, int]], masked: bool) -> None:
    """Of other lengths in each batch; with the mask of (examples, tokens), and the index of the example."""
    torch.manual_seed(0)
    model = Folding()
    batches = [{"x": torch.randn(n, t, 5), "mask": torch.rand(n, t) < 0.6} for n, t in sizes]
    expected = reference.empty(7)
    for batch in batches:
        out = model.relu(model.fc(batch["x"])).detach().double().numpy()
        keep = batch["mask"].numpy() if masked else None
        part = reference.census(out, 2, mask=keep, first_example=expected.next_example)
        expected = reference.merge(expected, part)
    options: dict[str, Any] = {"layers": ["relu", "expert"], "progress": False}
    if masked:
        with pytest.warns(UserWarning, match=r"mask does not fit .*: expert "):  # who knows whose rows
            result = audit(model, batches, mask="mask", **options)
    else:
        result = audit(model, batches, **options)
    assert_is(result.layers["relu"], expected)
    assert not result.layers["expert"].masked
    assert result.layers["expert"].state.examples == sum(n for n, _ in sizes)
    np.testing.assert_array_less(result.layers["relu"].state.argmax, sum(n for n, _ in sizes))


def test_a_sequence_that_comes_first_has_its_examples_where_the_layer_says() -> None:
    """A recurrent layer of another order than the model: the mask of its examples fits all the same."""
    model = Apply(lambda self, x: self.gru(x.transpose(0, 1))[0].transpose(0, 1), gru=nn.GRU(4, 5))
    x, keep = torch.randn(3, 6, 4), torch.rand(3, 6) < 0.5
    layer = audit(model, [x], layers=["gru"], mask=lambda _: keep, progress=False).layers["gru"]
    with torch.no_grad():
        hidden = model(x).double().numpy()
    assert_is(layer, reference.census(hidden, 2, mask=keep.numpy()))


@pytest.mark.parametrize("fold", [lambda x: x.view(-1, 5), lambda x: x.flatten(0, 1)])
def test_a_first_forward_of_one_token(fold: Callable[[Tensor], Tensor]) -> None:
    """As in generation, where single tokens follow a prompt, or come first."""
    for lengths in ((1, 6, 1), (6, 1)):
        model = Apply(lambda self, x: self.relu(fold(x)), relu=nn.ReLU())
        with torch.no_grad(), Auditor(model) as auditor:
            for length in lengths:
                model(torch.randn(2, length, 5))
        state = auditor.compute().layers["relu"].state
        assert (state.examples, state.values) == (2 * len(lengths), 2 * sum(lengths))


def test_an_axis_of_one_that_goes_is_no_folding_to_later_layers() -> None:
    model = Apply(lambda self, x: self.relu(x.unsqueeze(1).squeeze(1)), relu=nn.ReLU())
    batches = [torch.randn(2, 5), torch.randn(4, 5)]
    result = audit(model, batches, mask=lambda x: torch.arange(len(x)) > 0, progress=False)
    kept = torch.cat([x[1:] for x in batches]).relu()
    assert result.layers["relu"].state.examples == 4
    np.testing.assert_array_equal(result.layers["relu"].state.max, kept.amax(0))


MASK = torch.arange(5)[:, None] < torch.arange(4)[None]


@pytest.mark.parametrize(
    ("shape", "unit_axis", "mask", "fit"),
    [
        ((5, 4, 7), 2, MASK, MASK),
        ((5, 4, 7), 2, MASK[:, 0], MASK[:, 0]),
        ((5, 7), 1, MASK, MASK.any(1)),
        ((5, 2, 4, 3), 1, MASK, MASK[..., None].expand(5, 4, 3)),  # heads, with the features of each
        ((5, 2, 4, 9), 1, MASK, MASK[..., None].expand(5, 4, 9)),  # heads: scores of queries and keys
        ((5, 4, 7), 2, MASK.view(5, 2, 2), MASK),  # a plane of positions, side by side
        ((1, 4, 7), 2, MASK, MASK.any(0, keepdim=True)),  # embeddings of positions
        ((1, 7), 1, MASK, None),
        ((5, 3, 7), 2, MASK, None),
        ((4, 4, 7), 2, MASK, None),
        ((20, 7), 1, MASK, None),
        ((5, 2, 7), 2, MASK.view(5, 2, 2), None),
    ],
)
def test_which_part_of_a_mask_fits(
    shape: tuple[int, ...], unit_axis: int, mask: Tensor, fit: Tensor | None
) -> None:
    out = torch.randn(shape)
    found = fitting(mask, out, unit_axis, 0, Rows.EXAMPLES)
    assert (found is None) == (fit is None)
    if found is not None and fit is not None:
        torch.testing.assert_close(found, fit)
        state = UnitState(shape[unit_axis]).update(out, unit_axis, mask=found)
        wanted = reference.census(out.double().numpy(), unit_axis, mask=fit.numpy())
        assert (state.examples, state.values) == (wanted.examples, wanted.values)
        np.testing.assert_array_equal(state.max, wanted.max)
    assert fitting(mask, out, unit_axis, 0, Rows.OTHER) is None
