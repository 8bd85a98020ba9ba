"""What augmentation and averages do for a net on Fashion-MNIST: accuracies and losses over several seeds.

``python -m bench.run.images [OUT]`` trains the same net in several ways, writes JSON, and prints a table. It needs the
four IDX files: Debian's package `dataset-fashion-mnist`, or a folder given by ``--data``.
"""

import argparse
import dataclasses
from pathlib import Path

from bench.lib import machine
from bench.lib.records import short, write
from bench.lib.tables.images import images_text

MEASURED = machine.ROOT / "build" / "images.json"
SEEDS = (0, 1, 2)
EPOCHS = 40
SHAPE = (28, 28)


def ways(epochs=EPOCHS):
    """Return the settings of each training by the name that the table shows: those of the trainer, and those of fit."""
    from fastnn import data, optim

    images = [data.RandomShift(SHAPE, 1), data.RandomFlip(SHAPE)]
    ema, swa = optim.EMA(0.999), optim.SWA(start=epochs // 2)
    return {
        "as it is": ({}, {}),
        "shift and flip": ({}, {"augment": images}),
        "mixup": ({}, {"augment": [data.Mixup(0.2)]}),
        "EMA": ({"average": ema}, {}),
        "SWA": ({"average": swa}, {}),
        "shift and flip, EMA": ({"average": ema}, {"augment": images}),
        "shift and flip, SWA": ({"average": swa}, {"augment": images}),
    }


def train(task, settings, fit, seed, epochs):
    """Return loss and accuracy of the test images after one training."""
    import fastnn
    from fastnn import nn

    net = nn.Sequential(
        nn.Dense(task.x.shape[1], 256), nn.ReLU(), nn.Dense(256, 128), nn.ReLU(), nn.Dense(128, 10), seed=seed
    )
    net.scaler = fastnn.data.Scaler(0, 1 / task.white)
    trainer = fastnn.Trainer(net, optimizer="adam", **settings)
    trainer.fit(task.x, task.y, epochs=epochs, verbose=0, **fit)
    return trainer.evaluate(task.x_test, task.y_test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=MEASURED, help="the JSON file")
    parser.add_argument("--data", type=Path, help="the folder of the four IDX files")
    parser.add_argument("--fast", action="store_true", help="one epoch of few rows, to see that it runs")
    arguments = parser.parse_args()
    machine.prepare()
    from fastnn import demo

    task = demo.load(arguments.data)
    epochs = EPOCHS
    if arguments.fast:
        task, epochs = dataclasses.replace(task, x=task.x[:1000], y=task.y[:1000]), 1
    described = machine.describe()
    results = {"machine": described, "task": task.name, "epochs": epochs, "seeds": len(SEEDS), "cases": []}
    for name, (settings, fit) in ways(epochs).items():
        figures = [train(task, settings, fit, seed, epochs) for seed in SEEDS]
        of_seeds = {key: [short(each[key]) for each in figures] for key in ("accuracy", "loss")}
        results["cases"].append({"name": name, **of_seeds})
        write(arguments.out, results, "cases")
    print(images_text(results))


if __name__ == "__main__":
    main()
