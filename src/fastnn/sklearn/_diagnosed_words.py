"""The changes that a diagnosis recommends, in the words of an estimator: which parameters to set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastnn import _validation as v
from fastnn import nn, optim
from fastnn.diagnosis._findings import Finding
from fastnn.diagnosis._probe import activation_name
from fastnn.diagnosis._setup import Setup, quiet
from fastnn.nn.activations import Activation
from fastnn.nn.losses import Loss
from fastnn.sklearn._model import DEFAULT_RATE, hidden_sizes

_SCIKIT_LEARN_NAMES = {"sigmoid": "logistic"}

_FILLED = "from sklearn.impute import SimpleImputer\nX = SimpleImputer().fit_transform(X)"
_INFINITE_FILLED = f"X = np.where(np.isinf(X), np.nan, X)\n{_FILLED}"  # SimpleImputer refuses infinity
_KNOWN = """import pandas
known = pandas.DataFrame(y).notna().all(axis=1).to_numpy()
X, y = X[known], y[known]"""


@dataclass(frozen=True)
class Condition:
    """What is wrong with the arrays that a user gave, before they became those of a trainer.

    Attributes
    ----------
    gaps, infinite : bool
        Whether entries of X are NaN or infinite; whether some of them are infinite.
    missing_objects : bool
        Whether some targets are missing among strings or other objects, for which NumPy has no test.
    """

    gaps: bool = False
    infinite: bool = False
    missing_objects: bool = False


class Words:
    """Writes the change of a finding as a call of `set_params`.

    Parameters
    ----------
    estimator : estimator
    ended_early : bool
        Whether its fit has ended by its own rule, before `max_iter`.
    condition : Condition
        What the arrays were like.
    """

    def __init__(self, estimator: Any, ended_early: bool, condition: Condition) -> None:
        self.estimator, self.ended_early, self.condition = estimator, ended_early, condition
        self.is_classifier = hasattr(estimator, "class_weight")
        self.name = "clf" if self.is_classifier else "reg"

    def setting(self, parameters: str, comment: str = "") -> str:
        """Return the call that sets parameters."""
        return f"{self.name}.set_params({parameters})" + (f"  # {comment}" if comment else "")

    def __call__(self, finding: Finding, setup: Setup) -> str | None:
        """Return the change of a finding; None for one that says nothing to the user of an estimator."""
        if finding.kind == "imbalance" and self.estimator.class_weight is not None:
            return None
        if finding.kind == "initialisation" and self.estimator.init is None and finding.severity == "note":
            return None  # scikit-learn's distribution, and no other is shown to be better
        changed = _applied(finding, setup)
        if changed is not None:
            if other := self._other_task(setup, changed):
                return other
            parameters = self._parameters(setup, changed)
            if parameters:
                written = ", ".join(f"{name}={value}" for name, value in parameters.items())
                return self.setting(written, self._comment(finding, parameters))
        otherwise = _OTHERWISE.get(finding.kind)
        return finding.change if otherwise is None else otherwise(self, finding)

    def _of_columns(self, finding: Finding) -> str:
        """Return how to fill gaps: where there are some, the error is about them."""
        if finding.severity != "error" or not self.condition.gaps:
            return finding.change
        return _INFINITE_FILLED if self.condition.infinite else _FILLED

    def _of_labels(self, finding: Finding) -> str:
        """Return what to look at; which rows have targets, where the error is that some have none."""
        if finding.severity != "error":
            return "print(X[:5], y[:5])  # do the rows belong together? How were the targets made?"
        return _KNOWN if self.condition.missing_objects else finding.change

    def _of_validation(self, _finding: Finding) -> str | None:
        if self.estimator.early_stopping:
            return None
        if self.estimator.solver == "lbfgs":
            return f"{self.name}.score(X_val, y_val)  # of rows that are not in X"
        return f"{self.name}.fit(X, y, eval_set=(X_val, y_val))  # or early_stopping=True"

    def _of_few_rows(self, _finding: Finding) -> str:
        estimator = self.estimator
        usual = {"optimizer": None, "solver": "adam", "learning_rate_init": DEFAULT_RATE}
        changed = {name: value for name, value in usual.items() if getattr(estimator, name) != value}
        if changed:
            comment = "then larger hidden_layer_sizes; look at the other findings first"
            return self.setting(", ".join(f"{name}={value!r}" for name, value in changed.items()), comment)
        return self.setting(f"hidden_layer_sizes={self._wider(1)}", "look at the other findings first")

    def _of_units(self, _finding: Finding) -> str:
        """Return how to make layers wider, where the net has layers that are as wide as those before them."""
        return self.setting(f"hidden_layer_sizes={self._wider(32)}")

    def _wider(self, least: int) -> tuple[int, ...]:
        return tuple(max(least, 4 * int(width)) for width in hidden_sizes(self.estimator)) or (100,)

    def _comment(self, finding: Finding, parameters: Mapping[str, str]) -> str:
        if finding.kind == "overfitting":
            return "or early_stopping=True" if "max_iter" in parameters else "or dropout, fewer units, more rows"
        if "alpha" in parameters and finding.kind == "regularisation":
            return "or less of them"
        return ""

    def _other_task(self, before: Setup, after: Setup) -> str:
        """Return what to write if the change is one from classes to numbers, or from numbers to classes."""
        numbers = [_is_of_numbers(each.loss) for each in (before, after)]
        if numbers[0] == numbers[1]:
            return ""
        if numbers[1]:
            return "reg = MLPRegressor(...)  # of fastnn.sklearn, in place of MLPClassifier"
        return "clf = MLPClassifier(...)  # of fastnn.sklearn, in place of MLPRegressor"

    def _parameters(self, before: Setup, after: Setup) -> dict[str, str]:
        """Return the parameters whose change makes one training of another, with their values as code."""
        return {
            **self._of_optimizer(before, after),
            **self._of_fit(before, after),
            **self._of_loss(before, after),
            **self._of_net(before.net, after.net),
        }

    def _of_optimizer(self, before: Setup, after: Setup) -> dict[str, str]:
        found: dict[str, str] = {}
        if isinstance(self.estimator.optimizer, optim.Optimizer) and after.optimizer != before.optimizer:
            return {"optimizer": f"optim.{v.shown(after.optimizer)}"}
        if after.lr != before.lr:
            found["learning_rate_init"] = f"{after.lr:.2g}"
        decays = [getattr(each.optimizer, "weight_decay", 0.0) for each in (before, after)]
        if decays[0] != decays[1]:
            found["weight_decay"] = f"{decays[1]:g}"
        return found

    def _of_fit(self, before: Setup, after: Setup) -> dict[str, str]:
        found: dict[str, str] = {}
        if after.epochs != before.epochs:
            found["max_iter"] = str(after.epochs)
        if after.epochs > before.epochs and self.ended_early:
            found["max_iter"] = str(max(after.epochs, self.estimator.max_iter))
            found["n_iter_no_change"] = str(max(50, after.epochs // 10))
        if after.batch_size != before.batch_size:
            found["batch_size"] = str(after.batch_size)
        if after.penalty != before.penalty:
            # scikit-learn divides `alpha` by the number of rows of a batch.
            rows = 1 if after.penalty.per_batch else min(after.batch_size, len(after.X))
            found["alpha"] = f"{after.penalty.l2 * rows:.3g}"
        for name in ("clip_norm", "clip_value", "accumulate", "shuffle", "augment"):
            if getattr(after, name) is not getattr(before, name) and getattr(after, name) != getattr(before, name):
                found[name] = f"{getattr(after, name)}"
        return found

    def _of_loss(self, before: Setup, after: Setup) -> dict[str, str]:
        if after.loss == before.loss:
            return {}
        if type(after.loss) is type(before.loss) and self.is_classifier:
            return {"class_weight": '"balanced"'}
        return {"loss": f"nn.{v.shown(after.loss)}"}

    def _of_net(self, before: nn.Sequential, after: nn.Sequential) -> dict[str, str]:
        found: dict[str, str] = {}
        if after.scaler is not before.scaler and after.scaler != before.scaler:
            found["scale"] = '"quantile"' if self.estimator.scale == "standard" else '"standard"'
        if after.output_scaler is not before.output_scaler and not self.is_classifier:
            found["scale_targets"] = "True"
        widths = [[each.out_features for each in _of(net, nn.Dense)][:-1] for net in (before, after)]
        if widths[0] != widths[1]:
            ends = "," if len(widths[1]) == 1 else ""
            found["hidden_layer_sizes"] = f"({', '.join(map(str, widths[1]))}{ends})"
        activations = [[_activation(each) for each in _of(net, Activation)] for net in (before, after)]
        if activations[0] != activations[1] and activations[1]:
            same = len(set(activations[1])) == 1
            found["activation"] = activations[1][0] if same else f"[{', '.join(activations[1])}]"
        if len(_of(after, nn.Dropout)) < len(_of(before, nn.Dropout)):
            found["dropout"] = "0.0"
        if len(_of(after, nn.BatchNorm)) > len(_of(before, nn.BatchNorm)):
            found["norm"] = '"batch"'
        inits = [[each._init for each in _of(net, nn.Dense)] for net in (before, after)]
        if not found and inits[0] != inits[1]:
            found["init"] = '"kaiming_normal"' if self.estimator.init is None else "None"
        return found


# What to write where there is no change of the training, or one without a parameter.
_OTHERWISE: Mapping[str, Callable[[Words, Finding], str | None]] = {
    "cannot-fit": Words._of_few_rows,
    "columns": Words._of_columns,
    "labels": Words._of_labels,
    "units": Words._of_units,
    "validation": Words._of_validation,
}


def _applied(finding: Finding, setup: Setup) -> Setup | None:
    """Return the training with the change of a finding; None if it has none, or none that goes with this net."""
    if not finding.can_apply:
        return None
    with quiet():
        try:
            return finding.apply(setup)
        except ValueError:  # the changed layers do not go together
            return None


def _of(net: nn.Sequential, kind: type[Any]) -> list[Any]:
    return [each for each in net.leaves if isinstance(each, kind)]


def _activation(layer: nn.Layer) -> str:
    """Return the value of `activation` that stands for a layer."""
    name = activation_name(layer)
    if not name or layer != type(layer)():
        return f"nn.{v.shown(layer)}"
    return f'"{_SCIKIT_LEARN_NAMES.get(name, name)}"'


def _is_of_numbers(loss: Loss) -> bool:
    return "labels" not in loss.spec.kinds and not loss.spec.probabilities and not loss.spec.among
