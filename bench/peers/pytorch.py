"""PyTorch on the CPU: its steps, and the same with `torch.compile`."""

from bench.peers.shared import BETAS, EPS, LR, Missing, first_batches
from fastnn import nn


def model_of(net, torch):
    """Return a model of the same layers, whose parameters have the same names."""

    class Residual(torch.nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    def module(layer):
        if isinstance(layer, nn.Dense):
            return torch.nn.Linear(*layer.weight.shape, bias=layer.bias is not None)
        if isinstance(layer, nn.BatchNorm):
            return torch.nn.BatchNorm1d(len(layer.weight), eps=layer.eps, momentum=layer.momentum)
        if isinstance(layer, nn.Dropout):
            return torch.nn.Dropout(layer.p)
        if isinstance(layer, nn.Residual):
            return Residual(*map(module, layer.layers))
        return {nn.Tanh: torch.nn.Tanh, nn.ReLU: torch.nn.ReLU}[type(layer)]()

    return torch.nn.Sequential(*map(module, net.layers))


def make_steps(config, net, X, y, order, steps, compiled=False):
    """Return the steps of a `torch.nn.Sequential` with the fused Adam."""
    import torch

    torch.set_num_threads(1)
    model = model_of(net, torch)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in net.state_dict().items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, betas=BETAS, eps=EPS, fused=True)
    X, y, order = map(torch.from_numpy, (X, y, order))
    batches = order[: len(order) // config.batch * config.batch].reshape(-1, config.batch)

    def loss_of(X, y, rows):
        return torch.nn.functional.cross_entropy(model(X.index_select(0, rows)), y.index_select(0, rows))

    loss_of = torch.compile(loss_of) if compiled else loss_of
    first = first_batches(config, order, steps)

    def run():
        start = next(first)
        for rows in batches[start : start + steps]:
            loss = loss_of(X, y, rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    return run


def make_compiled_steps(config, net, X, y, order, steps):
    """Return the steps with the gather, the net, its loss and their derivatives compiled.

    The update is Adam's own fused kernel.
    """
    import torch

    torch._inductor.config.compile_threads = 1
    try:
        make_steps(config, net, X, y, order, 1, compiled=True)()
    except Exception as error:  # a compiler may raise anything
        raise Missing(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}") from error
    return make_steps(config, net, X, y, order, steps, compiled=True)


def make_calls(net, x, out):
    """Return a module's prediction, which allocates its arrays; see bench.peers."""
    import torch

    torch.set_num_threads(1)
    model = model_of(net, torch).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in net.state_dict().items()})

    @torch.inference_mode()
    def run():
        return model(torch.from_numpy(x)).numpy()

    return {"a module": run}


def make_calls_with_out(net, x, out):
    """Return the prediction by PyTorch's functions that write into tensors allocated before, without a module."""
    import torch

    torch.set_num_threads(1)
    steps, z, to = [], None, torch.from_numpy(out)
    for i, layer in enumerate(net.layers):
        if isinstance(layer, nn.Dense):
            w, b = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
            z = to if i == len(net.layers) - 1 else torch.empty((len(x), w.shape[1]))
            steps.append((torch.addmm, b, w, z))
        else:
            steps.append(({nn.Tanh: torch.tanh_, nn.ReLU: torch.relu_}[type(layer)], None, None, z))

    @torch.inference_mode()
    def run():
        source = torch.from_numpy(x)
        for function, b, w, z in steps:
            source = function(z) if w is None else function(b, source, w, out=z)
        return out

    return {"addmm": run}
