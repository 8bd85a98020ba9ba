"""Write the stubs of the modules whose functions are made from a registry's rows: ``python tools/stubs.py``."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("fastnn.kernels.activation_functions",)


def path_of(name: str) -> Path:
    """Return the path of a module's stub."""
    return ROOT / "src" / Path(*name.split(".")).with_suffix(".pyi")


def stub(module: ModuleType) -> str:
    """Return the text of a module's stub: the names of ``__all__``, and the functions among them."""
    functions = []
    for name in module.__all__:
        signature = str(inspect.signature(getattr(module, name))).replace("'", "")
        line = f"def {name}{signature}: ..."
        if len(line) > 120:
            head, _, tail = line.partition("(")
            parameters, _, returned = tail.rpartition(")")
            line = f"{head}(\n    {parameters}\n){returned}"
        functions.append(line)
    names = "".join(f'    "{name}",\n' for name in sorted(module.__all__))
    imports = "import numpy.typing as npt\n\nfrom fastnn._typing import Array\n\n"
    return f"{imports}__all__ = [\n{names}]\n\n" + "\n".join(functions) + "\n"


if __name__ == "__main__":
    for each in MODULES:
        path_of(each).write_text(stub(importlib.import_module(each)))
