"""The eight models of the thesis as data: what each is made of and how it is trained (tables 3.2 to 3.12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from .names import unknown


@dataclass(frozen=True)
class Recipe:
    """What a model of the thesis is made of, and how it was trained.

    name: "thesis-1" ... "thesis-5", "thesis-5a" ... "thesis-5c".
    title: as in tables 4.2 and 4.3.
    learning_rate: of RMSprop.
    dropout: after each dense layer; 0: none.
    augment: whether the training images are augmented.
    dense: neurons of the dense layers before the output.
    backbone: None: convolutions of its own; "features": none, it takes a backbone's features; "frozen" and
        "fine-tuned": a pre-trained one inside, of which nothing or the last `fine_tuned_blocks` blocks train.
    epochs: 30 without augmentation, 100 with (appendix 3).
    """

    name: str
    title: str
    learning_rate: float
    dropout: float
    augment: bool
    dense: tuple[int, ...]
    backbone: Literal["features", "frozen", "fine-tuned"] | None
    epochs: int
    batch_size: int = 30
    fine_tuned_blocks: int = 2


_TWO = (512, 512)
# Table 3.12 gives model 5c the rate 5e-5, the code in appendix 3 2e-5. The table's is taken.
RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe("thesis-1", "basic cnn", 1e-3, 0.0, False, (512,), None, 30),
        Recipe("thesis-2", "img aug cnn", 1e-4, 0.3, True, _TWO, None, 100),
        Recipe("thesis-3", "transfer cnn", 1e-5, 0.3, False, _TWO, "features", 30),
        Recipe("thesis-4", "tl img aug cnn", 2e-5, 0.3, True, _TWO, "frozen", 100),
        Recipe("thesis-5", "tl img aug ft cnn", 1e-5, 0.3, True, _TWO, "fine-tuned", 100),
        Recipe(
            "thesis-5a", "tl img aug ft cnn alter neurons", 1e-5, 0.3, True, (600, 400), "fine-tuned", 100
        ),
        Recipe(
            "thesis-5b", "tl img aug ft cnn add layer", 1e-5, 0.3, True, (512, 512, 512), "fine-tuned", 100
        ),
        Recipe("thesis-5c", "tl img aug ft cnn alter lr", 5e-5, 0.3, True, _TWO, "fine-tuned", 100),
    )
}


def names() -> tuple[str, ...]:
    """The names that `create` and `recipe` take."""
    return tuple(RECIPES)


def recipe(name: str) -> Recipe:
    """What the model `name` is made of, and how it was trained.

    Raises:
        ValueError: no such model; names the closest.
    """
    if name not in RECIPES:
        raise unknown("name", name, RECIPES)
    return RECIPES[name]
