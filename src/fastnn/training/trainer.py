"""`Trainer`: it fits and evaluates a net, and makes single steps for hand-written loops."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

import numpy.typing as npt

from fastnn import _config, kernels
from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._typing import Array
from fastnn.engine import lower_update, make_executor
from fastnn.nn import HeadsLoss, Loss, Sequential
from fastnn.nn.losses import with_names_of_losses
from fastnn.optim import Adam, Average, FullBatch, Optimizer, Penalty, Schedule
from fastnn.training._arguments import ValidationData
from fastnn.training._augment import Given
from fastnn.training._batch import check_single_steps, train_on_batch
from fastnn.training._fit_call import Data, checked_arguments, run_fit
from fastnn.training.callbacks import Callback
from fastnn.training.evaluation import evaluate
from fastnn.training.examples import validated_examples
from fastnn.training.history import History
from fastnn.training.metrics import Metric, Metrics, as_metrics, check_metrics
from fastnn.training.scaled_targets import target_scaling
from fastnn.training.trainer_files import TrainerFiles

__all__ = ["Trainer"]


class ForLogits:
    """Makes a method that only trainers with a loss of logits have, as `hasattr` then says."""

    def __init__(self, method: Callable[..., Array]) -> None:
        self._method = method
        functools.update_wrapper(self, method)  # type: ignore[arg-type]

    def __get__(self, trainer: Trainer | None, owner: type) -> Callable[..., Array]:
        if trainer is None:
            return self._method
        if not trainer._link():
            fix = "write trainer.predict(X)"
            if isinstance(trainer.loss, HeadsLoss):
                fix = "write kernels.softmax(trainer.predict(X)[:, :3]) for the columns of a head, for example"
            problem = f"is for losses of logits, not for {v.shown(trainer.loss)}"
            v.refuse_attribute("Trainer.predict_proba", problem, fix)
        return types.MethodType(self._method, trainer)


class Trainer(TrainerFiles):
    """Trains a net.

    Loss, optimiser, schedule, penalty, clipping limits, learning rate and average may be set at any time, also in a
    callback. They apply from the next step, `accumulate` from the next epoch, metrics from the next fit. Setting an
    optimiser sets `lr` to its learning rate. If the new optimiser is of another kind, its slots and `step_count` are
    reset; the schedule keeps counting. If a new average is of another kind, or was None, it begins anew.

    Parameters
    ----------
    net : Sequential
    loss : str or Loss, default "cross_entropy"
        One of `fastnn.nn`'s losses, or the name of one with its default settings:
        <names of losses>.
        The loss gets the net's output unchanged;
        <names of losses of logits> take it as logits.
    optimizer : str, Optimizer or FullBatch, default ``Adam(lr=1e-3)``
        An optimiser that steps batch by batch, or `LBFGS` or `Newton`, which use all rows at once: each of their
        iterations is an epoch. Or the name of one, with its default settings.
    schedule : str, Schedule or callable, optional
        The learning rate over time: a schedule of `fastnn.optim`, or a function of the epoch (from 0) that returns a
        factor of the learning rate. A schedule given by name, or whose length is None, has the length of each `fit`
        and begins anew with it; `step` then refuses it. A schedule of a length of its own goes on over later fits.
    penalty : Penalty, optional
        A penalty on large weights, added to the gradient and to the loss reported by `fit`.
    clip_value, clip_norm : float, optional
        Above 0. `clip_value` limits the absolute value of each gradient entry, `clip_norm` the norm of all gradients
        together: they are multiplied by ``min(1, clip_norm / (norm + 1e-6))``, as PyTorch does. The order is: the
        penalty is added, values are clipped, the norm is clipped, then the optimiser applies its own weight decay.
        Clipping by norm needs all gradients before the first update, so gradients and updates are not fused.
    metrics : str, Loss, sequence or mapping, optional
        Figures that `fit` computes of the validation data, and `evaluate` of its data, besides the loss: names
        ("accuracy", "balanced_accuracy", "r2", "root_mean_squared_error", or that of a loss), losses, or functions: one
        name or loss, a sequence, or a mapping with names for the figures. A function takes the targets, class labels
        (n,) or rows (n, K), and the net's output (n, K), and returns a number; it does not get sample weights, all
        others do. If the net has an `output_scaler`, targets and outputs are in the unit of the targets, not scaled.
        "accuracy" is the share of rows, or of entries for binary targets, that are predicted right; "balanced_accuracy"
        the mean of that share over the classes. "r2" and the root take the exponential of outputs that are logarithms
        of rates; "r2" is the mean over columns. For class labels "accuracy" is always computed.
    accumulate : int, default 1
        Number of batches for each update. The update takes the gradient of the mean loss over all rows of these
        batches: ``sum(weight * gradient) / sum(weight)``, where the weight of a batch is its number of rows, or the
        total of their sample weights. The batches that are left at the end of an epoch make an update too. If `fit`
        ends within an epoch, by `stop`, Ctrl-C or an exception, the batches since the last update make none. Batch
        norms use the statistics of each batch. `step_count` and schedules by steps count updates, callbacks batches. A
        `penalty` with ``per_batch`` is divided by ``sum(weight)``. A new value applies from the next epoch. It must be
        1 for `step`, full-batch optimisers and sparse updates of embeddings.
    average : Average or "ema", optional
        An average of the parameters over the training: `fastnn.optim.EMA` or `SWA`; "ema" is ``EMA()``. Evaluations
        look at the averaged net, see `averaged`: those of validation data and `train_metrics`, and so early stopping,
        and `evaluate`, `predict` and `predict_proba`. `net` stays what is trained, and ``history["loss"]`` is its loss.
        A `fit` warns if too little has been averaged at its end. `SWA` is for `fit` alone: `step` refuses it.

    Attributes
    ----------
    history : History
        The figures of all epochs of all fits.
    epoch : int
        Number of epochs trained so far.
    step_count : int
        Number of updates since the optimiser's last reset.
    schedule_step : int
        Number of updates that the schedule has counted, those of earlier optimisers included.
    loss, optimizer, schedule, penalty, clip_value, clip_norm, metrics, accumulate, average
        The parameters; they may be set.
    lr : float
        The learning rate before the schedule; it may be set.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type, or a name is unknown.

    Notes
    -----
    Names are compared without case, ``_`` and ``-``. Common names of the same formulas are known as well, such as
    "mse" and "mae". A name that means something else in another library is refused with what to write.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (X[:, 0] > X[:, 1]).astype(int)
    >>> net = nn.Sequential(nn.Dense(2, 16), nn.ReLU(), nn.Dense(16, 2), seed=0)
    >>> trainer = fastnn.Trainer(net, loss="cross_entropy", optimizer=optim.Adam(lr=1e-2))
    >>> history = trainer.fit(X, y, epochs=20, batch_size=20, verbose=0)
    >>> history["loss"][-1] < 0.2
    True
    >>> trainer.evaluate(X, y)["accuracy"] > 0.95
    True
    """

    __doc__ = with_names_of_losses(__doc__)

    @with_hints
    def __init__(
        self,
        net: Sequential,
        loss: str | Loss = "cross_entropy",
        optimizer: str | Optimizer | FullBatch = Adam(lr=1e-3),  # noqa: B008 - it is frozen
        schedule: str | Schedule | Callable[[int], float] | None = None,
        penalty: Penalty | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        metrics: Metrics | None = None,
        accumulate: int = 1,
        average: str | Average | None = None,
    ) -> None:
        super().__init__(net, loss, optimizer, schedule, penalty, clip_value, clip_norm, metrics, accumulate, average)

    _settable = frozenset(
        {
            "accumulate", "average", "clip_norm", "clip_value", "epoch", "loss", "lr", "metrics", "optimizer",
            "penalty", "schedule", "step_count",
        }
    )  # fmt: skip
    _read_only = frozenset({"averaged", "history", "net", "schedule_step"})
    _fixes: ClassVar[Mapping[str, str]] = {
        "net": "make a new fastnn.Trainer for another net",
        "learning_rate": "write trainer.lr",
        "optim": "write trainer.optimizer",
        "optimiser": "write trainer.optimizer",
        "scheduler": "write trainer.schedule",
        "criterion": "write trainer.loss",
        "train": "write trainer.fit(X, y)",
        "zero_grad": "leave it out, as net.backward(dz) replaces the gradients",
        "compile": "leave it out, and write fastnn.Trainer(net, loss=..., optimizer=...)",
        "score": 'write trainer.evaluate(X, y)["accuracy"]',
        "predict": "write trainer.net.predict(X)",
        "forward": "write trainer.net.forward(x, training=True)",
        "backward": "write trainer.net.backward(dz)",
        "model": "write trainer.net",
        "ema": "write trainer.average = optim.EMA(), or trainer.averaged for the averaged net",
        "ema_model": "write trainer.averaged",
        "swa_model": "write trainer.averaged",
        "parameters": "write trainer.net.parameters()",
        "trainable": 'write trainer.net.freeze("0.*") to freeze layer 0',
        "freeze": 'write trainer.net.freeze("0.*")',
        "unfreeze": 'write trainer.net.unfreeze("0.*")',
    }

    # ---- training ----

    @with_hints
    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        epochs: int = 10,
        batch_size: int = 128,
        shuffle: bool = True,
        validation_data: ValidationData | None = None,
        metrics: Metrics | None = None,
        train_metrics: bool = False,
        augment: Given | Sequence[Given] | None = None,
        callbacks: Iterable[Callback] = (),
        verbose: int | None = None,
    ) -> History:
        """Train for a number of epochs.

        A later call continues where this one ended: two fits of five epochs give the bits of one fit of ten. Ctrl-C
        ends the fit after the current step; the next fit then runs all batches of that epoch, from the present weights.

        Parameters
        ----------
        X : array_like, shape (n, in_features)
            Finite. float32, float64 and uint8 arrays and memory maps are read in place, others are converted once.
        y : array_like
            For the cross entropy, class labels from 0 to K - 1, shape (n,), or rows of probabilities with sum 1, shape
            (n, K). For other losses, numbers of shape (n, K), or (n,) if K is 1; from 0 to 1 for the binary cross
            entropy. The net's `output_scaler` scales them while batches are loaded. For a `HeadsLoss`, the columns of
            the heads side by side.
        sample_weight : array_like, shape (n,), optional
            The loss of a batch is the weighted mean over its rows. Weights are not negative, except for a `CustomLoss`.
        epochs : int, default 10
        batch_size : int, default 128
            The last batch may be smaller. With batch norm, a last batch of one row is merged into the one before.
        shuffle : bool, default True
            Whether each epoch takes the rows in another order, derived from the net's seed and the epoch.
        validation_data : (X, y) or (X, y, sample_weight), optional
            The net is evaluated on it after every epoch.
        metrics : str, Loss, sequence or mapping, optional
            In place of the trainer's `metrics`, for this fit; validation data or `train_metrics` are then needed. The
            history and the callbacks get the figures of the validation data as ``val_<name>``.
        train_metrics : bool, default False
            Whether metrics are computed of the training rows too, after every epoch and in evaluation mode: as
            ``<name>``. This costs a prediction of all rows.
        augment : Augmentation, str, callable, or a sequence of them, optional
            What is done by chance with the rows of each batch, in this order, once they are scaled and in the net's
            dtype: augmentations of `fastnn.data`; names of those with their default settings ("gaussian_noise",
            "feature_dropout", "swap_noise", "mixup"); or functions. A function is called as ``function(x, rng)`` with
            the batch, read-only and of shape (rows, in_features), and a `numpy.random.Generator`; it returns a batch of
            that shape, of finite numbers. What is drawn depends on the net's seed, the place in the list, the number of
            the step and the place of a row in the batch, so that both backends, any number of threads, and two fits in
            place of one give the same. Columns that an embedding reads stay as they are, except that `SwapNoise` swaps
            their ids, too. Evaluations and predictions are without; the history's ``loss`` is that of the changed rows.
        callbacks : iterable of Callback, optional
        verbose : int, optional
            0 shows nothing, 1 a progress bar over the epochs, or at most one line a second if tqdm is not installed. By
            default it is 1 on a terminal if tqdm is installed, else 0.

        Returns
        -------
        History
            The figures of all fits of this trainer.

        Raises
        ------
        TypeError, ValueError
            If an argument has a wrong type, shape or range, the loss takes logits, classes, scores or rates and the net
            has an `output_scaler`, `augment` has a `Mixup` and the loss takes no soft targets, or all parameters are
            frozen. Nothing has changed then.
        TrainingDiverged
            If a loss or a value of the net is NaN or infinite. The net and the average are then as at the start of the
            epoch, and the optimiser is reset.
        Exception
            Any exception of a callback, of a function of a custom layer or of one in `augment`. The net is then as
            after the last completed step; the next fit restarts the epoch.
        RuntimeError
            If the net is being trained already: in another thread, or if fit is called by a callback or a signal
            handler during a training of the net.
        """
        arguments = checked_arguments(
            self,
            epochs=epochs,
            batch_size=batch_size,
            shuffle=shuffle,
            metrics=metrics,
            train_metrics=train_metrics,
            augment=augment,
        )
        run_fit(self, arguments, Data(X, y, sample_weight, validation_data), callbacks, verbose)
        return self.history

    def train_on_batch(self, x: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """Make one step of training with a batch, for loops that get their batches one by one.

        Parameters, running statistics, the optimiser's state, an `EMA` and all counts are then, bit for bit, those that
        ``fit(x, y, sample_weight=sample_weight, batch_size=len(x), epochs=1, shuffle=False)`` leaves, except that
        `epoch` and `history` stay: no epoch passes. In a callback it is a step within the fit.

        Parameters
        ----------
        x : array_like, shape (n, in_features)
            The batch, as `fit` takes X: finite. Arrays of float32, float64 and uint8, of any strides, are read in
            place; others are converted first.
        y : array_like
            As for `fit`: integers for labels. Rows of numbers are read like `x`.
        sample_weight : array_like, shape (n,), optional
            As for `fit`.

        Returns
        -------
        float
            The mean loss of the batch before the update, with the penalty: what `fit` writes into the history.

        Raises
        ------
        TypeError, ValueError
            As `fit` does; also if `accumulate` is above 1, `average` is an `SWA`, or the schedule's length would be
            that of a fit. Nothing has changed then.
        TrainingDiverged
            If the loss is not finite. Nothing has changed then. What an update makes of the parameters shows in the
            next loss.
        RuntimeError
            If the net is being trained in another thread, or a signal handler calls this in the middle of a training.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn, optim
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.zeros()))
        >>> trainer = fastnn.Trainer(net, "mean_squared_error", optim.SGD(lr=0.25))
        >>> x, y = np.eye(2), np.array([1.0, 0.0])
        >>> [trainer.train_on_batch(x, y) for _ in range(3)]
        [0.5, 0.15625, 0.080078125]
        >>> trainer.step_count, trainer.epoch
        (3, 0)
        """
        return train_on_batch(self, x, y, sample_weight)

    def step(self) -> None:
        """Update the parameters with the gradients of the net's last `backward`, for hand-written loops.

        An `EMA` of the parameters is updated too; an `SWA`, which averages epochs, is refused. `accumulate` must be 1.
        To accumulate by hand, add up copies of ``net.gradients()`` over the batches, each times its share of the rows,
        and write the sums into ``net.gradients()`` before the step.

        Raises
        ------
        ValueError
            If `accumulate` is above 1, `average` is an `SWA`, or all parameters are frozen.
        RuntimeError
            If there was no `backward`, or the net is being trained in another thread.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import kernels, nn, optim
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.zeros()))
        >>> trainer = fastnn.Trainer(net, optimizer=optim.SGD(lr=0.5))
        >>> z = net.forward([[1.0, 2.0]], training=True)
        >>> net.backward(np.ones_like(z))
        >>> trainer.step()
        >>> net[0].weight
        array([[-0.5],
               [-1. ]], dtype=float32)
        """
        if self._accumulate > 1 or self._average is not None:
            fix = "set trainer.accumulate = 1, and write the mean of several gradients into net.gradients()"
            check_single_steps(self, "step", fix)
        net, backend = self.net, _config.get_backend()
        with net.training_claim:
            if (
                net.params.frozen or self._missed.frozen
            ):  # seldom: a step of a small net takes little longer than a call
                self.notice_frozen()
            if not net._has_gradients:
                v.refuse_state("call net.backward(dz) before step")
            executor = self._step_executors.get(backend)
            if executor is None:
                executor = self._step_executors[backend] = make_executor(
                    lower_update(self.as_update()),
                    net.dtype,
                    0,
                    net.params,
                    net.state,
                    net.gradient_arena(),
                    self.updated_arrays(),
                    backend=backend,
                )
            table, row = self.next_scalars()
            weight = float(net.last_rows()) if self._penalty.per_batch else 0.0
            counters = (self._step_counter,) if self._average is None else self.update_counters
            executor.run("update", 0, 0, table[row], _config.get_num_threads(), weight, net.lock, counters)

    @property
    def averaged(self) -> Sequential:
        """A new net with the averaged values as they are now. A trainer has it only if it has an `average`.

        Before anything has been averaged it is a copy of the net. While a fit runs, another thread may read this: the
        values are those after a complete step.

        If the net has batch norms that use the batch's statistics, their running statistics are computed in one pass
        over the training rows, as PyTorch's ``update_bn`` does: as the means over the batches of the batch's mean and
        unbiased variance. The batches have the fit's size and the rows in the order in which they were given, without
        dropout and augmentation. This pass follows each epoch after which the net is evaluated, and the end of a fit.
        In between, and after `step`, the statistics are those of the net.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn, optim
        >>> X, y = np.eye(4), np.arange(4)
        >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=0), average=optim.EMA(0.8))
        >>> history = trainer.fit(X, y, epochs=30, verbose=0)
        >>> bool((trainer.averaged.predict(X) == trainer.predict(X)).all())
        True
        """
        if self._averaging is None:
            problem = "is for trainers with an average"
            v.refuse_attribute("Trainer.averaged", problem, "write Trainer(net, ..., average=optim.EMA())")
        return self._averaging.new_net()

    @with_hints
    def evaluate(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        metrics: Metrics | None = None,
    ) -> dict[str, float]:
        """Evaluate the net: batch norms use their running statistics, and dropout is off.

        With an `average` it is the net `averaged`.
        If the net has an `output_scaler`, the loss is in scaled units, and metrics are in the unit of the targets.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`, except that X may contain NaN.
        metrics : str, Loss, sequence or mapping, optional
            In place of the trainer's `metrics`.

        Returns
        -------
        dict of str to float
            ``loss``; for class labels ``accuracy``, the (weighted) share of rows whose largest output is that of their
            class; then the metrics by their names.

        Raises
        ------
        TypeError, ValueError
            If an argument has a wrong type, shape or range, or a metric does not return a number.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(0.5)))
        >>> trainer = fastnn.Trainer(net, loss="mean_squared_error")
        >>> def worst(y, output):
        ...     return abs(y - output).max()
        >>> trainer.evaluate(np.eye(2), [0.0, 1.0], metrics={"worst": worst})
        {'loss': 0.25, 'worst': 0.5}
        """
        examples = validated_examples(self.net, self.loss, X, y, sample_weight, finite=False)
        used = self._metrics_or(metrics)
        check_metrics(used, self.loss, examples.y, self.net.out_features)
        return evaluate(self.evaluated_net(), self.loss, examples, used)

    def _metrics_or(self, metrics: Metrics | None) -> Mapping[str, Metric]:
        """Return the metrics of a call, by default the trainer's."""
        return self.metrics if metrics is None else as_metrics(metrics, self.net.out_features)

    def predict(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the net's output in evaluation mode: ``trainer.net.predict(X)``.

        With an `average` it is ``trainer.averaged.predict(X)``.

        Parameters
        ----------
        X, out
            As for `Sequential.predict`.

        Returns
        -------
        ndarray, shape (n, out_features)
            For losses of logits these are logits, see `predict_proba`.

        Examples
        --------
        >>> import fastnn
        >>> from fastnn import nn
        >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(2, 2, init="zeros")))
        >>> trainer.predict([[1.0, 2.0]])
        array([[0., 0.]], dtype=float32)
        """
        return self.evaluated_net().predict(X, out)

    @ForLogits
    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Return the probabilities of the classes. A trainer has this method only if its loss takes logits.

        With an `average` they are those of the net `averaged`.

        Parameters
        ----------
        X : array_like, shape (n, in_features)
            As for `Sequential.predict`.

        Returns
        -------
        ndarray, shape (n, out_features)
            The softmax of each row for the cross entropy, the sigmoid of each entry for the binary cross entropy. For
            the log loss it is the softmax of two or more outputs, and the sigmoid of one.

        Examples
        --------
        >>> import fastnn
        >>> from fastnn import nn
        >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(2, 2, init="zeros")))
        >>> trainer.predict_proba([[1.0, 2.0]])
        array([[0.5, 0.5]], dtype=float32)
        """
        target_scaling(self.net, self.loss)  # refuses an output scaler
        return (kernels.softmax if self._link() == "softmax" else kernels.sigmoid)(self.evaluated_net().predict(X))

    def _link(self) -> str:
        """Return the function that makes probabilities of the outputs, or "" if they are no logits."""
        spec = self.loss.spec
        meaningless = spec.exclusive if self.net.out_features == 1 else ()
        kinds = [kind for kind in ("labels", "rows") if kind in spec.kinds and kind not in meaningless]
        link = self.loss.link(kinds[0]) if kinds else ""
        return link if link in ("softmax", "sigmoid") else ""
