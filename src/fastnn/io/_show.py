"""What is in a model file, as a text: ``python -m fastnn show MODEL``.

Layers are made of a net's config, but no net, and nothing of the user's is called. Names come from the file, so they
are printed without what a terminal would obey.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import _records, _terminal
from fastnn import _validation as v
from fastnn._settings import call_text
from fastnn._terminal import CommandError
from fastnn.engine import Arena, Layout
from fastnn.io import _nets
from fastnn.io._content import OWN, ContentReader, names_of
from fastnn.io._histories import unpack_history
from fastnn.io._messages import in_file
from fastnn.io._tensors import Entry, TensorFile
from fastnn.nn import Layer, _text
from fastnn.nn._structure import widths
from fastnn.nn.scaling import ColumnScaler

LONGEST = 100  # characters of a name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument of the command to a parser."""
    parser.add_argument("model", metavar="MODEL", help="a file in the safetensors format")


def run(arguments: argparse.Namespace) -> None:
    """Print what is in a file.

    Raises
    ------
    CommandError
        If the file cannot be read, or is damaged.
    """
    try:
        _terminal.write("\n".join(describe(arguments.model)))
    except (OSError, TypeError, ValueError, MemoryError) as error:
        raise CommandError(printable(str(error))) from error


def printable(text: str) -> str:
    """Return a text in which control characters are written out, such as those that begin a terminal's commands."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def describe(path: str) -> Iterator[str]:
    """Yield the lines that say what is in a file."""
    with TensorFile(path) as file:
        size = sum(entry.stop - entry.start for entry in file.entries.values())
        bytes_in_all = Path(path).stat().st_size
        yield from _rows([("path", file.path), ("size", f"{bytes_in_all:,} bytes, of which {size:,} are tensors")])
        if f"{OWN}kind" not in file.metadata:
            yield from _rows([("kind", "safetensors, not written by fastnn")])
            yield from _rows([("metadata", key) for key in sorted(file.metadata)])
            yield from _tensors(file.entries)
            return
        saved = ContentReader(file, {})
        yield from _rows([
            ("kind", f"{saved.kind}, format {file.metadata[f'{OWN}format']}"),
            ("written by", f"fastnn {file.metadata[f'{OWN}version']}"),
            ("checksum", "ok"),
        ])  # fmt: skip
        with in_file(file.path):
            yield from _CONTENTS[saved.kind](saved)


# ---- of each kind of file ----


def _net(saved: ContentReader) -> Iterator[str]:
    yield from _lines_of_net(saved, saved.content)


def _ensemble(saved: ContentReader) -> Iterator[str]:
    members = v.instance("ensemble.members", saved.content.get("members"), list, "be a list")
    yield from _rows([("output", saved.content.get("output")), ("members", len(members))])
    shown: dict[str, int] = {}  # tables, and the member that first had each
    for index, member in enumerate(members):
        yield ""
        yield f"members[{index}]"
        head, table = _parts_of_net(saved, member, f"members[{index}]", f"{index}.")
        yield from head
        first = shown.setdefault("\n".join(table), index)
        yield from ["", *table] if first == index else _rows([("layers", f"as those of members[{first}]")])


def _trainer(saved: ContentReader) -> Iterator[str]:
    content = {name: _object(saved.content, name) for name in ("settings", "state", "history")}
    history = unpack_history(saved, content["history"], "history")
    counts = [(_label(name), content["state"].get(name)) for name in ("epoch", "step_count", "lr")]
    figures = history[-1] if history else {}
    last = [
        f"{name}={v.shown(value, '{:.4g}'.format if isinstance(value, float) else str)}"
        for name, value in figures.items()
    ]
    yield from _rows([*_settings(content["settings"]), *counts, *[("last epoch", ", ".join(last))] * bool(last)])
    yield ""
    yield from _lines_of_net(saved, saved.content.get("net"))


def _checkpoint(saved: ContentReader) -> Iterator[str]:
    fit = _object(saved.content, "fit")
    arguments, within = _object(fit, "arguments"), fit.get("within")
    ended, epochs = fit.get("ended"), arguments.pop("epochs", None)
    position = f"epoch {ended} of {epochs} ended" if ended else f"before epoch 1 of {epochs}"
    if isinstance(within, dict) and isinstance(ended, int):
        position = f"epoch {ended + 1} of {epochs}, after batch {within.get('done')}"
    rows = [("position", position), *_settings(arguments)]
    callbacks = v.instance("fit.callbacks", fit.get("callbacks"), list, "be a list")
    names = [str(each.get("class")) for each in callbacks if isinstance(each, dict)]
    yield from _rows([*rows, *[("callbacks", ", ".join(names))] * bool(names)])
    yield ""
    yield from _trainer(saved)


def _estimator(saved: ContentReader) -> Iterator[str]:
    """Yield the parameters that are not None, as the defaults are scikit-learn's to know, and the net."""
    yield from _rows(_settings(_object(saved.content, "parameters")))
    if saved.content.get("net") is None:
        yield from _rows([("fit", "not fitted")])
        return
    yield ""
    yield from _lines_of_net(saved, saved.content["net"])


