"""The records of augmentation: their settings, what they refuse, and their names."""

import numpy as np
import pytest

import fastnn
from fastnn import data, nn
from fastnn.data.augmentation import AUGMENTATIONS, ELSEWHERE, NAMES

FLOAT32 = np.dtype("float32")


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("GaussianNoise(std=0.5)", ("add_noise", {"std": 0.5})),
        ("FeatureDropout(p=0.25)", ("drop_features", {"p": 0.25})),
        ("SwapNoise()", ("swap_entries", {"p": 0.1})),
        ("Mixup(alpha=1.0)", ("mixup", {"alpha": 1.0})),
        (
            "RandomShift((3, 4), pixels=(2, 1), fill='edge')",
            ("shift_images", {"layout": (1, 3, 4, 1), "most": (2, 1), "fill": 0.0, "edge": True}),
        ),
        (
            "RandomShift((2, 3, 2), pixels=1, fill=0.5, channels_last=True)",
            ("shift_images", {"layout": (1, 2, 3, 2), "most": (1, 1), "fill": 0.5, "edge": False}),
        ),
        (
            "RandomFlip((2, 2, 3), p=0.25, axis='vertical')",
            ("flip_images", {"layout": (2, 2, 3, 1), "p": 0.25, "vertical": True}),
        ),
    ],
)
def test_a_record_is_an_op_with_its_settings(text, step):
    record = eval(text, vars(data))
    assert repr(record) == text
    assert fastnn.from_config(record.config()) == record
    assert record.step(12, FLOAT32) == step


def test_settings_are_numbers_of_python():
    for shape in (np.array([3, 4]), np.array([3, 4], np.uint8), [3, 4], (np.int32(3), 4)):
        record = data.RandomShift(shape, np.int64(1), np.float32(0.5), np.True_)
        assert record.shape == (3, 4) and {type(each) for each in record.shape} == {int}
        assert record.step(12, FLOAT32)[1] == {"layout": (1, 3, 4, 1), "most": (1, 1), "fill": 0.5, "edge": False}
    for pixels in (np.array([2, 1]), [2, 1]):
        assert repr(data.RandomShift((3, 4), pixels)) == "RandomShift((3, 4), pixels=(2, 1))"
    assert data.FeatureDropout(1) == data.FeatureDropout(1.0)


