"""The scikit-learn door: its two perceptrons, run by fastnn; the only part that imports scikit-learn."""

from fastnn import _validation as v

try:
    import sklearn
except ImportError:
    sklearn = None

WANTED = "scikit-learn 1.9 or newer: pip install 'fastnn-cpu[sklearn]'"
if sklearn is None:
    v.fail(ImportError, "fastnn.sklearn", WANTED, "none")
if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9):
    v.fail(ImportError, "fastnn.sklearn", WANTED, sklearn.__version__)

from fastnn.sklearn._estimators import MLPClassifier, MLPRegressor  # noqa: E402 - the messages come first

__all__ = ["MLPClassifier", "MLPRegressor"]
