"""The two scalers of a net as attributes: how they are set, copied, saved and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, overload

import numpy as np

from fastnn import _validation as v
from fastnn._settings import FixedAttributes
from fastnn._typing import Array
from fastnn.engine import IdColumn, Scaling, TrainingClaim
from fastnn.nn import _net_scaler
from fastnn.nn.scaling import AnyScaler, record_of


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

    def __init__(self, width: str, fix: str, *, inverted: bool, doc: str) -> None:
        self._width, self._fix, self._inverted = width, fix, inverted
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.record = name, f"_{name}"
        self.scaling = f"_{name.removesuffix('scaler')}scaling"

    @overload
    def __get__(self, net: None, owner: type) -> Self: ...

    @overload
    def __get__(self, net: NetScalers, owner: type) -> AnyScaler | None: ...

    def __get__(self, net: NetScalers | None, owner: type) -> Self | AnyScaler | None:
        if net is None:
            return self
        scaler: AnyScaler | None = net.__dict__[self.record]
        return scaler

    def __set__(
        self, net: NetScalers, scaler: AnyScaler | _net_scaler.HasCenterAndScale | tuple[Any, Any] | None
    ) -> None:
        values = self.attributes(net, scaler)
        net.training_claim.refuse_change(self.name)
        net.__dict__.update(values)

    def attributes(self, net: NetScalers, scaler: object) -> dict[str, Any]:
        """Return the net's attributes that hold a scaler, which is a record, an object, a pair or None."""
        if scaler is None:
            return {self.record: None, self.scaling: None}
        return self._checked(net, _net_scaler.scaler_of(self.name, scaler, self._columns(net), net.dtype, self._fix))

    def _columns(self, net: NetScalers) -> int:
        columns: int = getattr(net, self._width)
        return columns

    def _checked(self, net: NetScalers, made: _net_scaler.Scalers) -> dict[str, Any]:
        """Return the net's attributes for a record and its numbers."""
        record, numbers = made
        if self._inverted and numbers is not None and numbers.scale is not None and not numbers.scale.all():
            fix = "its inverse divides by it; a constant column has scale 1"
            v.refuse(ValueError, f"{self.name}.scale", f"contain no number that is 0 in {net.dtype}", "0", fix)
        if self._inverted and numbers is not None and numbers.limit is not None and not np.isinf(numbers.limit).all():
            must = "have no limit, as its inverse makes very large numbers of outputs near the limit"
            v.refuse(ValueError, self.name, must, v.shown(record), "write RobustScaler.fit(y, limit=np.inf)")
        for each in () if self._inverted else net.id_columns:
            if numbers is not None and not numbers.keeps(each.column):
                must = f"leave column {each.column} as it is, as {each.layer} reads it"
                others = sorted(set(range(self._columns(net))) - {column for column, *_ in net.id_columns})
                fix = f"give fit the columns of numbers: columns={v.shown(others)}"
                v.refuse(ValueError, self.name, must, v.shown(record), fix)
        return {self.record: record, self.scaling: numbers}

    def width_of(self, net: NetScalers) -> int | None:
        """Return the number of its columns, None if the net's layers do not say it."""
        width: int | None = net.__dict__.get(self._width)
        return width

    def held(self, net: NetScalers) -> dict[str, Any]:
        """Return the net's attributes that hold the scaler."""
        return {name: net.__dict__[name] for name in (self.record, self.scaling)}

    def of_copy(self, net: NetScalers, dtype: np.dtype[Any]) -> AnyScaler | None:
        """Return the scaler of a copy of this dtype: its numbers are those that this net computes with."""
        scaler, numbers = net.__dict__[self.record], net.__dict__[self.scaling]
        return scaler if numbers is None or dtype == net.dtype else record_of(numbers)

    def has_key(self, key: object) -> bool:
        """Whether a key of a state dict is one of the scaler's."""
        return _net_scaler.is_key(self.name, key)

    def saved(self, net: NetScalers) -> dict[str, Array]:
        """Return its part of a state dict."""
        return _net_scaler.saved(self.name, net.__dict__[self.scaling])

    def loaded(self, net: NetScalers, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Return the net's attributes to set for its part of a state dict; none if it is not there."""
        entries = {key: value for key, value in state_dict.items() if self.has_key(key)}
        if not entries:
            return {}
        own = net.__dict__[self.scaling]
        made = _net_scaler.loaded(self.name, entries, self._columns(net), net.dtype, own)
        return {} if made is None else self._checked(net, made)


class NetScalers(FixedAttributes):
    """The scalers of a net, and what is done with all of them."""

    dtype: np.dtype[Any]
    id_columns: tuple[IdColumn, ...]
    training_claim: TrainingClaim
    _scaling: Scaling | None
    _output_scaling: Scaling | None

    scaler = NetScaler(
        "in_features",
        "write fastnn.data.Scaler.fit(X)",
        inverted=False,
        doc="""The scaler of the input, or None.

        Assign a `Scaler`, `RobustScaler` or `QuantileScaler` of `fastnn.data`, or any object with the attributes
        `center` and `scale`, for ``(x - center) * scale``; each is a number or has one entry for each column. The net
        copies the numbers, and from then on scales all its input, in training and in evaluation; uint8 input stays
        uint8 until its rows are gathered. NaN in columns for which the scaler has a `fill` is filled, and `fit` accepts
        it. In `state_dict` the numbers are ``scaler.center``, ``scaler.scale`` and so on, of the net's dtype.
        """,
    )
    output_scaler = NetScaler(
        "out_features",
        "write fastnn.data.Scaler.fit(y[:, np.newaxis])",
        inverted=True,
        doc="""The scaler of the targets, whose inverse gives predictions in their unit, or None.

        Assign what `scaler` takes, with one entry for each output; no scale is 0, and no limit is finite. Trainers
        then scale the targets while a batch is loaded, so the net learns scaled targets, and `predict` returns the
        `inverse_transform` of the last layer's output:

        - In the unit of the targets are what `predict` and `activations` return, and what metrics get.
        - In scaled units are ``forward(x, training=True)`` and `backward`, the loss, and so ``history["loss"]``,
          ``val_loss`` and the loss of `evaluate`.

        Losses of logits, rates, classes or scores refuse it when a fit or an evaluation begins. Targets are
        scaled in the net's dtype, after their cast. In `state_dict` the numbers are ``output_scaler.center``,
        ``output_scaler.scale`` and so on, of the net's dtype.
        """,
    )

    @property
    def input_scaling(self) -> Scaling | None:
        """The numbers of `scaler` in the net's dtype."""
        return self._scaling

    @property
    def output_scaling(self) -> Scaling | None:
        """The numbers of `output_scaler` in the net's dtype."""
        return self._output_scaling

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

    def _scalers_of_copy(self, dtype: np.dtype[Any]) -> tuple[AnyScaler | None, ...]:
        """Return the records of a copy of this dtype."""
        return tuple(each.of_copy(self, dtype) for each in SCALERS)


SCALERS = (NetScalers.scaler, NetScalers.output_scaler)
"""The two attributes; the first is at the net's input, the last at its output."""
