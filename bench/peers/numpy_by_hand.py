"""Nets in plain NumPy, as one writes them from a textbook: layers that keep their inputs, cross-entropy, Adam.

`make_calls` predicts as one writes it where calls have to be short: into arrays allocated before.
"""

import numpy as np

from bench.lib.written import compiled
from fastnn import nn


class Affine:
    def __init__(self, w, b=None, first=False):
        self.w, self.b, self.first = w, b, first
        self.parameters = [w] if b is None else [w, b]

    def forward(self, x):
        self.x = x
        return x @ self.w if self.b is None else x @ self.w + self.b

    def backward(self, d):
        self.grads = [self.x.T @ d] if self.b is None else [self.x.T @ d, d.sum(axis=0)]
        return None if self.first else d @ self.w.T


class Tanh:
    parameters = grads = ()

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, d):
        return d * (1 - self.y**2)


class ReLU:
    parameters = grads = ()

    def forward(self, x):
        self.y = np.maximum(x, 0)
        return self.y

    def backward(self, d):
        return d * (self.y > 0)


class BatchNorm:
    def __init__(self, gamma, beta, eps=1e-5, momentum=0.1):
        self.gamma, self.beta, self.eps, self.momentum = gamma, beta, eps, momentum
        self.parameters = [gamma, beta]
        self.running_mean, self.running_var = np.zeros_like(gamma), np.ones_like(gamma)

    def forward(self, x):
        n, mu = len(x), self.momentum
        mean, var = x.mean(axis=0), x.var(axis=0)
        self.inv_std = 1 / np.sqrt(var + self.eps)
        self.x_hat = (x - mean) * self.inv_std
        self.running_mean = (1 - mu) * self.running_mean + mu * mean
        self.running_var = (1 - mu) * self.running_var + mu * var * n / (n - 1)
        return self.gamma * self.x_hat + self.beta

    def backward(self, d):
        n, dgamma, dbeta = len(d), (d * self.x_hat).sum(axis=0), d.sum(axis=0)
        self.grads = [dgamma, dbeta]
        return self.gamma * self.inv_std / n * (n * d - dbeta - self.x_hat * dgamma)


class Dropout:
    """Dropout; `draw(shape)` returns the mask, by default a random one."""

    parameters = grads = ()

    def __init__(self, p, draw=None):
        self.p, self.draw = p, draw or self.random_mask
        self.rng = np.random.default_rng(0)

    def random_mask(self, shape):
        return self.rng.random(shape, np.float32) >= self.p

    def forward(self, x):
        self.mask = self.draw(x.shape)
        return x * self.mask / (1 - self.p)

    def backward(self, d):
        return d * self.mask / (1 - self.p)


class Chain:
    """Layers in a row."""

    def __init__(self, layers):
        self.layers = layers
        self.parameters = [p for layer in layers for p in layer.parameters]

    @property
    def grads(self):
        return [g for layer in self.layers for g in layer.grads]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, d):
        for layer in reversed(self.layers):
            d = layer.backward(d)
        return d


class Residual(Chain):
    def forward(self, x):
        return x + super().forward(x)

    def backward(self, d):
        return d + super().backward(d)


class Adam:
    def __init__(self, parameters, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        self.parameters, self.lr, self.beta1, self.beta2, self.eps = parameters, lr, beta1, beta2, eps
        self.m = [np.zeros_like(p) for p in parameters]
        self.v = [np.zeros_like(p) for p in parameters]
        self.t = 0

    def step(self, grads):
        self.t += 1
        b1, b2 = self.beta1, self.beta2
        for i, (p, g) in enumerate(zip(self.parameters, grads, strict=True)):
            self.m[i] = b1 * self.m[i] + (1 - b1) * g
            self.v[i] = b2 * self.v[i] + (1 - b2) * g**2
            m_hat = self.m[i] / (1 - b1**self.t)
            v_hat = self.v[i] / (1 - b2**self.t)
            p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


def cross_entropy(z, y):
    """Return the mean loss and its derivative with respect to the logits."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    return loss, p / len(y)


class Net(Chain):
    def __init__(self, layers):
        super().__init__(layers)
        self.optimizer = Adam(self.parameters)

    def step(self, X, y, rows):
        """Train on these rows of `X` and `y`, and return their loss."""
        loss, d = cross_entropy(self.forward(X[rows]), y[rows])
        self.backward(d)
        self.optimizer.step(self.grads)
        return loss


def copy_of(net, draws=()):
    """Return a fastnn net in NumPy, with the same weights; `draws` make the masks of its dropouts, if not at random."""
    draws = iter(draws)

    def copy(layer):
        if isinstance(layer, nn.Dense):
            bias = None if layer.bias is None else layer.bias.copy()
            return Affine(layer.weight.copy(), bias, first=layer is net.layers[0])
        if isinstance(layer, nn.BatchNorm):
            return BatchNorm(layer.weight.copy(), layer.bias.copy())
        if isinstance(layer, nn.Dropout):
            return Dropout(layer.p, next(draws, None))
        if isinstance(layer, nn.Residual):
            return Residual([copy(each) for each in layer.layers])
        return {nn.Tanh: Tanh, nn.ReLU: ReLU}[type(layer)]()

    return Net([copy(layer) for layer in net.layers])


def steps_of(config, net, X, y, order, steps):
    """Return a function that takes the next steps of a NumPy net, and returns the last one's loss."""
    taken = 0

    def run():
        nonlocal taken
        first = taken % (len(order) // config.batch - steps + 1)
        for batch in range(first, first + steps):
            loss = net.step(X, y, order[batch * config.batch : (batch + 1) * config.batch])
        taken += steps
        return loss

    return run


def make_steps(config, net, X, y, order, steps):
    """Return the steps of the same net in NumPy, as bench.peers describes."""
    return steps_of(config, copy_of(net), X, y, order, steps)


def predict(x, layers, activation):
    """Return the output of a net of pairs (w, b)."""
    for w, b in layers[:-1]:
        x = activation(x @ w + b)
    w, b = layers[-1]
    return x @ w + b


def make_calls(net, x, out):
    """Return the prediction of a net of dense layers, tanh and ReLU, which allocates nothing; see bench.peers."""
    names, lines, source = {"x": x, "dot": np.dot, "add": np.add, "tanh": np.tanh, "maximum": np.maximum}, [], "x"
    for i, layer in enumerate(net.layers):
        if isinstance(layer, nn.Dense):
            last = i == len(net.layers) - 1
            names |= {f"w{i}": layer.weight, f"b{i}": layer.bias}
            names[f"z{i}"] = out if last else np.empty((len(x), layer.weight.shape[1]), x.dtype)
            lines += [f"dot({source}, w{i}, out=z{i})", f"add(z{i}, b{i}, out=z{i})"]
            source = f"z{i}"
        else:
            form = {nn.Tanh: "tanh({0}, out={0})", nn.ReLU: "maximum({0}, 0, out={0})"}[type(layer)]
            lines.append(form.format(source))
    return {"out=": compiled([*lines, f"return {source}"], names)}
