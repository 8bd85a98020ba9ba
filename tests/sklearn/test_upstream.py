"""scikit-learn's own tests of its perceptrons, from the installed package, run on fastnn's estimators."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

import sklearn.neural_network
from scikit_learn import has

import fastnn.sklearn

# Tests that use internals that do not exist here, each with the reason.
EXCEPTIONS = {}
if not has("sample weights"):
    EXCEPTIONS["test_gradient"] = "calls _loss_grad_lbfgs without sample weights; test_agreement.py compares gradients"

# Tests that use private names, all of which exist here as well.
PRIVATE = {
    "test_gradient": "_loss_grad_lbfgs",
    "test_learning_rate_warmstart": "_optimizer",
    "test_adaptive_learning_rate": "_optimizer",
    "test_n_iter_no_change": "_no_improvement_count",
    "test_n_iter_no_change_inf": "_no_improvement_count",
}

pytestmark = pytest.mark.filterwarnings("ignore")


def load():
    """Return the module of the tests, with fastnn's two classes in it."""
    path = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
    spec = importlib.util.spec_from_file_location("upstream_test_mlp", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name in fastnn.sklearn.__all__:
            patch.setattr(sklearn.neural_network, name, getattr(fastnn.sklearn, name))
        spec.loader.exec_module(module)
    assert module.MLPClassifier is fastnn.sklearn.MLPClassifier
    return module


UPSTREAM = {name: each for name, each in vars(load()).items() if name.startswith("test_")}
globals().update({name: each for name, each in UPSTREAM.items() if name not in EXCEPTIONS})


@pytest.fixture
def global_random_seed():
    """Return the default value of scikit-learn's fixture of this name."""
    return 42


def test_upstream_still_has_the_listed_tests():
    assert len(UPSTREAM) >= 39
    assert UPSTREAM.keys() >= EXCEPTIONS.keys() | PRIVATE.keys()
    assert len(EXCEPTIONS) <= 3
