"""What is shipped, and what it is built and tested with."""

from __future__ import annotations

import ast
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import neurocensus

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def declared() -> list[Requirement]:
    lines = list(PROJECT["build-system"]["requires"]) + list(PROJECT["project"]["dependencies"])
    for extra in PROJECT["project"]["optional-dependencies"].values():
        lines += extra
    for group in PROJECT["dependency-groups"].values():
        lines += [line for line in group if isinstance(line, str)]
    return [Requirement(line) for line in lines]


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def applies(requirement: Requirement, python: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"python_version": python})


@pytest.mark.parametrize("python", PYTHONS)
def test_every_declared_package_is_pinned_to_a_version_it_allows(python: str) -> None:
    pinned: dict[str, str] = {}
    for pin in pins():
        if applies(pin, python):
            (specifier,) = pin.specifier
            assert specifier.operator == "==", f"{pin} is no exact pin"
            assert canonicalize_name(pin.name) not in pinned, f"{pin.name}: two pins for {python}"
            pinned[canonicalize_name(pin.name)] = specifier.version
    for requirement in declared():
        if not applies(requirement, python):
            continue
        name = canonicalize_name(requirement.name)
        if name == PROJECT["project"]["name"]:  # one extra takes in another
            assert requirement.extras <= PROJECT["project"]["optional-dependencies"].keys()
            continue
        assert name in pinned, f"{name} has no pin for Python {python}"
        assert requirement.specifier.contains(pinned[name]), f"{requirement} does not allow {pinned[name]}"


def test_pins_suit_cpu_and_cuda_builds_of_torch() -> None:
    for pin in pins():
        assert "+" not in str(pin.specifier), f"{pin}: a local label names one build"
        if pin.name == "nvidia-cuda-cuobjdump":  # a tool of the tests, which no torch brings along
            continue
        assert not pin.name.startswith(("nvidia", "cuda", "triton")), f"{pin}: torch pins these itself"


def test_types_and_templates_are_shipped() -> None:
    package = files("neurocensus")
    for name in ("py.typed", "_core.pyi", "_cuda.pyi", "templates/report.html.j2"):
        assert package.joinpath(name).is_file(), name


@pytest.mark.parametrize("name", ["_core", "_cuda"])
def test_the_stubs_name_what_the_modules_have(name: str) -> None:
    """`make stubs-check` compares all of it; this needs no tool."""
    module = pytest.importorskip(f"neurocensus.{name}", reason="built without the CUDA module: no nvcc found")
    tree = ast.parse((ROOT / f"src/neurocensus/{name}.pyi").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    constants = {node.target.id for node in tree.body
                 if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}  # fmt: skip
    assert (functions | constants) - {"__all__"} == {name for name in dir(module) if not name.startswith("_")}


def test_the_changelog_knows_this_version() -> None:
    assert re.search(
        rf"^## \[{re.escape(neurocensus.__version__)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
