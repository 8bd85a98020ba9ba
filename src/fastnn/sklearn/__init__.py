"""scikit-learn's two perceptrons, run by fastnn. The rest of fastnn works without scikit-learn."""

from fastnn import _validation as v

try:
    import sklearn
except ImportError:
    sklearn = None

if sklearn is None:
    v.refuse_missing("fastnn.sklearn", "scikit-learn 1.6 or newer", "sklearn")
if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 6):
    v.refuse_missing("fastnn.sklearn", "scikit-learn 1.6 or newer", "sklearn", sklearn.__version__)

from fastnn.sklearn._estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]


def __dir__() -> list[str]:
    return __all__
