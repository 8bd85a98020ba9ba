"""Plants for the experiments of the posts 002 and 004."""

from fastnn import nn


def setting(name, value):
    """Return a plant that sets a constant of the module."""

    def plant(module, monkeypatch):
        monkeypatch.setattr(module, name, value)

    plant.__name__ = f"{name} = {value}"
    return plant


def exchanged(*names, table="CONDITIONS"):
    """Return a plant that gives each of some conditions the setting of the next one."""

    def plant(module, monkeypatch):
        old = getattr(module, table)
        new = {name: old[after] for name, after in zip(names, [*names[1:], names[0]], strict=True)}
        monkeypatch.setattr(module, table, old | new)

    plant.__name__ = f"{table} exchanged: {', '.join(names)}"
    return plant


def replaced(name, old):
    """Return a plant that puts the function `old(module)` in the place of a function of the module."""

    def plant(module, monkeypatch):
        monkeypatch.setattr(module, name, old(module))

    plant.__name__ = f"another {name}"
    return plant


def wrong_numbers(module, monkeypatch):
    """Let each way to write a layer forget the bias."""
    old = module.CONDITIONS
    new = {name: lambda x, w, b, function=function: function(x, w, 0 * b) for name, function in old.items()}
    monkeypatch.setattr(module, "CONDITIONS", new)


def always_1600_rows(module):
    """Return a `real` that gives 1600 rows, however many are asked for."""
    old = module.real
    return lambda name, rows, seed: old(name, 1600, seed=seed)


def always_nodes(nodes):
    """Return what makes a `net` with one layer of so many nodes, whatever is asked for."""

    def made(module):
        old = module.net
        return lambda widths, activation, seed: old([widths[0], nodes, widths[-1]], activation, seed=seed)

    return made


PLANTS = {
    "init-depth": [
        exchanged("1/n", "2/n"),
        exchanged("0.01 randn", "zeros"),
        setting("NETS", {"ReLU": nn.Tanh(), "tanh": nn.ReLU()}),
    ],
    "init-multiplier": [setting("FACTOR", 0.02)],
    "init-names": [exchanged("LeCun, 1/in", "Glorot, 2/(in + out)", "He, 2/in")],
    "variance-of-a-unit": [exchanged("randn", "1/n", "2/n")],
    "differences": [
        replaced("one_sided", lambda module: module.two_sided),
        replaced("two_sided", lambda module: module.one_sided),
        replaced("f", lambda module: lambda t: t * t),
    ],
    "gradient-check": [
        exchanged("right", "bug"),
        setting("BUG_IN", 3),
        exchanged("one-sided", "two-sided", table="SIDES"),
    ],
    "zero-init": [exchanged("zeros", "equal units", "random")],
    "init-small": [exchanged("0.01 randn", "randn / sqrt(n)"), setting("EPOCHS", 1)],
    "saturation": [
        exchanged("1 times", "100 times", table="TIMES"),
        exchanged("10 times", "100 times", table="TIMES"),
        exchanged("sigmoid", "ReLU", table="SLOPES"),
        exchanged("sigmoid", "ReLU"),
    ],
    "tanh-centres": [exchanged("sigmoid", "tanh")],
    "loops-and-vectors": [
        exchanged("three loops", "two loops"),
        exchanged("two loops", "x @ w + b"),
        wrong_numbers,
    ],
    "numpy-axes": [
        exchanged("samples are rows: axis=0", "samples are rows: axis=1"),
        exchanged("in columns: axis=1, keepdims", "in columns: axis=1"),
        exchanged("samples are rows: axis=1", "in columns: axis=1"),
    ],
    "output-activation": [exchanged("sigmoid", "linear")],
    "amount-of-data": [replaced("real", always_1600_rows), setting("STEPS", 32)],
    "layers-and-nodes": [
        replaced("net", always_nodes(16)),
        exchanged("1 x 4", "1 x 256", "3 x 64", table="SIZES"),
        setting("SIZES", {"1 x 4": [4], "1 x 16": [16], "1 x 64": [4], "1 x 256": [256], "3 x 64": [64]}),
        setting("RATES", (0.001,)),
    ],
}
