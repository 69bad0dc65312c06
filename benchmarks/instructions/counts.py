"""What was counted: instructions of each case, and the tools for which such counts hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = 1
SEPARATOR = " / "  # between the four parts of a case's name: instruction set, buffer, dtype, call


@dataclass(frozen=True)
class Count:
    """Instructions of one call: of how many values, and how many statistics were taken of each."""

    values: int
    statistics: int
    instructions: int

    @property
    def per_value(self) -> float:
        return self.instructions / self.values

    @property
    def per_statistic(self) -> float:
        """Per value and statistic."""
        return self.per_value / self.statistics

    def same_work(self, other: Count) -> bool:
        return (self.values, self.statistics) == (other.values, other.statistics)


@dataclass(frozen=True)
class Counts:
    """All cases by name, in the order of the program, and the tools: counts are exact for these alone."""

    tools: Mapping[str, str]  # compiler, flags, architecture, C library, valgrind
    cases: Mapping[str, Count]

    def totals(self) -> dict[str, float]:
        """Instructions per value and statistic of all cases together, for each instruction set."""
        instructions: dict[str, int] = {}
        work: dict[str, int] = {}
        for name, count in self.cases.items():
            which = instruction_set(name)
            instructions[which] = instructions.get(which, 0) + count.instructions
            work[which] = work.get(which, 0) + count.values * count.statistics
        return {which: instructions[which] / work[which] for which in work}

    def only(self, names: Mapping[str, Any]) -> Counts:
        """The cases that are also among `names`."""
        return Counts(self.tools, {name: count for name, count in self.cases.items() if name in names})

    def dump(self) -> str:
        """JSON with one line for each case, so that a change of it can be read."""
        head = {
            "schema": SCHEMA,
            "tools": dict(self.tools),
            "instructions per value and statistic": {
                which: round(value, 4) for which, value in self.totals().items()
            },
        }
        cases = (
            f"  {json.dumps(name)}: {json.dumps({**vars(one), 'per_value_and_statistic': _digits(one)})}"
            for name, one in self.cases.items()
        )
        opened = json.dumps(head, indent=1).removesuffix("\n}")
        return f'{opened},\n "cases": {{\n' + ",\n".join(cases) + "\n }\n}\n"

    @classmethod
    def parse(cls, text: str) -> Counts:
        """What `dump` wrote; what is derived is derived anew.

        Raises:
            ValueError: another schema, or no such JSON at all.
        """
        try:
            data = json.loads(text)
            if data["schema"] != SCHEMA:
                raise ValueError(f"got schema {data['schema']}")
            cases = {
                name: Count(one["values"], one["statistics"], one["instructions"])
                for name, one in data["cases"].items()
            }
            return cls(data["tools"], cases)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"expected instruction counts of schema {SCHEMA}, got something else ({reason})"
            ) from error


def instruction_set(name: str) -> str:
    """Of a case."""
    return name.partition(SEPARATOR)[0]


def file_name(tools: Mapping[str, str]) -> str:
    """Of the baseline for these tools; it is named after compiler and architecture."""
    named = f"{tools['compiler']} {tools['architecture']}"
    return f"baseline-{re.sub(r'[^A-Za-z0-9._]+', '-', named).strip('-').lower()}.json"


def _digits(count: Count) -> float:
    return round(count.per_statistic, 4)
