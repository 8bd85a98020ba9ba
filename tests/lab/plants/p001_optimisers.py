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


PLANTS = {
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
