"""The scalers of a net, of its input and of its output: how they are set, copied, saved and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self, overload

import numpy as np

from fastnn import _validation as v
from fastnn._settings import FixedAttributes
from fastnn._typing import Array
from fastnn.engine import Scaling, TrainingClaim
from fastnn.nn.scaling import Scaler


class HasCenterAndScale(Protocol):
    """What a net's `scaler` and `output_scaler` may be set to: columns become ``(x - center) * scale``."""

    @property
    def center(self) -> Any:
        """A number for all columns or one for each, which is subtracted."""

    @property
    def scale(self) -> Any:
        """A number for all columns or one for each, by which the difference is multiplied."""


class NetScaler:
    """An attribute of nets that is a scaler or None.

    A net keeps two attributes for it: the record, and its numbers as vectors of the net's dtype, a `Scaling`.

    Parameters
    ----------
    width : str
        The net's attribute with the number of columns.
    fix : str
        What messages say to write.
    inverted : bool
        Whether the net applies the inverse.
    doc : str
    """

    def __init__(self, width: str, fix: str, inverted: bool, doc: str) -> None:
        self._width, self._fix, self._inverted = width, fix, inverted
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.record = name, f"_{name}"
        self.scaling = f"_{name.removesuffix('scaler')}scaling"
        self.keys = tuple(f"{name}.{field}" for field in Scaling._fields)  # of a state dict

    @overload
    def __get__(self, net: None, owner: type) -> Self: ...

    @overload
    def __get__(self, net: NetScalers, owner: type) -> Scaler | None: ...

    def __get__(self, net: NetScalers | None, owner: type) -> Self | Scaler | None:
        if net is None:
            return self
        scaler: Scaler | None = net.__dict__[self.record]
        return scaler

    def __set__(self, net: NetScalers, scaler: HasCenterAndScale | tuple[Any, Any] | None) -> None:
        values = self.attributes(net, scaler)
        net.training_claim.refuse_change(self.name)
        net.__dict__.update(values)

    def attributes(self, net: NetScalers, scaler: object) -> dict[str, Any]:
        """Return the net's attributes that hold a scaler, which is an object, a pair or None."""
        value: Any = scaler
        if value is None:
            return {self.record: None, self.scaling: None}
        if not isinstance(value, tuple):
            for name in ("center", "scale"):
                if not hasattr(value, name):
                    must = "have the attributes center and scale, or be None"
                    v.refuse(TypeError, self.name, must, v.kind_of(value), self._fix)
        pair = value if isinstance(value, tuple) else (value.center, value.scale)
        numbers = self._vectors(net, pair)
        return {self.record: value if isinstance(value, Scaler) else Scaler(*pair), self.scaling: numbers}

    def _vectors(self, net: NetScalers, pair: tuple[Any, ...]) -> Scaling:
        """Return center and scale as new, read-only vectors."""
        if len(pair) != 2:
            v.refuse(ValueError, self.name, "be a pair of center and scale", f"{len(pair)} values")
        columns, vectors = getattr(net, self._width), []
        for key, value in zip(self.keys, pair, strict=True):
            array = v.numeric(key, value)
            if array.ndim:
                v.shape(key, array, (columns,))
            with np.errstate(all="ignore"):
                vector = np.full(columns, array, net.dtype)
            if not np.isfinite(vector).all():
                v.refuse(ValueError, key, f"contain numbers that are finite in {net.dtype}", "NaN or infinity")
            vector.flags.writeable = False
            vectors.append(vector)
        if self._inverted and not vectors[1].all():
            fix = "its inverse divides by it; a constant column has scale 1"
            v.refuse(ValueError, self.keys[1], f"contain no number that is 0 in {net.dtype}", "0", fix)
        return Scaling(*vectors)

    def width_of(self, net: NetScalers) -> int | None:
        """Return the number of its columns, None if the net's layers do not say it."""
        width: int | None = net.__dict__.get(self._width)
        return width

    def held(self, net: NetScalers) -> dict[str, Any]:
        """Return the net's attributes that hold the scaler."""
        return {name: net.__dict__[name] for name in (self.record, self.scaling)}

    def of_copy(self, net: NetScalers, dtype: np.dtype[Any]) -> Scaler | None:
        """Return the scaler of a copy of this dtype: its numbers are those that this net computes with."""
        scaler, numbers = net.__dict__[self.record], net.__dict__[self.scaling]
        return scaler if numbers is None or dtype == net.dtype else Scaler(*numbers)

    def saved(self, net: NetScalers) -> dict[str, Array]:
        """Return its part of a state dict."""
        numbers = net.__dict__[self.scaling]
        return {} if numbers is None else dict(zip(self.keys, (each.copy() for each in numbers), strict=True))

    def loaded(self, net: NetScalers, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Return the net's attributes to set for its part of a state dict; none if it is not there."""
        pair = [state_dict[key] for key in self.keys if key in state_dict]
        if not pair:
            return {}
        if len(pair) == 1:
            must = f"contain both {' and '.join(self.keys)}, or neither"
            v.refuse(ValueError, "state_dict", must, f"only {next(key for key in self.keys if key in state_dict)}")
        loaded = self.attributes(net, tuple(pair))
        return {} if loaded[self.scaling].equals(net.__dict__[self.scaling]) else loaded


class NetScalers(FixedAttributes):
    """The scalers of a net, and what is done with all of them."""

    dtype: np.dtype[Any]
    training_claim: TrainingClaim
    _scaling: Scaling | None
    _output_scaling: Scaling | None

    scaler = NetScaler(
        "in_features",
        "write fastnn.data.Scaler.fit(X)",
        False,
        """The scaler of the input, ``(x - center) * scale``, or None.

        Assign a `fastnn.data.Scaler`, or any object with the attributes `center` and `scale`; each is a number or has
        one entry for each column. The net copies the numbers, and from then on scales all its input, in training and in
        evaluation; uint8 input stays uint8 until its rows are gathered. In `state_dict` they are ``scaler.center`` and
        ``scaler.scale``, of the net's dtype.
        """,
    )
    output_scaler = NetScaler(
        "out_features",
        "write fastnn.data.Scaler.fit(y[:, np.newaxis])",
        True,
        """The scaler of the targets, ``(y - center) * scale``, whose inverse gives predictions in their unit, or None.

        Assign what `scaler` takes, with one entry for each output; no scale is 0. Trainers then scale the targets while
        a batch is loaded, so the net learns scaled targets, and `predict` returns ``z / scale + center`` for the last
        layer's output z:

        - In the unit of the targets are what `predict` and `activations` return, and what metrics get.
        - In scaled units are ``forward(x, training=True)`` and `backward`, the loss, and so ``history["loss"]``,
          ``val_loss`` and the loss of `evaluate`.

        Losses of logits, rates, classes or scores refuse it when a fit or an evaluation begins. All is computed in the
        net's dtype, after the cast of the targets. In `state_dict` the numbers are ``output_scaler.center`` and
        ``output_scaler.scale``, of the net's dtype.
        """,
    )

    def _refuse_scalers(self, name: str) -> None:
        """Refuse a net with a scaler as a part of another, which messages call `name`."""
        for each in SCALERS:
            if (scaler := self.__dict__[each.record]) is not None:
                must, fix = f"have no {each.name}, as only the outermost net scales", "write *net in place of net"
                v.refuse(ValueError, name, must, v.shown(scaler), f"{fix}, and set the {each.name} of the new net")

    def _take_scalers(self, net: NetScalers, *, first: bool, last: bool) -> None:
        """Take those of a net of which this one has the first and the last layer, or only one of them."""
        for each, is_end in zip(SCALERS, (first, last), strict=True):
            if is_end and each.width_of(self) == each.width_of(net):
                self.__dict__.update(each.held(net))

    def _scalers_of_copy(self, dtype: np.dtype[Any]) -> tuple[Scaler | None, ...]:
        """Return the records of a copy of this dtype."""
        return tuple(each.of_copy(self, dtype) for each in SCALERS)


SCALERS = (NetScalers.scaler, NetScalers.output_scaler)
"""The two attributes; the first is at the net's input, the last at its output."""
