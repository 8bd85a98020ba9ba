"""Names in place of objects, and what other libraries call things: one rule, aliases of the same formula, and fixes."""

import inspect
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _habits, _losses, data, nn, optim
from fastnn._activations import NAMES as KERNEL_ACTIVATIONS
from fastnn._names import Names, normalized, suggestion
from fastnn.data import augmentation
from fastnn.nn import initializers
from fastnn.nn.activations import NAMES as ACTIVATIONS
from fastnn.optim.combined_schedules import NAMES as SCHEDULES
from fastnn.training._arguments import OPTIMIZER_NAMES
from fastnn.training._augment import as_augment
from fastnn.training.metrics import NAMES as METRICS


def net_of(outputs=2):
    return nn.Sequential(nn.Dense(3, outputs), seed=0)


def trainer(**settings):
    return fastnn.Trainer(net_of(), **settings)


# For each kind of name: the names, and what makes an object of one.
KINDS = {
    "activation": (Names([*KERNEL_ACTIVATIONS, "prelu", "softmax", "log_softmax"], ACTIVATIONS.aliases), nn.activation),
    "loss": (_losses.NAMES, lambda name: trainer(loss=name).loss),
    "optimizer": (OPTIMIZER_NAMES, lambda name: trainer(optimizer=name).optimizer),
    "schedule": (SCHEDULES, lambda name: trainer(schedule=name).schedule),
    "init": (initializers.NAMES, lambda name: initializers.named("init", name)),
    "augment": (augmentation.NAMES, lambda name: as_augment(net_of(), name)),
    "metrics": (METRICS, lambda name: next(iter(trainer(metrics=[name]).metrics.values()))),
}


