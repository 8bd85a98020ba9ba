"""What `help`, signatures and `dir` show of public modules, classes and objects."""

import importlib
import inspect

import pytest

PUBLIC = [
    "fastnn", "fastnn.nn", "fastnn.nn.init", "fastnn.optim", "fastnn.kernels", "fastnn.reference", "fastnn.data",
    "fastnn.training", "fastnn.diagnose", "fastnn.sklearn",
]  # fmt: skip


def module(name):
    if name == "fastnn.sklearn":
        pytest.importorskip("sklearn", "1.9")
    return importlib.import_module(name)


def callables(name):
    """Return the public functions and classes of a module, by name."""
    found = {each: getattr(module(name), each) for each in module(name).__all__}
    return {key: each for key, each in found.items() if inspect.isfunction(each) or inspect.isclass(each)}


# ---- signatures ----

LONGEST_SIGNATURE = 160  # characters, or
PER_PARAMETER = 42  # characters for each parameter, if that is more


@pytest.mark.parametrize("name", PUBLIC)
def test_signatures_are_short(name):
    """They begin the text that `help` shows, on one line."""
    lengths = {}
    for key, each in callables(name).items():
        signature = inspect.signature(each)
        limit = max(LONGEST_SIGNATURE, PER_PARAMETER * len(signature.parameters))
        if len(f"{key}{signature}") > limit:
            lengths[key] = len(f"{key}{signature}"), limit
    assert not lengths
