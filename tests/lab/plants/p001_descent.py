"""Plants for the experiments of the first half of post 001."""

from lab.plants.p002_004 import exchanged, replaced, setting


def another_last_layer(module):
    """Return a `forward` with a sum that is twice as large before the last layer."""
    old = module.forward
    return lambda x, A, B, C: (old(x, A, B, C)[0], old(x, A, B, C)[1], old(x, A, B, 2 * C)[2])


def all_classes_count(module):
    """Return a `loss_and_gradient` whose loss and gradient have a part of each class, not only of the true one."""
    old = module.loss_and_gradient
    return lambda z, y: (old(z, y)[0] + 0.1, old(z, y)[1] + 0.1)


PLANTS = {
    "learning-rate": [
        exchanged("1 % of the limit", "50 %", table="SHARES"),
        exchanged("95 %", "105 %", table="SHARES"),
        exchanged("digits, rate 0.1", "digits, rate 1", table="RATES"),
        exchanged("digits, rate 0.1", "digits, rate 0.001", table="RATES"),
        exchanged("digits, rate 0.1", "digits, rate 100", table="RATES"),
    ],
    "schedules": [setting("RATE", 0.1)],
    "batches": [exchanged("8 rows", "128 rows", table="SIZES"), setting("RATES", (0.001,))],
    "chain-rule": [
        exchanged("right", "bug: one use forgotten"),
        exchanged("right", "bug: product, no partner"),
        exchanged("right", "bug: no slope"),
        replaced("forward", another_last_layer),
    ],
    "softmax-gradient": [
        exchanged("default", "small", table="STARTS"),
        replaced("loss_and_gradient", all_classes_count),
    ],
}
