"""Write the stubs of modules whose functions or classes are made from rows of a registry: ``python tools/stubs.py``."""

import importlib
import inspect
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    "fastnn.kernels.activation_functions",
    "fastnn.kernels.update_functions",
    "fastnn.optim.update_classes",
)

IMPORTS_OF_FUNCTIONS = "import numpy.typing as npt\n\nfrom fastnn._typing import Array\n\n"
IMPORTS_OF_CLASSES = "from fastnn._settings import settings\nfrom fastnn.optim.base import Optimizer\n\n"


def path_of(name: str) -> Path:
    """Return the path of a module's stub."""
    return ROOT / "src" / Path(*name.split(".")).with_suffix(".pyi")


def stub(module: ModuleType) -> str:
    """Return the text of a module's stub: the names of ``__all__``, and the functions or classes among them."""
    members = [getattr(module, name) for name in module.__all__]
    classes = all(inspect.isclass(member) for member in members)
    names = "".join(f'    "{name}",\n' for name in sorted(module.__all__))
    imports = IMPORTS_OF_CLASSES if classes else IMPORTS_OF_FUNCTIONS
    text = "\n\n".join(map(_class, members)) if classes else "\n".join(map(_function, members))
    return f"{imports}__all__ = [\n{names}]\n\n{text}\n"


def _function(function: Any) -> str:
    signature = str(inspect.signature(function)).replace("'", "")
    line = f"def {function.__name__}{signature}: ..."
    if len(line) <= 120:
        return line
    head, _, tail = line.partition("(")
    parameters, _, returned = tail.rpartition(")")
    if len(parameters) > 116:
        parameters = parameters.replace(", ", ",\n    ") + ","
    return f"{head}(\n    {parameters}\n){returned}"


def _class(kind: Any) -> str:
    """Return a dataclass with the fields that it does not inherit, and an optimiser's `kind`, which is not abstract."""
    (base,) = kind.__bases__
    inherited = fields(base)
    own = [f"    {each.name}: {each.type} = {each.default!r}\n" for each in fields(kind) if each not in inherited]
    kind_property = "    @property\n    def kind(self) -> str: ..."
    return f"@settings()\nclass {kind.__name__}({base.__name__}):\n{''.join(own)}{kind_property}"


if __name__ == "__main__":
    for each in MODULES:
        path_of(each).write_text(stub(importlib.import_module(each)))
