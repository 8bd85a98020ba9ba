"""Write the stubs of modules whose functions or classes are made from rows of a registry: ``python -m tools.stubs``."""

import importlib
import inspect
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    "fastnn.kernels.activation_functions",
    "fastnn.kernels.loss_functions",
    "fastnn.kernels.update_functions",
    "fastnn.nn.loss_classes",
    "fastnn.optim.update_classes",
)
# What a stub may import, with a pattern of text that uses it.
IMPORTS = (
    (r"\bArrayLike\b", "from numpy.typing import ArrayLike\n\n"),
    ("@settings", "from fastnn._settings import settings\n"),
    (r": Array\b", "from fastnn._typing import Array\n"),
    (r"\(KernelLoss\)", "from fastnn.nn.loss_base import ColumnsLoss, KernelLoss\n"),
    (r"\(Optimizer\)", "from fastnn.optim.base import Optimizer\n"),
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
            given = list(signature.parameters.values())
            parts = [str(each).replace("'", "") for each in given]
            keywords = [index for index, each in enumerate(given) if each.kind is each.KEYWORD_ONLY]
            if keywords:
                parts.insert(keywords[0], "*")
            parameters = ",\n    ".join(parts) + ","
        line = f"{head}(\n    {parameters}\n){returned}"
    return line + "\n"


def class_stub(name: str, kind: Any) -> str:
    """Return the stub of a class of settings: the fields and properties that it does not inherit."""
    (base,) = kind.__bases__
    inherited = {each.name: each for each in fields(base)}
    own = [each for each in fields(kind) if each is not inherited.get(each.name)]
    lines = [f"\n    {each.name}: {each.type} = {each.default!r}" for each in own]
    if "kind" in vars(kind):  # abstract in the base
        lines.append("\n    @property\n    def kind(self) -> str: ...")
    return f"@settings()\nclass {name}({base.__name__}):{''.join(lines) or ' ...'}\n\n"


def stub(module: ModuleType) -> str:
    """Return the text of a module's stub: the names of ``__all__``, and the functions or classes among them."""
    members = {name: getattr(module, name) for name in module.__all__}
    body = "".join(
        (class_stub if inspect.isclass(each) else function_stub)(name, each) for name, each in members.items()
    )
    imports = "".join(line for used, line in IMPORTS if re.search(used, body))
    names = "".join(f'    "{name}",\n' for name in sorted(module.__all__))
    return f"{imports}\n__all__ = [\n{names}]\n\n{body.rstrip()}\n"


if __name__ == "__main__":
    for each in MODULES:
        path_of(each).write_text(stub(importlib.import_module(each)))
