"""Write the stubs of the compiled modules beside them, or check that they are up to date.

    python scripts/stubs.py [--check]

Needs neurocensus installed, pybind11-stubgen and ruff. The stub of a module that was not built stays.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "src" / "neurocensus"
MODULES = ("_core", "_cuda")
HEADER = "# Generated from the compiled module by `make stubs`; do not edit.\n"


def generate(module: str) -> str:
    """The stub of an installed module. Nothing in it depends on the machine."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", f"neurocensus.{module}", "--output-dir", folder]
        subprocess.run([*command, "--exit-code"], check=True, stderr=subprocess.DEVNULL)
        text = (Path(folder) / "neurocensus" / f"{module}.pyi").read_text()
    text = HEADER + re.sub(r"^(\w+): list = ", r"\1: list[str] = ", text, flags=re.MULTILINE)
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", f"{module}.pyi", "-"]
    return subprocess.run(command, input=text, text=True, check=True, capture_output=True).stdout


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 where `--check` finds a difference."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    status = 0
    for module in MODULES:
        if importlib.util.find_spec(f"neurocensus.{module}") is None:
            print(f"{module} was not built: its stub stays as it is.", file=sys.stderr)
            continue
        wanted, stub = generate(module), FOLDER / f"{module}.pyi"
        if not arguments:
            stub.write_text(wanted)
            continue
        found = stub.read_text() if stub.exists() else ""
        difference = difflib.unified_diff(
            found.splitlines(keepends=True),
            wanted.splitlines(keepends=True),
            str(stub),
            "the compiled module",
        )
        sys.stderr.writelines(difference)
        if found != wanted:
            print(f"The stub of {module} differs from it: run `make stubs`.", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
