"""Ensembles: several nets that answer together, and how much they disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn import kernels
from fastnn._settings import ReadOnly
from fastnn._typing import Array
from fastnn.nn import Sequential
from fastnn.nn.sequential import check_seed
from fastnn.training.history import History
from fastnn.training.trainer import Trainer

__all__ = ["Ensemble"]

ELEMENTS = 1 << 18  # outputs of all members that are held together
ROWS_STREAM = 2**32 - 1  # of the random numbers; those of nets count from 0


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _sigmoid(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


def _plogp(p: Array) -> Array:
    return p * np.log(np.where(p > 0, p, 1.0))


# What is made of a net's output; and of probabilities their entropy, and what the member votes for.
_OUTPUTS: dict[str, Callable[[Array], Array]] = {"raw": lambda z: z, "softmax": _softmax, "sigmoid": _sigmoid}
_ENTROPIES: dict[str, Callable[[Array], Array]] = {
    "softmax": lambda p: -_plogp(p).sum(axis=-1),
    "sigmoid": lambda p: -_plogp(p) - _plogp(1.0 - p),
}
_VOTES: dict[str, Callable[[Array], Array]] = {
    "softmax": lambda p: np.eye(p.shape[-1])[p.argmax(axis=-1)],
    "sigmoid": lambda p: (p > 0.5).astype(np.float64),
}

# Disagreement of outputs (members, rows, columns); the two of probabilities are given the entropy and the vote.
_KINDS: dict[str, Callable[[Array, Any, Any], Array]] = {
    "variance": lambda p, entropy, vote: p.var(axis=0),
    "mutual_information": lambda p, entropy, vote: np.maximum(entropy(p.mean(axis=0)) - entropy(p).mean(axis=0), 0.0),
    "vote_entropy": lambda p, entropy, vote: entropy(vote(p).mean(axis=0)),
}


class Ensemble(ReadOnly):
    """Nets that answer with the mean of their outputs.

    The mean's squared error is the members' mean squared error less their variance (Krogh and Vedelsby, 1995), and its
    cross entropy is at most their mean cross entropy, by Jensen's inequality.

    Parameters
    ----------
    members : iterable of Sequential
        At least one; all take and give as many numbers.
    output : {"raw", "softmax", "sigmoid"}, default "raw"
        What is made of a net's output before the mean is taken: nothing; probabilities of classes, where the loss was
        the cross entropy; or of yes in each column, where it was the binary one. One output alone has no classes.

    Attributes
    ----------
    members : tuple of Sequential
    output : str
    histories : tuple of History
        Of the members' trainings, if it was `fit` that trained them.

    Raises
    ------
    TypeError, ValueError
        If a member is no net, or unlike the first in width, or `output` not known.

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

    def __init__(self, members: Iterable[Sequential], output: str = "raw") -> None:
        if not isinstance(members, Iterable):
            v.refuse(TypeError, "members", "be a sequence of nets", type(members).__name__)
        self.members = tuple(members)
        if not self.members:
            v.refuse(ValueError, "members", "be at least one net", "none")
        for index, net in enumerate(self.members):
            if not isinstance(net, Sequential):
                v.refuse(TypeError, f"members[{index}]", "be a Sequential", type(net).__name__)
            widths = [(each.in_features, each.out_features) for each in (self.members[0], net)]
            if widths[0] != widths[1]:
                v.refuse(ValueError, f"members[{index}]", f"have widths {widths[0]}, those of the first", widths[1])
        self.output = v.choice("output", output, _OUTPUTS)
        if output == "softmax" and self.members[0].out_features == 1:
            v.refuse(
                ValueError, "output", "be sigmoid or raw for nets of one output, whose softmax is 1", v.shown(output)
            )
        self.histories: tuple[History, ...] = ()

    @classmethod
    def fit(
        cls,
        build: Callable[[int], Trainer],
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        members: int = 5,
        seed: int | None = 0,
        output: str = "raw",
        bagging: bool = False,
        sample_weight: npt.ArrayLike | None = None,
        **settings: Any,
    ) -> Ensemble:
        """Train nets that differ by their seeds, and with `bagging` by the rows that they see.

        The result is a function of the arguments, for any number of threads.

        Parameters
        ----------
        build : callable
            Takes a seed and returns a new `Trainer` whose net has it, for initial weights, dropout and order of rows.
        X, y, sample_weight
            As for `Trainer.fit`.
        members : int, default 5
            How many, at least 1.
        seed : int, optional
            Of the first, by default 0; the others have the numbers after it. None draws it as `Sequential` does.
        output : {"raw", "softmax", "sigmoid"}, default "raw"
            As in the class.
        bagging : bool, default False
            Whether each is trained on as many rows as there are, drawn with replacement (Breiman, 1996), in a copy.
        **settings
            Of `Trainer.fit`: ``epochs``, ``batch_size``, ``validation_data``, ``callbacks``, ...

        Returns
        -------
        Ensemble

        Raises
        ------
        TypeError, ValueError
            If an argument is of a wrong kind, shape or range, or `build` returns no new trainer or always one seed.
        """
        count, first = v.integer("members", members, 1), check_seed(seed)
        v.choice("output", output, _OUTPUTS)
        if not callable(build):
            v.refuse(TypeError, "build", "be a function of a seed that returns a Trainer", type(build).__name__)
        trainers = [build((first + index) % 2**64) for index in range(count)]
        for index, trainer in enumerate(trainers):
            if not isinstance(trainer, Trainer):
                v.refuse(TypeError, "build", "be a function that returns a Trainer", type(trainer).__name__)
            if trainer.epoch or any(trainer.net is other.net for other in trainers[:index]):
                v.refuse(
                    ValueError, "build", "be a new net at each call", "one that it had returned, or trained, before"
                )
            if any(trainer.net.seed == other.net.seed for other in trainers[:index]):
                v.refuse(ValueError, "build", "be nets with the seeds that it is given", f"{trainer.net.seed} again")
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
        ensemble._set_unchecked(histories=tuple(trainer.history for trainer in trainers))
        return ensemble

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the mean of the members' outputs, or of the probabilities made of them.

        Parameters
        ----------
        X : array_like, shape (n, in_features)

        Returns
        -------
        ndarray of float64, shape (n, out_features)

        Raises
        ------
        TypeError, ValueError
            As `Sequential.predict` does.
        """
        return self._by_rows(X, lambda p: np.asarray(p.mean(axis=0)), (self.members[0].out_features,))

    def predict_members(self, X: npt.ArrayLike) -> Array:
        """Return what each member says: what `predict` is the mean of.

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
        return np.stack([_OUTPUTS[self.output](net.predict(X).astype(np.float64)) for net in self.members])

    def disagreement(self, X: npt.ArrayLike, kind: str = "variance") -> Array:
        """Return how much the members differ in each row.

        With p_m what member m of M says, and the entropy H(p), natural logarithms, over the classes or, for "sigmoid",
        of yes and no in each column:

        - "variance": ``mean_m (p_m - mean_m p_m)**2``;
        - "mutual_information": ``H(mean_m p_m) - mean_m H(p_m)``, the part of the entropy that is the members'
          disagreement, not each one's own doubt (Houlsby et al., 2011);
        - "vote_entropy": H of the shares of the members' votes, each for its likeliest class, or for yes where that is
          likelier than no (Dagan and Engelson, 1995).

        Parameters
        ----------
        X : array_like, shape (n, in_features)
        kind : {"variance", "mutual_information", "vote_entropy"}, default "variance"
            The last two are of probabilities.

        Returns
        -------
        ndarray of float64
            Shape (n, out_features); (n,) for the last two over classes. None is below 0.

        Raises
        ------
        TypeError, ValueError
            If `kind` is not known or needs probabilities; or as `Sequential.predict` does.
        """
        measure = _KINDS[v.choice("kind", kind, _KINDS)]
        if kind != "variance" and self.output == "raw":
            v.refuse(ValueError, "kind", "be variance, as raw outputs are no probabilities", v.shown(kind))
        entropy, vote = _ENTROPIES.get(self.output), _VOTES.get(self.output)
        width = () if kind != "variance" and self.output == "softmax" else (self.members[0].out_features,)
        return self._by_rows(X, lambda p: measure(p, entropy, vote), width)

    def _by_rows(self, X: npt.ArrayLike, figure: Callable[[Array], Array], width: tuple[int, ...]) -> Array:
        """A figure of all members' outputs, chunk by chunk, so that memory is bounded."""
        net = self.members[0]
        x = net.as_input("X", X)
        result = np.empty((len(x), *width))
        step = max(1, ELEMENTS // (net.out_features * len(self.members)))
        for start in range(0, len(x), step):
            rows = slice(start, start + step)
            result[rows] = figure(self.predict_members(x[rows]))
        return result

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        return f"Ensemble({len(self)} nets, output={self.output!r})"


def _rows(n: int, seed: int, index: int) -> Array:
    """As many rows as there are, drawn with replacement."""
    bits = kernels.random_bits(n, seed=seed, stream=ROWS_STREAM, step=index).astype(np.uint64)
    return ((bits * np.uint64(n)) >> np.uint64(32)).astype(np.int64)
