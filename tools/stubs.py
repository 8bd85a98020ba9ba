"""Write the stubs of the modules that are made from a registry's rows: ``python tools/stubs.py``."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    "fastnn.kernels.activation_functions",
    "fastnn.kernels.loss_functions",
    "fastnn.nn.loss_classes",
)
# What a stub may import, with the name by which it is used.
IMPORTS = (
    ("npt.", "import numpy.typing as npt\n"),
    ("", "\n"),
    ("@settings", "from fastnn._settings import settings\n"),
    ("Array ", "from fastnn._typing import Array\n"),
    ("(KernelLoss)", "from fastnn.nn.loss_base import ColumnsLoss, KernelLoss\n"),
)


def path_of(name: str) -> Path:
    """Return the path of a module's stub."""
    return ROOT / "src" / Path(*name.split(".")).with_suffix(".pyi")


def function_stub(name: str, function: Any) -> str:
    """Return the stub of a function: on one line, with its parameters on a second, or with a line for each."""
    signature = inspect.signature(function)
    line = f"def {name}{signature}: ...".replace("'", "")
    if len(line) > 120:
        head, _, tail = line.partition("(")
        parameters, _, returned = tail.rpartition(")")
        if len(parameters) > 116:
            star = next(each.name for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY)
            parts = [str(each).replace("'", "") for each in signature.parameters.values()]
            parts.insert(list(signature.parameters).index(star), "*")
            parameters = ",\n    ".join(parts) + ","
        line = f"{head}(\n    {parameters}\n){returned}"
    return line + "\n"


def class_stub(name: str, kind: Any) -> str:
    """Return the stub of a class of settings: its own fields."""
    fields = [f"\n    {each}: {of} = {getattr(kind, each)!r}" for each, of in vars(kind)["__annotations__"].items()]
    return f"@settings()\nclass {name}({kind.__base__.__name__}):{''.join(fields) or ' ...'}\n\n"


def stub(module: ModuleType) -> str:
    """Return the text of a module's stub: the names of ``__all__``, functions or classes made from rows."""
    members = {name: getattr(module, name) for name in module.__all__}
    body = "".join(
        (class_stub if inspect.isclass(each) else function_stub)(name, each) for name, each in members.items()
    )
    imports = "".join(line for used, line in IMPORTS if used in body)
    names = "".join(f'    "{name}",\n' for name in sorted(module.__all__))
    return f"{imports.lstrip()}\n__all__ = [\n{names}]\n\n{body.rstrip()}\n"


if __name__ == "__main__":
    for each in MODULES:
        path_of(each).write_text(stub(importlib.import_module(each)))