BAD = [
    (ValueError, r"std must be a finite number of at least 0, got -0\.1", lambda: data.GaussianNoise(-0.1)),
    (ValueError, "std must be a finite number of at least 0, got inf", lambda: data.GaussianNoise(float("inf"))),
    (TypeError, "std must be a finite number of at least 0, got '1'", lambda: data.GaussianNoise("1")),
    (ValueError, r"p must be a number in \[0, 1\], got 1\.5", lambda: data.FeatureDropout(1.5)),
    (ValueError, r"p must be a number in \[0, 1\], got nan", lambda: data.SwapNoise(float("nan"))),
    (TypeError, r"p must be a number in \[0, 1\], got True", lambda: data.SwapNoise(True)),
    (ValueError, r"p must be a number in \[0, 1\], got -1", lambda: data.RandomFlip((2, 2), -1)),
    (ValueError, r"alpha must be a finite number above 0, got 0\.0", lambda: data.Mixup(0.0)),
    (TypeError, r"shape must be \(height, width\), or .*, got int", lambda: data.RandomShift(784)),
    (ValueError, r"shape must be \(height, width\), or .*, got \(28,\)", lambda: data.RandomFlip((28,))),
    (ValueError, r"shape\[1\] must be an integer of at least 1, got 0", lambda: data.RandomFlip((28, 0))),
    (TypeError, r"shape\[0\] must be an integer of at least 1, got 2\.5", lambda: data.RandomFlip((2.5, 2))),
    (ValueError, "pixels must be an integer from 0 to 2, got 3", lambda: data.RandomShift((3, 9), 3)),
    (ValueError, r"pixels\[0\] must be an integer from 0 to 2, got 3", lambda: data.RandomShift((3, 9), (3, 3))),
    (ValueError, "pixels must be a number or a pair of them", lambda: data.RandomShift((3, 9), (1, 1, 1))),
    (ValueError, "fill must be a number or \"edge\", got 'mean'", lambda: data.RandomShift((3, 9), fill="mean")),
    (ValueError, 'fill must be .*, got .*: write fill="edge"$', lambda: data.RandomShift((3, 9), fill="nearest")),
    (ValueError, "fill must be .*, got 'constant': write fill=0.0", lambda: data.RandomShift((3, 9), fill="constant")),
    (TypeError, "fill must be .*, got None: write fill=0.0$", lambda: data.RandomShift((3, 9), fill=None)),
    (TypeError, r"shape must be \(height, .*, got ndarray", lambda: data.RandomShift(np.ones((2, 2)))),
    (TypeError, r"shape\[0\] must be an integer of at least 1, got 3\.0", lambda: data.RandomFlip(np.array([3.0, 4]))),
    (ValueError, "pixels must be a number or a pair of them", lambda: data.RandomShift((3, 9), np.array([1, 1, 1]))),
    (ValueError, "fill must be .*, got nan", lambda: data.RandomShift((3, 9), fill=float("nan"))),
    (TypeError, r"p must be .*, got 'vertical': write axis='vertical'$", lambda: data.RandomFlip((3, 9), "vertical")),
    (ValueError, "axis must be one of horizontal, vertical, got 'x'", lambda: data.RandomFlip((3, 9), axis="x")),
    (TypeError, "channels_last must be True or False, got 1", lambda: data.RandomShift((3, 9), channels_last=1)),
    (ValueError, r"shape must have 12 pixels .*, got \(3, 3\)", lambda: data.RandomFlip((3, 3)).step(12, FLOAT32)),
    (ValueError, "std must be .*, got 1e[+]39", lambda: data.GaussianNoise(1e39).step(12, FLOAT32)),
    (ValueError, "fill must be .*, got 1e[+]39", lambda: data.RandomShift((3, 4), fill=1e39).step(12, FLOAT32)),
]  # fmt: skip


@pytest.mark.parametrize(("error", "message", "call"), BAD, ids=[message[:40] for _, message, _ in BAD])
def test_bad_settings(error, message, call):
    with pytest.raises(error, match=f"^{message}"):
        call()


def test_settings_are_read_only():
    with pytest.raises(AttributeError, match=r"give fit another one, augment=\[fastnn\.data\.Mixup\(0\.5\)\]$"):
        data.Mixup().alpha = 0.5
    with pytest.raises(TypeError, match="abstract"):
        data.Augmentation()


def test_names_are_of_records_with_defaults():
    public = {getattr(data, name) for name in data.__all__ if isinstance(getattr(data, name), type)}
    records = {each for each in public if issubclass(each, data.Augmentation)} - {data.Augmentation}
    assert records - {data.RandomFlip, data.RandomShift} == set(AUGMENTATIONS.values())
    assert not [name for name in ELSEWHERE if NAMES.find(name)]


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("random_shift", r"write fastnn\.data\.RandomShift\(\(28, 28\), pixels=2\)"),
        ("RandomCrop", r"write fastnn\.data\.RandomShift\("),
        ("horizontal-flip", r"write fastnn\.data\.RandomFlip\(\(28, 28\)\)"),
        ("RandomVerticalFlip", r'write fastnn\.data\.RandomFlip\(\(28, 28\), axis="vertical"\)'),
        ("cutmix", 'write "mixup"'),
        ("dropout", r'write "feature_dropout", or nn\.Dropout'),
        ("gausian_noise", r"did you mean 'gaussian_noise'\?"),
    ],
)
def test_names_that_are_refused(name, fix):
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 2), seed=0))
    known = "be one of gaussian_noise, feature_dropout, swap_noise, mixup"
    with pytest.raises(ValueError, match=f"^augment must {known}, got '{name}': {fix}"):
        trainer.fit(np.eye(4), [0, 1, 0, 1], augment=name, verbose=0)
