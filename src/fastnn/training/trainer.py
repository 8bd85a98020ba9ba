"""`Trainer`: it fits and evaluates a net, calls callbacks between steps, and saves and restores its state."""

from __future__ import annotations

import contextlib
import math
import numbers
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NoReturn, cast

import numpy as np
import numpy.typing as npt

from fastnn import _config, kernels
from fastnn import _validation as v
from fastnn._settings import FixedAttributes
from fastnn._typing import Array
from fastnn.engine import Counter, Executor, Feed, Update, aligned_zeros, make_executor, read_only
from fastnn.nn import Loss, Sequential
from fastnn.nn.losses import as_loss, with_names_of_losses
from fastnn.nn.sequential import as_net
from fastnn.optim import Adam, FullBatch, LambdaLR, Optimizer, Penalty, Schedule
from fastnn.training.callbacks import Callback, ProgressBar, has_tqdm, observes_steps, on_terminal
from fastnn.training.diverged import TrainingDiverged, first_nonfinite
from fastnn.training.examples import Examples, validated_examples
from fastnn.training.full_batch import Objective, check_full_batch
from fastnn.training.history import History
from fastnn.training.state import slots_by_name, validated_state

__all__ = ["Metric", "Trainer"]

Metric = Callable[[Array, Array], float]  # takes the targets and the net's outputs of all rows

SLICE_SECONDS = 0.05  # time in native code before signals and callbacks are handled
SLICE_STEPS = 4096  # largest number of steps whose scalars are computed together
BLOCK_STEPS = 64  # smallest number of steps whose scalars are computed together: computing fewer takes as long
ORDER_STREAM = 0  # stream of random numbers for the order of the rows; layers use the other streams
EVALUATE_ELEMENTS = 1 << 18  # outputs that an evaluation computes at a time


