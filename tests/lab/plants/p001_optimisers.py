"""Changes of the experiments about optimisers and gradients."""

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
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, optim.SGD()))


def ravine_never_turned(module, monkeypatch):
    monkeypatch.setattr(module, "TURNED", module.ALONG)
    monkeypatch.setattr(module, "ANGLE", 0.0)


def ravine_straight_for_all_but_momentum(module, monkeypatch):
    """Let SGD, momentum and Nesterov need more steps in the turned ravine, and the others as many."""
    best_rate = module.best_rate

    def turned_for_some(optimizer, surface, degrees):
        if isinstance(optimizer, optim.SGD) and surface is module.TURNED:
            return best_rate(optimizer, module.ravine(1000), degrees)
        return best_rate(optimizer, module.ALONG, degrees)

    monkeypatch.setattr(module, "best_rate", turned_for_some)


def rosenbrock_all_alike(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, module.CONDITIONS["SGD"]))


def data_all_alike(module, monkeypatch):
    monkeypatch.setattr(module, "CONDITIONS", dict.fromkeys(module.CONDITIONS, optim.SGD()))


def data_rate_without_effect(module, monkeypatch):
    monkeypatch.setattr(module, "RATES", (0.03,) * 9)


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


def newton_against_a_slow_rate(module, monkeypatch):
    quadratic, _, saddle = module.CONDITIONS["gradient descent"]
    monkeypatch.setitem(module.CONDITIONS, "gradient descent", (quadratic, [optim.SGD(1.0)], saddle))


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


def minima_from_one_start(module, monkeypatch):
    monkeypatch.setattr(module, "STARTS", [0] * 20)


def minima_some_untrained(module, monkeypatch):
    """Let every fifth start be caught near the guess."""
    net, made = module.net, iter(range(1000))

    def caught(*args, **settings):
        model = net(*args, **settings)
        if next(made) % 5 == 0:
            for values in model.parameters().values():
                values[...] = 0  # a saddle
        return model

    monkeypatch.setattr(module, "net", caught)


PLANTS = {
    "local-minima": [minima_from_one_start, minima_some_untrained, exchange_conditions],
    "saddle-or-minimum": [minima_everywhere, points_of_no_training, zero_is_not_zero],
    "newton": [exchange_conditions, newton_beside_a_minimum, newton_on_the_ridge, newton_against_a_slow_rate],
    "adam-is-both": [adam_always_corrected, adam_never_corrected, adam_with_the_other_half],
    "adagrad-slows": [adagrad_exchanged, adagrad_with_a_large_start],
    "nesterov-look-ahead": [nesterov_never_changes, nesterov_without_looking],
    "optimisers-on-data": [data_all_alike, data_rate_without_effect],
    "surfaces-rosenbrock": [rosenbrock_all_alike],
    "surfaces-ravine": [ravine_all_alike, ravine_never_turned, ravine_straight_for_all_but_momentum],
    "surfaces-saddle": [saddle_all_alike, saddle_beside_the_ridge, saddle_without_noise],
}
