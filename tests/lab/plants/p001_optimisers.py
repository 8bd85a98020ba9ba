"""Changes of the experiments about optimisers and gradients."""

import types

from lab.plants import exchange_conditions

from fastnn import optim


def saddle_all_alike(module, monkeypatch):
    slow = optim.SGD(module.RATE / 2)
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, slow))


def saddle_beside_the_ridge(module, monkeypatch):
    monkeypatch.setattr(module, "RIDGE", 1e-3)


def saddle_without_noise(module, monkeypatch):
    monkeypatch.setattr(module, "NOISE", 0.0)


def ravine_all_alike(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, optim.SGD(0.0195)))


def ravine_never_turned(module, monkeypatch):
    monkeypatch.setattr(module, "TURNED", module.ALONG)
    monkeypatch.setattr(module, "ANGLE", 0.0)


def rosenbrock_all_alike(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, module.CONDITIONS["SGD"]))


def data_all_alike(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, optim.SGD()))


def data_one_rate(module, monkeypatch):
    monkeypatch.setattr(module, "FACTORS", (1,))


def nesterov_never_changes(module, monkeypatch):
    monkeypatch.setattr(module, "SCHEDULE", optim.StepLR(module.STEPS, every="step"))


def nesterov_without_looking(module, monkeypatch):
    without = {name: optim.SGD(module.RATE, momentum=module.MU) for name in module.CONDITIONS}
    monkeypatch.setattr(module, "CONDITIONS", without)


def adagrad_exchanged(module, monkeypatch):
    first, second = module.CONDITIONS.values()
    monkeypatch.setattr(module, "CONDITIONS", {"Adagrad": second, "RMSprop": first})


def adagrad_with_a_large_start(module, monkeypatch):
    constant = optim.Adagrad(initial_accumulator_value=1e6)
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, constant))


def adam_always_corrected(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, (module.BETAS, None)))


def adam_never_corrected(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, module.CONDITIONS["no correction"]))


def adam_with_the_other_half(module, monkeypatch):
    (a, _, schedule), (b, _, _) = module.HALVES.values()
    other = optim.SGD(module.RATE)
    monkeypatch.setattr(module, "HALVES", {"without m": (a, other, schedule), "without S": (b, other, schedule)})


def newton_beside_a_minimum(module, monkeypatch):
    monkeypatch.setattr(module, "BESIDE", (0.8, 0.8))


def newton_on_the_ridge(module, monkeypatch):
    monkeypatch.setattr(module, "BESIDE", (0.8, 0.0))


def minima_everywhere(module, monkeypatch):
    figures = module.figures

    def of_a_trained_net(model, task):
        module.train(trained := module.net([10, 2, 1], module.nn.Tanh(), seed=0, dtype="float64"), task, optim.Newton())
        return figures(trained, task)

    monkeypatch.setattr(module, "figures", of_a_trained_net)


def points_of_no_training(module, monkeypatch):
    monkeypatch.setattr(module, "train", lambda model, task, optimizer: None)


def zero_is_not_zero(module, monkeypatch):
    figures = module.figures

    def moved(model, task):
        model.params.data[...] += 0.5
        return figures(model, task)

    monkeypatch.setattr(module, "figures", moved)


def rates_exchanged(module, monkeypatch):
    parts = dict(zip(module.CONDITIONS, reversed(module.CONDITIONS.values()), strict=True))
    monkeypatch.setattr(module, "CONDITIONS", parts)


def rates_all_alike(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, 0.5))
    monkeypatch.setattr(module, "RATES", (0.1,))


def rates_too_large(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, 1.05))


def schedules_all_small(module, monkeypatch):
    small = module.CONDITIONS["small constant"]
    monkeypatch.setattr(module, "CONDITIONS", {**dict.fromkeys(module.CONDITIONS, small), "constant": None})


def schedules_exchanged(module, monkeypatch):
    cosine = module.CONDITIONS["cosine"]
    decayed = dict.fromkeys(module.CONDITIONS, None)
    monkeypatch.setattr(module, "CONDITIONS", {**decayed, "constant": cosine})


def softmax_without_the_target(module, monkeypatch):
    monkeypatch.setattr(module, "by_hand", lambda z, y: module.kernels.softmax(z))


def softmax_of_large_outputs(module, monkeypatch):
    draw_net = module.net

    def large(*args, **settings):
        model = draw_net(*args, **settings)
        model.parameters()["2.weight"][...] *= 100
        return model

    monkeypatch.setattr(module, "net", large)


def softmax_of_another_loss(module, monkeypatch):
    class WithSquares(module.nn.CrossEntropyLoss):
        def __call__(self, z, y, *, grad=None):
            value = super().__call__(z, y, grad=grad)
            if grad is not None:
                grad += z
            return value

    monkeypatch.setattr(module.nn, "CrossEntropyLoss", WithSquares)


def chain_all_right(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, ""))


def chain_all_wrong(module, monkeypatch):
    by_hand = module.backward

    def wrong(*args):
        return {name: 2 * gradient for name, gradient in by_hand(*args).items()}

    def far_from_differences(*args, **settings):
        return types.SimpleNamespace(relative_error=1.0)

    monkeypatch.setattr(module, "backward", wrong)
    monkeypatch.setattr(module.fastnn, "check_gradients", far_from_differences)


def batches_exchanged(module, monkeypatch):
    sizes = dict(zip(module.SIZES, reversed(module.SIZES.values()), strict=True))
    monkeypatch.setattr(module, "SIZES", {**sizes, "8 rows": 512, "all rows": 8})


def batches_with_much_noise(module, monkeypatch):
    spread = module.spread
    monkeypatch.setattr(
        module, "spread", lambda gradients, exact: spread(gradients, exact) + 10 * (len(gradients) == 50)
    )


PLANTS = {
    "batches": [batches_exchanged, batches_with_much_noise],
    "chain-rule": [chain_all_right, chain_all_wrong],
    "softmax-gradient": [softmax_without_the_target, softmax_of_large_outputs, softmax_of_another_loss],
    "schedules": [schedules_all_small, schedules_exchanged],
    "learning-rate": [rates_exchanged, rates_all_alike, rates_too_large],
    "saddle-or-minimum": [minima_everywhere, points_of_no_training, zero_is_not_zero],
    "newton": [exchange_conditions, newton_beside_a_minimum, newton_on_the_ridge],
    "adam-is-both": [adam_always_corrected, adam_never_corrected, adam_with_the_other_half],
    "adagrad-slows": [adagrad_exchanged, adagrad_with_a_large_start],
    "nesterov-look-ahead": [nesterov_never_changes, nesterov_without_looking],
    "optimisers-on-data": [data_all_alike, data_one_rate],
    "surfaces-rosenbrock": [rosenbrock_all_alike],
    "surfaces-ravine": [ravine_all_alike, ravine_never_turned],
    "surfaces-saddle": [saddle_all_alike, saddle_beside_the_ridge, saddle_without_noise],
}