class Trainer(FixedAttributes):
    """Trains a net.

    Loss, optimiser, schedule, penalty, clipping limits and learning rate may be set at any time, also in a callback.
    They apply from the next step. Setting an optimiser sets `lr` to its learning rate. If the new optimiser is of
    another kind, its slots and `step_count` are reset; the schedule keeps counting.

    Parameters
    ----------
    net : Sequential
    loss : str or Loss, default "cross_entropy"
        One of `fastnn.nn`'s losses, or the name of one with its default settings:
        <names of losses>.
        The loss gets the net's output unchanged;
        <names of losses of logits> take it as logits.
    optimizer : Optimizer or FullBatch, default ``Adam(lr=1e-3)``
        An optimiser that steps batch by batch, or `LBFGS` or `Newton`, which use all rows at once: each of their
        iterations is an epoch.
    schedule : Schedule or callable, optional
        The learning rate over time: a schedule of `fastnn.optim`, or a function of the epoch (from 0) that returns a
        factor of the learning rate.
    penalty : Penalty, optional
        A penalty on large weights, added to the gradient and to the loss reported by `fit`.
    clip_value, clip_norm : float, optional
        Above 0. `clip_value` limits the absolute value of each gradient entry, `clip_norm` the norm of all gradients
        together: they are multiplied by ``min(1, clip_norm / (norm + 1e-6))``, as PyTorch does. The order is: the
        penalty is added, values are clipped, the norm is clipped, then the optimiser applies its own weight decay.
        Clipping by norm needs all gradients before the first update, so gradients and updates are not fused.

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
    loss, optimizer, schedule, penalty, clip_value, clip_norm
        The parameters; they may be set.
    lr : float
        The learning rate before the schedule; it may be set.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type, or the name of the loss is unknown.

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

    def __init__(
        self,
        net: Sequential,
        loss: str | Loss = "cross_entropy",
        optimizer: Optimizer | FullBatch = Adam(lr=1e-3),  # noqa: B008 - it is frozen
        schedule: Schedule | Callable[[int], float] | None = None,
        penalty: Penalty | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self.__dict__.update(net=as_net("net", net), history=History())
        self._step_counter, self._epoch_counter = Counter(), Counter()
        self._schedule_start = 0  # updates that the schedule had counted at the optimiser's last reset
        self._stop_requested = self._in_full_batch_fit = False
        self._slots: tuple[Array, ...] | None = None
        self._loss = as_loss(loss, net.out_features)
        self._schedule = _as_schedule(schedule)
        self._penalty = _as_penalty(penalty)
        self._clip_value, self._clip_norm = _as_limit("clip_value", clip_value), _as_limit("clip_norm", clip_norm)
        self._optimizer, self._groups = self._with_groups(optimizer)
        self._lr = self._optimizer.lr
        self._drop_caches()

    net: Sequential
    history: History

    _settable = frozenset(
        {"clip_norm", "clip_value", "epoch", "loss", "lr", "optimizer", "penalty", "schedule", "step_count"}
    )
    _read_only = frozenset({"history", "net", "schedule_step"})
    _fixes: ClassVar[Mapping[str, str]] = {
        "net": "make a new fastnn.Trainer for another net",
        "learning_rate": "write trainer.lr",
        "optim": "write trainer.optimizer",
        "scheduler": "write trainer.schedule",
        "criterion": "write trainer.loss",
        "trainable": 'give the optimiser a group with rate 0: optim.Adam(groups=[optim.Group("0.*", lr_scale=0.0)])',
    }

    # ---- settings ----

    @property
    def loss(self) -> Loss:
        """The loss."""
        return self._loss

    @loss.setter
    def loss(self, loss: str | Loss) -> None:
        self._set("loss", _loss=as_loss(loss, self.net.out_features))

    @property
    def optimizer(self) -> Optimizer | FullBatch:
        """The optimiser."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer | FullBatch) -> None:
        checked, groups = self._with_groups(optimizer)
        if self.net.training_claim.taken and isinstance(checked, FullBatch):
            v.refuse(
                ValueError, "optimizer", "step batch by batch during a fit", v.shown(checked), "set it after the fit"
            )
        new: dict[str, Any] = {"_optimizer": checked, "_groups": groups, "_lr": checked.lr}
        if checked.kind != self._optimizer.kind:
            start = self._schedule_start + self._step_counter.value
            new |= {"_slots": None, "_schedule_start": start, "_step_counter": Counter()}
        self._set("optimizer", **new)

    @property
    def schedule(self) -> Schedule | None:
        """The learning rate over time, or None."""
        return self._schedule

    @schedule.setter
    def schedule(self, schedule: Schedule | Callable[[int], float] | None) -> None:
        self._refuse_with_full_batch(self._optimizer, schedule=schedule)
        self._set("schedule", _schedule=_as_schedule(schedule))

    @property
    def penalty(self) -> Penalty:
        """The penalty on large weights."""
        return self._penalty

    @penalty.setter
    def penalty(self, penalty: Penalty | None) -> None:
        self._set("penalty", _penalty=_as_penalty(penalty))

    @property
    def clip_value(self) -> float:
        """Upper limit of the absolute value of gradient entries; infinite if there is none."""
        return self._clip_value

    @clip_value.setter
    def clip_value(self, limit: float | None) -> None:
        self._refuse_with_full_batch(self._optimizer, clip_value=limit)
        self._set("clip_value", _clip_value=_as_limit("clip_value", limit))

    @property
    def clip_norm(self) -> float:
        """Upper limit of the norm of all gradients together; infinite if there is none."""
        return self._clip_norm

    @clip_norm.setter
    def clip_norm(self, limit: float | None) -> None:
        self._refuse_with_full_batch(self._optimizer, clip_norm=limit)
        self._set("clip_norm", _clip_norm=_as_limit("clip_norm", limit))

    @property
    def lr(self) -> float:
        """The learning rate before the schedule."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = v.real("lr", lr, 0)

    @property
    def step_count(self) -> int:
        """Number of updates since the optimiser's last reset."""
        return self._step_counter.value

    @step_count.setter
    def step_count(self, count: int) -> None:
        self.net.training_claim.refuse_change("step_count")
        self._step_counter.value = v.integer("step_count", count, 0)

    @property
    def schedule_step(self) -> int:
        """Number of updates that the schedule has counted, those of earlier optimisers included."""
        return self._schedule_start + self._step_counter.value

    @property
    def epoch(self) -> int:
        """Number of epochs trained so far."""
        return self._epoch_counter.value

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.net.training_claim.refuse_change("epoch")
        self._epoch_counter.value = v.integer("epoch", epoch, 0)

    def _set(self, name: str, **attributes: Any) -> None:
        """Set checked settings and drop what was compiled or cached for the old ones, in one atomic update."""
        self.net.training_claim.refuse_change(name)
        if self._in_full_batch_fit:
            v.refuse_state(f"{name} cannot be set during a fit with {self._optimizer!r}", "set it after the fit")
        self.__dict__.update(attributes, _step_executors={}, _fit_executor_cache=None, _scalar_cache=None)

    def _drop_caches(self) -> None:
        self._step_executors: dict[str, Executor] = {}
        self._scalar_cache: tuple[tuple[object, ...], int, Array, Array] | None = None
        self._fit_executor_cache: tuple[tuple[str, str], Executor] | None = None

    def _with_groups(self, optimizer: object) -> tuple[Optimizer | FullBatch, dict[str, int]]:
        """Return the optimiser, checked, and the number of each parameter's group."""
        if not isinstance(optimizer, Optimizer | FullBatch):
            must = "be an optimiser of fastnn.optim"
            v.refuse_class("optimizer", optimizer, (Optimizer, FullBatch), must)
            v.refuse(TypeError, "optimizer", must, v.kind_of(optimizer), "write optim.Adam(), for example")
        self._refuse_with_full_batch(optimizer)
        return optimizer, optimizer.assign(self.net.params.layout.shapes) if isinstance(optimizer, Optimizer) else {}

    def _refuse_with_full_batch(self, optimizer: Optimizer | FullBatch, **changed: object) -> None:
        """Refuse settings that a full-batch optimiser does not support; `changed` are about to be set."""
        if isinstance(optimizer, FullBatch):
            limits = {"clip_value": self._clip_value, "clip_norm": self._clip_norm}
            settings = {name: None if limit == math.inf else limit for name, limit in limits.items()}
            check_full_batch(self.net, optimizer, **{"schedule": self._schedule, **settings, **changed})

    # ---- training ----

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        epochs: int = 10,
        batch_size: int = 128,
        validation_data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        shuffle: bool = True,
        callbacks: Iterable[Callback] = (),
        verbose: int | None = None,
        metrics: Mapping[str, Metric] | None = None,
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
            entropy.
        epochs : int, default 10
        batch_size : int, default 128
            The last batch may be smaller. With batch norm, a last batch of one row is merged into the one before.
        validation_data : (X, y), optional
            The net is evaluated on it after every epoch.
        sample_weight : array_like, shape (n,), optional
            The loss of a batch is the weighted mean over its rows.
        shuffle : bool, default True
            Whether each epoch takes the rows in another order, derived from the net's seed and the epoch.
        callbacks : iterable of Callback, optional
        verbose : int, optional
            0 shows nothing, 1 a progress bar for each epoch, or a line if tqdm is not installed. By default it is 1 on
            a terminal if tqdm is installed, else 0.
        metrics : mapping of str to callable, optional
            Your own figures of the validation data, computed after every epoch. The history and the callbacks get them
            as ``val_<name>``. See `evaluate`.

        Returns
        -------
        History
            The figures of all fits of this trainer.

        Raises
        ------
        TypeError, ValueError
            If an argument has a wrong type, shape or range. Nothing has changed then.
        TrainingDiverged
            If a loss or a value of the net is NaN or infinite. The net is then as at the start of the epoch, and the
            optimiser is reset.
        Exception
            Any exception of a callback or of a function of a custom layer. The net is then as after the last completed
            step; the next fit restarts the epoch.
        RuntimeError
            If the net is being trained already: in another thread, or if fit is called by a callback or a signal
            handler during a training of the net.
        """
        net = self.net
        examples = validated_examples(net, self.loss, X, y, sample_weight, finite=True)
        epochs = v.integer("epochs", epochs, 1)
        batch_size = min(v.integer("batch_size", batch_size, 1), len(examples.x))
        validation = self._validation_examples(validation_data)
        metrics = _as_metrics(metrics)
        if metrics and validation is None:
            fix = "write validation_data=(X_val, y_val), from which metrics are computed"
            v.refuse(ValueError, "validation_data", "be given with metrics", None, fix)
        callbacks, shuffle = _as_callbacks(callbacks), v.boolean("shuffle", shuffle)
        if verbose is None:
            verbose = int(has_tqdm() and on_terminal())
        if v.integer("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0):
            callbacks.append(ProgressBar(epochs))
        if net.uses_batch_statistics:
            v.at_least("X", examples.x, 0, 2, "rows for batch norm")
            if batch_size == 1:
                v.refuse(ValueError, "batch_size", "be at least 2 for batch norm", batch_size)

        order = np.arange(len(examples.x), dtype=np.int64)
        scaling = net.scaler or (None, None)
        feed = Feed(examples.x, order, batch_size, examples.y, examples.row_weight, net.uses_batch_statistics, *scaling)
        net.training_claim.refuse_nested_fit()
        with net.training_claim:
            self._stop_requested = False
            if isinstance(self.optimizer, FullBatch):
                _FullBatchFit(self, self.optimizer, examples, callbacks, validation, metrics).run(epochs)
            else:
                self._fit_executor(examples.target, feed.largest_batch)  # a MemoryError comes before any callback runs

                def recheck_data() -> tuple[Examples, Examples | None]:
                    return (
                        validated_examples(net, self.loss, X, y, sample_weight, finite=True),
                        self._validation_examples(validation_data),
                    )

                _Fit(self, examples, feed, callbacks, validation, metrics, bool(shuffle), recheck_data).run(epochs)
        return self.history

    def step(self) -> None:
        """Update the parameters with the gradients of the net's last `backward`, for hand-written loops.

        Raises
        ------
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
        >>> net.layers[0].weight
        array([[-0.5],
               [-1. ]], dtype=float32)
        """
        net, backend = self.net, _config.get_backend()
        with net.training_claim:
            if not net._has_gradients:
                v.refuse_state("call net.backward(dz) before step")
            executor = self._step_executors.get(backend)
            if executor is None:
                program = net.training_program(optimizer=self._update())
                executor = self._step_executors[backend] = make_executor(
                    program,
                    net.dtype,
                    1,
                    net.params,
                    net.state,
                    net.gradient_arena(),
                    self._get_slots(),
                    net.seed,
                    backend,
                )
            scalars = self.scalars(1)[1][0]
            weight = float(net.last_rows()) if self._penalty.per_batch else 0.0
            executor.run("update", 0, 0, scalars, _config.get_num_threads(), weight, net.lock, (self._step_counter,))

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the training state: everything that the next steps need besides the net's values.

        Together with the net's own `state_dict` it is complete: load both into a net and a trainer made with the same
        settings, and their fits continue bit for bit.

        Returns
        -------
        dict
            ``optimizer`` (the kind of its update), ``step_count``, ``schedule_step``, ``epoch``, ``lr``,
            ``training_steps`` (of the net), ``history`` (a list of dicts) and ``slots``: the optimiser's arrays by slot
            ("m", "v", ...) and parameter ("0.weight", ...), in the orientation of the net's `state_dict`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> from fastnn import nn
        >>> X, y = np.eye(4), np.arange(4)
        >>> trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=1))
        >>> saved = trainer.fit(X, y, epochs=3, verbose=0) and (trainer.net.state_dict(), trainer.state_dict())
        >>> again = fastnn.Trainer(nn.Sequential(nn.Dense(4, 4), seed=1))
        >>> again.net.load_state_dict(saved[0])
        >>> again.load_state_dict(saved[1])
        >>> again.fit(X, y, epochs=2, verbose=0)["loss"] == trainer.fit(X, y, epochs=2, verbose=0)["loss"]
        True
        """
        return self._state(*self._snapshot()[2:])

    def _snapshot(self) -> tuple[Array, Array, tuple[Array, ...], tuple[int, int, int], list[dict[str, float]]]:
        """Return copies of parameters, running statistics, slots, counts and history, all of the same moment."""
        net = self.net
        arrays, counts, (history,) = net.lock.snapshot(
            (net.params.data, net.state.data, *self._get_slots()),
            (self._step_counter, self._epoch_counter, net._forward_counter),
            (self.history.epochs,),
        )
        return arrays[0], arrays[1], arrays[2:], cast(tuple[int, int, int], counts), history

    def _state(
        self, slots: tuple[Array, ...], counts: tuple[int, int, int], history: list[dict[str, float]]
    ) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.kind,
            "step_count": counts[0],
            "schedule_step": self._schedule_start + counts[0],
            "epoch": counts[1],
            "lr": self._lr,
            "training_steps": counts[2],
            "history": [dict(epoch) for epoch in history],
            "slots": slots_by_name(self._slot_names(), slots, self.net.params.layout),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a `state_dict` of a trainer with the same layers and the same kind of optimiser.

        Parameters
        ----------
        state_dict : mapping
            With exactly the keys and shapes of `state_dict`; slots are converted to the net's dtype.

        Raises
        ------
        TypeError, ValueError
            If a key is missing or unknown, a value has a wrong type, shape or range, or the state is that of another
            kind of optimiser. Trainer and net have not changed then.
        RuntimeError
            If called by a signal handler that has interrupted a training of the net.
        """
        layout = self.net.params.layout
        state = validated_state(state_dict, self.optimizer.kind, self._slot_names(), layout)
        pairs = []
        for key, slot in zip(self._slot_names(), self._get_slots(), strict=True):
            flat = np.zeros_like(slot)
            with np.errstate(all="ignore"):
                for name in layout:
                    layout.view(flat, name)[...] = state["slots"][key][name]
            pairs.append((slot, flat))
        self.net.training_claim.refuse_change("the trainer's state", elsewhere=False)
        self.net.lock.assign(
            tuple(pairs),
            (
                (self._step_counter, state["step_count"]),
                (self._epoch_counter, state["epoch"]),
                (self.net._forward_counter, state["training_steps"]),
            ),
            (
                (
                    self.__dict__,
                    {
                        "_lr": state["lr"],
                        "_schedule_start": state["schedule_step"] - state["step_count"],
                        "_scalar_cache": None,
                    },
                ),
                (self.history.__dict__, {"epochs": state["history"]}),
            ),
        )

    def stop(self) -> None:
        """Ask the running fit to end: after the current epoch, or after the current step if called during an epoch."""
        self._stop_requested = True

    def copy(self) -> Trainer:
        """Return an independent trainer with a copy of the net, of the optimiser's state and of the history.

        Fits of the original and of the copy give the same bits, and do not affect each other.

        Returns
        -------
        Trainer
        """
        params, state, slots, counts, history = self._snapshot()
        copied = type(self).__new__(type(self))
        copied.__dict__.update(
            self.__dict__,
            net=self.net.with_values(params, state, counts[2], self.net.dtype),
            history=History([dict(epoch) for epoch in history]),
        )
        copied._step_counter, copied._epoch_counter = Counter(counts[0]), Counter(counts[1])
        copied._stop_requested = copied._in_full_batch_fit = False
        copied._slots = None
        copied._drop_caches()
        for new_slot, slot in zip(copied._get_slots(), slots, strict=True):
            new_slot[...] = slot
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        params, state, slots, counts, history = self._snapshot()
        limits = (None if limit == math.inf else limit for limit in (self._clip_value, self._clip_norm))
        settings = self._loss, self._optimizer, self._schedule, self._penalty, *limits
        user_attributes = {
            name: value for name, value in self.__dict__.items() if name[0] != "_" and name not in self._read_only
        }
        # pickle saves the net after this method has returned. During a training, more steps may have run by then. So
        # the net's values are saved here too, as of the same step as the trainer's state.
        net_values = (params, state) if self.net.training_claim.taken else None
        trainer_state = self._state(slots, counts, history)
        return _restore, (type(self), self.net, settings, trainer_state, net_values, user_attributes)

    def evaluate(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> dict[str, float]:
        """Evaluate the net: batch norms use their running statistics, and dropout is off.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`, except that X may contain NaN.
        metrics : mapping of str to callable, optional
            Your own figures. Each function takes the targets, class labels (n,) or rows (n, out_features), and the
            net's output (n, out_features), which are logits if the loss takes logits. It returns a number. It does not
            get the sample weights.

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
        return self._evaluate(examples, _as_metrics(metrics))

    # ---- for fits and steps: scalars, executors, slots, evaluation ----

    def scalars(self, steps: int, ahead: int = BLOCK_STEPS) -> tuple[Array, Array]:
        """Return the learning rates of the next steps, and the scalars of their updates, one row for each step.

        More steps than asked for are computed at once and cached. With a schedule these are at most `ahead` steps, the
        ones left in the epoch, as later rates may depend on the epoch.
        """
        schedule, lr, start, epoch, count = (
            self._schedule, self._lr, self._schedule_start, self._epoch_counter.value, self._step_counter.value
        )  # fmt: skip
        key = self._optimizer, schedule, None if schedule is None else (epoch, start), lr
        if self._scalar_cache is not None and self._scalar_cache[0] == key:
            _, first, rates, table = self._scalar_cache
            offset = count - first
            if 0 <= offset <= len(table) - steps:
                return rates[offset : offset + steps], table[offset : offset + steps]
        block = max(steps, BLOCK_STEPS if schedule is None else min(BLOCK_STEPS, ahead))
        counts = count + np.arange(block)
        rates = np.full(block, lr) if schedule is None else schedule(lr, epoch, start + counts)
        table = self._batch_optimizer().table(counts + 1, rates)
        self._scalar_cache = key, count, rates, table
        return rates[:steps], table[:steps]

    def reset_optimizer(self) -> None:
        """Reset the optimiser: slots get their initial values, and `step_count` and `schedule_step` become 0."""
        self.net.training_claim.refuse_change("the optimiser's state")
        self._assign_and_reset_optimizer()

    def _assign_and_reset_optimizer(self, *net_values: tuple[Array, Array], training_steps: int | None = None) -> None:
        """Copy values into the net's arrays, set its count of steps and reset the optimiser, in one atomic update."""
        slots = [(slot, np.full_like(slot, self._batch_optimizer().slot_start)) for slot in self._slots or ()]
        counts = [(self._step_counter, 0)]
        if training_steps is not None:
            counts.append((self.net._forward_counter, training_steps))
        self.net.lock.assign((*net_values, *slots), tuple(counts), ((self.__dict__, {"_schedule_start": 0}),))

    def _fit_executor(self, target: str, rows: int) -> Executor:
        """Return the executor of the last fit if it can be used, as making one takes longer than a short fit."""
        net, key = self.net, (_config.get_backend(), target)
        if (
            self._fit_executor_cache is None
            or self._fit_executor_cache[0] != key
            or self._fit_executor_cache[1].capacity < rows
        ):
            self._fit_executor_cache = None  # frees the memory of the old one first
            program = net.training_program(loss=self.loss, target=target, optimizer=self._update())
            executor = make_executor(
                program,
                net.dtype,
                rows,
                net.params,
                net.state,
                net.gradient_arena(),
                self._get_slots(),
                net.seed,
                key[0],
            )
            self._fit_executor_cache = key, executor
        return self._fit_executor_cache[1]

    def _update(self) -> Update:
        """Return the optimiser, the penalty and the limits in the form that the engine takes."""
        optimizer, penalty = self._batch_optimizer(), self.penalty
        return Update(
            kind=optimizer.kind,
            l1=penalty.l1,
            l2=penalty.l2,
            per_batch=penalty.per_batch,
            penalized=self.net.penalized(),
            decay=optimizer.decay,
            groups=self._groups,
            n_groups=1 + len(optimizer.groups),
            clip_value=self.clip_value,
            clip_norm=self.clip_norm,
            max_norms=self.net.max_norms(),
            n_scalars=optimizer.table(np.ones(1, np.int64), np.zeros(1)).shape[-1],
        )

    def _get_slots(self) -> tuple[Array, ...]:
        if self._slots is None:
            size = self.net.params.layout.size
            self._slots = tuple(aligned_zeros(size, self.net.dtype) for _ in self._slot_names())
            for slot in self._slots:
                slot[...] = self._batch_optimizer().slot_start
        return self._slots

    def _slot_names(self) -> tuple[str, ...]:
        return self.optimizer.slots if isinstance(self.optimizer, Optimizer) else ()

    def _batch_optimizer(self) -> Optimizer:
        """Return the optimiser, which must not be a full-batch one."""
        if isinstance(self.optimizer, FullBatch):
            fix = "call fit, or set trainer.optimizer = optim.Adam()"
            v.refuse(TypeError, "optimizer", "step batch by batch", v.shown(self.optimizer), fix)
        return self.optimizer

    def _validation_examples(self, data: Any) -> Examples | None:
        if data is None:
            return None
        if not isinstance(data, Sequence) or len(data) != 2:
            fix = "write validation_data=(X_val, y_val)"
            v.refuse(TypeError, "validation_data", "be a pair (X, y)", v.kind_and_length(data), fix)
        names = ("validation_data[0]", "validation_data[1]", "sample_weight")
        return validated_examples(self.net, self.loss, data[0], data[1], None, finite=True, names=names)

    def _evaluate(self, examples: Examples, metrics: Mapping[str, Metric]) -> dict[str, float]:
        """Evaluate chunk by chunk: without metrics, which need all outputs at once, the memory is bounded."""
        step = max(1, EVALUATE_ELEMENTS // self.net.out_features)
        loss = loss_weight = correct = total_weight = 0.0
        outputs = np.empty((len(examples.x), self.net.out_features), self.net.dtype) if metrics else None
        for start in range(0, len(examples.x), step):
            rows = slice(start, start + step)
            z, y = self.net.predict(examples.x[rows], None if outputs is None else outputs[rows]), examples.y[rows]
            sample_weight = None if examples.sample_weight is None else examples.sample_weight[rows]
            row_weight = sample_weight if examples.row_weight is None else examples.row_weight[rows]
            weight = float(len(z) if row_weight is None else row_weight.sum())
            if weight > 0:
                loss += weight * self.loss(z, y if y.ndim == 1 else y.astype(z.dtype), sample_weight)
                loss_weight += weight
            if examples.target == "labels":
                hits = z.argmax(axis=1) == y
                correct += float(np.count_nonzero(hits) if sample_weight is None else sample_weight[hits].sum())
                total_weight += float(len(z) if sample_weight is None else sample_weight.sum())
        logs = {"loss": loss / loss_weight}
        if examples.target == "labels":
            logs["accuracy"] = correct / total_weight
        for name, metric in metrics.items():
            figure: object = metric(read_only(examples.y), cast(Array, outputs))
            if not isinstance(figure, numbers.Real):
                v.refuse(TypeError, f"metrics[{name!r}]", "return a number", v.shown(figure))
            logs[name] = float(figure)
        return logs


class _Fit:
    """One call of `Trainer.fit` with an optimiser that steps batch by batch; the arguments have been checked."""

    def __init__(
        self,
        trainer: Trainer,
        examples: Examples,
        feed: Feed,
        callbacks: list[Callback],
        validation: Examples | None,
        metrics: Mapping[str, Metric],
        shuffle: bool,
        recheck_data: Callable[[], tuple[Examples, Examples | None]],
    ) -> None:
        self.trainer = trainer
        self.net = trainer.net
        self.loss = trainer.loss
        self.target = examples.target
        self.feed = feed
        self.callbacks = callbacks
        self.validation = validation
        self.metrics = metrics
        self.shuffle = shuffle
        self.recheck_data = recheck_data
        self.batch_callbacks = [each for each in callbacks if type(each).on_batch_end is not Callback.on_batch_end]
        self.observed = observes_steps(callbacks)
        # The net's values at the start of the current epoch, all finite: `roll_back` restores them.
        self.start_params, self.start_state = np.empty_like(self.net.params.data), np.empty_like(self.net.state.data)
        self.start_training_steps = 0

    def run(self, epochs: int) -> None:
        trainer = self.trainer
        with contextlib.ExitStack() as ends:  # runs every on_fit_end, also if one of them raises
            for callback in reversed(self.callbacks):
                ends.callback(call_callbacks, [callback], "on_fit_end", trainer)
            call_callbacks(self.callbacks, "on_fit_begin", trainer)
            for _ in range(epochs):
                if trainer._stop_requested:
                    break
                self.epoch()

    def epoch(self) -> None:
        trainer, net = self.trainer, self.net
        call_callbacks(self.callbacks, "on_epoch_begin", trainer)
        if trainer._stop_requested:
            return
        self.start_params[...], self.start_state[...] = net.params.data, net.state.data
        self.start_training_steps = net.training_steps
        if self.shuffle:
            order = self.feed.order
            kernels.permutation(len(order), seed=net.seed, stream=ORDER_STREAM, step=trainer.epoch, out=order)
        logs = self.train()
        self.current_executor()  # checks the validation data again if a callback has set another loss
        if self.validation is not None:
            results = trainer._evaluate(self.validation, self.metrics)
            logs |= {f"val_{key}": value for key, value in results.items()}
        trainer._epoch_counter.append_and_count(trainer.history.epochs, logs)
        call_callbacks(self.callbacks, "on_epoch_end", trainer, logs)

    def train(self) -> dict[str, float]:
        """Run all steps of an epoch and return its figures."""
        try:
            return self.steps()
        finally:
            self.net.lock.restore_order()

    def current_executor(self) -> Executor:
        """Return the executor of the next step, for the settings that trainer and net have now."""
        trainer = self.trainer
        if trainer.loss is not self.loss:
            examples, self.validation = self.recheck_data()
            self.loss, self.target = trainer.loss, examples.target
            self.feed = replace(self.feed, y=examples.y, row_weight=examples.row_weight)
        center, scale = self.net._scaling or (None, None)
        if self.feed.center is not center:
            self.feed = replace(self.feed, center=center, scale=scale)
        self.executor = trainer._fit_executor(self.target, self.feed.largest_batch)
        return self.executor

    def steps(self) -> dict[str, float]:
        """Run the steps of an epoch in slices, with the callbacks between them."""
        trainer, net = self.trainer, self.net
        batches, batch, loss, weight, seconds = self.feed.n_batches, 0, 0.0, 0.0, 0.0
        rate, stopped = trainer.lr, trainer._stop_requested
        while batch < batches and not stopped:
            executor = self.current_executor()
            steps = 1 if self.batch_callbacks else min(SLICE_STEPS, batches - batch)
            rates, scalars = trainer.scalars(steps, batches - batch)
            threads = _config.get_num_threads()
            start = time.perf_counter()
            result = executor.run_steps(
                self.feed,
                batch,
                batch + steps,
                scalars,
                net.training_steps % 2**32,
                SLICE_SECONDS,
                threads,
                loss,
                weight,
                ahead=0 if self.observed else batches - batch,
                lock=net.lock,
                counters=(net._forward_counter, trainer._step_counter),
            )
            if result.error is not None:
                raise result.error
            if not (result.finite and (batch + result.done < batches or self.values_are_finite())):
                self.roll_back(batch, result.done, result.finite, result.last_loss, rates)
            seconds += time.perf_counter() - start
            batch += result.done
            rate = float(rates[max(0, result.done - 1)])
            loss, weight = result.loss, result.weight
            if self.callbacks:
                logs = {"batch": batch, "batches": batches, "loss": loss / weight if weight else 0.0}
                call_callbacks(self.callbacks, "on_progress", trainer, logs)
                call_callbacks(self.batch_callbacks, "on_batch_end", trainer, logs | {"batch_loss": result.last_loss})
            stopped = trainer._stop_requested
            # Within an epoch, the values are checked by the loss of the next step. Here there is no next step.
            if stopped and batch < batches and not self.values_are_finite():
                self.roll_back(batch - result.done, result.done, True, result.last_loss, rates)
        return {"loss": loss / weight if weight else 0.0, "lr": rate, "seconds": seconds}

    def values_are_finite(self) -> bool:
        return v.all_finite(self.net.params.data) and v.all_finite(self.net.state.data)

    def roll_back(self, batch: int, done: int, finite_loss: bool, loss: float, rates: Array) -> NoReturn:
        """Restore the net as it was at the start of the epoch, reset the optimiser and raise `TrainingDiverged`.

        Parameters
        ----------
        batch : int
            The first batch of the slice of steps.
        done : int
            Number of completed steps of the slice, which are counted in `Trainer.step_count`.
        finite_loss : bool
            False if the loss of the step after these was not finite; that step is not counted. True if the last
            completed step had a finite loss, but its update made values of the net NaN or infinite.
        loss : float
            The loss of the failed step.
        rates : ndarray
            The learning rates of the slice.
        """
        trainer, net, epoch = self.trainer, self.net, self.trainer.epoch + 1
        if finite_loss:
            failed, step = done - 1, trainer.step_count
        else:
            failed, step = done, trainer.step_count + 1
        rows = self.feed.batch_slice(batch + failed)
        layer = first_nonfinite(net, self.executor, rows.stop - rows.start)
        trainer._assign_and_reset_optimizer(
            (net.params.data, self.start_params),
            (net.state.data, self.start_state),
            training_steps=self.start_training_steps,
        )
        raise TrainingDiverged(epoch, step, loss, float(rates[failed]), layer)


class _FullBatchFit:
    """One call of `Trainer.fit` with a full-batch optimiser, each of whose iterations is an epoch."""

    def __init__(
        self,
        trainer: Trainer,
        optimizer: FullBatch,
        examples: Examples,
        callbacks: list[Callback],
        validation: Examples | None,
        metrics: Mapping[str, Metric],
    ) -> None:
        self.trainer = trainer
        self.optimizer = optimizer
        self.callbacks = callbacks
        self.validation = validation
        self.metrics = metrics
        dtype = np.dtype(np.float64) if optimizer.wide else trainer.net.dtype
        self.objective = Objective(trainer.net, trainer.loss, trainer.penalty, examples, dtype)
        self.epochs_left = 0
        self.loss = math.nan
        self.epoch_start = 0.0

    def run(self, epochs: int) -> None:
        trainer, self.epochs_left = self.trainer, epochs
        with contextlib.ExitStack() as ends:
            ends.callback(trainer.__dict__.update, _in_full_batch_fit=False)
            trainer._in_full_batch_fit = True
            for callback in reversed(self.callbacks):
                ends.callback(call_callbacks, [callback], "on_fit_end", trainer)
            call_callbacks(self.callbacks, "on_fit_begin", trainer)
            start = self.objective.read(trainer.net)
            self.loss = self.objective.loss_at(start)
            if not math.isfinite(self.loss):
                layer = self.objective.first_nonfinite()
                raise TrainingDiverged(trainer.epoch + 1, trainer.step_count + 1, self.loss, trainer.lr, layer)
            if self.begin_epoch():
                self.optimizer.minimize(self.objective, start, epochs, self.accept)

    def begin_epoch(self) -> bool:
        """Begin the next epoch. Return False if there is none: all are done, or a callback has asked to stop."""
        if self.epochs_left == 0 or self.trainer._stop_requested:
            return False
        call_callbacks(self.callbacks, "on_epoch_begin", self.trainer)
        self.epoch_start = time.perf_counter()
        return not self.trainer._stop_requested

    def accept(self, x: Array) -> bool:
        """End an epoch with the parameters `x`. Return whether the optimiser must stop."""
        trainer, net = self.trainer, self.trainer.net
        values = self.objective.spread(x, net.dtype)
        net.lock.assign(((net.params.data, values),), ((trainer._step_counter, trainer.step_count + 1),))
        logs = {"loss": self.loss, "lr": trainer.lr, "seconds": time.perf_counter() - self.epoch_start}
        self.loss = self.objective.loss_at(x)
        self.objective.forget()
        progress = {"batch": 1, "batches": 1, "loss": logs["loss"]}
        call_callbacks(self.callbacks, "on_progress", trainer, progress)
        call_callbacks(self.callbacks, "on_batch_end", trainer, progress | {"batch_loss": logs["loss"]})
        if self.validation is not None:
            results = trainer._evaluate(self.validation, self.metrics)
            logs |= {f"val_{key}": value for key, value in results.items()}
        self.epochs_left -= 1
        trainer._epoch_counter.append_and_count(trainer.history.epochs, logs)
        call_callbacks(self.callbacks, "on_epoch_end", trainer, logs)
        return not self.begin_epoch()


def call_callbacks(callbacks: Sequence[Callback], event: str, trainer: Trainer, *logs: Mapping[str, float]) -> None:
    """Call a method of all callbacks. While they run, they may take single steps with the net and set its values."""
    if callbacks:
        with trainer.net.training_claim.in_callbacks():
            for callback in callbacks:
                getattr(callback, event)(trainer, *logs)


def _restore(
    kind: type[Trainer],
    net: Sequential,
    settings: tuple[Any, ...],
    state: Mapping[str, Any],
    net_values: tuple[Array, Array] | None,
    user_attributes: Mapping[str, Any],
) -> Trainer:
    """Make a trainer from a pickle. The pickle may be damaged, so everything is checked."""
    trainer = kind.__new__(kind)
    Trainer.__init__(trainer, net, *settings)
    trainer.load_state_dict(state)
    if net_values is not None:
        arenas = net.params, net.state
        for name, arena, flat in zip(("params", "state"), arenas, net_values, strict=True):
            if type(flat) is not np.ndarray or flat.dtype != net.dtype or flat.shape != arena.data.shape:
                v.refuse(ValueError, name, f"be a {net.dtype} array of shape {arena.data.shape}", v.shown(flat))
        net.lock.assign(tuple((arena.data, flat) for arena, flat in zip(arenas, net_values, strict=True)))
    for name, value in user_attributes.items():
        setattr(trainer, name, value)
    return trainer


# ---- arguments, checked and converted ----


def _as_schedule(schedule: object) -> Schedule | None:
    if schedule is None or isinstance(schedule, Schedule):
        return schedule
    must = "be a schedule of fastnn.optim, or a function of the epoch"
    v.refuse_class("schedule", schedule, Schedule, must)
    if not callable(schedule):
        fix = "write optim.ExponentialLR(0.9) or lambda epoch: 0.9**epoch, for example"
        v.refuse(TypeError, "schedule", must, v.kind_of(schedule), fix)
    return LambdaLR(schedule)


def _as_penalty(penalty: object) -> Penalty:
    if penalty is None:
        return Penalty()
    return v.instance("penalty", penalty, Penalty, "be an optim.Penalty", "write optim.Penalty(l2=...)")


def _as_limit(name: str, limit: float | None) -> float:
    return math.inf if limit is None else v.real(name, limit, 0, excluded=True)


def _as_callbacks(callbacks: object) -> list[Callback]:
    if not isinstance(callbacks, Iterable):
        fix = "write callbacks=[...]"
        if isinstance(callbacks, type) and issubclass(callbacks, Callback):
            fix = f"write callbacks=[{v.constructor_call(callbacks)}]"
        v.refuse(TypeError, "callbacks", "be a list of callbacks", v.kind_of(callbacks), fix)
    return [v.instance(f"callbacks[{i}]", each, Callback, "be a Callback") for i, each in enumerate(callbacks)]


def _as_metrics(metrics: object) -> dict[str, Metric]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        fix = 'write metrics={"name": function}'
        v.refuse(TypeError, "metrics", "be a mapping of names to functions", v.kind_of(metrics), fix)
    for name, metric in metrics.items():
        if not isinstance(name, str):
            v.refuse(TypeError, "metrics", "have strings as names", v.shown(name))
        if name in ("loss", "accuracy"):
            fix = "choose another name, as evaluate reports these itself"
            v.refuse(ValueError, "metrics", "have names other than loss and accuracy", v.shown(name), fix)
        if not callable(metric):
            v.refuse(TypeError, f"metrics[{name!r}]", "be a function of targets and output", v.kind_of(metric))
    return dict(metrics)
