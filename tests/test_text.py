from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocensus import text


class TestPercent:
    @pytest.mark.parametrize(
        ("share", "shown"),
        [
            (0.000215674, "0.0216 %"), (0.0215, "2.15 %"), (0, "0 %"), (1, "100 %"), (0.9785, "97.9 %"),
            (0.9998, "99.980 %"), (0.9999999, "> 99.999 %"), (math.nan, "n/a"),
        ],
    )  # fmt: skip
    def test_reads_well(self, share: float, shown: str) -> None:
        assert text.percent(share) == shown

    @given(st.floats(0, 1))
    def test_only_all_is_100_and_only_none_is_0(self, share: float) -> None:
        assert (text.percent(share) == "100 %") == (share == 1)
        assert (text.percent(share) == "0 %") == (share == 0)

    @given(st.floats(0, 1))
    def test_is_right_to_three_digits(self, share: float) -> None:
        shown = text.percent(share).removesuffix(" %").removeprefix("> ")
        assert float(shown) == pytest.approx(100 * share, rel=0.006)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234.5, "1,234"), (999.7, "1,000"), (-12345.6, "-12,346"), (0.12345, "0.123"), (999.2, "999"),
     (3.4e38, "3.4e+38"), (math.nan, "n/a")],
)  # fmt: skip
def test_numbers_read_well(value: float, shown: str) -> None:
    assert text.real(value) == shown


class TestNames:
    @given(st.text())
    def test_printable_is_one_harmless_line(self, name: str) -> None:
        assert text.printable(name).isprintable()

    @given(st.text(max_size=60), st.integers(4, 30))
    def test_shorten_fits(self, name: str, width: int) -> None:
        short = text.shorten(name, width)
        assert len(short) <= width
        assert short == name or "…" in short

    @given(st.lists(st.text(st.sampled_from("ab."), max_size=80), max_size=12, unique=True))
    def test_different_names_stay_different(self, names: list[str]) -> None:
        short = text.shorten_all(names, 12)
        assert len(set(short)) == len(names)

    def test_what_all_share_goes_first(self) -> None:
        names = [f"model.language_model.decoder.layers.{index}.mlp.activation" for index in range(3)]
        assert text.shorten_all(["fc", *names], 24) == [
            "fc",
            *(f"…{index}.mlp.activation" for index in range(3)),
        ]

    def test_what_all_end_with_goes_before_what_tells_them_apart(self) -> None:
        places = [f"stage{index // 3}.block{index % 3}" for index in range(9)]
        names = [f"backbone.{place}.bottleneck.activation.relu" for place in places]
        assert text.shorten_all(names, 40) == [f"…{place}…" for place in places]

    def test_enumerated_names_are_quoted_and_counted(self) -> None:
        assert text.enumerate_names(["a", "b\n"]) == "'a', 'b\\n'"
        assert text.enumerate_names([str(index) for index in range(1007)]).endswith("'4' and 1,002 more")