def _settings(given: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return a row for each setting that is not None."""
    return [(_label(name), _call(value)) for name, value in given.items() if value is not None]


def _object(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a part of the content, which must be an object."""
    part: dict[str, Any] = v.instance(name, content.get(name), dict, "be an object")
    return part


_CONTENTS = {
    "net": _net, "ensemble": _ensemble, "trainer": _trainer, "checkpoint": _checkpoint,
    "classifier": _estimator, "regressor": _estimator,
}  # fmt: skip


def _tensors(entries: Mapping[str, Entry]) -> Iterator[str]:
    """Yield a table of tensors."""
    rows = [("tensor", "dtype", "shape")]
    rows += [(name, entry.dtype_name, str(entry.shape)) for name, entry in sorted(entries.items())]
    yield ""
    yield from _table(rows)


# ---- nets ----


def _lines_of_net(saved: ContentReader, part: Any) -> Iterator[str]:
    head, table = _parts_of_net(saved, part, "net", "")
    yield from [*head, "", *table]


def _parts_of_net(saved: ContentReader, part: Any, where: str, prefix: str) -> tuple[list[str], list[str]]:
    """Return the lines that say the settings of a net, and the table of its layers."""
    part = saved.part(part, where, _nets.KEYS)
    config = saved.part(part["config"], f"{where}.config", ("kind", "layers", "dtype", "seed"))
    given = v.instance(f"{where}.layers", config["layers"], list, "be a list")
    frozen = list(map(str, v.instance(f"{where}.frozen", part["frozen"], list, "be a list")))
    scalers = {name: part[name] is not None for name in ("scaler", "output_scaler")}
    head = [("dtype", config["dtype"]), ("seed", config["seed"]), ("training steps", part["training_steps"])]
    head += [
        (_label(name), _scaler(saved.value(part[name], f"{where}.{name}"), f"{where}.{name}"))
        for name, is_there in scalers.items()
        if is_there
    ]
    head += [("frozen", ", ".join(frozen))] * bool(frozen)
    if names := sorted(names_of(given, "nn.activation")):
        head.append(("activations", f"{', '.join(map(v.shown, names))}: to be registered before loading"))
        return list(_rows(head)), list(_layers_as_text(saved.file.entries, given, prefix))
    layers = _with_places(_nets.layers_of(saved, part, where)[1])
    width = widths(layers)
    summary = _text.summary(layers, None if width is None else width[0], frozenset(frozen), **scalers)
    return list(_rows(head)), list(map(printable, summary.splitlines()))


def _scaler(record: Any, where: str) -> str:
    """Return a scaler with some digits of some numbers."""
    arguments = v.instance(where, record, ColumnScaler, "be a scaler")._arguments()
    arrays = {name: np.asarray(each) for name, each in arguments.items() if each is not None}
    texts = {
        name: f"{len(each)} of {each.shape[1]} columns"
        if each.ndim == 2
        else np.array2string(each, 1000, precision=4, threshold=6, separator=", ")
        for name, each in arrays.items()
    }
    return f"{type(record).__name__}({', '.join(f'{name}={text}' for name, text in texts.items())})"


def _with_places(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return layers that know their places in a net, without values."""
    nothing, numbers = Arena(Layout({}), np.float32), itertools.count()
    return tuple(layer.bound_to(str(index), numbers, nothing, nothing) for index, layer in enumerate(layers))


def _layers_as_text(entries: Mapping[str, Entry], layers: Any, prefix: str) -> Iterator[str]:
    """Yield a table of layers that are not made, as some need functions that are not registered here."""
    rows = [("", "layer", "numbers")]
    for index, layer in enumerate(layers):
        start = f"{prefix}{index}."
        sizes = [math.prod(entry.shape) for name, entry in entries.items() if name.removeprefix(OWN).startswith(start)]
        rows.append((str(index), _call(layer), str(sum(sizes))))
    yield from _table(rows, right=True)


class _AsCall:
    """A part of a config whose `repr` is the call that makes it."""

    def __init__(self, config: Any) -> None:
        self._text = _call(config)

    def __repr__(self) -> str:
        return self._text


def _call(config: Any) -> str:
    """Return a config as the call that makes it."""
    if isinstance(config, list):
        return f"({', '.join(map(_call, config))}{',' * (len(config) == 1)})"
    if not isinstance(config, dict):
        return repr(config)
    values = {name: value for name, value in config.items() if name != "kind"}
    kind = str(config.get("kind"))
    if kind in ("tensor", "strings", "text"):
        return "..."
    if kind in ("function", "dtype"):
        return str(config.get("name"))
    if kind == "random_state":
        return "RandomState(...)"
    if kind == "tuple":
        return _call(config.get("items"))
    if kind == "pairs" and all(isinstance(pair, list) and len(pair) == 2 for pair in _items(config)):
        return f"{{{', '.join(f'{_call(key)}: {_call(value)}' for key, value in _items(config))}}}"
    if kind == "dict" and isinstance(config.get("entries"), dict):
        return ", ".join(f"{name}={_call(value)}" for name, value in config["entries"].items()) or "none"
    if kind == "float":
        return f"float({config.get('value')!r})"
    if kind == "nn.activation" and isinstance(config.get("parameters"), dict):
        shown = [f"{name}={_call(value)}" for name, value in config["parameters"].items()]
        return f"activation({', '.join([repr(config.get('name')), *shown])})"
    known = _records.kinds().get(kind)
    if known is None or values.keys() != _records.parameters(known).keys():
        return f"{kind}({', '.join(f'{name}={_call(value)}' for name, value in values.items())})"
    return call_text(known, {name: _argument(value) for name, value in values.items()})


def _items(config: Mapping[str, Any]) -> list[Any]:
    items = config.get("items")
    return items if isinstance(items, list) else [items]


def _argument(value: Any) -> Any:
    """Return a setting of a config as `call_text` takes it."""
    if isinstance(value, list):
        return tuple(map(_argument, value))
    return _AsCall(value) if isinstance(value, dict) else value


# ---- texts ----


def _label(name: str) -> str:
    return name.replace("_", " ")


def _rows(pairs: Iterable[tuple[str, object]]) -> Iterator[str]:
    """Yield a line for each label and what it says."""
    for label, value in pairs:
        yield f"{label:<14}  {printable(v.shown(value, str))}"


def _table(rows: Sequence[tuple[str, ...]], *, right: bool = False) -> Iterator[str]:
    """Yield the lines of a table; the last column is flush right if `right`."""
    cells = [[printable(_shortened(cell)) for cell in row] for row in rows]
    sizes = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        last = row[-1].rjust(sizes[-1]) if right else row[-1]
        yield "  ".join([*(cell.ljust(size) for cell, size in zip(row[:-1], sizes, strict=False)), last]).rstrip()


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 23]}...{text[-20:]}"
