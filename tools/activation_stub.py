"""Write the stub of the activations' functions from the registry: ``python tools/activation_stub.py``."""

from pathlib import Path

from fastnn._activations import ACTIVATIONS

STUB = Path(__file__).resolve().parents[1] / "src" / "fastnn" / "kernels" / "activation_functions.pyi"


def stub() -> str:
    """Return the text of the stub."""
    array_of = {"output": "y", "input": "x"}  # what the derivative takes, as formulas call it
    functions = []
    for name, row in ACTIVATIONS.items():
        parameters = "".join(f", {parameter.name}: float = {parameter.default}" for parameter in row.parameters)
        for suffix, arrays in (
            ("", "x: npt.ArrayLike"),
            ("_backward", f"dy: npt.ArrayLike, {array_of[row.derivative_from]}: npt.ArrayLike"),
        ):
            head, rest = f"def {name}{suffix}(", f"{arrays}{parameters}, *, out: Array | None = None"
            line = f"{head}{rest}) -> Array: ..."
            functions.append(line if len(line) <= 120 else f"{head}\n    {rest}\n) -> Array: ...")
    both = sorted(name + suffix for name in ACTIVATIONS for suffix in ("", "_backward"))
    names = "".join(f'    "{name}",\n' for name in both)
    imports = "import numpy.typing as npt\n\nfrom fastnn._typing import Array\n\n"
    return f"{imports}__all__ = [\n{names}]\n\n" + "\n".join(functions) + "\n"


if __name__ == "__main__":
    STUB.write_text(stub())
