"""All that differs between the supported versions of scikit-learn, 1.6 and newer, and of SciPy."""

from __future__ import annotations

from typing import Any, NoReturn

import scipy
import sklearn

from fastnn import _validation as v

__all__ = ["CallbackSupportMixin", "lbfgs_print_options", "metric_of_old_scorer"]

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn 1.6 to 1.8 have no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """In place of `set_callbacks`, a message that says which version has it."""

        @property
        def set_callbacks(self) -> NoReturn:
            """Register callbacks of scikit-learn 1.9 or newer; this version has none."""
            needs = f"needs scikit-learn 1.9 or newer, got {sklearn.__version__}"
            v.refuse_attribute("set_callbacks", needs, "give fastnn's own callbacks as callbacks=[...]")


def lbfgs_print_options(iprint: int) -> dict[str, int]:
    """Return the option with which SciPy's L-BFGS-B prints its progress, which SciPy 1.15 and newer do not have."""
    return {} if tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 15) else {"iprint": iprint}


def metric_of_old_scorer(scorer: Any) -> Any:
    """Return the metric of a scorer made by scikit-learn 1.6, which does not say whether it takes sample weights."""
    return getattr(scorer, "_score_func", None)
