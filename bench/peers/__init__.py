"""The libraries that fastnn is compared with: the same training steps, in each library's fastest form.

A peer is a function `make_steps(config, net, X, y, order, steps)`. Its arguments:

config   a `bench.lib.nets.Net`: the widths, the activation and the batch size; for `CLICK` a `bench.lib.click.Click`
net      a fastnn net of that kind, whose initial weights the peer copies
X, y     the data
order    the rows in the order of a shuffled epoch
steps    the number of steps in one call

It returns a function without arguments that takes the next steps and returns the last one's loss. A step gathers its
batch by `order`, runs the net forwards and backwards, and updates with Adam (`bench.peers.shared`).

For single predictions, a peer is a function `make_calls(net, x, out)`. It returns the forms in which the library
predicts the rows `x`, a NumPy array: name -> a function without arguments, which returns the outputs as a NumPy array.
The function writes them to `out`, where the library can. The fastest form is measured.

Libraries are imported inside the functions, so that the other peers run where one is not installed. A peer raises
`Missing` where it cannot train a net.
"""

from bench.peers import click_jax, click_pytorch, jax_scan, numpy_by_hand, onnx_runtime, pytorch, scikit_learn

# Name in the JSON and the tables -> the peer.
PEERS = {
    "numpy": numpy_by_hand.make_steps,
    "scikit-learn": scikit_learn.make_steps,
    "PyTorch": pytorch.make_steps,
    "torch.compile": pytorch.make_compiled_steps,
    "JAX": jax_scan.make_steps,
}

# The same for the click-through nets: library -> form -> the peer, of which the fastest is measured.
CLICK = {"PyTorch": click_pytorch.FORMS, "JAX": click_jax.FORMS}

# The same for single predictions.
CALLS = {
    "numpy": numpy_by_hand.make_calls,
    "onnxruntime": onnx_runtime.make_calls,
    "onnxruntime, bound": onnx_runtime.make_bound_calls,
    "PyTorch": pytorch.make_calls,
    "PyTorch, out=": pytorch.make_calls_with_out,
}
