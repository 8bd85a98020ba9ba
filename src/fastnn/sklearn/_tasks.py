"""scikit-learn's callbacks (`set_callbacks`): what a fit tells them."""

from __future__ import annotations

from typing import Any


class Tasks:
    """The tasks of one fit: itself, and its epochs. False where nobody wants to be told.

    Parameters
    ----------
    estimator : estimator
    X, y, sample_weight
        As the fit was given them.
    epochs : int
        At most, 0 where a fit has none.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any, epochs: int) -> None:
        self.fit: Any = None
        self.epoch: Any = None
        if hasattr(estimator, "_skl_callbacks") or hasattr(estimator, "_parent_callback_ctx"):
            metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
            self.told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
            self.fit = estimator._init_callback_context(max_subtasks=epochs)
            self.fit.call_on_fit_task_begin(**self.told)

    def __bool__(self) -> bool:
        return self.fit is not None

    def begin_epoch(self) -> None:
        """Begin the next."""
        if self:
            self.epoch = self.fit.subcontext(task_name="epoch").call_on_fit_task_begin(**self.told)

    def end_epoch(self) -> bool:
        """End it: whether somebody asks for the end of the fit. A copy of the estimator can predict as it is."""
        return bool(self) and self.epoch.call_on_fit_task_end(**self.told, reconstruction_attributes={})

    def end(self) -> None:
        """End the fit."""
        if self:
            self.fit.call_on_fit_task_end(**self.told, reconstruction_attributes={})
