"""Native equals reference: dtype x layout x backend x sizes around the vector widths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import reference

from ..backends import Backend
from .budget import assert_same

DTYPES = ("float32", "float64", "float16", "bfloat16")
current: Backend  # a module variable, since hypothesis runs a test many times for one fixture
WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129)


@pytest.fixture(autouse=True, scope="module")
def _every_backend(backend: Backend) -> None:
    global current
    current = backend


def values_like_activations(shape: tuple[int, ...], seed: int, kind: str) -> np.ndarray[Any, Any]:
    """float32 values; `kind` says what makes them hard."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape, dtype=np.float32)
    if kind == "relu":
        x = np.maximum(x, 0)
    elif kind == "offset":  # the squares cancel (pitfall 16)
        x = x + np.float32(1e4)
    elif kind == "dead":
        x = np.where(rng.random(shape) < 0.02, np.abs(x), np.float32(-0.0))
    elif kind == "holes":
        x[rng.random(shape) < 0.1] = np.nan
        x[rng.random(shape) < 0.1] = np.inf
        x[rng.random(shape) < 0.1] = -np.inf
    elif kind == "ends":  # squares beyond float32 in both directions, denormals
        x = x * np.float32(10.0) ** rng.integers(-44, 38, shape).astype(np.float32)
    elif kind == "ties":
        x = np.round(x)
    return x


KINDS = ("normal", "relu", "offset", "dead", "holes", "ends", "ties")


def cast(x: np.ndarray[Any, Any], dtype: str) -> Any:
    if dtype == "bfloat16":
        torch = pytest.importorskip("torch")
        return torch.from_numpy(x).to(torch.bfloat16)
    with np.errstate(over="ignore", under="ignore"):
        return x.astype(dtype)


def exact(x: Any) -> np.ndarray[Any, Any]:
    """The same values in float64: what the reference sees."""
    return np.asarray(x.double().numpy() if hasattr(x, "double") else x, np.float64)


