"""The two estimators: scikit-learn's parameters, methods and attributes, and fastnn's own options."""

from __future__ import annotations

import contextlib
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, get_scorer_names, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fastnn import _validation as v
from fastnn import kernels, nn, optim
from fastnn._config import num_threads
from fastnn._habits import with_hints
from fastnn._names import normalized
from fastnn._typing import Array
from fastnn.data.augmentation import Augmentation
from fastnn.diagnosis._inputs import Given
from fastnn.nn._runners import PREDICT_ROWS
from fastnn.nn.predictor import Predictor
from fastnn.sklearn import _messages as messages
from fastnn.sklearn._columns import CategoryColumns, validated
from fastnn.sklearn._content import load_estimator, save_estimator
from fastnn.sklearn._diagnosed import diagnosed
from fastnn.sklearn._full_batch import FullBatchFit
from fastnn.sklearn._model import (
    Model,
    adapt_model,
    hidden_sizes,
    make_net,
    norm_of,
    settings_unchanged,
    structure_of,
)  # fmt: skip
from fastnn.sklearn._parameters import (
    ACTIVATION_NAMES,
    AUGMENTATION_NAMES,
    AVERAGE_NAMES,
    INITIALIZER_NAMES,
    KEYWORDS,
    LOSS_NAMES,
    NORM_NAMES,
    OPTIMIZER_NAMES,
    REGRESSION_LOSS_NAMES,
    SCHEDULE_NAMES,
    NameOptions,
    fix_of,
)
from fastnn.sklearn._predictor import EstimatorPredictor, LiveCalls, facts_of
from fastnn.sklearn._repeated import tries_repeated_fit
from fastnn.sklearn._rows import dense_blocks
from fastnn.sklearn._scaling import SCALER_BY_NAME, scalers_of, set_scalers
from fastnn.sklearn._state import check_layers, check_state, check_state_against_model
from fastnn.sklearn._stochastic import StochasticFit
from fastnn.sklearn._targets import check_numbers, encode
from fastnn.sklearn._tasks import CallbackTasks
from fastnn.sklearn._validation_set import ValidationSet, validation_set
from fastnn.sklearn._versions import CallbackSupportMixin
from fastnn.sklearn._weights import accepts_sample_weight, balanced_class_weights, class_weights_from_dict

# Inputs of at most this many elements are checked here, as scikit-learn's checks take much of a prediction's time.
SMALL_INPUT = 4096

_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))

_OUTPUT_ACTIVATIONS: Mapping[str, Any] = {
    "identity": lambda z: z,
    "logistic": lambda z: kernels.sigmoid(z, out=z),
    "softmax": kernels.softmax,
    "exp": lambda z: np.exp(z, out=z),
}

# Parameters that "lbfgs" does not support, each with the value that switches it off.
_STOCHASTIC_ONLY: Mapping[str, Any] = {
    "dropout": 0.0,
    "batch_norm": False,
    "optimizer": None,
    "weight_decay": None,
    "schedule": None,
    "clip_norm": None,
    "clip_value": None,
    "callbacks": None,
    "augment": None,
    "accumulate": 1,
    "average": None,
}


# The attributes that fits set. A fit that does not continue from an earlier one keeps none of them.
_FITTED_ATTRIBUTES = {
    "_best_coefs", "_best_intercepts", "_category_columns", "_label_binarizer", "_model", "_no_improvement_count",
    "_optimizer", "_random_state", "_scalers", "_seed", "_structure", "_training_steps", "best_loss_",
    "best_validation_score_", "categories_", "classes_", "coefs_", "feature_names_in_", "intercepts_",
    "is_categorical_", "loss_", "loss_curve_", "n_features_in_", "n_iter_", "n_layers_", "n_outputs_",
    "other_parameters_", "out_activation_", "t_", "validation_loss_curve_", "validation_scores_",
}  # fmt: skip


def _interval(kind: type, low: float, closed: str = "left", high: float | None = None) -> Interval:
    return Interval(kind, low, high, closed=closed)


