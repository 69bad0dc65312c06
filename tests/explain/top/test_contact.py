"""Contact sheets: the right picture in the right place, legible, and never a guess."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from neurocensus.data import Examples
from neurocensus.explain import LayerTop, TopState, plot_contact_sheet
from neurocensus.plots import contact, style

from ...audit_samples import NASTY_NAMES
from ...conftest import shared_data

Array = np.ndarray[Any, Any]
COLORS = np.random.default_rng(0).integers(0, 256, (60, 3), np.uint8)
PICTURES = np.broadcast_to(COLORS[:, None, None], (60, 8, 8, 3))  # picture i is all of colour i


def layer_of(activations: Array, k: int, name: str = "features.1", kind: str = "ReLU") -> LayerTop:
    state = TopState(activations.shape[1], k).update(activations)
    return LayerTop(name, kind, state.values, state.examples)


def random_layer(units: int, k: int, **names: str) -> LayerTop:
    return layer_of(np.random.default_rng(1).random((60, units)), k, **names)


def sheet_of(figure: Figure) -> Array:
    return np.asarray(figure.axes[0].images[0].get_array())


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *figure.axes[0].texts)]


def middle(layout: contact.Layout, sheet: Array, place: int, rank: int) -> Array:
    rows, columns = layout.cell(place, rank)
    return sheet[(rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2]


def shade(color: str) -> list[int]:
    return [round(255 * part) for part in to_rgb(color)]


@settings(max_examples=25)
@given(units=st.integers(1, 40), k=st.integers(1, 17), data=st.data())
def test_every_picture_is_in_its_place(units: int, k: int, data: st.DataObject) -> None:
    """Strongest first, row by row; units in the order asked for, or in their own."""
    layer = random_layer(units, k)
    wanted = data.draw(st.none() | st.lists(st.integers(0, units - 1), min_size=1, max_size=units))
    figure = plot_contact_sheet(layer, PICTURES, units=wanted)
    drawn = range(units) if wanted is None else wanted
    layout, sheet = contact.Layout.of(len(drawn), k), sheet_of(figure)
    assert sheet.shape == (*layout.size[::-1], 3)
    for place, unit in enumerate(drawn):
        for rank, example in enumerate(layer.examples[unit]):
            np.testing.assert_array_equal(middle(layout, sheet, place, rank), COLORS[example])
    assert texts_of(figure)[-2 * len(drawn) :: 2] == [str(unit) for unit in drawn]


@given(units=st.integers(1, 700), k=st.integers(1, 30))
def test_nothing_overlaps(units: int, k: int) -> None:
    layout = contact.Layout.of(units, k)
    taken = np.zeros(layout.size[::-1], np.int64)
    for place in range(units):
        left, top = layout.corner(place)
        taken[top - contact.LABEL : top, left : left + layout.tile[0]] += 1  # the label's
        for rank in range(k):
            taken[layout.cell(place, rank)] += 1
    assert taken.max() == 1
    assert layout.side in range(contact.SIDES[0], contact.SIDES[1] + 1)
    assert taken.sum() == units * (layout.tile[0] * contact.LABEL + k * layout.side**2)  # all are on it


def test_what_never_fired_is_marked_and_silent_inputs_are_left_out() -> None:
    x = np.array([[0.0, 3.0, np.nan, -1.0], [0.0, 0.0, np.nan, -2.0], [0.0, 2.0, np.nan, -3.0]])
    layer = layer_of(x, 4)
    assert layer.never_fired.tolist() == [True, False, False, False]
    assert layer.unseen.tolist() == [False, False, True, False]
    figure = plot_contact_sheet(layer, PICTURES)
    layout, sheet = contact.Layout.of(4, 4), sheet_of(figure)
    seen = [[middle(layout, sheet, unit, rank).tolist() for rank in range(4)] for unit in range(4)]
    never, empty, color = shade(contact.NEVER), shade(contact.EMPTY), COLORS.tolist()
    assert seen[0] == [never] * 4
    assert seen[1] == [color[0], color[2], empty, empty]
    assert seen[2] == [empty] * 4
    assert seen[3] == [color[0], color[1], color[2], empty]
    words = texts_of(figure)
    assert "4 units; 1 never fired" in [word.lower() for word in words]
    assert words.count("never fired") == words.count("unseen") == 1
    assert [t.get_color() for t in figure.axes[0].texts if t.get_text() == "0"] == [style.DEAD]


def test_a_sheet_of_512_units_is_one_picture_and_larger_layers_say_what_is_missing() -> None:
    figure = plot_contact_sheet(random_layer(600, 9), PICTURES)
    assert len(figure.axes) == len(figure.axes[0].images) == 1
    words = texts_of(figure)
    assert "The first 512 of 600 units" in words
    assert "511" in words
    assert "512" not in words
    few = texts_of(plot_contact_sheet(random_layer(600, 1), PICTURES, units=range(100, 130), limit=20))
    assert "The first 20 of 30 of 600 units" in few
    assert "The input that activates each unit most. Above: unit, largest activation." in few


def test_a_saved_sheet_is_the_composed_one_pixel_by_pixel() -> None:
    figure = plot_contact_sheet(random_layer(6, 4), PICTURES)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba")
    width, height = (round(size * contact.DPI) for size in figure.get_size_inches())
    saved = np.frombuffer(buffer.getvalue(), np.uint8).reshape(height, width, 4)[:, :, :3]
    sheet = sheet_of(figure)
    rows = slice(height - contact.MARGIN - len(sheet), height - contact.MARGIN)
    part = saved[rows, contact.MARGIN : contact.MARGIN + sheet.shape[1]]
    layout = contact.Layout.of(6, 4)
    for place in range(6):
        for rank in range(4):
            cell = layout.cell(place, rank)
            np.testing.assert_array_equal(part[cell], sheet[cell])


def examples_of(classes: tuple[str, ...]) -> Examples:
    return Examples(np.ascontiguousarray(PICTURES), np.arange(60) % len(classes), classes)


def test_classes_are_framed_in_their_colours() -> None:
    layer = random_layer(5, 4)
    for count in (1, 2, 7):
        classes = tuple(f"class {index}" for index in range(count))
        figure = plot_contact_sheet(layer, examples_of(classes))
        layout, sheet = contact.Layout.of(5, 4), sheet_of(figure)
        assert set(classes) < set(texts_of(figure))
        for unit in range(5):
            for rank, example in enumerate(layer.examples[unit]):
                cell = sheet[layout.cell(unit, rank)]
                assert cell[0, 0].tolist() == cell[-1, -1].tolist() == shade(contact.CLASSES[example % count])
                np.testing.assert_array_equal(middle(layout, sheet, unit, rank), COLORS[example])
    many = plot_contact_sheet(layer, examples_of(tuple("abcdefgh")))
    assert len(many.texts) == 3
    assert (
        sheet_of(many)[contact.Layout.of(5, 4).cell(0, 0)][0, 0].tolist()
        == COLORS[layer.examples[0, 0]].tolist()
    )


def test_examples_are_taken_by_their_index() -> None:
    layer, chosen = random_layer(3, 2), np.random.default_rng(5).permutation(60)
    shuffled = examples_of(("a",)).take(chosen)
    figure = plot_contact_sheet(layer, shuffled)
    seen = middle(contact.Layout.of(3, 2), sheet_of(figure), 2, 1)
    np.testing.assert_array_equal(seen, COLORS[chosen[layer.examples[2, 1]]])


@pytest.mark.parametrize("name", [*NASTY_NAMES, "W" * 300, "層" * 80], ids=range(9))
@pytest.mark.parametrize("units", [1, 60])
def test_hostile_names_are_drawn_inside_the_sheet(name: str, units: int) -> None:
    layer = random_layer(units, 2, name=name, kind=name)
    classes = tuple(f"{index}{name}" for index in range(7))
    figure = plot_contact_sheet(layer, examples_of(classes))
    figure.savefig(io.BytesIO(), format="png")
    width, height = figure.get_size_inches() * contact.DPI
    boxes = [text.get_window_extent() for text in figure.texts]
    for box, following in itertools.pairwise(boxes[3:]):  # of the key
        assert box.x1 < following.x0
    assert all(box.x0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


def test_pictures_of_any_kind_and_shape() -> None:
    """Grey and RGB, bytes and floats, wide and high; a picture keeps its shape."""
    layer, layout = random_layer(1, 1), contact.Layout.of(1, 1)
    index = int(layer.examples[0, 0])
    grey = PICTURES[..., 0]
    for images in (grey, grey[..., None], grey / 255, (grey / 255).astype(np.float32), lambda i: grey[i]):
        seen = middle(layout, sheet_of(plot_contact_sheet(layer, images)), 0, 0)
        assert seen.tolist() == [int(grey[index, 0, 0])] * 3
    for shape in ((4, 40), (40, 4), (1, 500)):
        picture = np.full((*shape, 3), 7, np.uint8)
        cell = sheet_of(plot_contact_sheet(layer, lambda _, p=picture: p))[layout.cell(0, 0)]
        inside = (cell == 7).all(axis=2)
        size = inside.any(axis=1).sum(), inside.any(axis=0).sum()
        assert max(size) == layout.side
        assert min(size) == max(1, round(layout.side * min(shape) / max(shape)))


BATCH = np.zeros((60, 3, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"layer": {}}, TypeError, r"layer: expected a LayerTop, such as top.layers\[name\], got dict"),
        ({"images": [1]}, TypeError, "images: expected a NumPy array, .* got list"),
        ({"images": torch.zeros(60, 3, 8, 8)}, TypeError, r"got Tensor; use x.permute\(0, 2, 3, 1\)"),
        ({"images": BATCH}, ValueError, r"got shape \(3, 8, 8\); move the channels to the end"),
        ({"images": np.zeros((60, 9))}, ValueError, r"expected shape \(N, H, W\).*got \(60, 9\)"),
        ({"images": PICTURES[:3]}, ValueError, "expected a picture for each of at least .* examples, got 3"),
        ({"images": PICTURES - 0.5}, ValueError, "expected values from 0 to 1, .*undo the normalisation"),
        ({"images": PICTURES * np.nan}, ValueError, "expected values from 0 to 1, got nan"),
        ({"images": PICTURES.astype(int)}, TypeError, "expected uint8 or floating point, got int64"),
        ({"images": lambda _: np.zeros((3, 0, 3))}, ValueError, r"got shape \(3, 0, 3\)"),
        ({"units": [0, 4]}, ValueError, "units: expected 0 to 3 of layer 'features.1', got 4"),
        ({"units": [-1]}, ValueError, "units: expected 0 to 3 of layer 'features.1', got -1"),
        ({"units": [0.5]}, TypeError, "units: expected an integer, got float"),
        ({"units": []}, ValueError, "units: expected at least one, got none"),
        ({"limit": 0}, ValueError, "limit: expected at least 1, got 0"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments: dict[str, Any], kind: type[Exception], words: str) -> None:
    given: dict[str, Any] = {"layer": random_layer(4, 2), "images": PICTURES, **arguments}
    with pytest.raises(kind, match=words):
        plot_contact_sheet(**given)


def test_features_are_no_pictures() -> None:
    features = Examples(np.zeros((60, 5), np.float32), np.zeros(60, np.int64), ("a",))
    with pytest.raises(TypeError, match="images: expected pixels, got Examples"):
        plot_contact_sheet(random_layer(4, 2), features)


def test_on_real_photographs() -> None:
    """The reddest photograph of the cats stands first for red."""
    with np.load(shared_data("catvnoncat.npz")) as archive:
        pixels = archive["x_train"]
    means = pixels.mean(axis=(1, 2))
    layer = layer_of(means, 3, name="mean colour", kind="by hand")
    layout, sheet = contact.Layout.of(3, 3), sheet_of(plot_contact_sheet(layer, pixels))
    for channel in range(3):
        shown = sheet[layout.cell(channel, 0)].mean(axis=(0, 1))
        np.testing.assert_allclose(shown, means[means[:, channel].argmax()], atol=1)


def test_labels_may_come_beside_the_images() -> None:
    layer, labels = random_layer(5, 4), np.arange(60) % 3
    figures = [
        plot_contact_sheet(layer, PICTURES, labels=labels, classes=("a", "b", "c")),
        plot_contact_sheet(layer, PICTURES.__getitem__, labels=labels.tolist()),
        plot_contact_sheet(layer, examples_of(("a", "b", "c"))),
    ]
    for figure in figures[:2]:
        np.testing.assert_array_equal(sheet_of(figure), sheet_of(figures[2]))
    assert {"a", "b", "c"} < set(texts_of(figures[0]))
    assert {"0", "1", "2"} < {text.get_text() for text in figures[1].texts}


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"labels": [0.5] * 60}, TypeError, r"labels: expected integers.*got float64 of shape \(60,\)"),
        ({"labels": [[0]] * 60}, TypeError, r"labels: expected integers.*got int64 of shape \(60, 1\)"),
        ({"labels": [0] * 59}, ValueError, "labels: expected 60, one for each image, got 59"),
        ({"labels": [-1] * 60}, ValueError, "labels: expected 0 to .*got -1"),
        ({"labels": [1] * 60, "classes": ["a"]}, ValueError, "labels: expected 0 to 0.*got 1 to 1"),
        ({"labels": [0] * 60, "classes": "ab"}, TypeError, "classes: expected a name for each class"),
        ({"classes": ["a"]}, ValueError, "classes: expected labels with them, got none"),
    ],
)  # fmt: skip
def test_wrong_labels_are_refused(options: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        plot_contact_sheet(random_layer(4, 2), PICTURES, **options)


def test_too_few_labels_for_a_function_of_images_are_refused() -> None:
    with pytest.raises(ValueError, match="labels: expected a class for each of at least"):
        plot_contact_sheet(random_layer(4, 2), PICTURES.__getitem__, labels=[0, 1])
