"""Write ``src/neurocensus/_core.pyi`` from the compiled core, or check that it is up to date.

    python scripts/stubs.py [--check]

Needs neurocensus installed, pybind11-stubgen and ruff.
"""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STUB = Path(__file__).parents[1] / "src" / "neurocensus" / "_core.pyi"
HEADER = "# Generated from the compiled core by `make stubs`; do not edit.\n"


def generate() -> str:
    """The stub of the installed core. Nothing in it depends on the machine."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", "neurocensus._core", "--output-dir", folder]
        subprocess.run([*command, "--exit-code"], check=True, stderr=subprocess.DEVNULL)
        text = (Path(folder) / "neurocensus" / "_core.pyi").read_text()
    text = HEADER + re.sub(r"^(\w+): list = ", r"\1: list[str] = ", text, flags=re.MULTILINE)
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", STUB.name, "-"]
    return subprocess.run(command, input=text, text=True, check=True, capture_output=True).stdout


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 where `--check` finds a difference."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    wanted = generate()
    if not arguments:
        STUB.write_text(wanted)
        return 0
    found = STUB.read_text() if STUB.exists() else ""
    difference = difflib.unified_diff(
        found.splitlines(keepends=True), wanted.splitlines(keepends=True), str(STUB), "the compiled core"
    )
    sys.stderr.writelines(difference)
    if found != wanted:
        print("The stub differs from the compiled core: run `make stubs`.", file=sys.stderr)
    return int(found != wanted)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