class _Perceptron(CallbackSupportMixin, BaseEstimator, ABC):
    """The common part of classifier and regressor."""

    _parameter_constraints: Mapping[str, Any] = {
        "hidden_layer_sizes": ["array-like", _interval(Integral, 1)],
        "activation": [NameOptions(ACTIVATION_NAMES), nn.Layer, "array-like"],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [_interval(Real, 0)],
        "batch_size": [StrOptions({"auto"}), _interval(Integral, 1)],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [_interval(Real, 0, "neither")],
        "power_t": [_interval(Real, 0)],
        "max_iter": [_interval(Integral, 1)],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [_interval(Real, 0)],
        "verbose": ["verbose", StrOptions({"bar"})],
        "warm_start": ["boolean"],
        "momentum": [_interval(Real, 0, "both", 1)],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [_interval(Real, 0, "left", 1)],
        "beta_1": [_interval(Real, 0, "left", 1)],
        "beta_2": [_interval(Real, 0, "left", 1)],
        "epsilon": [_interval(Real, 0, "neither")],
        "n_iter_no_change": [_interval(Integral, 1), Options(Real, {np.inf})],
        "max_fun": [_interval(Integral, 1)],
        "dropout": [_interval(Real, 0, "left", 1), "array-like"],
        "batch_norm": ["boolean"],
        "norm": [NameOptions(NORM_NAMES), None],
        "residual": ["boolean"],
        "optimizer": [NameOptions(OPTIMIZER_NAMES), optim.Optimizer, None],
        "weight_decay": [_interval(Real, 0), None],
        "schedule": [NameOptions(SCHEDULE_NAMES), callable, None],
        "clip_norm": [_interval(Real, 0, "neither"), None],
        "clip_value": [_interval(Real, 0, "neither"), None],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
        "callbacks": [list, tuple, None],
        "init": [NameOptions(INITIALIZER_NAMES), callable, None],
        "dtype": [StrOptions({"float32", "float64"}), Options(type, {np.float32, np.float64}), None],
        "n_threads": [_interval(Integral, 1, "left", 2**31), None],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "scale": [StrOptions(set(SCALER_BY_NAME)), None],
        "augment": [NameOptions(AUGMENTATION_NAMES), Augmentation, callable, list, tuple, None],
        "accumulate": [_interval(Integral, 1)],
        "average": [NameOptions(AVERAGE_NAMES), optim.Average, None],
    }

    def _store_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Store the constructor's arguments unchanged."""
        for name, value in parameters.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def _validate_params(self) -> None:
        """Refuse numbers too large for a float first: scikit-learn cannot always put them into a message."""
        for name, value in self.get_params(deep=False).items():
            for each in value if isinstance(value, list | tuple) else (value,):
                v.within_floats(name, each)
        try:
            super()._validate_params()
        except ValueError as error:
            for name, constraints in self._parameter_constraints.items():
                if f"The {name!r} parameter" in str(error) and (fix := fix_of(name, getattr(self, name), constraints)):
                    messages.invalid_parameter(error, fix)
            raise

    # ---- fitting ----

    @_fit_context(prefer_skip_nested_validation=True)
    @with_hints(keywords=KEYWORDS)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        eval_set: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
            float32 gives a model of float32, anything else one of float64, unless `dtype` says otherwise. Sparse rows
            become dense batch by batch.
        y : array-like, shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or rows of 0 and 1 for several labels per sample; for a regressor, numbers.
        sample_weight : array-like, shape (n_samples,), optional
        eval_set : tuple (X, y) or (X, y, sample_weight), optional
            Rows that are not trained on. `validation_loss_curve_` has their loss after every epoch. With
            `early_stopping` the score is computed from them as well, and no training rows are held out.
        X_val, y_val, sample_weight_val : array-like, optional
            The same rows in the form of scikit-learn's gradient boosting, instead of `eval_set`. A pipeline with
            ``transform_input=["X_val"]`` transforms `X_val` as it transforms X.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter or an array has a wrong kind, shape or range; the estimator is then unchanged. Also if the
            weights are not finite at the end.
        Exception
            Any error of a callback or a loss. The net has the weights of the last whole step; without `warm_start` it
            is the new net, with the new labels.
        RuntimeError
            If another call is fitting the estimator.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` ends the fit.
        """
        validation = validation_set(eval_set, X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight=sample_weight, incremental=False, validation=validation)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        validation: ValidationSet | None = None,
        classes: Any = None,
    ) -> Any:
        before: Model | None = self.__dict__.get("_model")
        if before is not None:
            before.net.training_claim.refuse_nested_fit()
        # Enter the claims by a plain `with`: no signal handler can run between their `__enter__` and the block.
        with self._thread_setting():
            with contextlib.nullcontext() if before is None else before.net.training_claim:
                draft, checked_fit = self._draft_fit(X, y, sample_weight, incremental, validation, classes)
                if before is not None and before.net is checked_fit.model.net:
                    return self._run(draft, checked_fit, X, y, sample_weight, incremental)
            del before  # frees its memory before the steps, if nothing else refers to it
            with checked_fit.model.net.training_claim:
                return self._run(draft, checked_fit, X, y, sample_weight, incremental)

    def _run(
        self,
        draft: Any,
        checked_fit: FullBatchFit | StochasticFit,
        X: Any,
        y: Any,
        sample_weight: Any,
        incremental: bool,
    ) -> Any:
        """Take over the attributes of the draft, and train."""
        self.__dict__ = draft.__dict__
        epochs = 0 if self.solver == "lbfgs" else 1 if incremental else self.max_iter
        tasks = CallbackTasks(self, X, y, sample_weight, epochs)
        checked_fit.run(self, tasks)
        tasks.end()
        if not v.all_finite(checked_fit.model.net.params.data):
            messages.non_finite_weights()
        return self

    def _draft_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        incremental: bool,
        validation: ValidationSet | None,
        classes: Any,
    ) -> tuple[Any, FullBatchFit | StochasticFit]:
        """Check everything on a draft of the estimator; return the draft, and the checked fit, ready to run.

        The estimator itself is unchanged until all checks have passed. A call that predicts with it or copies it
        meanwhile sees it entirely as before or entirely as after.
        """
        continues = hasattr(self, "coefs_") and (self.warm_start or incremental)
        generator = self.random_state if isinstance(self.random_state, np.random.RandomState) else None
        generator_state: Any = generator and generator.get_state(legacy=False)
        draft = object.__new__(type(self))
        attributes = vars(self).copy()
        if not continues:
            attributes = {name: value for name, value in attributes.items() if name not in _FITTED_ATTRIBUTES}
        draft.__dict__ = attributes
        try:
            return draft, draft._check_fit(continues, X, y, sample_weight, incremental, validation, classes)
        except BaseException:
            if generator is not None:
                generator.set_state(generator_state)
            raise

    def _check_fit(
        self,
        continues: bool,
        X: Any,
        y: Any,
        sample_weight: Any,
        incremental: bool,
        validation: ValidationSet | None,
        classes: Any,
    ) -> FullBatchFit | StochasticFit:
        """Check the arguments and the parameters, set a fit's initial attributes, and return the fit, ready to run.

        Called on a draft. `continues` says whether the fit starts from the present weights.
        """
        self._check_first_call(y, incremental, classes)
        model: Model | None = self.__dict__.get("_model") if continues and incremental else None
        unchanged = model is not None and settings_unchanged(self, model)
        if continues and incremental and not unchanged:
            self._validate_params()  # scikit-learn does so only in the first call of partial_fit
        hidden = hidden_sizes(self)
        for index, size in enumerate(() if continues else hidden):
            if isinstance(size, bool) or not isinstance(size, Integral):
                v.integer(f"hidden_layer_sizes[{index}]", size, 1)
        if not continues and np.any(np.array(hidden) <= 0):
            messages.hidden_layer_sizes_not_positive(hidden)
        self._check_options(incremental, validation)
        X, y = self._validate_input(X, y, incremental, reset=not continues)
        if sample_weight is not None:
            check_numbers("sample_weight", sample_weight)
            sample_weight = _check_sample_weight(sample_weight, X)
        if validation is not None:
            validation = self._check_validation_set(validation)
        names = ("X", "y", "sample_weight")
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        if getattr(self, "class_weight", None) is not None:
            sample_weight = self._combine_weights(y, sample_weight)
            names = ("X", "y", "sample_weight times class_weight")
        self._random_state = check_random_state(self.random_state)
        if not continues:
            categories = self._fitted_columns()
            width = X.shape[1] if categories is None else categories.input_width()
            model = self._initialize(y, [width, *hidden, y.shape[1]], X.dtype)
        elif y.shape[1] != (outputs := self.coefs_[-1].shape[1]):
            must = f"have {outputs} column{'s' * (outputs != 1)}, as in the previous fit"
            v.refuse(ValueError, "y", must, y.shape[1])
        else:
            model = adapt_model(self, self._current_model(), self._fitted_structure())
        self.n_outputs_ = y.shape[1]
        checked_fit: FullBatchFit | StochasticFit
        if self.solver == "lbfgs":
            checked_fit = FullBatchFit(self, model, X, y, sample_weight, names)
        else:
            checked_fit = StochasticFit(self, model, X, y, sample_weight, validation, incremental, unchanged, names)
        self._set_model(checked_fit.model)
        checked_fit.set_initial_attributes()
        return checked_fit

    def _check_first_call(self, y: Any, incremental: bool, classes: Any) -> None:
        """Check the `classes` given to the first `partial_fit`, and set up what depends on them."""

    def _check_options(self, incremental: bool, validation: ValidationSet | None) -> None:
        """Refuse rates of dropout that are no rates, and options that cannot be combined."""
        norm = norm_of(self.batch_norm, self.norm)
        if not isinstance(self.dropout, Real):
            for index, rate in enumerate(self.dropout):
                v.real(f"dropout[{index}]", rate, 0, 1, closed=True)
        if self.solver == "lbfgs":
            fix = "use solver='sgd' or solver='adam'"
            for name, off in _STOCHASTIC_ONLY.items():
                value = getattr(self, name)
                if not np.array_equal(value, off):
                    v.refuse(ValueError, name, f"be {off} with solver='lbfgs'", v.shown(value), fix)
            if norm == "batch":
                v.refuse(ValueError, "norm", "be None or 'layer' with solver='lbfgs'", v.shown(self.norm), fix)
            if validation is not None:
                name = validation.names[0].partition("[")[0]
                v.refuse(ValueError, name, "be None with solver='lbfgs'", "validation rows", fix)
        if self.early_stopping and incremental:
            messages.partial_fit_without_early_stopping()

    def _initialize(self, y: Array, layer_units: list[int], dtype: Any) -> Model:
        """Make the net and draw its initial values as scikit-learn does: layer by layer, weights before intercepts."""
        for a, b in pairwise(layer_units):
            v.size("hidden_layer_sizes", (a, b), np.float64)
        self.t_ = 0
        self.n_layers_ = len(layer_units)
        self.out_activation_ = self._output_activation()
        drawn = [self._init_coef(a, b, dtype) for a, b in pairwise(layer_units)]
        # As in scikit-learn, "lbfgs" has float64 weights whatever the dtype of X.
        kind = self.dtype or (np.float64 if self.solver == "lbfgs" else dtype)
        self._seed = self._training_steps = 0
        columns = self._fitted_columns()
        if self.init is not None or columns is not None or self.augment or np.any(np.asarray(self.dropout) > 0):
            self._ensure_seed()
        self._structure = structure_of(self)
        model = Model(make_net(self._structure, columns, layer_units, kind, self._seed, self.init))
        if columns is not None:
            columns.reset_unknown(model.net)
        if self.init is None:
            model.load([coef for coef, _ in drawn], [intercept for _, intercept in drawn])
        self._best_coefs = [coef.copy() for coef in model.coefs]
        self._best_intercepts = [intercept.copy() for intercept in model.intercepts]
        return model

    def _ensure_seed(self) -> None:
        """Draw the net's seed, unless it has one."""
        self._seed = self.__dict__.get("_seed", 0) or int(self._random_state.randint(2**31))

    def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> tuple[Array, Array]:
        """Draw one layer's weights and intercepts as scikit-learn does, in float64 (Glorot and Bengio, 2010)."""
        logistic = isinstance(self.activation, str) and normalized(self.activation) == "logistic"
        bound = np.sqrt((2.0 if logistic else 6.0) / (fan_in + fan_out))
        coef = self._random_state.uniform(-bound, bound, (fan_in, fan_out))
        intercept = self._random_state.uniform(-bound, bound, fan_out)
        return coef.astype(dtype, copy=False), intercept.astype(dtype, copy=False)

    def _validate_rows(self, X: Any, y: Any, reset: bool, y_numeric: bool = False) -> tuple[Any, Any]:
        """Check rows and targets as scikit-learn does; a column of targets becomes 1-dimensional."""
        kinds = (np.float64, np.float32)
        checks = {"accept_sparse": ["csr", "csc"], "multi_output": True, "y_numeric": y_numeric, "dtype": kinds}
        X, y = validated(self, X, y, reset=reset, **checks)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _check_validation_set(self, given: ValidationSet) -> ValidationSet:
        """Return the validation data as checked arrays; targets are columns."""
        _, y_name, weight_name = given.names
        X, y = self._validate_eval_data(given.X, given.y, y_name)
        weight = given.sample_weight
        if weight is not None:
            check_numbers(weight_name, weight)
            weight = _check_sample_weight(weight, X)
        return ValidationSet(X, y.reshape(-1, 1) if y.ndim == 1 else y, weight, given.names)

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            messages.partial_fit_needs_batches(self.solver)
        return True

    @contextlib.contextmanager
    def _thread_setting(self) -> Iterator[None]:
        with (
            contextlib.nullcontext()
            if self.n_threads is None
            else num_threads(v.integer("n_threads", self.n_threads, 1))
        ):
            yield

    # ---- the net ----

    @property
    def net_(self) -> nn.Sequential:
        """A copy of the fitted net: its outputs are those before the output activation.

        Each access copies the present weights: to change the copy, or to train it, changes nothing of the estimator,
        and later fits do not change the copy. The outputs are logits for classes, so that the losses of `fastnn.nn`
        take them; softmax, or the sigmoid for two classes and for several labels, makes `predict_proba` of them. For
        a regressor they are what `predict` returns, or its logarithm with ``loss="poisson"``. The net has the scalers
        of `scale` and `scale_targets`. With `categorical_features` it takes codes, see `categories_`.

        Raises
        ------
        NotFittedError
            Before the first fit. It is an AttributeError as well.
        """
        check_is_fitted(self, "coefs_")
        return self._current_model().net.copy()

    def _current_model(self) -> Model:
        """Return the model whose net has the arrays of `coefs_`, `intercepts_` and `other_parameters_`.

        It is a new one, or the present one with other values, if these attributes have been assigned to.
        """
        model: Model | None = self.__dict__.get("_model")
        others = self.__dict__.get("other_parameters_", {})
        try:
            if model is not None and model.owns(self.coefs_, self.intercepts_, others):
                return model
        except (AttributeError, TypeError):
            pass  # they are no lists and no mapping, which is refused below
        for name in ("coefs_", "intercepts_"):
            v.instance(name, getattr(self, name), Iterable, "be a list of arrays, one per layer")
        v.instance("other_parameters_", others, Mapping, "be a mapping of names to arrays")
        coefs, intercepts = (
            [v.numeric(f"{name}[{i}]", each) for i, each in enumerate(getattr(self, name))]
            for name in ("coefs_", "intercepts_")
        )
        check_layers(coefs, intercepts)
        if model is None or [coef.shape for coef in model.coefs] != [coef.shape for coef in coefs]:
            model = self._make_model()
        load_others = others.keys() == model.others.keys()
        if load_others:
            for name, array in model.others.items():
                v.shape(f"other_parameters_[{name!r}]", np.asarray(others[name]), array.shape)
        model.load(coefs, intercepts, [others[name] for name in model.others] if load_others else None)
        self._set_model(model)
        return model

    def _make_model(self) -> Model:
        """Return a model with the fitted structure and with the widths and the dtype of `coefs_`."""
        arrays = [*map(np.asarray, self.coefs_), *map(np.asarray, self.intercepts_)]
        widths = [arrays[0].shape[0], *(coef.shape[1] for coef in arrays[: len(self.coefs_)])]
        dtype = np.float32 if all(array.dtype == np.float32 for array in arrays) else np.float64
        seed = self.__dict__.get("_seed", 0)
        model = Model(make_net(self._fitted_structure(), self._fitted_columns(), widths, dtype, seed))
        model.net.training_steps = self.__dict__.get("_training_steps", 0)
        set_scalers(model.net, self.__dict__.get("_scalers"))
        return model

    def _fitted_structure(self) -> Mapping[str, Any]:
        """Return the structure that was fitted; if arrays were assigned without a fit, that of the parameters."""
        structure: Mapping[str, Any] | None = self.__dict__.get("_structure")
        return structure_of(self) if structure is None else structure

    def _fitted_columns(self) -> CategoryColumns | None:
        """Return the categorical columns of the fit, if there are any."""
        columns: CategoryColumns | None = self.__dict__.get("_category_columns")
        return columns

    def _set_model(self, model: Model) -> None:
        """Set the model, and the attributes that are views of its arrays."""
        self._model = model
        scalers = scalers_of(model.net)
        if any(each is not None for each in scalers):
            self._scalers = scalers
        self.coefs_, self.intercepts_ = list(model.coefs), list(model.intercepts)
        if model.others:
            self.other_parameters_ = dict(model.others)
        else:
            self.__dict__.pop("other_parameters_", None)

    def __getstate__(self) -> dict[str, Any]:
        """Return parameters and plain arrays, from which `__setstate__` makes the net."""
        model = self._current_model() if "coefs_" in self.__dict__ else None
        state = {name: value for name, value in super().__getstate__().items() if name != "_model"}
        if model is not None:
            # Copies of the arrays, so that also a shallow copy of the estimator shares none of them.
            state |= model.snapshot(state.get("_optimizer"))
        return state

    def __setstate__(self, state: Any) -> None:
        """Set a checked state; a refused one changes nothing."""
        check_state(state)
        before = dict(self.__dict__)
        super().__setstate__(state)
        if "coefs_" not in state:
            return
        try:
            model = self._make_model()
            check_state_against_model(state, model)
            others = self.__dict__.get("other_parameters_", {})
            model.load(self.coefs_, self.intercepts_, [others[name] for name in model.others])
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self._set_model(model)

    # ---- files ----

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator into a file, in the safetensors format; the class method `load` reads it.

        The file has the parameters and, after a fit, all that predictions, `partial_fit` and warm starts continue from:
        the net, classes, categories, scalers, the optimiser's state, curves and random numbers. It contains no code.
        The net's tensors have PyTorch's names and orientation, as those of `Sequential.save`; the names of all others
        begin with "fastnn.".

        Metadata requests (`set_fit_request` and others) are kept, and attributes of your own are not. A parameter that
        is an array-like other than a list, a tuple or an array becomes a list or an array.

        Parameters
        ----------
        path : path-like
            Its folder must exist. A file of this name is replaced, once the new one is complete.

        Raises
        ------
        TypeError, ValueError
            If a parameter is a function, an object with code (`callbacks`), of a class of yours or one that `fit` would
            refuse; if scikit-learn's callbacks are set (`set_callbacks`); if the estimator is of a class of yours; if
            labels or categories are neither numbers nor strings, or there are more strings than a file holds. The
            message says what to do.
        OSError
            If the file cannot be written. A file of this name is then as before.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from fastnn.sklearn import MLPClassifier
        >>> X, y = [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]], ["no", "yes", "yes"]
        >>> clf = MLPClassifier((8,), solver="lbfgs", random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "clf.safetensors")
        ...     clf.save(path)
        ...     again = MLPClassifier.load(path)
        >>> again.predict([[0.9, 0.8]]).tolist()
        ['yes']
        >>> bool((again.predict_proba(X) == clf.predict_proba(X)).all())
        True
        """
        save_estimator(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, allow_nonfinite: bool = False) -> Self:
        """Return a new estimator, as `save` has written it into a file. No code of a file is ever run.

        Activations that were given by a name of `nn.register_activation` must be registered before.

        Parameters
        ----------
        path : path-like
        allow_nonfinite : bool, default False
            Whether weights and the optimiser's arrays may have NaN and infinity.

        Returns
        -------
        MLPClassifier or MLPRegressor
            Its predictions, and what later fits make of it, are bit for bit those of the estimator that was saved.

        Raises
        ------
        TypeError, ValueError
            If it is another kind of file, damaged, or its parts do not fit together.
        OSError
            If the file cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from fastnn.sklearn import MLPRegressor
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "reg.safetensors")
        ...     MLPRegressor(hidden_layer_sizes=(8, 8), alpha=0.1).save(path)
        ...     MLPRegressor.load(path)
        MLPRegressor(alpha=0.1, hidden_layer_sizes=(8, 8))
        """
        return load_estimator(cls, path, allow_nonfinite)

    # ---- predicting ----

    predictor_methods: ClassVar[tuple[str, ...]] = ("predict",)

    def _plain_result(self, method: str, X: Any) -> Array | None:
        """Return what a method returns for few rows in a plain array, in compiled code; None for any other X."""
        known = self.__dict__
        model: Model | None = known.get("_model")
        calls = None if model is None else model.live_calls
        if model is None or calls is None or "feature_names_in_" in known or "coefs_" not in known:
            return None
        if any(map(operator.is_not, facts_of(self), calls.facts)):
            return None
        if not model.owns(known["coefs_"], known.get("intercepts_", ()), known.get("other_parameters_", {})):
            return None
        return calls.now(method, X)

    def predictor(self, rows: int | None = None, method: str = "predict") -> Predictor:
        """Return a compiled callable that predicts with the model as it is now: ``p(X, out=None)``.

        Its results are those of `method`, bit for bit. Few rows in an array of float32 or float64 are checked and
        predicted in compiled code; any other X is checked as `method` checks it. See `nn.Sequential.predictor`.

        Parameters
        ----------
        rows : int, optional
            The most rows of one call. By default there is no limit.
        method : {"predict", "predict_proba"}, default "predict"
            The method whose results it returns. Regressors have "predict" alone.

        Returns
        -------
        Predictor
            ``p.update()`` takes the present state of the estimator.

        Raises
        ------
        NotFittedError
            Before the first fit.
        TypeError, ValueError
            If `rows` is no integer of at least 1, or `method` is unknown.
        """
        check_is_fitted(self, "coefs_")
        return EstimatorPredictor(self, rows, v.choice("method", method, self.predictor_methods))

    def _prepare_plain_calls(self, rows: int) -> None:
        """Make what `_plain_result` needs, after a model's first prediction of few rows."""
        if rows > PREDICT_ROWS:
            return
        model = self._current_model()
        if model.live_calls is None or any(map(operator.is_not, facts_of(self), model.live_calls.facts)):
            model.live_calls = LiveCalls(self, model)

    def _forward_pass_fast(self, X: Any, check_input: bool = True) -> Array:
        """Return the net's outputs after the output activation, shape (n_samples, n_outputs)."""
        if "coefs_" not in self.__dict__:
            check_is_fitted(self)
        model = self._current_model()
        if check_input and not self._is_plain_input(X):
            X = validated(self, X, accept_sparse=["csr", "csc"], reset=False)
        if self.n_threads is not None:
            with self._thread_setting():
                return self._outputs(model, X)
        return self._outputs(model, X)

    def _outputs(self, model: Model, X: Any) -> Array:
        if isinstance(X, np.ndarray):
            z = model.net.predict(X)
        else:
            z = np.empty((X.shape[0], model.net.out_features), model.net.dtype)
            for rows, part in dense_blocks(X):
                model.net.predict(part, out=z[rows])
        outputs: Array = _OUTPUT_ACTIVATIONS[self.out_activation_](z)
        return outputs

    def _is_plain_input(self, X: Any) -> bool:
        """Return whether this is a small array that scikit-learn's checks would return unchanged."""
        return (
            type(X) is np.ndarray
            and X.dtype in _FLOATS
            and X.ndim == 2
            and X.shape[1] == self.n_features_in_
            and 0 < X.size <= SMALL_INPUT
            and "feature_names_in_" not in self.__dict__
            and "_category_columns" not in self.__dict__
            # If the sum of squares overflows, scikit-learn's check decides.
            and v.squares_are_finite(X)
        )

    def _is_plain_update(self, X: Any, y: Any, reset: bool) -> bool:
        """Return whether scikit-learn's checks would return X unchanged, and y is an array of as many rows."""
        return not reset and self._is_plain_input(X) and type(y) is np.ndarray and y.shape[:1] == X.shape[:1]

    def _validation_score(self, scorer: Any, X: Any, y: Array, sample_weight: Array | None) -> float:
        """Return the score that early stopping uses; higher is better."""
        if scorer is None:
            return self._score(X, y, sample_weight=sample_weight)
        weights = {} if sample_weight is None or not accepts_sample_weight(scorer) else {"sample_weight": sample_weight}
        if self._fitted_columns() is not None:  # X has the codes of the categories: its twin takes them
            return self._taking_codes()._validation_score(scorer, X, y, sample_weight)
        names = self.__dict__.pop("feature_names_in_", None)  # X is an array without the names; scikit-learn would warn
        try:
            score = scorer(self, X, y, **weights)
        finally:
            if names is not None:
                self.feature_names_in_ = names
        try:
            return float(score)
        except (TypeError, ValueError):
            v.refuse(TypeError, "the result of scoring", "be a number", v.shown(score))

    def _taking_codes(self) -> Any:
        """Return an estimator with the same net that takes rows as the net does, with codes in place of categories."""
        twin = object.__new__(type(self))
        own = {"_category_columns", "feature_names_in_"}
        twin.__dict__ = {name: value for name, value in vars(self).items() if name not in own}
        return twin

    def _score(self, X: Any, y: Array, sample_weight: Array | None = None) -> float:
        """Return the default score of early stopping, without checks of X."""
        y_pred = self._predict(X, check_input=False)
        if np.issubdtype(y_pred.dtype, np.floating) and not np.isfinite(y_pred).all():
            return np.nan
        return type(self)._score_function(y, y_pred, sample_weight=sample_weight)

    def _loss_grad_lbfgs(self, packed_coef_inter: Array, X: Any, y: Array, sample_weight: Any, *buffers: Any) -> Any:
        """Return loss and gradient at packed parameters. scikit-learn passes buffers too, which are not needed here."""
        return FullBatchFit(self, self._current_model(), X, y, sample_weight)(packed_coef_inter)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.categorical_features is None and self.scale is None
        tags.input_tags.categorical = self.categorical_features is not None
        return tags

    def _diagnosed(self, X: Any, y: Any, sample_weight: Any, validation_data: Any) -> Given:
        """Return the training of `fit` for `fastnn.diagnose`. The estimator stays as it is."""
        with self._thread_setting():
            return diagnosed(self, _FITTED_ATTRIBUTES, X, y, sample_weight, validation_data)

    # ---- differences between classifier and regressor ----

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Check the training data; return X, and the targets as numbers or, for classes, as columns of bool."""

    @abstractmethod
    def _validate_eval_data(self, X: Any, y: Any, y_name: str) -> tuple[Any, Array]:
        """Check validation data in the same way; messages call the targets `y_name`."""

    @abstractmethod
    def _output_activation(self) -> str:
        """Return the name of the output activation."""

    @abstractmethod
    def _predict(self, X: Any, check_input: bool = True) -> Array:
        """Predict, with or without checks of X."""

    _score_function: ClassVar[Callable[..., Any]]  # that of early stopping by default, of true and predicted targets


class MLPClassifier(ClassifierMixin, _Perceptron):
    """A multilayer perceptron that predicts classes: scikit-learn's `MLPClassifier`, run by fastnn.

    Parameters, methods, attributes and results are scikit-learn's; the parameters after `max_fun` are fastnn's own.
    With float64, the same `random_state` and the solver "sgd" or "adam", losses and weights agree with scikit-learn's
    to many digits.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Widths of the hidden layers; ``()`` for none.
    activation : {"identity", "logistic", "tanh", "relu"}, a name of fastnn's, a layer, or a list, default="relu"
        Activation of the hidden layers: one of scikit-learn's four, any other activation of fastnn by name
        ("leaky_relu", ...), or a layer of `fastnn.nn` (``nn.LeakyReLU(0.2)``). A list has one for each hidden layer.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        SciPy's L-BFGS-B over all rows, or epochs of batches.
    alpha : float, default=0.0001
        Factor of the penalty ``alpha / 2 * sum(w**2)`` of `coefs_`, which is divided by the batch's total weight.
    batch_size : int or "auto", default="auto"
        "auto" is ``min(200, n_samples)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        For ``solver="sgd"``: constant; ``learning_rate_init / (t + 1) ** power_t`` after t samples; or divided by 5
        whenever `n_iter_no_change` epochs have brought no improvement, down to 1e-6.
    learning_rate_init : float, default=0.001
        Learning rate of the first step.
    power_t : float, default=0.5
        Exponent of ``learning_rate="invscaling"``.
    max_iter : int, default=200
        Most epochs; for "lbfgs", most iterations.
    shuffle : bool, default=True
        Whether to permute the rows before each epoch.
    random_state : int, RandomState or None, default=None
        Source of the initial weights, the validation split and the orders of rows, drawn as scikit-learn draws them.
    tol : float, default=1e-4
        An improvement of the loss or score counts only if it is larger.
    verbose : bool, int or "bar", default=False
        Whether to print a line per epoch; "bar" shows a progress bar.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the call before. Parameters that have changed since then take effect,
        as in `partial_fit`. Changes of `hidden_layer_sizes`, `batch_norm`, `norm`, `residual`, `dtype`,
        `categorical_features`, `scale` or a regressor's `scale_targets` are refused, as the weights would not fit; so
        is a change between an activation with trained slopes and one without.
    momentum : float, default=0.9
        For ``solver="sgd"``: share of the step before that a step adds; from 0 to 1.
    nesterovs_momentum : bool, default=True
        For ``solver="sgd"`` with `momentum`: whether to use Nesterov's form.
    early_stopping : bool, default=False
        Whether to stop by a score of held-out rows, and to take the best epoch's weights at the end.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out.
    beta_1 : float, default=0.9
        For ``solver="adam"``: decay rate of the mean of gradients.
    beta_2 : float, default=0.999
        For ``solver="adam"``: decay rate of the mean of squared gradients.
    epsilon : float, default=1e-8
        For ``solver="adam"``: added to the root of the mean square, before the bias correction.
    n_iter_no_change : int, default=10
        The fit ends when more than this many epochs in a row have brought no improvement.
    max_fun : int, default=15000
        For "lbfgs": most evaluations of the loss.
    dropout : float or list of float, default=0.0
        Probability with which a hidden unit is dropped in a step, one for all hidden layers or one for each.
    batch_norm : bool, default=False
        Whether to normalise hidden layers before their activation by the mean and variance over the batch's rows. Their
        `intercepts_` are then the norms' shifts; scales and running statistics are in `other_parameters_`.
    norm : {"batch", "layer"} or None, default=None
        What normalises hidden layers before their activation. "batch" is the same as ``batch_norm=True``. "layer" puts
        `nn.LayerNorm` in its place, which uses the mean and variance over the units of one row: rows do not depend on
        each other, and "lbfgs" takes it too. `intercepts_` are then those of the dense layers; the norm subtracts only
        their mean over the units. Its scales and shifts are in `other_parameters_`.
    residual : bool, default=False
        Whether each hidden layer after the first is a residual block, ``x + f(x)``, where f is the layer as it would be
        without this: `nn.Dense`, norm, activation, dropout. So a hidden layer still has one matrix in `coefs_`, and as
        nothing comes after the sum, gradients reach the first layer unchanged through the skips. All hidden layers need
        equal widths.
    optimizer : str, optimiser of `fastnn.optim` or None, default=None
        Replaces the optimiser of `solver`: a class of `fastnn.optim` by name ("AdamW", ...), with `learning_rate_init`
        and `weight_decay`, or an object with its own settings.
    weight_decay : float or None, default=None
        For the solver's optimiser or one given by name; None takes the optimiser's default. Unlike `alpha`, it is not
        part of the loss.
    schedule : str, schedule of `fastnn.optim`, callable or None, default=None
        Learning rate over time: a schedule; the name of one that takes a length ("CosineAnnealingLR", ...), which is
        then `max_iter` epochs; or a function of the epoch whose result multiplies the rate.
    clip_norm : float or None, default=None
        Limit of the norm of all gradients together.
    clip_value : float or None, default=None
        Limit of the size of each entry of the gradients.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, which multiply the sample weights. "balanced" gives all classes the same total weight;
        `partial_fit` needs a dict, since it does not know the totals.
    loss : str or loss of `fastnn.nn`, default="log_loss"
        "log_loss", another loss of fastnn by name ("hinge", ...), or an object
        (``nn.CrossEntropyLoss(label_smoothing=0.1)``). Two classes share one output, and several labels per row have
        one each: both need a binary loss, such as ``nn.BCEWithLogitsLoss()``.
    scoring : str, callable or None, default=None
        Score for early stopping instead of accuracy: a scorer of scikit-learn, a function of estimator, rows and
        targets, or "loss", which stops by the validation loss. A scorer gets the sample weights if it accepts them.
    callbacks : list of `fastnn.Callback` or None, default=None
        Called with the trainer of the fit, see `fastnn.Callback`. Logs have "loss", "lr" and "seconds"; with validation
        also "val_loss" and "val_score". scikit-learn's callbacks go to `set_callbacks`; each epoch is a task for them.
    init : str, initialiser of `fastnn.nn.init` or None, default=None
        None draws weights and intercepts as scikit-learn does. Otherwise fastnn initialises the weights, and
        intercepts start at 0.
    dtype : {"float32", "float64"} or None, default=None
        Dtype of the model; None takes that of X.
    n_threads : int or None, default=None
        Number of threads; None takes fastnn's setting. Results do not depend on it.
    categorical_features : array-like of int, bool or str, "from_dtype" or None, default=None
        Columns of X that have categories: their numbers, a mask, their names in a data frame, or "from_dtype" for a
        frame's columns of dtype category. Categories are strings, numbers or other values of one kind. They are matched
        by value, whatever codes a frame has for them. The net learns a vector for each (`nn.Embeddings`), of
        ``min(8, n - 1)`` numbers for n categories, at least 1, which start N(0, 1). Missing values, and categories that
        the first fit has not seen, share one more vector, which starts at 0. X cannot be sparse.
    scale : {"standard", "robust", "quantile"} or None, default=None
        What scales the columns of X without categories: `Scaler`, `RobustScaler` or `QuantileScaler` of `fastnn.data`,
        as the net's `scaler`. It is fitted on the training rows, without validation rows and whatever their weights,
        and is kept in a warm start and by `partial_fit`, whose first rows it is fitted on. X cannot be sparse.
    augment : name, record, function, list of them or None, default=None
        What is done to each batch in training, after `scale`, as for `Trainer.fit`: a name ("gaussian_noise",
        "feature_dropout", "swap_noise", "mixup"), a record of `fastnn.data` (``data.GaussianNoise(0.2)``), a function
        of the batch and a random generator, or several of them in a list.
    accumulate : int, default=1
        Number of batches of an update, whose gradient is that of the mean loss over all their rows. Those left at an
        epoch's end make an update too.
    average : {"ema"}, an average of `fastnn.optim` or None, default=None
        What averages the weights of the steps, such as ``optim.EMA(0.999)`` or ``optim.SWA(start=100)``. Validation
        scores and losses, and after each call `coefs_` and predictions, are those of the average; `loss_` and
        `loss_curve_` are those of the weights that are trained, with which `partial_fit` goes on. An ``EMA`` is over
        about ``1 / (1 - decay)`` updates: few updates, as of few rows or with `accumulate`, need a smaller `decay`.
        `fit` warns if too little has been averaged.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Class labels in ascending order, which is that of the columns of `predict_proba`.
    coefs_ : list of ndarray
        Weights of each layer, shape (n_inputs, n_outputs): views of the net's arrays. Writing to their entries, or
        assigning other arrays, changes the model. With `categorical_features`, the inputs of the first are the columns
        without categories, and then the vectors of the others.
    intercepts_ : list of ndarray
        Intercepts of each layer, shape (n_outputs,): views like `coefs_`.
    other_parameters_ : dict of str to ndarray
        The net's arrays other than weights and intercepts, such as the vectors of categories; only if there are any.
    net_ : fastnn.nn.Sequential
        A copy of the net, made at each access. Its outputs are logits: those before the output
        activation.
    loss_ : float
        Loss of the last epoch, with the penalty of `alpha`.
    best_loss_ : float or None
        Smallest loss of an epoch; None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch. ``solver="lbfgs"`` has no epochs: it sets neither this, nor best values, nor scores.
    validation_loss_curve_ : list of float
        The validation loss after every epoch, without penalties; only with validation data given to `fit` or
        ``scoring="loss"``.
    validation_scores_ : list of float or None
        Validation score of each epoch; None without `early_stopping`.
    best_validation_score_ : float or None
        Best of these scores; None without `early_stopping`.
    n_iter_ : int
        Number of epochs; for "lbfgs", of iterations.
    t_ : int
        Number of training rows that all epochs together have seen.
    n_layers_ : int
        Number of layers, with input and output.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : {"logistic", "softmax"}
        Activation of the outputs.
    is_categorical_ : ndarray of bool, shape (n_features_in_,), or None
        Which columns have categories; None if none has.
    categories_ : list of ndarray, or None
        The categories of each such column, in ascending order, without missing values; None if there is no such column.
        The net takes a category's place in this order instead of its value, and -1 for all others.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns of X; only if all are strings.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from fastnn.sklearn import MLPClassifier
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> clf = MLPClassifier(random_state=1, max_iter=300, tol=1e-3).fit(X[:75], y[:75])
    >>> clf.score(X[75:], y[75:]) > 0.8
    True
    """

    _score_function = staticmethod(accuracy_score)

    _parameter_constraints: Mapping[str, Any] = {
        **_Perceptron._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "loss": [NameOptions(LOSS_NAMES), nn.Loss],
    }

    predictor_methods = ("predict", "predict_proba")

    @with_hints(keywords=KEYWORDS)
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
        norm: str | None = None,
        residual: bool = False,
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
        categorical_features: Any = None,
        scale: str | None = None,
        augment: Any = None,
        accumulate: int = 1,
        average: Any = None,
    ) -> None:
        self._store_parameters(locals())

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        if incremental and not self.warm_start and self._is_plain_update(X, y, reset) and self._has_known_labels(y):
            return X, self._class_columns(y)
        X, y = self._validate_rows(X, y, reset)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y), same=self.warm_start)
        return X, self._class_columns(y)

    def _has_known_labels(self, y: Array) -> bool:
        """Return whether y has one label per row, all of known classes."""
        classes, kind = self.classes_, y.dtype.kind
        return (
            y.ndim == 1
            and kind in "biuU"
            and kind == classes.dtype.kind
            and bool((classes[np.searchsorted(classes[:-1], y)] == y).all())
        )

    def _plain_target(self, y: Array, target: str) -> Array | None:
        """Return plain labels as the loss takes them, which are then of known classes; None if they are not."""
        if not self._has_known_labels(y):
            return None
        if target == "labels":
            return np.searchsorted(self.classes_, y)
        assert self._model.trainer is not None
        return encode(self._model.trainer.loss, self._class_columns(y), self.out_activation_, self._model.net.dtype)

    def _class_columns(self, y: Any) -> Array:
        """Return what `_label_binarizer` makes of known labels, as columns of bool."""
        binarizer = self._label_binarizer
        if binarizer.y_type_.startswith("multilabel"):
            return binarizer.transform(y).astype(bool)
        if y.ndim > 1:
            v.refuse(ValueError, "y", "be 1-dimensional, like the labels of the previous fit", f"shape {y.shape}")
        labels, classes = np.searchsorted(binarizer.classes_, y), len(binarizer.classes_)
        return labels[:, None] == (np.arange(classes) if classes > 2 else np.array([1]))

    def _validate_eval_data(self, X: Any, y: Any, y_name: str) -> tuple[Any, Array]:
        X, y = self._validate_rows(X, y, reset=False)
        self._check_classes(unique_labels(y), same=False)
        return X, self._class_columns(y)

    def _check_classes(self, classes: Array, same: bool) -> None:
        """Refuse classes that are not among those of the previous fit or, with `same`, not exactly those."""
        if same and set(classes) != set(self.classes_):
            messages.warm_start_with_other_classes(self.classes_, classes)
        if not np.isin(classes, self.classes_).all():
            messages.unknown_classes(self.classes_, classes)

    def _check_options(self, incremental: bool, validation: ValidationSet | None) -> None:
        super()._check_options(incremental, validation)
        if incremental and isinstance(self.class_weight, str):  # one call's rows do not give the classes' totals
            messages.partial_fit_without_class_totals(self.class_weight)

    def _combine_weights(self, y: Array, sample_weight: Array | None) -> Array:
        """Return each row's sample weight times the weight of its class."""
        sample_weight = v.weights("sample_weight with class_weight", sample_weight, len(y))
        if not self._label_binarizer.y_type_.startswith("multilabel"):
            labels = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0].astype(np.intp)
            if self.class_weight == "balanced":
                by_class = balanced_class_weights(labels, len(self.classes_), sample_weight)[labels]
            else:
                by_class = class_weights_from_dict(self.classes_, self.class_weight)[labels]
        elif self.class_weight == "balanced":
            columns = y.T.astype(np.intp)
            by_class = np.prod([balanced_class_weights(each, 2, sample_weight)[each] for each in columns], axis=0)
        else:
            by_class = compute_sample_weight(self.class_weight, y)
        with np.errstate(over="ignore"):  # infinite products are refused later, with a message
            return by_class if sample_weight is None else by_class * sample_weight

    def _check_first_call(self, y: Any, incremental: bool, classes: Any) -> None:
        if incremental and _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer().fit(y if type_of_target(y).startswith("multilabel") else classes)

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    @available_if(lambda estimator: estimator._check_solver())
    @tries_repeated_fit
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch on the given rows, from the present weights and with the present optimiser's state.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)
        y : array-like, shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like, shape (n_samples,), optional
        classes : array-like, shape (n_classes,), optional
            All classes of this and later calls; required in the first call.

        Returns
        -------
        self

        Raises
        ------
        AttributeError
            If the solver is "lbfgs".
        TypeError, ValueError
            As `fit` does; also if the first call has no `classes`, or a later one has others.
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=True, classes=classes)

    def predict(self, X: Any) -> Array:
        """Predict classes.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        ndarray, shape (n_samples,), or (n_samples, n_classes) of 0 and 1 for several labels per row
        """
        result = self._plain_result("predict", X)
        if result is None:
            result = self._predict(X)
            self._prepare_plain_calls(result.shape[0])
        return result

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        probabilities = self._forward_pass_fast(X, check_input)
        binarizer = self._label_binarizer
        if binarizer.y_type_ == "multiclass":
            return binarizer.classes_[probabilities.argmax(axis=1)]
        if binarizer.y_type_ == "binary" and len(binarizer.classes_) == 2:
            return binarizer.classes_[(probabilities[:, 0] > 0.5).view(np.int8)]
        return binarizer.inverse_transform(probabilities[:, 0] if probabilities.shape[1] == 1 else probabilities)

    def predict_proba(self, X: Any) -> Array:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            Columns in the order of `classes_`, in the model's dtype.
        """
        plain = self._plain_result("predict_proba", X)
        if plain is not None:
            return plain
        probabilities = self._forward_pass_fast(X)
        self._prepare_plain_calls(len(probabilities))
        if probabilities.shape[1] > 1:
            return probabilities
        both = np.empty((len(probabilities), 2), probabilities.dtype)
        both[:, 1:] = probabilities
        np.subtract(1, probabilities, out=both[:, :1])
        return both

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix}, shape (n_samples, n_features)

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _Perceptron):
    """A multilayer perceptron that predicts numbers: scikit-learn's `MLPRegressor`, run by fastnn.

    Parameters, methods, attributes and results are scikit-learn's; the parameters after `max_fun` are fastnn's own.
    With float64, the same `random_state` and the solver "sgd" or "adam", losses and weights agree with scikit-learn's
    to many digits.

    Parameters
    ----------
    loss : str or loss of `fastnn.nn`, default="squared_error"
        "squared_error" is half the squared error. "poisson" is half the deviance of counts, whose rate is the
        exponential of the net's output. Both are as in scikit-learn. Or another loss of fastnn by name ("huber", ...),
        or an object (``nn.HuberLoss(delta=2.0)``).
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Widths of the hidden layers; ``()`` for none.
    activation : {"identity", "logistic", "tanh", "relu"}, a name of fastnn's, a layer, or a list, default="relu"
        Activation of the hidden layers: one of scikit-learn's four, any other activation of fastnn by name
        ("leaky_relu", ...), or a layer of `fastnn.nn` (``nn.LeakyReLU(0.2)``). A list has one for each hidden layer.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        SciPy's L-BFGS-B over all rows, or epochs of batches.
    alpha : float, default=0.0001
        Factor of the penalty ``alpha / 2 * sum(w**2)`` of `coefs_`, which is divided by the batch's total weight.
    batch_size : int or "auto", default="auto"
        "auto" is ``min(200, n_samples)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        For ``solver="sgd"``: constant; ``learning_rate_init / (t + 1) ** power_t`` after t samples; or divided by 5
        whenever `n_iter_no_change` epochs have brought no improvement, down to 1e-6.
    learning_rate_init : float, default=0.001
        Learning rate of the first step.
    power_t : float, default=0.5
        Exponent of ``learning_rate="invscaling"``.
    max_iter : int, default=200
        Most epochs; for "lbfgs", most iterations.
    shuffle : bool, default=True
        Whether to permute the rows before each epoch.
    random_state : int, RandomState or None, default=None
        Source of the initial weights, the validation split and the orders of rows, drawn as scikit-learn draws them.
    tol : float, default=1e-4
        An improvement of the loss or score counts only if it is larger.
    verbose : bool, int or "bar", default=False
        Whether to print a line per epoch; "bar" shows a progress bar.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the call before. Parameters that have changed since then take effect,
        as in `partial_fit`. Changes of `hidden_layer_sizes`, `batch_norm`, `norm`, `residual`, `dtype`,
        `categorical_features`, `scale` or a regressor's `scale_targets` are refused, as the weights would not fit; so
        is a change between an activation with trained slopes and one without.
    momentum : float, default=0.9
        For ``solver="sgd"``: share of the step before that a step adds; from 0 to 1.
    nesterovs_momentum : bool, default=True
        For ``solver="sgd"`` with `momentum`: whether to use Nesterov's form.
    early_stopping : bool, default=False
        Whether to stop by a score of held-out rows, and to take the best epoch's weights at the end.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out.
    beta_1 : float, default=0.9
        For ``solver="adam"``: decay rate of the mean of gradients.
    beta_2 : float, default=0.999
        For ``solver="adam"``: decay rate of the mean of squared gradients.
    epsilon : float, default=1e-8
        For ``solver="adam"``: added to the root of the mean square, before the bias correction.
    n_iter_no_change : int, default=10
        The fit ends when more than this many epochs in a row have brought no improvement.
    max_fun : int, default=15000
        For "lbfgs": most evaluations of the loss.
    dropout : float or list of float, default=0.0
        Probability with which a hidden unit is dropped in a step, one for all hidden layers or one for each.
    batch_norm : bool, default=False
        Whether to normalise hidden layers before their activation by the mean and variance over the batch's rows. Their
        `intercepts_` are then the norms' shifts; scales and running statistics are in `other_parameters_`.
    norm : {"batch", "layer"} or None, default=None
        What normalises hidden layers before their activation. "batch" is the same as ``batch_norm=True``. "layer" puts
        `nn.LayerNorm` in its place, which uses the mean and variance over the units of one row: rows do not depend on
        each other, and "lbfgs" takes it too. `intercepts_` are then those of the dense layers; the norm subtracts only
        their mean over the units. Its scales and shifts are in `other_parameters_`.
    residual : bool, default=False
        Whether each hidden layer after the first is a residual block, ``x + f(x)``, where f is the layer as it would be
        without this: `nn.Dense`, norm, activation, dropout. So a hidden layer still has one matrix in `coefs_`, and as
        nothing comes after the sum, gradients reach the first layer unchanged through the skips. All hidden layers need
        equal widths.
    optimizer : str, optimiser of `fastnn.optim` or None, default=None
        Replaces the optimiser of `solver`: a class of `fastnn.optim` by name ("AdamW", ...), with `learning_rate_init`
        and `weight_decay`, or an object with its own settings.
    weight_decay : float or None, default=None
        For the solver's optimiser or one given by name; None takes the optimiser's default. Unlike `alpha`, it is not
        part of the loss.
    schedule : str, schedule of `fastnn.optim`, callable or None, default=None
        Learning rate over time: a schedule; the name of one that takes a length ("CosineAnnealingLR", ...), which is
        then `max_iter` epochs; or a function of the epoch whose result multiplies the rate.
    clip_norm : float or None, default=None
        Limit of the norm of all gradients together.
    clip_value : float or None, default=None
        Limit of the size of each entry of the gradients.
    scoring : str, callable or None, default=None
        Score for early stopping instead of R²: a scorer of scikit-learn, a function of estimator, rows and
        targets, or "loss", which stops by the validation loss. A scorer gets the sample weights if it accepts them.
    callbacks : list of `fastnn.Callback` or None, default=None
        Called with the trainer of the fit, see `fastnn.Callback`. Logs have "loss", "lr" and "seconds"; with validation
        also "val_loss" and "val_score". scikit-learn's callbacks go to `set_callbacks`; each epoch is a task for them.
    init : str, initialiser of `fastnn.nn.init` or None, default=None
        None draws weights and intercepts as scikit-learn does. Otherwise fastnn initialises the weights, and
        intercepts start at 0.
    dtype : {"float32", "float64"} or None, default=None
        Dtype of the model; None takes that of X.
    n_threads : int or None, default=None
        Number of threads; None takes fastnn's setting. Results do not depend on it.
    categorical_features : array-like of int, bool or str, "from_dtype" or None, default=None
        Columns of X that have categories: their numbers, a mask, their names in a data frame, or "from_dtype" for a
        frame's columns of dtype category. Categories are strings, numbers or other values of one kind. They are matched
        by value, whatever codes a frame has for them. The net learns a vector for each (`nn.Embeddings`), of
        ``min(8, n - 1)`` numbers for n categories, at least 1, which start N(0, 1). Missing values, and categories that
        the first fit has not seen, share one more vector, which starts at 0. X cannot be sparse.
    scale : {"standard", "robust", "quantile"} or None, default=None
        What scales the columns of X without categories: `Scaler`, `RobustScaler` or `QuantileScaler` of `fastnn.data`,
        as the net's `scaler`. It is fitted on the training rows, without validation rows and whatever their weights,
        and is kept in a warm start and by `partial_fit`, whose first rows it is fitted on. X cannot be sparse.
    scale_targets : bool, default=False
        Whether the net learns targets of mean 0 and variance 1 in each column, by its `output_scaler`, which is fitted
        and kept as the scaler of `scale` is. Predictions and scores are in the unit of y; `loss_` and the other losses
        are those of scaled targets, so that `tol` and `learning_rate_init` suit any unit.
    augment : name, record, function, list of them or None, default=None
        What is done to each batch in training, after `scale`, as for `Trainer.fit`: a name ("gaussian_noise",
        "feature_dropout", "swap_noise", "mixup"), a record of `fastnn.data` (``data.GaussianNoise(0.2)``), a function
        of the batch and a random generator, or several of them in a list.
    accumulate : int, default=1
        Number of batches of an update, whose gradient is that of the mean loss over all their rows. Those left at an
        epoch's end make an update too.
    average : {"ema"}, an average of `fastnn.optim` or None, default=None
        What averages the weights of the steps, such as ``optim.EMA(0.999)`` or ``optim.SWA(start=100)``. Validation
        scores and losses, and after each call `coefs_` and predictions, are those of the average; `loss_` and
        `loss_curve_` are those of the weights that are trained, with which `partial_fit` goes on. An ``EMA`` is over
        about ``1 / (1 - decay)`` updates: few updates, as of few rows or with `accumulate`, need a smaller `decay`.
        `fit` warns if too little has been averaged.

    Attributes
    ----------
    coefs_ : list of ndarray
        Weights of each layer, shape (n_inputs, n_outputs): views of the net's arrays. Writing to their entries, or
        assigning other arrays, changes the model. With `categorical_features`, the inputs of the first are the columns
        without categories, and then the vectors of the others.
    intercepts_ : list of ndarray
        Intercepts of each layer, shape (n_outputs,): views like `coefs_`.
    other_parameters_ : dict of str to ndarray
        The net's arrays other than weights and intercepts, such as the vectors of categories; only if there are any.
    net_ : fastnn.nn.Sequential
        A copy of the net, made at each access. Its outputs are those before the output
        activation.
    loss_ : float
        Loss of the last epoch, with the penalty of `alpha`.
    best_loss_ : float or None
        Smallest loss of an epoch; None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch. ``solver="lbfgs"`` has no epochs: it sets neither this, nor best values, nor scores.
    validation_loss_curve_ : list of float
        The validation loss after every epoch, without penalties; only with validation data given to `fit` or
        ``scoring="loss"``.
    validation_scores_ : list of float or None
        Validation score of each epoch; None without `early_stopping`.
    best_validation_score_ : float or None
        Best of these scores; None without `early_stopping`.
    n_iter_ : int
        Number of epochs; for "lbfgs", of iterations.
    t_ : int
        Number of training rows that all epochs together have seen.
    n_layers_ : int
        Number of layers, with input and output.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : {"identity", "exp"}
        Activation of the outputs.
    is_categorical_ : ndarray of bool, shape (n_features_in_,), or None
        Which columns have categories; None if none has.
    categories_ : list of ndarray, or None
        The categories of each such column, in ascending order, without missing values; None if there is no such column.
        The net takes a category's place in this order instead of its value, and -1 for all others.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns of X; only if all are strings.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastnn.sklearn import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> reg = MLPRegressor(random_state=1, solver="lbfgs", max_iter=2000, tol=0.1).fit(X[:150], y[:150])
    >>> reg.score(X[150:], y[150:]) > 0.9
    True
    """

    _score_function = staticmethod(r2_score)

    _parameter_constraints: Mapping[str, Any] = {
        **_Perceptron._parameter_constraints,
        "loss": [NameOptions(REGRESSION_LOSS_NAMES), nn.Loss],
        "scale_targets": ["boolean"],
    }

    @with_hints(keywords=KEYWORDS)
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
        norm: str | None = None,
        residual: bool = False,
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
        categorical_features: Any = None,
        scale: str | None = None,
        scale_targets: bool = False,
        augment: Any = None,
        accumulate: int = 1,
        average: Any = None,
    ) -> None:
        self._store_parameters(locals())

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        if (
            self._is_plain_update(X, y, reset)
            and y.shape[1:] != (1,)
            and y.dtype in _FLOATS
            and v.squares_are_finite(y)
        ):
            return X, y
        check_numbers("y", y)
        X, y = self._validate_rows(X, y, reset, y_numeric=True)
        return X, y.astype(np.float64) if y.dtype == bool else y

    def _plain_target(self, y: Array, target: str) -> Array | None:
        """Return plain numbers as the loss takes them; None if scikit-learn's checks have to see them."""
        if y.dtype not in _FLOATS or y.ndim > 2 or y.shape[1:] == (1,):
            return None
        return y[:, np.newaxis] if y.ndim == 1 else y

    def _validate_eval_data(self, X: Any, y: Any, y_name: str) -> tuple[Any, Array]:
        check_numbers(y_name, y)
        return self._validate_input(X, y, incremental=True, reset=False)

    def _output_activation(self) -> str:
        is_poisson = isinstance(self.loss, str) and REGRESSION_LOSS_NAMES.find(self.loss) == "poisson"
        return "exp" if is_poisson else "identity"

    @available_if(lambda estimator: estimator._check_solver())
    @tries_repeated_fit
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch on the given rows, from the present weights and with the present optimiser's state.

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
        result = self._plain_result("predict", X)
        if result is None:
            result = self._predict(X)
            self._prepare_plain_calls(result.shape[0])
        return result

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        values = self._forward_pass_fast(X, check_input)
        return values.ravel() if values.shape[1] == 1 else values