def compare(x: Any, unit_axis: int, threads: int = 1, **options: Any) -> None:
    threshold = options.pop("threshold", 0.0)
    state = current.state(x.shape[unit_axis], threshold=threshold, histogram=True)
    state.update(current.put(x), unit_axis, threads=threads, **options)
    wanted = reference.census(exact(x), unit_axis, threshold=threshold, **options)
    assert_same(state, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_around_the_vector_widths(dtype: str, kind: str) -> None:
    for width in WIDTHS:
        compare(cast(values_like_activations((3, 5, width), width, kind), dtype), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_short_rows_of_many_examples(dtype: str, kind: str) -> None:
    """Taken together, they keep apart whose a maximum is and which examples are active."""
    for examples, positions in ((1100, 4), (70, 16), (90, 49), (17, 256), (33, 257)):
        x = cast(values_like_activations((examples, 3, positions), positions, kind), dtype)
        for threads in (1, 2):
            compare(x, 1, threads=threads, first_example=5)
    ties = np.zeros((40, 2, 9), np.float32)
    ties[7:, 0, 3] = ties[30, 1, 8] = 1
    compare(cast(ties, dtype), 1)
    state = current.state(2).update(current.put(cast(ties, dtype)))
    assert (state.argmax.tolist(), state.active_examples.tolist()) == ([7, 30], [33, 1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_columns_around_the_vector_widths(dtype: str, kind: str) -> None:
    for width in WIDTHS:
        compare(cast(values_like_activations((5, width), width, kind), dtype), 1)
        compare(cast(values_like_activations((3, 6, width), width, kind), dtype), 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 31, 33, 63, 64, 65, 511, 512, 513, 1100])
def test_columns_around_the_tile_of_rows(dtype: str, rows: int) -> None:
    for kind in ("relu", "holes"):
        compare(cast(values_like_activations((rows, 19), rows, kind), dtype), 1)  # an example a row
        compare(cast(values_like_activations((2, rows, 19), rows, kind), dtype), 2)  # few long examples
        compare(cast(values_like_activations((rows, 3, 19), rows, kind), dtype), 2)  # many short ones


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_more_than_one_tile_and_panel(dtype: str, kind: str) -> None:
    compare(cast(values_like_activations((2, 3, 9001), 1, kind), dtype), 1)
    compare(cast(values_like_activations((300, 1100), 2, kind), dtype), 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_order_of_axes(dtype: str) -> None:
    x = cast(values_like_activations((6, 20, 5, 7), 3, "relu"), dtype)
    for unit_axis in range(4):
        for example_axis in range(4):
            if example_axis != unit_axis:
                compare(x, unit_axis, example_axis=example_axis)
    torch = pytest.importorskip("torch")
    t = x if dtype == "bfloat16" else torch.from_numpy(x)
    compare(t.contiguous(memory_format=torch.channels_last), 1)  # pitfall 21
    compare(t.permute(3, 2, 1, 0), 1)
    compare(t[:, :, ::2, 1:], 1)  # pitfall 22: not aligned, two position axes that do not join
    compare(t[1:, 3:, :, ::3], 1)
    compare(t[:, ::2], 1)
    compare(t[:, :, 1, 1].expand(6, 20), 1)
    compare(t[:, :1, :1, :1].expand(6, 20, 5, 7), 1)  # strides of zero


def test_negative_strides() -> None:
    x = values_like_activations((6, 20, 40), 4, "normal")
    for view in (x[::-1], x[:, ::-1], x[:, :, ::-1], x[::-1, ::-2, ::-3], x.transpose(0, 2, 1)[:, ::-1]):
        compare(view, 1)
        compare(view, 2)


@given(
    data=st.data(),
    shape=st.lists(st.integers(0, 20), min_size=2, max_size=5),
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_view(data: st.DataObject, shape: list[int], kind: str, dtype: str, seed: int) -> None:
    axes = data.draw(st.permutations(range(len(shape))))
    example_axis, unit_axis = axes[0], axes[1]
    shape[unit_axis] = max(shape[unit_axis], 1)
    x = cast(values_like_activations(tuple(shape), seed, kind), dtype)
    for axis in range(len(shape)):
        step = data.draw(st.sampled_from([1, 1, 2, 3]), label="step")
        start = data.draw(st.integers(0, max(shape[axis] - 1, 0)), label="start")
        x = x[(slice(None),) * axis + (slice(start, None, step),)]
    order = data.draw(st.permutations(range(len(shape))), label="memory order")
    x = np.copy(x.transpose(order), order="C").transpose(np.argsort(order)) if dtype != "bfloat16" else x
    mask = None
    if data.draw(st.booleans(), label="masked"):
        examples = x.shape[example_axis]
        positions = [size for axis, size in enumerate(x.shape) if axis not in (example_axis, unit_axis)]
        rng = np.random.default_rng(seed)
        mask = rng.random((examples, *positions)) < data.draw(st.sampled_from([0.0, 0.3, 1.0]))
    compare(
        x,
        unit_axis,
        threads=data.draw(st.sampled_from([1, 2, 5])),
        example_axis=example_axis,
        mask=mask,
        threshold=data.draw(st.sampled_from([0.0, 0.5, 1e-40])),
        first_example=data.draw(st.sampled_from([0, 17])),
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_split_without_a_trace(dtype: str) -> None:
    """Counts, extrema and argmax do not depend on the number of threads, whichever axis is split."""
    for shape, unit_axis in (((9, 64, 300), 1), ((700, 1030), 1), ((16, 900, 12), 2), ((50, 2, 2000), 1)):
        x = cast(values_like_activations(shape, 5, "holes"), dtype)
        for threads in (1, 2, 3, 8):
            compare(x, unit_axis, threads=threads)


def test_denormals_are_not_zero() -> None:
    """Pitfall 19, and also while the caller's thread flushes them."""
    torch = pytest.importorskip("torch")
    tiny = np.full((4, 3, 40), 1e-42, np.float32)
    tiny[:, 1] = 0
    torch.set_flush_denormal(not current.small)  # the emulator's arithmetic is that of the calling thread
    try:
        for x, axis in ((tiny, 1), (np.ascontiguousarray(tiny.transpose(0, 2, 1)), 2)):
            state = current.state(3, histogram=True).update(current.put(x), axis, threads=1)
            assert state.dead.tolist() == [False, True, False]
            assert state.nonzero.tolist() == [160, 0, 160]
            assert state.max[0] > 0
    finally:
        torch.set_flush_denormal(False)


def test_minus_zero_is_zero() -> None:
    for x in (np.full((2, 3, 50), -0.0, np.float32), np.full((50, 3), -0.0, np.float64)):
        state = current.state(3).update(current.put(x))
        assert state.dead.all()
        assert not np.signbit(state.max).any()
        assert not np.signbit(state.min).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_threshold_is_compared_exactly(dtype: str) -> None:
    """Pitfall 20: 0.1 is no float32; values beside it fall on the right side in every dtype."""
    torch = pytest.importorskip("torch")
    near = torch.tensor(0.1, dtype=getattr(torch, dtype))
    up = torch.full_like(near, torch.inf) if dtype != "bfloat16" else None
    values = [near, -near, near * 2, near / 2]
    if up is not None:
        values += [torch.nextafter(near, up), torch.nextafter(near, -up)]
    x = torch.stack(values).reshape(-1, 1).expand(-1, 7)
    compare(x, 1, threshold=0.1)
    compare(x.t()[None], 1, threshold=0.1)


def test_extrema_of_nothing_finite() -> None:
    """Pitfall 18: not FLT_MAX but infinity, and the unit is not dead."""
    for hole in (np.nan, np.inf, -np.inf):
        state = current.state(2).update(current.put(np.full((3, 2, 20), hole, np.float32)))
        assert state.max.tolist() == [-np.inf] * 2
        assert state.min.tolist() == [np.inf] * 2
        assert state.argmax.tolist() == [-1, -1]
        assert not state.dead.any()


def test_cancelling_squares() -> None:
    """Pitfall 16: fp32, mean 1e4, sigma 1; sums of squares would give a negative variance."""
    x = np.random.default_rng(0).standard_normal((64, 3, 4000), dtype=np.float32) + np.float32(1e4)
    for array, axis in ((x, 1), (np.ascontiguousarray(x.transpose(0, 2, 1)), 2)):
        state = current.state(3).update(current.put(array), axis)
        variance = state.m2 / state.finite
        np.testing.assert_allclose(variance, x.astype(np.float64).var(axis=(0, 2)), rtol=1e-5)


def test_the_first_value_may_be_one_whose_square_overflows() -> None:
    for units in (1, 8, 65):
        x = np.ones((1, units))
        x[0, 0] = 1e300
        state = current.state(units).update(current.put(x))
        assert (state.mean[0], state.m2[0]) == (1e300, 0)


@pytest.mark.large
def test_more_than_two_to_the_31_elements() -> None:
    """Pitfall 23: offsets are 64-bit. Reads 2**31 + 2**20 float16 values in one call, twice."""
    if current.small:
        pytest.skip("takes hours on the emulator")
    count = 2**31 + 2**20
    buffer = np.zeros(count, np.float16)
    buffer[-1] = 7
    rows = current.state(2).update(current.put(buffer.reshape(1, 2, count // 2)))
    assert rows.max.tolist() == [0, 7]
    assert rows.nonzero.tolist() == [0, 1]
    columns = current.state(2).update(current.put(buffer.reshape(count // 2, 2)))
    assert columns.argmax.tolist() == [0, count // 2 - 1]
