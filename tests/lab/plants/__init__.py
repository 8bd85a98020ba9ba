"""Changes of experiments that turn their outcome round, to see that the verdicts notice.

Each file has a dict PLANTS: name of an experiment -> functions that take the experiment's module and `monkeypatch`.
An experiment that is not among them is run with its two CONDITIONS exchanged.
"""

import importlib
import pkgutil


def exchange_conditions(module, monkeypatch):
    """Run each of two conditions under the name of the other."""
    (a, first), (b, second) = module.CONDITIONS.items()
    monkeypatch.setattr(module, "CONDITIONS", {a: second, b: first})


def plants_of(name):
    """Return the changes for an experiment."""
    files = [importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__)]
    found = [each.PLANTS[name] for each in files if name in each.PLANTS]
    assert len(found) <= 1
    return found[0] if found else [exchange_conditions]
