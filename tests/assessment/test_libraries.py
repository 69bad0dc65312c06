from __future__ import annotations

import subprocess
import sys

import pytest

from neurocensus.assessment import confusion, libraries, relations


@pytest.mark.parametrize("missing", ["sklearn", "scipy"])
def test_a_missing_library_is_named_with_its_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == missing:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    calls = {
        "sklearn": lambda: confusion([0, 1], [0.1, 0.9]),
        "scipy": lambda: relations({"nnu": [1.0, 2.0, 3.0, 4.0]}, {"accuracy": [1.0, 2.0, 3.0, 4.0]}),
    }
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'neurocensus\[experiments\]'"):
        calls[missing]()


def test_what_a_library_lacks_is_not_blamed_on_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ModuleNotFoundError("No module named 'joblib'", name="joblib")

    monkeypatch.setattr(libraries.importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="No module named 'joblib'"):
        libraries.sklearn_metrics()


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, neurocensus.assessment, neurocensus.experiments.tables\n"
        "print(sorted({'torch', 'sklearn', 'scipy', 'matplotlib', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
