"""The JSON of a run: written anew, atomically, after every step, so that one cut short leaves its part."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu.targets import GATES

SCHEMA = 1
PASSED, FAILED, MISSING, LATE = "passed", "failed", "missing", "timed out"


class Record:
    """`data` as README.md describes it; every method that changes it writes the file."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self.path, self.data = path, data

    @classmethod
    def new(cls, path: Path, **facts: Any) -> Record:
        empty: dict[str, Any] = {
            "schema": SCHEMA, "date": "", "device": "", "dry": False, "code": {}, "machine": {}, "stages": {},
            "tests": {}, "sanitizer": {}, "benchmarks": [], "missing": [], "complete": False,
        }  # fmt: skip
        record = cls(path, empty | facts)
        record.save()
        return record

    @classmethod
    def load(cls, path: Path) -> Record:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("schema") != SCHEMA:
            raise ValueError(f"{path}: expected schema {SCHEMA}, got {data.get('schema')}")
        return cls(path, data)

    def reload(self) -> None:
        """Take in what another process has added."""
        self.data = self.load(self.path).data

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.data, indent=1, default=str) + "\n"
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self.path.parent, prefix=".", delete=False
        ) as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        os.replace(file.name, self.path)

    def update(self, section: str, **entries: Any) -> None:
        self.data[section].update(entries)
        self.save()

    def miss(self, sentence: str) -> None:
        """Say what could not be done."""
        if sentence not in self.data["missing"]:
            self.data["missing"].append(sentence)
            self.save()

    def add(self, benchmark: dict[str, Any]) -> None:
        self.data["benchmarks"].append(benchmark)
        self.save()


def outcomes(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that was held against a target."""
    return [gate for one in data["benchmarks"] for gate in one["gates"]]


def unmeasured(data: dict[str, Any]) -> list[str]:
    """Targets that nothing was held against."""
    measured = {gate["gate"] for gate in outcomes(data)}
    return [name for name in GATES if name not in measured]


def problems(data: dict[str, Any]) -> list[str]:
    """Why a run did not do all that it was asked for; missed targets are none of this."""
    found = [
        f"{name}: {stage['state']}" for name, stage in data["stages"].items() if stage["state"] != PASSED
    ]
    found += [f"{one['name']}: {one['state']}" for one in data["benchmarks"] if one["state"] == FAILED]
    return found
