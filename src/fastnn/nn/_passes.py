"""A net's forward and backward passes in training mode, for hand-written loops."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from fastnn import _config
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import Program
from fastnn.nn import _kinks
from fastnn.nn._predictions import Predictions
from fastnn.nn._values import fill
from fastnn.nn.scaling import derivative, rows_for_derivative, sides


class TrainingPasses(Predictions):
    """The part of `Sequential` that runs single training passes."""

    @abstractmethod
    def training_program(self, *, input_grad: bool = False) -> Program:
        """Return the program of forward and backward passes."""

    def forward(self, x: npt.ArrayLike, training: bool = False, input_grad: bool = False) -> Array:
        """Run the net; in training mode, `backward` can be called next.

        In training mode, batch norms use the batch's statistics and update the running ones, and dropout draws the next
        mask. The result is then in scaled units if the net has an `output_scaler`, as the loss takes it.

        Parameters
        ----------
        x : array_like, shape (n, in_features)
            The batch.
        training : bool, default False
            If False, this is `predict`.
        input_grad : bool, default False
            Whether `backward` is to return the derivative with respect to `x`.

        Returns
        -------
        ndarray, shape (n, out_features)
            The last layer's output.

        Raises
        ------
        TypeError, ValueError
            As `predict` does. In training mode also a ValueError if there is no row, or a single row in a net with
            batch norms.
        RuntimeError
            If another thread is training the net, or a signal handler calls this in the middle of a training.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import kernels, nn
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(0.5)))
        >>> z = net.forward([[1.0, 3.0]], training=True)
        >>> dz = np.empty_like(z)
        >>> kernels.mean_squared_error(z, np.array([[1.0]], z.dtype), grad=dz)
        1.0
        >>> net.backward(dz)
        >>> net.gradients()["0.weight"]
        array([[2.],
               [6.]], dtype=float32)
        """
        if not training:
            return self.predict(x)
        checked, attributes = self.as_input("x", x), self.__dict__  # the names are private: none to check
        rows, input_grad = len(checked), bool(input_grad)
        executor = self._runners.training(self.training_program, self.gradient_arena(), rows, input_grad)
        if rows < 2:
            least = 2 if executor.program.has_batch_statistics else 1
            v.at_least("x", checked, 0, least, f"row{'s' * (least > 1)} for training")
        with self.training_claim:
            attributes["_last_forward"] = attributes["_scaled_rows"] = None
            step, threads, scaling = self._forward_counter.value, _config.get_num_threads(), self._scaling
            if input_grad and scaling is not None:
                attributes["_scaled_rows"] = scaling, rows_for_derivative(scaling, checked)
            executor.load(checked, threads, scaling)
            executor.run("forward", rows, step % 2**32, None, threads, 0.0, self.lock, (self._forward_counter,))
            attributes["_last_forward"], attributes["_input_grad"] = (executor, rows, step), input_grad
            return executor.array(executor.program.output, rows).copy()

    def backward(self, dz: npt.ArrayLike) -> Array | None:
        """Compute the gradients of the last `forward(training=True)` from the derivative with respect to its result.

        They replace the previous gradients, see `gradients`.

        Parameters
        ----------
        dz : array_like, shape (n, out_features)
            The derivative of the loss with respect to the net's output.

        Returns
        -------
        ndarray, shape (n, in_features), or None
            The derivative with respect to the input, if that `forward` was called with ``input_grad=True``.

        Raises
        ------
        RuntimeError
            If there was no such forward pass, or for the reasons given at `forward`.
        TypeError, ValueError
            If `dz` is no array of real numbers of that shape.
        """
        with self.training_claim:
            if self._last_forward is None:
                v.refuse_state("call forward(x, training=True) before backward")
            executor, rows, step = self._last_forward
            program = executor.program
            to, array = executor.array(program.output_grad, rows), dz
            if not (type(array) is np.ndarray and array.dtype is to.dtype and array.shape == to.shape):
                array = v.numeric("dz", dz)
                fix = "that is the shape of what the last forward(x, training=True) returned"
                v.shape("dz", array, (rows, self.out_features), fix)
            fill(to, array)
            executor.run("backward", rows, step % 2**32, None, _config.get_num_threads())
            self.__dict__["_has_gradients"] = True
            if not self._input_grad:
                return None
            if not program.input_grad:  # the net only reads ids
                return np.zeros((rows, self.in_features), self.dtype)
            dx = executor.array(program.input_grad, rows).copy()
            return dx if self._scaled_rows is None else dx * derivative(*self._scaled_rows)

    # ---- for trainers and gradient checks ----

    def kink_sides(self) -> bytes:
        """Return bits that say on which side of all kinks the last `forward(training=True)` was.

        They are those of activations and, after `input_grad`, of the scaler.
        """
        if self._last_forward is None:
            v.refuse_state("call forward(x, training=True) before kink_sides")
        executor, rows, _ = self._last_forward
        ours = b"" if self._scaled_rows is None else sides(*self._scaled_rows)
        return ours + _kinks.sides(executor, rows)

    def last_rows(self) -> int:
        """Return the number of rows of the last `forward(training=True)`."""
        if self._last_forward is None:
            v.refuse_state("call forward(x, training=True) before last_rows")
        return self._last_forward[1]