def spellings(name):
    """Yield a name in other cases, with dashes, and without separators."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    for each in (name, snake, snake.replace("_", "-"), snake.replace("_", "")):
        yield from (each, each.lower(), each.upper())


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_compared_without_case_and_separators(kind):
    names, make = KINDS[kind]
    for name in names:
        made = make(name)
        for spelling in spellings(name):
            assert make(spelling) == made, spelling


@pytest.mark.parametrize("kind", [*KINDS, "kernels"])
def test_no_name_has_two_meanings(kind):
    names = KERNEL_ACTIVATIONS if kind == "kernels" else KINDS[kind][0]
    known = [normalized(name) for name in names]
    assert len(set(known)) == len(known)
    own_spellings = {alias for alias, name in names.aliases.items() if alias == normalized(name)}
    assert not (set(names.aliases) - own_spellings) & set(known)
    assert not set(names.elsewhere) & {*known, *names.aliases}


ALIASES = {
    "activation": {"swish": nn.SiLU(), "logistic": nn.Sigmoid(), "linear": nn.Identity(), "LeakyReLU": nn.LeakyReLU()},
    "loss": {
        "mse": nn.MSELoss(),
        "MSELoss": nn.MSELoss(),
        "mae": nn.L1Loss(),
        "l1": nn.L1Loss(),
        "absolute_error": nn.L1Loss(),
        "CrossEntropyLoss": nn.CrossEntropyLoss(),
        "bce_with_logits": nn.BCEWithLogitsLoss(),
        "binary_cross_entropy_with_logits": nn.BCEWithLogitsLoss(),
        "pinball": nn.QuantileLoss(),
        "smooth_l1": nn.HuberLoss(),  # equal for the default beta
        "logcosh": nn.LogCoshLoss(),
    },
    "optimizer": {"adamw": optim.AdamW(), "l-bfgs": optim.LBFGS(), "gradient_descent": optim.SGD()},
    "schedule": {
        "one_cycle": optim.OneCycleLR(),
        "cosine": optim.CosineAnnealingLR(),
        "polynomial": optim.PolynomialLR(None),
        "linear_lr": optim.LinearLR(total_iters=None),
    },
    "init": {
        "he_normal": nn.init.variance_scaling(2.0),  # truncated, as in Keras and JAX
        "he_uniform": nn.init.kaiming_uniform(),
        "glorot_normal": nn.init.variance_scaling(1.0, "fan_avg"),
        "glorot_uniform": nn.init.xavier_uniform(),
    },
    "augment": {
        "noise": as_augment(net_of(), data.GaussianNoise()),
        "GaussianNoise": as_augment(net_of(), data.GaussianNoise()),
        "swap": as_augment(net_of(), data.SwapNoise()),
        "drop_features": as_augment(net_of(), data.FeatureDropout()),
    },
    "metrics": {"acc": "accuracy", "rmse": "root_mean_squared_error", "mae": nn.L1Loss(), "R2": "r2"},
}


@pytest.mark.parametrize(("kind", "alias"), [(kind, alias) for kind in ALIASES for alias in ALIASES[kind]])
def test_aliases(kind, alias):
    assert KINDS[kind][1](alias) == ALIASES[kind][alias]


def test_aliases_of_initialisers_have_the_formulas_of_keras():
    """Keras: he_normal is truncated at two deviations and has the variance 2 / fan_in; glorot_uniform has a limit."""
    random = nn.init.Random(0, 0, 0)
    he = initializers.named("init", "he_normal")((400, 300), random)
    assert he.std() == pytest.approx(np.sqrt(2 / 400), rel=0.01)
    assert abs(he).max() <= 2 * np.sqrt(2 / 400) / 0.87962566103423978
    glorot = initializers.named("init", "glorot_uniform")((400, 300), random)
    assert 0.999 < abs(glorot).max() / np.sqrt(6 / 700) <= 1


ELSEWHERE = [(kind, name) for kind, (names, _) in KINDS.items() for name in names.elsewhere]


@pytest.mark.parametrize(("kind", "name"), ELSEWHERE)
def test_names_with_another_meaning_say_what_to_write(kind, name):
    make = KINDS[kind][1]
    with pytest.raises(ValueError, match=rf"^{kind}.* must be .*, got '{name}': .*") as caught:
        make(name)
    text = str(caught.value)
    for quoted in re.findall(r'write "(\w+)"', text):
        assert any(each.find(quoted) for each, _ in KINDS.values()), quoted
    for call in re.findall(r"(?:nn|optim|fastnn)\.[\w.]+\([^()]*\)", text):
        if "..." not in call:
            assert eval(call, {"nn": nn, "optim": optim, "fastnn": fastnn}) is not None


UNKNOWN = [
    ("activation", "rellu", "relu"),
    ("loss", "mean_square_error", "mean_squared_error"),
    ("loss", "bce_with_logit", "binary_cross_entropy"),
    ("optimizer", "addam", "Adam"),
    ("schedule", "cosin", "CosineAnnealingLR"),
    ("init", "he_norml", "he_normal"),
    ("augment", "mixupp", "mixup"),
    ("metrics", "accurcy", "accuracy"),
]


@pytest.mark.parametrize(("kind", "name", "near"), UNKNOWN)
def test_near_names_are_suggested(kind, name, near):
    with pytest.raises(ValueError, match=rf"^{kind}.* must be .*, got '{name}': did you mean '{near}'\?$"):
        KINDS[kind][1](name)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_near_has_no_suggestion(kind):
    with pytest.raises(ValueError, match=rf"^{kind}.* must be .*, got 'zzz'$"):
        KINDS[kind][1]("zzz")


def test_kernels_take_the_same_names_of_activations():
    x, w = np.ones((2, 3)), np.ones((3, 4))
    np.testing.assert_array_equal(
        fastnn.kernels.dense(x, w, activation="Swish"), fastnn.kernels.dense(x, w, activation="silu")
    )
    with pytest.raises(ValueError, match=r"got 'softmax': write kernels.softmax"):
        fastnn.kernels.dense(x, w, activation="softmax")


def test_nets_take_names_of_activations():
    named = nn.Sequential(nn.Dense(3, 4), "ReLU", nn.Dense(4, 4), "leaky-relu", nn.Dense(4, 2), seed=0)
    written = nn.Sequential(nn.Dense(3, 4), nn.ReLU(), nn.Dense(4, 4), nn.LeakyReLU(), nn.Dense(4, 2), seed=0)
    assert list(named) == list(written)
    np.testing.assert_array_equal(named.params.data, written.params.data)
    with pytest.raises(ValueError, match=r"^layers\[1\] must be one of .*, got 'rely': did you mean 'relu'\?"):
        nn.Sequential(nn.Dense(3, 4), "rely")


def test_schedules_of_schedules_take_names():
    warm = optim.WarmupLR("cosine", total_iters=2)
    assert warm == optim.WarmupLR(optim.CosineAnnealingLR(), total_iters=2)
    chain = optim.ChainedScheduler(["LinearLR", optim.ExponentialLR(0.9)])
    assert chain.schedules[0] == optim.LinearLR(total_iters=None)


def test_settings_may_be_set_by_name():
    made = trainer()
    made.loss, made.optimizer, made.schedule, made.metrics = "mse", "sgd", "one_cycle", "r2"
    assert made.loss == nn.MSELoss()
    assert made.optimizer == optim.SGD()
    assert made.schedule == optim.OneCycleLR()
    assert made.metrics == {"r2": "r2"}


@pytest.mark.parametrize(
    ("argument", "kind", "write"),
    [
        ("loss", nn.MSELoss, "nn.MSELoss()"),
        ("optimizer", optim.Adam, "optim.Adam()"),
        ("schedule", optim.StepLR, "optim.StepLR(...)"),
    ],
)
def test_classes_are_refused(argument, kind, write):
    with pytest.raises(
        TypeError, match=rf"^{argument} must be .*, got the class {kind.__name__}: write {re.escape(write)}$"
    ):
        trainer(**{argument: kind})


# ---- keywords and names of modules ----

X, Y = np.ones((4, 3)), np.array([0, 1, 0, 1])
CALLS = {
    "parameters": (lambda: optim.Adam({}, lr=1e-3), "lr must be given once, got dict and lr=0.001: leave the param"),
    "a generator": (
        lambda: optim.SGD((p for p in ()), lr=0.1),
        "lr must be given once, got generator and lr=0.1",
    ),
    "learning_rate": (
        lambda: optim.Adam(learning_rate=0.1),
        "the arguments of optim.Adam must .*: write lr$",
    ),
    "a misspelt one": (lambda: optim.Adam(weight_dcay=0.1), r".*: did you mean 'weight_decay'\?$"),
    "nothing to set": (
        lambda: nn.Softmax(dim=1),
        "the arguments of nn.Softmax must be left out, got 'dim': leave",
    ),
    "activation": (
        lambda: nn.Dense(3, 4, activation="relu"),
        r"the arguments of nn.Dense must .*nn.ReLU\(\)$",
    ),
    "too few": (lambda: nn.Dense(3), "the arguments of nn.Dense must contain out_features, got none$"),
    "clipping": (
        lambda: trainer(clip_grad_norm=1.0),
        "the arguments of Trainer must .*: write clip_norm$",
    ),
    "accumulation": (
        lambda: trainer(accumulate_grad_batches=4),
        "the arguments of Trainer must .*: write accumulate$",
    ),
    "seed": (lambda: nn.Sequential(nn.Dense(3, 2), random_state=0), "the arguments of Sequential .*: write seed$"),
    "best weights": (lambda: fastnn.EarlyStopping(restore_best_weights=True), ".*: write restore_best$"),
    "by position": (
        lambda: trainer().fit(X, Y, 5),
        "the arguments of Trainer.fit must be given by name after y, got 5: the names are sample_weight, epochs",
    ),
    "a loader": (lambda: trainer().fit([X, X]), "the arguments of Trainer.fit must contain y, got none: of a loader"),
    "augment of a trainer": (
        lambda: trainer(augment=["noise"]),
        r".*: give augment to fit: fit\(X, y, augment=\[\.\.\.\]\)$",
    ),
    "transforms of a trainer": (lambda: trainer(transforms=[]), ".*: give augment to fit"),
    "ema of a trainer": (lambda: trainer(ema=True), r".*: write Trainer\(net, average=optim\.EMA\(decay=\.\.\.\)\)$"),
    "swa of a trainer": (lambda: trainer(swa=True), r".*: write Trainer\(net, average=optim\.SWA\(start=\.\.\.\)\)$"),
    "accumulation elsewhere": (lambda: trainer(gradient_accumulation_steps=2), ".*: write accumulate$"),
    "accumulation of a fit": (
        lambda: trainer().fit(X, Y, accumulate=2),
        r".*: write fastnn\.Trainer\(net, accumulate=\.\.\.\)$",
    ),
    "accumulation of an optimiser": (
        lambda: optim.Adam(gradient_accumulation_steps=2),
        r".*: write fastnn\.Trainer\(net, accumulate=\.\.\.\)$",
    ),
    "average of a fit": (lambda: trainer().fit(X, Y, average="ema"), r".*: write Trainer\(net, average=optim\.EMA\("),
    "mixup of a fit": (lambda: trainer().fit(X, Y, mixup=0.2), r'.*: write fit\(X, y, augment=\["mixup"\]\)$'),
    "freeze of a fit": (lambda: trainer().fit(X, Y, freeze="0.*"), r'.*: write net\.freeze\("0\.\*"\) before'),
    "noise": (lambda: data.GaussianNoise(stddev=0.1), "the arguments of fastnn.data.GaussianNoise must .*: write std$"),
    "a decay": (lambda: optim.EMA(momentum=0.9), "the arguments of optim.EMA must .*: write decay$"),
    "a rate of SWA": (lambda: optim.SWA(1, swa_lr=0.1), r".*: leave it out: .* Trainer\(net, schedule=\.\.\.\)$"),
    "split": (lambda: trainer().fit(X, Y, validation_split=0.2), ".*: split the rows and write validation_data="),
    "gradients": (lambda: fastnn.check_gradients(net_of(), X, Y, loss_fn=1), "the arguments of check_gradients must"),
}


@pytest.mark.parametrize("case", CALLS)
def test_calls_with_other_arguments(case):
    call, message = CALLS[case]
    with pytest.raises(TypeError, match=f"^{message}") as caught:
        call()
    assert caught.value.__context__ is None  # one error to read, not two


def test_errors_within_a_call_stay_as_they_are():
    def broken(epoch):
        return len(epoch)

    with pytest.raises(TypeError, match=r"^object of type 'int' has no len\(\)$"):
        trainer(schedule=broken).fit(X, Y, verbose=0)


RECEIVERS = [optim.Adam, optim.OneCycleLR, nn.Dense, fastnn.Trainer, fastnn.Trainer.fit, nn.Sequential.forward]
RECEIVERS += [nn.Sequential, nn.LayerNorm, nn.Embedding, fastnn.EarlyStopping]
RECEIVERS += [data.GaussianNoise, data.FeatureDropout, data.RandomShift, optim.EMA, optim.SWA]


@pytest.mark.parametrize("keyword", _habits.RENAMED)
def test_renamed_keywords_exist_under_their_name_in_fastnn(keyword):
    parameters = [set(inspect.signature(each).parameters) for each in RECEIVERS]
    assert any(_habits.RENAMED[keyword] in each and keyword not in each for each in parameters)


def test_a_keyword_is_only_renamed_to_one_that_the_function_has():
    with pytest.raises(TypeError, match=r"got 'random_state'$"):
        trainer().fit(X, Y, random_state=0)
    with pytest.raises(TypeError, match=r"got 'learning_rate': give it to the optimizer, optim\.Adam\(lr=\.\.\.\)$"):
        trainer(learning_rate=0.1)


@pytest.mark.parametrize(("module", "name"), [(m, name) for m, names in _habits.MODULES.items() for name in names])
def test_names_that_modules_do_not_have(module, name):
    found = {"fastnn": fastnn, "fastnn.nn": nn, "fastnn.optim": optim, "fastnn.data": data}[module]
    fix = _habits.MODULES[module][name]
    with pytest.raises(AttributeError, match=rf"^module '{module}' has no attribute '{name}': write {re.escape(fix)}$"):
        getattr(found, name)
    assert not hasattr(found, name)
    for path in re.findall(r"\b(?:nn|optim|data|fastnn)(?:\.\w+)+", fix):
        made = {"nn": nn, "optim": optim, "data": data, "fastnn": fastnn}
        first, *rest = path.split(".")
        if rest == ["sklearn"] or rest[:1] == ["sklearn"]:
            continue
        each = made[first]
        for part in rest:
            each = getattr(each, part)


@pytest.mark.parametrize(
    ("name", "where"), [("EMA", "optim"), ("GaussianNoise", "data"), ("Dense", "nn"), ("Adam", "optim")]
)
def test_names_of_submodules(name, where):
    with pytest.raises(
        AttributeError, match=rf"^module 'fastnn' has no attribute '{name}': write fastnn\.{where}\.{name}$"
    ):
        getattr(fastnn, name)


def test_near_names_of_modules():
    with pytest.raises(AttributeError, match=r"has no attribute 'MixUp': did you mean 'Mixup'\?$"):
        _ = data.MixUp
    with pytest.raises(AttributeError, match=r"has no attribute 'Dens': did you mean 'Dense'\?$"):
        _ = nn.Dens
    with pytest.raises(AttributeError, match=r"has no attribute '__wrapped__'$"):
        _ = optim.__wrapped__


def test_the_rule_itself():
    names = Names(["mean_squared_error"], {"mse": "mean_squared_error"}, {"l2": "write something"})
    for spelling in itertools.chain(spellings("mean_squared_error"), spellings("mse")):
        assert names.find(spelling) == "mean_squared_error"
    assert names.find("l2") is None and names.fix("L2") == "write something"
    assert suggestion(3, ["a"]) == suggestion("x" * 101, ["x" * 100]) == ""


METHODS = {
    "on_train_begin": "write on_fit_begin",
    "on_epoch_start": "write on_epoch_begin",
    "on_epoch_ends": "did you mean 'on_epoch_end'?",
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_callbacks_that_are_never_called(name):
    message = rf"^methods of Mine that begin with on_ must be .*, got {name}: {re.escape(METHODS[name])}$"
    with pytest.raises(TypeError, match=message):
        type("Mine", (fastnn.Callback,), {name: lambda self, trainer: None})


def test_the_page_has_all_aliases():
    page = Path(__file__).resolve().parents[1] / "docs" / "names.md"
    if not page.exists():
        pytest.skip("this test needs the checkout")
    text = {normalized(each) for each in re.findall(r"`([\w-]+)`", page.read_text())}
    for kind, (names, _) in KINDS.items():
        known = {normalized(name) for name in names}
        short = {name.removesuffix("lr") for name in known} if kind == "schedule" else set()
        classes = {normalized(row.torch) for row in _losses.LOSSES.values()}
        own = set(names.aliases) - short - classes - (set(_losses.NAMES.aliases) if kind == "metrics" else set())
        assert own <= text, kind
    assert {"henormal", "glorotnormal"} <= text


def test_other_attributes_of_callbacks_are_the_users_own():
    made = type("Mine", (fastnn.Callback,), {"on_gpu": False, "on_step": lambda self: None})
    assert made.on_gpu is False


@pytest.mark.parametrize("wrong", [nn.ReLU(), nn.MSELoss(), net_of()], ids=lambda each: type(each).__name__)
def test_what_can_be_called_is_not_always_a_function(wrong):
    for use in (lambda: trainer(schedule=wrong), lambda: nn.Dense(2, 2, init=wrong)):
        with pytest.raises(TypeError, match=r"^(schedule|init) must be .*, got "):
            use()
