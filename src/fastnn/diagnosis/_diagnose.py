"""`diagnose`: what is wrong with a training, and what to change."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn.diagnosis._report import Report
from fastnn.nn import Loss, Sequential
from fastnn.training import Trainer
from fastnn.training._arguments import ValidationData

__all__ = ["diagnose"]


@with_hints
def diagnose(
    net_or_trainer: Sequential | Trainer | Any,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    loss: str | Loss | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    validation_data: ValidationData | None = None,
    sample_weight: npt.ArrayLike | None = None,
    prove: bool = False,
    seed: int = 0,
) -> Report:
    """Find what keeps a net from learning, and what to change.

    The training is run on copies, from its beginning, on a part of the rows; what each change would gain is measured on
    the others. Net and trainer stay as they are, bit for bit.

    Parameters
    ----------
    net_or_trainer : Sequential, Trainer or estimator of fastnn.sklearn
        A trainer brings its settings, and the arguments of its last fit; files and pickles do not keep these. A net is
        trained by Adam. An estimator, fitted or not, stands for the training of its `fit`, with other random initial
        values, for the epochs of its fits so far, or `max_iter`. Rules that end a fit early are left out, and no rows
        go to `early_stopping`. Of a pipeline, give the last step and the rows that it is fitted on.
    X, y, sample_weight : array_like
        The rows of the fit. NaN, ids and labels that `fit` refuses are reported.
    loss : str or Loss, optional
        By default that of the trainer; for a net one that fits `y`. Give it for a net of a training loop of your own.
    epochs, batch_size : int, optional
        By default those of the trainer's last fit, or else those of `Trainer.fit`.
    validation_data : (X, y), optional
        The rows on which changes are compared. By default a quarter of the rows is held out for that.
    prove : bool, default False
        Whether to try the changes on complete trainings with three seeds. This takes as long as some dozens of fits.
        Without, they are tried on shorter trainings: all is meant to take about 0.2 seconds and three epochs.
    seed : int, default 0
        It chooses the rows that are held out. Equal arguments give equal reports.

    Returns
    -------
    Report
        Its `findings`, the most important first, have a kind, a severity, the evidence, and the change to make.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type, X has not as many columns as the net, y not as many rows as X, the sample
        weights are what `fit` refuses, or a loss is given for an estimator.

    Notes
    -----
    Figures are the accuracy, for classes and for labels of yes or no; the balanced accuracy, where one class has 80 %
    of the rows or more; and R2, the mean over the columns, which is not followed below -1.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 2)) * [1.0, 1000.0]
    >>> y = (X[:, 0] > X[:, 1] / 1000).astype(int)
    >>> net = nn.Sequential(nn.Dense(2, 16), nn.ReLU(), nn.Dense(16, 2), seed=0)
    >>> report = fastnn.diagnose(net, X, y, epochs=20, batch_size=32)
    >>> report.findings[0].kind
    'input-scale'
    >>> print(report.findings[0].change)
    net.scaler = fastnn.data.Scaler.fit(X)
    >>> report.findings[0].gain.helps
    True
    """
    from fastnn.diagnosis._diagnosing import report_on  # `import fastnn` need not load all checks

    seed, prove = v.integer("seed", seed, 0), v.boolean("prove", prove)
    fit = {}
    if epochs is not None:
        fit["epochs"] = v.integer("epochs", epochs, 1)
    if batch_size is not None:
        fit["batch_size"] = v.integer("batch_size", batch_size, 1)
    return report_on(net_or_trainer, X, y, loss, validation_data, sample_weight, fit, prove=prove, seed=seed)
