"""scikit-learn's callbacks, registered by `set_callbacks`: the calls that a fit makes to them."""

from __future__ import annotations

from typing import Any


class CallbackTasks:
    """The tasks of one fit, as scikit-learn's callbacks see them: the fit itself, and within it one task per epoch.

    False if the estimator has no such callbacks; all methods then do nothing.

    Parameters
    ----------
    estimator : estimator
    X, y, sample_weight
        The fit's own arguments.
    epochs : int
        The maximum number of epochs; 0 for a fit without epochs.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any, epochs: int) -> None:
        self.fit_context: Any = None
        self.epoch_context: Any = None
        if hasattr(estimator, "_skl_callbacks") or hasattr(estimator, "_parent_callback_ctx"):
            metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
            self.arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
            self.fit_context = estimator._init_callback_context(max_subtasks=epochs)
            self.fit_context.call_on_fit_task_begin(**self.arguments)

    def __bool__(self) -> bool:
        return self.fit_context is not None

    def begin_epoch(self) -> None:
        """Begin the task of the next epoch."""
        if self:
            context = self.fit_context.subcontext(task_name="epoch")
            self.epoch_context = context.call_on_fit_task_begin(**self.arguments)

    def end_epoch(self) -> bool:
        """End the task of the epoch; return whether a callback asks to stop the fit."""
        return bool(self) and self._end(self.epoch_context)

    def end(self) -> None:
        """End the task of the fit."""
        if self:
            self._end(self.fit_context)

    def _end(self, context: Any) -> bool:
        # No attributes to reconstruct: the estimator, and any copy of it, can predict during the fit.
        stop: bool = context.call_on_fit_task_end(**self.arguments, reconstruction_attributes={})
        return stop
