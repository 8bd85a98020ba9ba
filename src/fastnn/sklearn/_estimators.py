"""The two estimators: scikit-learn's parameters, methods and attributes, and what fastnn has besides."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.callback import CallbackSupportMixin
from sklearn.metrics import accuracy_score, get_scorer_names, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastnn import _validation as v
from fastnn import kernels, nn, optim
from fastnn._config import num_threads
from fastnn._typing import Array
from fastnn.sklearn._full_batch import FullBatch
from fastnn.sklearn._model import (
    ACTIVATIONS,
    INITIALIZERS,
    LOSS_NAMES,
    OPTIMIZERS,
    SCHEDULES,
    Model,
    adapted,
    goes_unchanged,
    hidden_sizes,
    make_net,
    structure_of,
)  # fmt: skip
from fastnn.sklearn._rows import dense_slices
from fastnn.sklearn._state import check_layers, check_rest, check_state
from fastnn.sklearn._stochastic import Epochs
from fastnn.sklearn._targets import check_numbers
from fastnn.sklearn._tasks import Tasks
from fastnn.sklearn._weights import balanced, takes_weights, weights_of

SMALL = 4096  # elements of an input that is looked at here; with more, scikit-learn's checks take no time that counts

_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))

_OUTPUTS: Mapping[str, Any] = {
    "identity": lambda z: z,
    "logistic": lambda z: kernels.sigmoid(z, out=z),
    "softmax": kernels.softmax,
    "exp": lambda z: np.exp(z, out=z),
}

# What no solver but those of batches can do, with the value that asks for nothing.
_STOCHASTIC_ONLY: Mapping[str, Any] = {
    "dropout": 0.0,
    "batch_norm": False,
    "optimizer": None,
    "weight_decay": None,
    "schedule": None,
    "clip_norm": None,
    "clip_value": None,
    "callbacks": None,
}


# What a fit from the beginning has nothing of from the fits before.
_FITTED = {
    "_best_coefs", "_best_intercepts", "_label_binarizer", "_model", "_no_improvement_count", "_optimizer",
    "_random_state", "_seed", "_structure", "_training_steps", "best_loss_", "best_validation_score_", "classes_",
    "coefs_", "feature_names_in_", "intercepts_", "loss_", "loss_curve_", "n_features_in_", "n_iter_", "n_layers_",
    "n_outputs_", "other_parameters_", "out_activation_", "t_", "validation_loss_curve_", "validation_scores_",
}  # fmt: skip


def _at_least(kind: type, low: float, closed: str = "left", high: float | None = None) -> Interval:
    return Interval(kind, low, high, closed=closed)


class _Perceptron(CallbackSupportMixin, BaseEstimator, ABC):
    """What classifier and regressor share."""

    _parameter_constraints: Mapping[str, Any] = {
        "hidden_layer_sizes": ["array-like", _at_least(Integral, 1)],
        "activation": [StrOptions(ACTIVATIONS.keys()), nn.Layer, "array-like"],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [_at_least(Real, 0)],
        "batch_size": [StrOptions({"auto"}), _at_least(Integral, 1)],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [_at_least(Real, 0, "neither")],
        "power_t": [_at_least(Real, 0)],
        "max_iter": [_at_least(Integral, 1)],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [_at_least(Real, 0)],
        "verbose": ["verbose", StrOptions({"bar"})],
        "warm_start": ["boolean"],
        "momentum": [_at_least(Real, 0, "both", 1)],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [_at_least(Real, 0, "left", 1)],
        "beta_1": [_at_least(Real, 0, "left", 1)],
        "beta_2": [_at_least(Real, 0, "left", 1)],
        "epsilon": [_at_least(Real, 0, "neither")],
        "n_iter_no_change": [_at_least(Integral, 1), Options(Real, {np.inf})],
        "max_fun": [_at_least(Integral, 1)],
        "dropout": [_at_least(Real, 0, "left", 1), "array-like"],
        "batch_norm": ["boolean"],
        "optimizer": [StrOptions(set(OPTIMIZERS)), optim.Optimizer, None],
        "weight_decay": [_at_least(Real, 0), None],
        "schedule": [StrOptions(set(SCHEDULES)), callable, None],
        "clip_norm": [_at_least(Real, 0, "neither"), None],
        "clip_value": [_at_least(Real, 0, "neither"), None],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
        "callbacks": [list, tuple, None],
        "init": [StrOptions(set(INITIALIZERS)), callable, None],
        "dtype": [StrOptions({"float32", "float64"}), Options(type, {np.float32, np.float64}), None],
        "n_threads": [_at_least(Integral, 1, "left", 2**31), None],
    }

    def _store(self, parameters: Mapping[str, Any]) -> None:
        """Keep the constructor's parameters, as they are."""
        for name, value in parameters.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def _validate_params(self) -> None:
        """Look for numbers beyond all floats first, of which scikit-learn's messages cannot always tell."""
        for name, value in self.get_params(deep=False).items():
            for each in value if isinstance(value, list | tuple) else (value,):
                v.within_floats(name, each)
        super()._validate_params()

    # ---- fitting ----

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            float32 gives a model of float32, anything else one of float64, unless `dtype` says otherwise. Sparse rows
            become dense batch by batch.
        y : array-like, shape (n_samples,) or (n_samples, n_outputs)
            Class labels (rows of 0 and 1 for several labels at once), or numbers.
        sample_weight : array-like, shape (n_samples,), optional
        eval_set : tuple (X, y) or (X, y, sample_weight), optional
            Rows that are not trained on: `validation_loss_curve_` has their loss after every epoch. With
            `early_stopping` they are also what the score is computed from, and nothing is split off.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter or an array is of a wrong kind, shape or range, and then the estimator is as before; or if
            the weights are not finite at the end.
        Exception
            What a callback or a loss raises. The net is as after the last whole step; without `warm_start` it is the
            new one, with the new labels.
        RuntimeError
            If the estimator is being fitted by another call.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` ends the fit.
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=False, eval_set=eval_set)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        eval_set: Any = None,
        classes: Any = None,
    ) -> Any:
        before: Model | None = self.__dict__.get("_model")
        if before is not None:
            before.net.training_claim.refuse_nested_fit()
        # The claims are entered by plain `with`, between whose entry and whose block no signal handler runs.
        with self._threads():
            with contextlib.nullcontext() if before is None else before.net.training_claim:
                draft, work = self._make_draft(X, y, sample_weight, incremental, eval_set, classes)
                if before is not None and before.net is work.model.net:
                    return self._run(draft, work, X, y, sample_weight, incremental)
            del before  # its memory may go
            with work.model.net.training_claim:
                return self._run(draft, work, X, y, sample_weight, incremental)

    def _run(self, draft: Any, work: FullBatch | Epochs, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        """Become the draft, and make the steps."""
        self.__dict__ = draft.__dict__
        epochs = 0 if self.solver == "lbfgs" else 1 if incremental else self.max_iter
        tasks = Tasks(self, X, y, sample_weight, epochs)
        work.run(self, tasks)
        tasks.end()
        if not v.all_finite(work.model.net.params.data):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be"
                " preprocessed."
            )
        return self

    def _make_draft(self, *given: Any) -> tuple[Any, FullBatch | Epochs]:
        """Check everything on a draft of the estimator; return what it is to become, and what is left to do.

        So the estimator is what it was until the first step is about to be made, and whoever predicts or copies it
        meanwhile has it before or after, in one piece.
        """
        goes_on = hasattr(self, "coefs_") and (self.warm_start or given[3])
        generator = self.random_state if isinstance(self.random_state, np.random.RandomState) else None
        drawn: Any = generator and generator.get_state(legacy=False)
        draft = object.__new__(type(self))
        kept = vars(self).copy()
        draft.__dict__ = kept if goes_on else {name: kept[name] for name in kept if name not in _FITTED}
        try:
            return draft, draft._prepared(goes_on, *given)
        except BaseException:
            if generator is not None:
                generator.set_state(drawn)
            raise

    def _prepared(
        self, goes_on: bool, X: Any, y: Any, sample_weight: Any, incremental: bool, eval_set: Any, classes: Any
    ) -> FullBatch | Epochs:
        """Check the arguments and the parameters, set what a fit begins with, and return what is left to do."""
        self._check_first_call(y, incremental, classes)
        model: Model | None = self.__dict__.get("_model") if goes_on and incremental else None
        unchanged = model is not None and goes_unchanged(self, model)
        if goes_on and incremental and not unchanged:
            self._validate_params()  # which scikit-learn leaves to the first call
        hidden = hidden_sizes(self)
        if not goes_on and np.any(np.array(hidden) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        self._check_options(incremental, eval_set)
        X, y = self._validate_input(X, y, incremental, reset=not goes_on)
        if sample_weight is not None:
            check_numbers("sample_weight", sample_weight)
            sample_weight = _check_sample_weight(sample_weight, X)
        if eval_set is not None:
            eval_set = self._check_eval_set(eval_set)
        names = ("X", "y", "sample_weight")
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        if getattr(self, "class_weight", None) is not None:
            sample_weight = self._weighted_by_class(y, sample_weight)
            names = ("X", "y", "sample_weight times class_weight")
        self._random_state = check_random_state(self.random_state)
        if not goes_on:
            model = self._initialize(y, [X.shape[1], *hidden, y.shape[1]], X.dtype)
        elif y.shape[1] != self.coefs_[-1].shape[1]:
            v.refuse(ValueError, "y", f"be {self.coefs_[-1].shape[1]} columns, as in the fit before", y.shape[1])
        else:
            model = adapted(self, self._bound(), self._structure_fitted())
        self.n_outputs_ = y.shape[1]
        work: FullBatch | Epochs
        if self.solver == "lbfgs":
            work = FullBatch(self, model, X, y, sample_weight, names)
        else:
            work = Epochs(self, model, X, y, sample_weight, eval_set, incremental, unchanged, names)
        self._publish(work.model)
        work.begin()
        return work

    def _check_first_call(self, y: Any, incremental: bool, classes: Any) -> None:
        """See to the classes that the first of several calls brings."""

    def _check_options(self, incremental: bool, eval_set: Any) -> None:
        """Refuse what does not go together."""
        if self.solver == "lbfgs":
            asked = [name for name, off in _STOCHASTIC_ONLY.items() if not np.array_equal(getattr(self, name), off)]
            asked += ["eval_set"] if eval_set is not None else []
            if asked:
                v.refuse(ValueError, asked[0], "be solver='sgd' or 'adam' with it", "solver='lbfgs'")
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")

    def _initialize(self, y: Array, layer_units: list[int], dtype: Any) -> Model:
        """Make the net and draw its weights: for each layer those, then its intercepts, from one stream."""
        for a, b in pairwise(layer_units):
            v.size("hidden_layer_sizes", (a, b), np.float64)
        self.t_ = 0
        self.n_layers_ = len(layer_units)
        self.out_activation_ = self._output_activation()
        drawn = [self._init_coef(a, b, dtype) for a, b in pairwise(layer_units)]
        # scikit-learn's minimiser has float64 whatever X is.
        kind = self.dtype or (np.float64 if self.solver == "lbfgs" else dtype)
        self._seed = self._training_steps = 0
        if self.init is not None or np.any(np.asarray(self.dropout) > 0):
            self._need_seed()
        self._structure = structure_of(self)
        model = Model(make_net(self._structure, layer_units, kind, self._seed, self.init))
        if self.init is None:
            model.load([coef for coef, _ in drawn], [intercept for _, intercept in drawn])
        self._best_coefs = [coef.copy() for coef in model.coefs]
        self._best_intercepts = [intercept.copy() for intercept in model.intercepts]
        return model

    def _need_seed(self) -> None:
        """Draw the net's seed where nothing has been drawn by it so far."""
        self._seed = self.__dict__.get("_seed", 0) or int(self._random_state.randint(2**31))

    def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> tuple[Array, Array]:
        """Draw weights and intercepts of one layer as scikit-learn does, in float64 (Glorot and Bengio, 2010)."""
        logistic = isinstance(self.activation, str) and self.activation == "logistic"
        bound = np.sqrt((2.0 if logistic else 6.0) / (fan_in + fan_out))
        coef = self._random_state.uniform(-bound, bound, (fan_in, fan_out))
        intercept = self._random_state.uniform(-bound, bound, fan_out)
        return coef.astype(dtype, copy=False), intercept.astype(dtype, copy=False)

    def _check_eval_set(self, eval_set: Any) -> tuple[Any, Array, Array | None]:
        if not isinstance(eval_set, Sequence) or len(eval_set) not in (2, 3):
            v.refuse(TypeError, "eval_set", "be a tuple (X, y) or (X, y, sample_weight)", type(eval_set).__name__)
        X, y, *rest = eval_set
        X, y = self._validate_eval(X, y)
        weight = rest[0] if rest else None
        if weight is not None:
            check_numbers("eval_set[2]", weight)
            weight = _check_sample_weight(weight, X)
        return X, y.reshape(-1, 1) if y.ndim == 1 else y, weight

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        with (
            contextlib.nullcontext()
            if self.n_threads is None
            else num_threads(v.integer("n_threads", self.n_threads, 1))
        ):
            yield

    # ---- the net ----

    def _bound(self) -> Model:
        """Return the model whose net holds the arrays that are attributes, which may have been assigned to."""
        model: Model | None = self.__dict__.get("_model")
        others = self.__dict__.get("other_parameters_", {})
        if model is not None and model.holds(self.coefs_, self.intercepts_, others):
            return model
        coefs, intercepts = (
            [v.numeric(f"{name}[{i}]", each) for i, each in enumerate(getattr(self, name))]
            for name in ("coefs_", "intercepts_")
        )
        check_layers(coefs, intercepts)
        if model is None or [coef.shape for coef in model.coefs] != [coef.shape for coef in coefs]:
            model = self._make_model()
        known = others.keys() == model.others.keys()
        if known:
            for name, array in model.others.items():
                v.shape(f"other_parameters_[{name!r}]", np.asarray(others[name]), array.shape)
        model.load(coefs, intercepts, [others[name] for name in model.others] if known else None)
        self._publish(model)
        return model

    def _make_model(self) -> Model:
        """Return a model of the widths and the dtype that `coefs_` have, of what the estimator was fitted with."""
        arrays = [*map(np.asarray, self.coefs_), *map(np.asarray, self.intercepts_)]
        widths = [arrays[0].shape[0], *(coef.shape[1] for coef in arrays[: len(self.coefs_)])]
        dtype = np.float32 if all(array.dtype == np.float32 for array in arrays) else np.float64
        model = Model(make_net(self._structure_fitted(), widths, dtype, self.__dict__.get("_seed", 0)))
        model.net.training_steps = self.__dict__.get("_training_steps", 0)
        return model

    def _structure_fitted(self) -> Mapping[str, Any]:
        """What the net was made of; where nobody fitted it but its arrays were assigned, what the parameters say."""
        structure: Mapping[str, Any] | None = self.__dict__.get("_structure")
        return structure_of(self) if structure is None else structure

    def _publish(self, model: Model) -> None:
        """Make the model the estimator's, and show its arrays, which are views, as attributes."""
        self._model = model
        self.coefs_, self.intercepts_ = list(model.coefs), list(model.intercepts)
        if model.others:
            self.other_parameters_ = dict(model.others)
        else:
            self.__dict__.pop("other_parameters_", None)

    def __getstate__(self) -> dict[str, Any]:
        """Return plain arrays and parameters; the net is made anew from them."""
        model = self._bound() if "coefs_" in self.__dict__ else None
        state = {name: value for name, value in super().__getstate__().items() if name != "_model"}
        if model is not None:
            state |= model.saved(state.get("_optimizer"))  # copies: also a shallow copy goes on alone
        return state

    def __setstate__(self, state: Any) -> None:
        """Take over a state that has been looked at; one that is refused changes nothing."""
        check_state(state)
        before = dict(self.__dict__)
        super().__setstate__(state)
        if "coefs_" not in state:
            return
        try:
            model = self._make_model()
            check_rest(state, model)
            others = self.__dict__.get("other_parameters_", {})
            model.load(self.coefs_, self.intercepts_, [others[name] for name in model.others])
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self._publish(model)

    # ---- predicting ----

    def _forward_pass_fast(self, X: Any, check_input: bool = True) -> Array:
        """Return the output activation's values, (n_samples, n_outputs)."""
        if "coefs_" not in self.__dict__:
            check_is_fitted(self)
        model = self._bound()
        if check_input and not self._is_plain(X):
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        if self.n_threads is not None:
            with self._threads():
                return self._outputs(model, X)
        return self._outputs(model, X)

    def _outputs(self, model: Model, X: Any) -> Array:
        if isinstance(X, np.ndarray):
            z = model.net.predict(X)
        else:
            z = np.empty((X.shape[0], model.net.out_features), model.net.dtype)
            for rows, part in dense_slices(X):
                model.net.predict(part, out=z[rows])
        outputs: Array = _OUTPUTS[self.out_activation_](z)
        return outputs

    def _is_plain(self, X: Any) -> bool:
        """Whether scikit-learn's checks would let a small array pass as it is."""
        return (
            type(X) is np.ndarray
            and X.dtype in _FLOATS
            and X.ndim == 2
            and X.shape[1] == self.n_features_in_
            and 0 < X.size <= SMALL
            and "feature_names_in_" not in self.__dict__
            # A sum that overflows is for scikit-learn to look at.
            and v.squares_are_finite(X)
        )

    def _passes(self, X: Any, y: Any, reset: bool) -> bool:
        """Whether scikit-learn's checks would let a few rows and their targets pass as they are, without a word."""
        return not reset and self._is_plain(X) and type(y) is np.ndarray and y.shape[:1] == X.shape[:1]

    def _validation_score(self, scorer: Any, X: Any, y: Array, sample_weight: Array | None) -> float:
        """The figure that early stopping goes by; more is better."""
        if scorer is None:
            return self._score(X, y, sample_weight=sample_weight)
        weights = {} if sample_weight is None or not takes_weights(scorer) else {"sample_weight": sample_weight}
        names = self.__dict__.pop("feature_names_in_", None)  # the rows have been separated from them
        try:
            return float(scorer(self, X, y, **weights))
        finally:
            if names is not None:
                self.feature_names_in_ = names

    def _score_with_function(self, X: Any, y: Array, sample_weight: Array | None, score_function: Any) -> float:
        y_pred = self._predict(X, check_input=False)
        if np.issubdtype(y_pred.dtype, np.floating) and not np.isfinite(y_pred).all():
            return np.nan
        return score_function(y, y_pred, sample_weight=sample_weight)

    def _loss_grad_lbfgs(self, packed_coef_inter: Array, X: Any, y: Array, sample_weight: Any, *buffers: Any) -> Any:
        """Return the loss at packed parameters and its gradient; buffers for intermediate results are not needed."""
        return FullBatch(self, self._bound(), X, y, sample_weight)(packed_coef_inter)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ---- what the two differ in ----

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Check the training data; the targets come back as numbers, or as bool for classes."""

    @abstractmethod
    def _validate_eval(self, X: Any, y: Any) -> tuple[Any, Array]:
        """The same for data that is not trained on."""

    @abstractmethod
    def _output_activation(self) -> str:
        """The name of what makes predictions of the net's outputs."""

    @abstractmethod
    def _predict(self, X: Any, check_input: bool = True) -> Array:
        """Predict, with or without a look at X."""

    @abstractmethod
    def _score(self, X: Any, y: Array, sample_weight: Array | None = None) -> float:
        """The default score of early stopping, without a look at X."""


class MLPClassifier(ClassifierMixin, _Perceptron):
    """A multilayer perceptron for classes: scikit-learn's `MLPClassifier`, run by fastnn.

    Parameters, methods, attributes and results are scikit-learn's; the parameters after `max_fun` are fastnn's own.
    With float64, one `random_state` and the solver "sgd" or "adam", losses and weights follow scikit-learn's to many
    digits.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Widths of the hidden layers; ``()`` has none.
    activation : {"identity", "logistic", "tanh", "relu"}, a name of fastnn's, a layer, or a list, default="relu"
        What hidden layers do to their sums. Besides scikit-learn's four it may be any of fastnn's activations by name
        ("leaky_relu", ...) or a layer of `fastnn.nn` (``nn.LeakyReLU(0.2)``), and a list has one for each hidden layer.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        SciPy's L-BFGS-B over all rows, or epochs of batches.
    alpha : float, default=0.0001
        The penalty ``alpha / 2 * sum(w**2)`` of the weights, divided by the batch's total weight.
    batch_size : int or "auto", default="auto"
        "auto" is ``min(200, n_samples)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        For ``solver="sgd"``: constant; ``learning_rate_init / (t + 1) ** power_t`` after t samples; or divided by 5
        whenever `n_iter_no_change` epochs have brought no improvement, down to 1e-6.
    learning_rate_init : float, default=0.001
    power_t : float, default=0.5
    max_iter : int, default=200
        Epochs at most; iterations of "lbfgs".
    shuffle : bool, default=True
        Whether each epoch permutes the rows.
    random_state : int, RandomState or None, default=None
        Of initial weights, the validation split and the orders of rows, drawn as scikit-learn draws them.
    tol : float, default=1e-4
        What counts as an improvement is larger.
    verbose : bool, int or "bar", default=False
        Whether to print a line an epoch; "bar" shows progress bars.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the call before. Parameters that have changed since act, as in
        `partial_fit`; those that need other weights (`hidden_layer_sizes`, `batch_norm`, `dtype`, activations with
        slopes) are refused.
    momentum : float, default=0.9
    nesterovs_momentum : bool, default=True
        For ``solver="sgd"``.
    early_stopping : bool, default=False
        Whether to go by a score of rows held out, and to take the best epoch's weights at the end.
    validation_fraction : float, default=0.1
        How many rows are held out.
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Of Adam, in the form that adds `epsilon` before the correction of the bias.
    n_iter_no_change : int, default=10
        Epochs without improvement after which the next such one ends the fit.
    max_fun : int, default=15000
        Calls of the loss at most; for "lbfgs".
    dropout : float or list of float, default=0.0
        Probability with which a hidden unit is dropped in a step, for all hidden layers or each.
    batch_norm : bool, default=False
        Whether hidden layers are normalised before their activation. Their `intercepts_` are then the norms' shifts;
        scales and running statistics are in `other_parameters_`.
    optimizer : str, optimiser of `fastnn.optim` or None, default=None
        Takes the place of `solver`'s own: a class of `fastnn.optim` by name ("AdamW", ...), with `learning_rate_init`
        and `weight_decay`, or an object, which has its own settings.
    weight_decay : float or None, default=None
        Of the solver's optimiser or one given by name; None leaves it at the default. It is not in the loss, unlike
        `alpha`.
    schedule : str, schedule of `fastnn.optim`, callable or None, default=None
        What the learning rate does over time: a schedule, or its name ("CosineAnnealingLR", ...) for one that takes
        `max_iter` epochs; a function of the epoch multiplies the rate.
    clip_norm, clip_value : float or None, default=None
        What the norm of all gradients together, and each entry of them, is held to.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, which multiply the sample weights. "balanced" makes the totals of the classes equal,
        counted by the sample weights; `partial_fit` takes a dict, as the rows of one call do not tell the totals.
    loss : str or loss of `fastnn.nn`, default="log_loss"
        "log_loss", a name of fastnn's ("hinge", ...), or an object (``nn.CrossEntropyLoss(label_smoothing=0.1)``). With
        two classes there is one output, so that it has to be a loss of yes or no, such as ``nn.BCEWithLogitsLoss``.
    scoring : str, callable or None, default=None
        What early stopping goes by instead of accuracy: a scorer of scikit-learn, a function of estimator, rows and
        targets, or "loss", the least loss. Sample weights are given to those that take them.
    callbacks : list of `fastnn.Callback` or None, default=None
        Called with the trainer of the fit, see `fastnn.Callback`; logs have "loss", "lr", "seconds" and, where there is
        validation, "val_loss" and "val_score". scikit-learn's own go to `set_callbacks`, with an epoch for a task.
    init : str, initialiser of `fastnn.nn.init` or None, default=None
        None draws as scikit-learn does, weights and intercepts. Else weights are fastnn's and intercepts start at 0.
    dtype : {"float32", "float64"} or None, default=None
        Of the model; None takes that of X.
    n_threads : int or None, default=None
        None takes fastnn's setting. Results do not depend on it.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Views of the net's parameters: assigning to their entries, or putting others in their place, changes the model.
    loss_, best_loss_ : float
    loss_curve_, validation_scores_ : list of float
    best_validation_score_ : float
    t_, n_iter_, n_layers_, n_outputs_, n_features_in_ : int
    out_activation_ : str
    feature_names_in_ : ndarray
        As scikit-learn's.
    validation_loss_curve_ : list of float
        With an `eval_set` (or ``scoring="loss"``), its loss after every epoch, without penalties.
    other_parameters_ : dict of str to ndarray
        What the net has besides weights and intercepts, where it has.
    classes_ : ndarray

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from fastnn.sklearn import MLPClassifier
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> clf = MLPClassifier(random_state=1, max_iter=300, tol=1e-3).fit(X[:75], y[:75])
    >>> clf.score(X[75:], y[75:]) > 0.8
    True
    """

    _parameter_constraints: Mapping[str, Any] = {
        **_Perceptron._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "loss": [StrOptions({"log_loss", *LOSS_NAMES}), nn.Loss],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        batch_norm: bool = False,
        optimizer: Any = None,
        weight_decay: float | None = None,
        schedule: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        scoring: Any = None,
        callbacks: Any = None,
        init: Any = None,
        dtype: Any = None,
        n_threads: int | None = None,
        class_weight: Any = None,
        loss: Any = "log_loss",
    ) -> None:
        self._store(locals())

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        if incremental and not self.warm_start and self._passes(X, y, reset) and self._knows(y):
            return X, self._columns(y)
        X, y = self._validate_both(X, y, reset)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y), same=self.warm_start)
        return X, self._columns(y)

    def _knows(self, y: Array) -> bool:
        """Whether these are labels of known classes."""
        classes, kind = self.classes_, y.dtype.kind
        return (
            y.ndim == 1
            and kind in "biuU"
            and kind == classes.dtype.kind
            and bool((classes[np.searchsorted(classes[:-1], y)] == y).all())
        )

    def _columns(self, y: Any) -> Array:
        """Return the columns of bool that `_label_binarizer` makes of labels that it knows."""
        binarizer = self._label_binarizer
        if binarizer.y_type_.startswith("multilabel"):
            return binarizer.transform(y).astype(bool)
        if y.ndim > 1:
            v.refuse(ValueError, "y", "be 1-dimensional, as the labels of the fit before", f"shape {y.shape}")
        labels, classes = np.searchsorted(binarizer.classes_, y), len(binarizer.classes_)
        return labels[:, None] == (np.arange(classes) if classes > 2 else np.array([1]))

    def _validate_eval(self, X: Any, y: Any) -> tuple[Any, Array]:
        X, y = self._validate_both(X, y, reset=False)
        self._check_classes(unique_labels(y), same=False)
        return X, self._columns(y)

    def _validate_both(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=(np.float64, np.float32), reset=reset
        )
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _check_classes(self, classes: Array, same: bool) -> None:
        """Refuse classes that are not those of the fit before, or are no part of them."""
        if same and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {classes}"
            )
        if not np.isin(classes, self.classes_).all():
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _check_options(self, incremental: bool, eval_set: Any) -> None:
        super()._check_options(incremental, eval_set)
        if incremental and isinstance(self.class_weight, str):  # the rows of one call do not tell how many there are
            raise ValueError(
                f"class_weight {self.class_weight!r} is not supported for partial_fit. In order to use "
                f"{self.class_weight!r} weights, use compute_class_weight({self.class_weight!r}, classes=classes, y=y) "
                "with a large enough sample of the targets as y, and pass the resulting weights, as a dict, as "
                "class_weight"
            )

    def _weighted_by_class(self, y: Array, sample_weight: Array | None) -> Array:
        """Return the weights of the rows times those of their classes."""
        sample_weight = v.weights("sample_weight", sample_weight, len(y))
        if not self._label_binarizer.y_type_.startswith("multilabel"):
            labels = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0].astype(np.intp)
            if self.class_weight == "balanced":
                by_class = balanced(labels, len(self.classes_), sample_weight)[labels]
            else:
                by_class = weights_of(self.classes_, self.class_weight)[labels]
        elif self.class_weight == "balanced":
            by_class = np.prod([balanced(column, 2, sample_weight)[column] for column in y.T.astype(np.intp)], axis=0)
        else:
            by_class = compute_sample_weight(self.class_weight, y)
        with np.errstate(over="ignore"):  # which is looked at later
            return by_class if sample_weight is None else by_class * sample_weight

    def _check_first_call(self, y: Any, incremental: bool, classes: Any) -> None:
        if incremental and _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer().fit(y if type_of_target(y).startswith("multilabel") else classes)

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch over the given rows, going on with weights and optimiser.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
        y : array-like, shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like, shape (n_samples,), optional
        classes : array-like, shape (n_classes,), optional
            All classes of this and later calls; needed by the first.

        Returns
        -------
        self

        Raises
        ------
        AttributeError
            If the solver is "lbfgs".
        TypeError, ValueError
            As `fit` does; or if there are no `classes`, or others than before.
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=True, classes=classes)

    def predict(self, X: Any) -> Array:
        """Predict classes.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        ndarray, shape (n_samples,), or (n_samples, n_classes) of 0 and 1 where there are several labels
        """
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        probabilities = self._forward_pass_fast(X, check_input)
        binarizer = self._label_binarizer
        if binarizer.y_type_ == "multiclass":
            return binarizer.classes_[probabilities.argmax(axis=1)]
        if binarizer.y_type_ == "binary" and len(binarizer.classes_) == 2:
            return binarizer.classes_[(probabilities[:, 0] > 0.5).view(np.int8)]
        return binarizer.inverse_transform(probabilities[:, 0] if probabilities.shape[1] == 1 else probabilities)

    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            Columns in the order of `classes_`, in the model's dtype.
        """
        probabilities = self._forward_pass_fast(X)
        if probabilities.shape[1] > 1:
            return probabilities
        both = np.empty((len(probabilities), 2), probabilities.dtype)
        both[:, 1:] = probabilities
        np.subtract(1, probabilities, out=both[:, :1])
        return both

    def predict_log_proba(self, X: Any) -> Array:
        """Predict logarithms of the classes' probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def _score(self, X: Any, y: Array, sample_weight: Array | None = None) -> float:
        return self._score_with_function(X, y, sample_weight, accuracy_score)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _Perceptron):
    """A multilayer perceptron for numbers: scikit-learn's `MLPRegressor`, run by fastnn.

    Parameters, methods, attributes and results are scikit-learn's; the parameters after `max_fun` are fastnn's own.
    With float64, one `random_state` and the solver "sgd" or "adam", losses and weights follow scikit-learn's to many
    digits.

    Parameters
    ----------
    loss : str or loss of `fastnn.nn`, default="squared_error"
        "squared_error" or "poisson", as scikit-learn has them, half the squared error and half the deviance of counts
        whose rate has the net's output as its logarithm; a name of fastnn's ("huber", ...), or an object
        (``nn.HuberLoss(delta=2.0)``).
    hidden_layer_sizes, activation, ...
        The others are those of `MLPClassifier` but `class_weight`; early stopping goes by R² where `scoring` is None.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastnn.sklearn import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> reg = MLPRegressor(random_state=1, solver="lbfgs", max_iter=2000, tol=0.1).fit(X[:150], y[:150])
    >>> reg.score(X[150:], y[150:]) > 0.9
    True
    """

    _parameter_constraints: Mapping[str, Any] = {
        **_Perceptron._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson", *LOSS_NAMES}), nn.Loss],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        batch_norm: bool = False,
        optimizer: Any = None,
        weight_decay: float | None = None,
        schedule: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        scoring: Any = None,
        callbacks: Any = None,
        init: Any = None,
        dtype: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self._store(locals())

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        if self._passes(X, y, reset) and y.shape[1:] != (1,) and y.dtype in _FLOATS and v.squares_are_finite(y):
            return X, y
        check_numbers("y", y)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        y = y.astype(np.float64) if y.dtype == bool else y
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _validate_eval(self, X: Any, y: Any) -> tuple[Any, Array]:
        check_numbers("eval_set[1]", y)
        return self._validate_input(X, y, incremental=True, reset=False)

    def _output_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch over the given rows, going on with weights and optimiser.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
        y : array-like, shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like, shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        AttributeError
            If the solver is "lbfgs".
        TypeError, ValueError
            As `fit` does.
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Predict numbers.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_outputs)
            In the model's dtype.
        """
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        values = self._forward_pass_fast(X, check_input)
        return values.ravel() if values.shape[1] == 1 else values

    def _score(self, X: Any, y: Array, sample_weight: Array | None = None) -> float:
        return self._score_with_function(X, y, sample_weight, r2_score)
