"""What the installed scikit-learn has; where it lacks a feature, the comparison of that feature is skipped."""

import pytest

sklearn = pytest.importorskip("sklearn")

VERSION = tuple(map(int, sklearn.__version__.split(".")[:2]))

# What perceptrons of scikit-learn have, and since which version.
SINCE = {
    "sample weights": (1, 7),
    "losses of a regressor": (1, 7),
    "a check of small validation sets": (1, 7),
    "early stopping with classes that are words": (1, 9),
    "a check that not all weights are 0": (1, 9),
    "callbacks": (1, 9),
}


def has(feature):
    """Return whether the installed scikit-learn has a feature."""
    return SINCE[feature] <= VERSION


def needs(*features):
    """Skip the test if the installed scikit-learn lacks one of these features."""
    for feature in features:
        if not has(feature):
            pytest.skip(f"scikit-learn {sklearn.__version__} lacks {feature}")
