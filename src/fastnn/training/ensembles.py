"""`Ensemble`: nets whose predictions are averaged, and measures of their disagreement."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn import kernels
from fastnn._habits import with_hints
from fastnn._settings import ReadOnly
from fastnn._typing import Array
from fastnn.engine import Scaling, make_plain_calls
from fastnn.io._ensembles import load_ensemble, save_ensemble
from fastnn.nn import HeadsLoss, Loss, Sequential
from fastnn.nn._runners import PREDICT_ROWS
from fastnn.nn.losses import as_loss
from fastnn.nn.scaling import scale_targets
from fastnn.nn.sequential import as_net, check_seed
from fastnn.training.evaluation import evaluate
from fastnn.training.examples import validated_examples
from fastnn.training.history import History
from fastnn.training.metrics import Metrics, as_metrics, check_metrics
from fastnn.training.trainer import Trainer

if TYPE_CHECKING:
    from fastnn.engine._plain_calls import PlainCalls
    from fastnn.nn.predictor import Predictor

__all__ = ["Ensemble"]

ELEMENTS = 1 << 18  # outputs of all members that are in memory at a time
ROWS_STREAM = 2**32 - 1  # stream of random numbers for bagging; the streams of nets count from 0


def _plogp(p: Array) -> Array:
    return p * np.log(np.where(p > 0, p, 1.0))


# Functions of a net's outputs; for probabilities also the entropy, and the vote of each member.
_OUTPUTS: dict[str, Callable[[Array], Array]] = {
    "raw": lambda z: z,
    "softmax": kernels.softmax,
    "sigmoid": kernels.sigmoid,
}
_ENTROPIES: dict[str, Callable[[Array], Array]] = {
    "softmax": lambda p: -_plogp(p).sum(axis=-1),
    "sigmoid": lambda p: -_plogp(p) - _plogp(1.0 - p),
}
_VOTES: dict[str, Callable[[Array], Array]] = {
    "softmax": lambda p: np.eye(p.shape[-1])[p.argmax(axis=-1)],
    "sigmoid": lambda p: (p > 0.5).astype(np.float64),
}
_LOGITS: dict[str, Callable[[Array], Array]] = {
    "raw": lambda z: z,
    "softmax": np.log,
    "sigmoid": lambda p: np.log(p) - np.log1p(-p),
}
_LOSSES = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}  # by default

# Disagreement of outputs of shape (members, rows, columns), given the functions of entropy and vote.
_KINDS: dict[str, Callable[[Array, Any, Any], Array]] = {
    "variance": lambda p, entropy, vote: p.var(axis=0),
    "mutual_information": lambda p, entropy, vote: np.maximum(entropy(p.mean(axis=0)) - entropy(p).mean(axis=0), 0.0),
    "vote_entropy": lambda p, entropy, vote: entropy(vote(p).mean(axis=0)),
}


def _mean(p: Array) -> Array:
    """Return the mean over the members, added in their order, as plain calls do."""
    return np.asarray(functools.reduce(np.add, p) / len(p))


class Ensemble(ReadOnly):
    """Nets whose prediction is the mean of their outputs.

    The squared error of the mean is the members' mean squared error minus their variance (Krogh and Vedelsby, 1995).
    Its cross entropy is at most their mean cross entropy, by Jensen's inequality.

    Parameters
    ----------
    members : iterable of Sequential
        At least one net; all have the same numbers of inputs and outputs.
    output : {"raw", "softmax", "sigmoid"}, default "raw"
        The function of each net's output before the mean is taken. "raw": none. "softmax": class probabilities, for
        nets trained with the cross entropy; they need at least two outputs. "sigmoid": the probability of each column,
        for nets trained with the binary cross entropy.

    Attributes
    ----------
    members : tuple of Sequential
    output : str
    histories : tuple of History
        The histories of the members' trainings, if `fit` made the ensemble.

    Raises
    ------
    TypeError, ValueError
        If a member is not a net or its widths differ from those of the first, or `output` is unknown.

    Notes
    -----
    ``ensemble(X)`` is ``ensemble.predict(X)``. ``len(ensemble)``, ``ensemble[0]`` and ``for net in ensemble`` are those
    of `members`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (X[:, 0] > X[:, 1]).astype(int)
    >>> def build(seed):
    ...     net = nn.Sequential(nn.Dense(2, 8), nn.Tanh(), nn.Dense(8, 2), seed=seed)
    ...     return fastnn.Trainer(net, optimizer=optim.Adam(lr=0.02))
    >>> ensemble = fastnn.Ensemble.fit(build, X, y, members=3, output="softmax", epochs=10, verbose=0)
    >>> clear, doubtful = [2.0, -2.0], [2.0, 1.9]
    >>> ensemble.predict([clear]).argmax(axis=1)
    array([1])
    >>> few, many = ensemble.disagreement([clear, doubtful], "mutual_information")
    >>> bool(few < many)
    True
    """

    _internal = frozenset({"predict_any_rows", "predicts_plainly", "result_and_link"})
    # Made at the first prediction.
    _plain: PlainCalls | None = None
    _attributes: tuple[dict[str, Any], ...] = ()  # of the members

    def __init__(self, members: Iterable[Sequential], output: str = "raw") -> None:
        value: Any = members
        if isinstance(value, Sequential) or not isinstance(value, Iterable):
            v.refuse(TypeError, "members", "be a list of nets", v.kind_of(value), "write fastnn.Ensemble([...])")
        given: tuple[Any, ...] = tuple(value)
        if not given:
            v.refuse(ValueError, "members", "contain at least one net", "none")
        for index, net in enumerate(given):
            as_net(f"members[{index}]", net)
            widths = [(each.in_features, each.out_features) for each in (given[0], net)]
            if widths[0] != widths[1]:
                must = f"have {widths[0][0]} inputs and {widths[0][1]} outputs, the widths of members[0]"
                v.refuse(ValueError, f"members[{index}]", must, f"{widths[1][0]} and {widths[1][1]}")
        self.members: tuple[Sequential, ...] = given
        self.output = v.choice("output", output, _OUTPUTS)
        if output == "softmax" and self.members[0].out_features == 1:
            must, fix = "be 'sigmoid' or 'raw' for nets with one output", "the softmax of one number is always 1"
            v.refuse(ValueError, "output", must, v.shown(output), fix)
        self.histories: tuple[History, ...] = ()

    @classmethod
    @with_hints
    def fit(
        cls,
        build: Callable[[int], Trainer],
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        members: int = 5,
        seed: int | None = 0,
        output: str = "raw",
        bagging: bool = False,
        sample_weight: npt.ArrayLike | None = None,
        **settings: Any,
    ) -> Ensemble:
        """Train nets that differ by their seeds, and with `bagging` by their training rows.

        The result depends on the arguments only, not on the number of threads.

        Parameters
        ----------
        build : callable
            Takes a seed and returns a new `Trainer`, whose net has this seed for initial weights, dropout and the order
            of the rows. If the trainer has an `average`, the member is its averaged net.
        X, y, sample_weight
            As for `Trainer.fit`.
        members : int, default 5
            Number of nets, at least 1.
        seed : int, optional
            The seed of the first net, by default 0; the others have the numbers after it. None draws a seed as
            `Sequential` does.
        output : {"raw", "softmax", "sigmoid"}, default "raw"
            As in the class.
        bagging : bool, default False
            Whether each net is trained on a copy of n rows that are drawn with replacement (Breiman, 1996).
        **settings
            Arguments of `Trainer.fit`: ``epochs``, ``batch_size``, ``validation_data``, ``augment``, ``callbacks``, ...

        Returns
        -------
        Ensemble

        Raises
        ------
        TypeError, ValueError
            If an argument has a wrong type, shape or range, or `build` does not return a new trainer with another seed
            at each call.
        """
        count, first = v.integer("members", members, 1), check_seed(seed)
        v.choice("output", output, _OUTPUTS)
        bagging = v.boolean("bagging", bagging)
        maker: object = build
        if not callable(maker) or isinstance(maker, Sequential):
            v.refuse(
                TypeError, "build", "be a function of a seed that returns a Trainer", v.kind_of(build),
                "write lambda seed: fastnn.Trainer(...)",
            )  # fmt: skip
        trainers = [build((first + index) % 2**64) for index in range(count)]
        for index, trainer in enumerate(trainers):
            made: object = trainer
            fix = "write fastnn.Trainer(net)" if isinstance(made, Sequential) else ""
            v.instance("build", made, Trainer, "return a Trainer", fix)
            if trainer.epoch or any(trainer.net is other.net for other in trainers[:index]):
                got = "a trained one" if trainer.epoch else "the same one again"
                v.refuse(ValueError, "build", "return a trainer of a new net at each call", got)
            if any(trainer.net.seed == other.net.seed for other in trainers[:index]):
                fix = "pass it on, nn.Sequential(..., seed=seed)"
                v.refuse(
                    ValueError, "build", "give each net the seed of the call", f"seed {trainer.net.seed} again", fix
                )
        ensemble = cls([trainer.net for trainer in trainers], output)
        data: dict[str, Any] = {"X": X, "y": y}
        if sample_weight is not None:
            data["sample_weight"] = sample_weight
        if bagging:
            data = {name: v.numeric(name, array) for name, array in data.items()}
            v.shape("X", data["X"], ("n", "in_features"))
            for name, array in data.items():
                v.shape(name, array, (len(data["X"]), *array.shape[1:]))
        for index, trainer in enumerate(trainers):
            seen = data
            if bagging:
                rows = _rows(len(data["X"]), first, index)
                seen = {name: array[rows] for name, array in data.items()}
            trainer.fit(**seen, **settings)
        ensemble._set_unchecked(
            members=tuple(trainer.net if trainer.average is None else trainer.averaged for trainer in trainers),
            histories=tuple(trainer.history for trainer in trainers),
        )
        return ensemble

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write members, `output` and `histories` into a file, in the safetensors format; `Ensemble.load` reads it.

        Tensors have the names of a ``torch.nn.ModuleList`` of the nets, "0.0.weight", with the exceptions of
        `Sequential.save`. All that is said there holds for the members.

        Parameters
        ----------
        path : path-like
            Its folder must exist. A file of this name is replaced, once the new one is complete.

        Raises
        ------
        TypeError, ValueError
            If the ensemble or a member is of a class of yours; or as `Sequential.save` does.
        OSError
            If the file cannot be written. A file of this name is then as before.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastnn
        >>> from fastnn import nn
        >>> ensemble = fastnn.Ensemble([nn.Sequential(nn.Dense(2, 3), seed=seed) for seed in range(5)], "softmax")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "ensemble.safetensors")
        ...     ensemble.save(path)
        ...     again = fastnn.Ensemble.load(path)
        >>> again
        Ensemble(5 nets, output='softmax')
        >>> bool((again.predict([[1.0, 2.0]]) == ensemble.predict([[1.0, 2.0]])).all())
        True
        """
        if type(self) is not Ensemble:
            fix = "write fastnn.Ensemble(ensemble.members, ensemble.output)"
            must = "be a fastnn.Ensemble, as files contain no classes of yours"
            v.refuse(TypeError, "ensemble", must, v.kind_of(self), fix)
        save_ensemble(path, self.members, self.output, [history.epochs for history in self.histories])

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, allow_nonfinite: bool = False) -> Self:
        """Return the ensemble in a file that `save` has written.

        Parameters
        ----------
        path : path-like
        allow_nonfinite : bool, default False
            Whether arrays of the members may contain NaN and infinity.

        Returns
        -------
        Ensemble
            A new one, with new nets and the histories of the saved one. It is of the class whose `load` is called,
            also if that is a class of yours: files are those of `fastnn.Ensemble`.

        Raises
        ------
        TypeError
            If `path` is no path.
        OSError
            If the file cannot be read.
        ValueError
            If the file is none of an ensemble, or as `fastnn.load` does.

        Examples
        --------
        See `save`.
        """
        members, output, histories = load_ensemble(path, allow_nonfinite=allow_nonfinite)
        ensemble = cls(members, output)
        ensemble._set_unchecked(histories=tuple(map(History, histories)))
        return ensemble

    def predict(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the mean of the members' outputs or probabilities, with output scalers in the unit of the targets.

        Parameters
        ----------
        X : array_like, shape (n, in_features)
        out : ndarray of float64, shape (n, out_features), optional
            Where to write the result: C-contiguous, not overlapping `X` or the members' parameters.

        Returns
        -------
        ndarray of float64, shape (n, out_features)
            `out`, or a new array.

        Raises
        ------
        TypeError, ValueError
            As `Sequential.predict` does.
        """
        plain = self._plain
        mean = None if plain is None else plain.now(X, out, self._attributes)
        if mean is None:
            mean = self.predict_any_rows("X", X, out)
            nets = tuple(net for net in map(Sequential.plain_net, self.members) if net is not None)
            if plain is None and len(nets) == len(self.members) and self.predicts_plainly:
                calls = make_plain_calls(nets, PREDICT_ROWS, *self.result_and_link)
                self._set_unchecked(_plain=calls, _attributes=tuple(map(vars, self.members)))
        return mean

    @property
    def result_and_link(self) -> tuple[str, str]:
        """What plain calls make of the members' outputs: the mean, and the function before it."""
        return "mean", "" if self.output == "raw" else self.output

    @property
    def predicts_plainly(self) -> bool:
        """Whether the predictions of ensemble and members are those of fastnn, not of a user's subclass."""
        own = type(self).predict is Ensemble.predict and type(self).predict_members is Ensemble.predict_members
        return own and all(net.predicts_plainly for net in self.members)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_plain", "_attributes")}

    def predictor(self, rows: int | None = None) -> Predictor:
        """Return a compiled callable that predicts with the members as they are now: ``p(x, out=None)``.

        Its results are those of `predict`, bit for bit; see `Sequential.predictor`.

        Parameters
        ----------
        rows : int, optional
            The most rows of one call. By default there is no limit.

        Returns
        -------
        Predictor

        Raises
        ------
        TypeError, ValueError
            If `rows` is no integer of at least 1, a member has an output scaler and `output` is not "raw",
            or the ensemble or a member is of a class with its own predictions.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> nets = [nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(each))) for each in (0.0, 1.0)]
        >>> p = fastnn.Ensemble(nets).predictor()
        >>> p(np.array([[2.0, 4.0]]))
        array([[3.]])
        """
        from fastnn.nn.predictor import refuse_own_predictions
        from fastnn.training._ensemble_predictor import EnsemblePredictor

        if not self.predicts_plainly:
            refuse_own_predictions(self)
        self._refuse_output_scalers()
        return EnsemblePredictor(self, rows)

    def predict_any_rows(self, name: str, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Do what `predict` does, for any rows; messages call them `name`."""
        x = self.members[0].as_input(name, X)
        others = {name: x}
        if out is not None:
            others |= {f"the parameters of members[{i}]": net.params.data for i, net in enumerate(self.members)}
        mean = v.output(out, (len(x), self.members[0].out_features), np.dtype(np.float64), others)
        return self._by_rows(x, _mean, mean)

    def __call__(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return ``predict(X, out)``."""
        return self.predict(X, out)

    def evaluate(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        loss: str | Loss | None = None,
        sample_weight: npt.ArrayLike | None = None,
        metrics: Metrics | None = None,
    ) -> dict[str, float]:
        """Evaluate the mean of the members' outputs or probabilities, in float64.

        Parameters
        ----------
        X, y, sample_weight, metrics
            As for `Trainer.evaluate`.
        loss : str or Loss, optional
            A loss, as `Trainer` takes it. The default is the cross entropy for "softmax" and the binary cross entropy
            for "sigmoid"; for "raw" it must be given. A loss that takes logits gets those of the mean probabilities p,
            as metrics do: ``log(p)`` for "softmax", ``log(p / (1 - p))`` for "sigmoid". Others get `predict`; if the
            members have an `output_scaler`, the same for all, targets and predictions are scaled by it for the loss.

        Returns
        -------
        dict of str to float
            As `Trainer.evaluate` does.

        Raises
        ------
        TypeError, ValueError
            If an argument has a wrong type, shape or range, `loss` is missing, or the members' output scalers differ.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> nets = [nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(each))) for each in (0.0, 1.0)]
        >>> fastnn.Ensemble(nets).evaluate(np.eye(2), [0.0, 1.0], loss="mean_squared_error")
        {'loss': 0.25}
        """
        if loss is None and self.output == "raw":
            must, fix = "be given for the output 'raw'", 'write loss="mean_squared_error", for example'
            v.refuse(TypeError, "loss", must, None, fix)
        checked = as_loss(_LOSSES.get(self.output, "") if loss is None else loss, self.members[0].out_features)
        if self.output == "sigmoid" and -1 in checked.spec.among:
            must = "take probabilities or logits for the output 'sigmoid'"
            v.refuse(ValueError, "loss", must, v.shown(checked), "make the ensemble with output='raw'")
        if self.output != "raw" and isinstance(checked, HeadsLoss):
            must = f"be a loss of one head for the output {self.output!r}"
            v.refuse(ValueError, "loss", must, v.shown(checked), "make the ensemble with output='raw'")
        mean: Any = _Mean(self, takes_logits=checked.spec.outputs == "logits")
        examples = validated_examples(mean, checked, X, y, sample_weight, finite=False)
        used = as_metrics(metrics, self.members[0].out_features)
        check_metrics(used, checked, examples.y, self.members[0].out_features)
        return evaluate(mean, checked, examples, used)

    def predict_members(self, X: npt.ArrayLike) -> Array:
        """Return the outputs or probabilities of each member, of which `predict` returns the mean.

        Parameters
        ----------
        X : array_like, shape (n, in_features)

        Returns
        -------
        ndarray of float64, shape (members, n, out_features)

        Raises
        ------
        TypeError, ValueError
            As `Sequential.predict` does.
        """
        self._refuse_output_scalers()
        return np.stack([_OUTPUTS[self.output](net.predict(X).astype(np.float64)) for net in self.members])

    def disagreement(self, X: npt.ArrayLike, kind: str = "variance") -> Array:
        """Return how much the members disagree in each row.

        Let p_m be the output or probabilities of member m of M. Let H(p) be the entropy with natural logarithms: over
        the classes for "softmax", of the two outcomes of each column for "sigmoid".

        - "variance": ``mean_m (p_m - mean_m p_m)**2``;
        - "mutual_information": ``H(mean_m p_m) - mean_m H(p_m)``, the part of the entropy that comes from disagreement
          of the members, not from the uncertainty of each (Houlsby et al., 2011);
        - "vote_entropy": H of the shares of votes. Each member votes for its most probable class, or for the more
          probable outcome of each column (Dagan and Engelson, 1995).

        Parameters
        ----------
        X : array_like, shape (n, in_features)
        kind : {"variance", "mutual_information", "vote_entropy"}, default "variance"
            The last two need probabilities, so they need `output` to be "softmax" or "sigmoid".

        Returns
        -------
        ndarray of float64
            Shape (n, out_features), or (n,) for the last two with "softmax". No entry is below 0.

        Raises
        ------
        TypeError, ValueError
            If `kind` is unknown or needs probabilities; or as `Sequential.predict` does.
        """
        measure = _KINDS[v.choice("kind", kind, _KINDS)]
        if kind != "variance" and self.output == "raw":
            fix = "make the ensemble with output='softmax' or output='sigmoid'"
            v.refuse(ValueError, "kind", "be 'variance' for raw outputs", v.shown(kind), fix)
        entropy, vote = _ENTROPIES.get(self.output), _VOTES.get(self.output)
        width = () if kind != "variance" and self.output == "softmax" else (self.members[0].out_features,)
        x = self.members[0].as_input("X", X)
        return self._by_rows(x, lambda p: measure(p, entropy, vote), np.empty((len(x), *width)))

    def _refuse_output_scalers(self) -> None:
        """Refuse members whose outputs are scaled, if probabilities are to be made of them."""
        for index, net in enumerate(() if self.output == "raw" else self.members):
            if (scaler := net.output_scaler) is not None:
                must = f"have no output_scaler for the output {self.output!r}"
                v.refuse(ValueError, f"members[{index}]", must, v.shown(scaler), "write net.output_scaler = None")

    def _by_rows(self, x: Array, figure: Callable[[Array], Array], result: Array) -> Array:
        """Write a figure of all members' outputs to `result`, chunk by chunk, so that memory is bounded."""
        step = max(1, ELEMENTS // (self.members[0].out_features * len(self.members)))
        for start in range(0, len(x), step):
            rows = slice(start, start + step)
            result[rows] = figure(self.predict_members(x[rows]))
        return result

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Sequential]:
        return iter(self.members)

    def __getitem__(self, index: SupportsIndex) -> Sequential:
        """Return a member. For fewer members write ``fastnn.Ensemble(ensemble.members[:3], ensemble.output)``."""
        given: object = index
        if isinstance(given, slice):
            fix = "write fastnn.Ensemble(ensemble.members[:3], ensemble.output), for example"
            v.refuse(TypeError, "the index of a member", "be an integer", "a slice", fix)
        return self.members[index]

    def __repr__(self) -> str:
        return f"Ensemble({len(self)} nets, output={self.output!r})"


class _Mean:
    """The mean of an ensemble, with what `evaluate` needs of a net."""

    dtype = np.dtype(np.float64)

    def __init__(self, ensemble: Ensemble, takes_logits: bool) -> None:
        net = ensemble.members[0]
        self.in_features, self.out_features, self.as_input = net.in_features, net.out_features, net.as_input
        self._predict, self.output_scaling = ensemble.predict, _common_scaling(ensemble.members)
        self.id_columns = net.id_columns
        self._logits = _LOGITS[ensemble.output] if takes_logits else _LOGITS["raw"]

    def scaled_outputs(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        with np.errstate(divide="ignore"):  # the logit of a probability of 0 is -inf
            mean = self._logits(self._predict(X))
        if out is not None:
            out[...] = mean
        return mean if self.output_scaling is None else scale_targets(mean, self.output_scaling, mean.dtype)


def _common_scaling(members: tuple[Sequential, ...]) -> Scaling | None:
    """Return the numbers of the members' output scalers, which must be the same, in float64."""
    first = members[0].output_scaling
    for index, net in enumerate(members):
        if not (net.output_scaling is first or (first is not None and first.equals(net.output_scaling))):
            must = "have the output_scaler of members[0], as the loss is in scaled units"
            fix = "compute a figure of ensemble.predict(X), which is in the unit of the targets"
            v.refuse(ValueError, f"members[{index}]", must, v.shown(net.output_scaler), fix)
    return None if first is None else first.astype(np.float64)


def _rows(n: int, seed: int, index: int) -> Array:
    """Return n row numbers, drawn with replacement."""
    bits = kernels.random_bits(n, seed=seed, stream=ROWS_STREAM, step=index).astype(np.uint64)
    return ((bits * np.uint64(n)) >> np.uint64(32)).astype(np.int64)
