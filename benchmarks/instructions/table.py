"""Counts for a reader: one table for each instruction set, instructions per value."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.instructions.counts import SEPARATOR, Counts


def lines(counts: Counts) -> Iterator[str]:
    """Rows are buffers and dtypes, columns are calls."""
    cells: dict[str, dict[str, dict[str, float]]] = {}
    for name, count in counts.cases.items():
        which, buffer, dtype, call = name.split(SEPARATOR)
        cells.setdefault(which, {}).setdefault(f"{buffer}, {dtype}", {})[call] = count.per_value
    for which, rows in cells.items():
        calls = list(dict.fromkeys(call for row in rows.values() for call in row))
        widths = [max(len(call), 7) for call in calls]
        first = max(len(label) for label in rows)
        yield f"{which}: instructions per value"
        yield "  ".join(
            [" " * first, *(call.rjust(width) for call, width in zip(calls, widths, strict=True))]
        )
        for label, row in rows.items():
            numbers = (f"{row[call]:.2f}" if call in row else "" for call in calls)
            padded = (number.rjust(width) for number, width in zip(numbers, widths, strict=True))
            yield "  ".join([label.ljust(first), *padded]).rstrip()
        yield ""
    for which, value in counts.totals().items():
        yield f"{which}: {value:.4f} instructions per value and statistic, all cases together"
