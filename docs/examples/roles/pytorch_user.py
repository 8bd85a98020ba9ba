"""Digits with layers, loops, schedules and state dicts, as a user of PyTorch types it."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastnn
from fastnn import nn, optim

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.25, random_state=0)


def make_net(seed=0):
    body = [nn.Dense(64, 64, bias=False), nn.BatchNorm(64), nn.ReLU(), nn.Dropout(0.1)]
    body += [nn.Dense(64, 64, init="he_normal"), nn.activation("LeakyReLU")]
    return nn.Sequential(*body, nn.Dense(64, 10, init="glorot_uniform"), seed=seed)


# 1. the loop by hand: forward, loss, backward, step
net = make_net()
epochs, batch_size = 12, 64
n_batches = -(-len(X_train) // batch_size)
criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
optimizer = optim.AdamW(lr=1e-3, weight_decay=0.05, groups=[optim.NO_DECAY, optim.Group("0.*", lr_scale=0.5)])
schedule = optim.OneCycleLR(max_lr=1e-2, total_steps=epochs * n_batches)
trainer = fastnn.Trainer(net, criterion, optimizer, schedule=schedule, clip_norm=1.0)
rng = np.random.default_rng(0)
losses = []
for _ in range(epochs):
    order = rng.permutation(len(X_train))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        z = net.forward(X_train[rows], training=True)
        dz = np.empty_like(z)
        losses.append(criterion(z, y_train[rows], grad=dz))
        net.backward(dz)
        trainer.step()
accuracy = (net(X_val).argmax(axis=1) == y_val).mean()
print(f"by hand: loss {losses[0]:.2f} -> {np.mean(losses[-n_batches:]):.2f}, accuracy {accuracy:.3f}")
assert accuracy > 0.95 and trainer.step_count == epochs * n_batches == len(losses)


# 2. the same by the trainer, with callbacks
class WeightNorms(fastnn.Callback):
    def __init__(self):
        self.norms = []

    def on_epoch_end(self, trainer, logs):
        self.norms.append(float(np.linalg.norm(trainer.net[0].weight)))


with tempfile.TemporaryDirectory() as folder:
    log = Path(folder, "log.csv")
    stop = fastnn.EarlyStopping("val_accuracy", patience=5)
    norms = WeightNorms()
    trainer = fastnn.Trainer(
        make_net(1),
        loss="cross_entropy",
        optimizer=optim.AdamW(weight_decay=0.05, groups=[optim.NO_DECAY]),
        schedule=optim.OneCycleLR(max_lr=1e-2),
        metrics=["accuracy"],
        clip_norm=1.0,
    )
    settings = {"epochs": 20, "batch_size": 64, "train_metrics": True}
    settings["callbacks"] = [stop, fastnn.CSVLog(log), fastnn.TimeLimit(20), norms]
    history = trainer.fit(X_train, y_train, validation_data=(X_val, y_val, np.ones(len(y_val))), **settings)
    frame = pd.DataFrame(history)
    assert len(pd.read_csv(log)) == len(frame) == len(norms.norms)
print(frame.tail(3), history[-1], stop.best_epoch, sep="\n")
assert max(history["val_accuracy"]) == stop.best > 0.95 and history["lr"][-1] < max(history["lr"])
assert {"loss", "accuracy", "val_loss", "val_accuracy", "lr"} <= set(history.keys())
assert trainer.evaluate(X_val, y_val)["accuracy"] == stop.best
assert np.allclose(trainer.predict_proba(X_val).sum(axis=1), 1, atol=1e-5)
assert (trainer.predict_proba(X_val).argmax(axis=1) == trainer.net(X_val).argmax(axis=1)).all()
assert len(trainer.predict(X_val)) == len(X_val)

# 3. to torch and back
theirs = torch.nn.Sequential(
    torch.nn.Linear(64, 64, bias=False), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Dropout(0.1),
    torch.nn.Linear(64, 64), torch.nn.LeakyReLU(), torch.nn.Linear(64, 10),
).eval()  # fmt: skip
theirs.load_state_dict({name: torch.as_tensor(value) for name, value in trainer.net.state_dict().items()})
with torch.no_grad():
    np.testing.assert_allclose(theirs(torch.from_numpy(X_val)).numpy(), trainer.net(X_val), rtol=1e-3, atol=1e-4)
again = make_net(2)
again.load_state_dict(theirs.state_dict())
assert (again(X_val) == trainer.net(X_val)).all()

# 4. a head for five classes: everything but the last layer
body = {name: value for name, value in theirs.state_dict().items() if not name.startswith("6.")}
head = nn.Sequential(*(layer.detached() for layer in make_net()[:-1]), nn.Dense(64, 5), seed=3)
missing, unexpected = head.load_state_dict(body, strict=False)
assert list(missing) == ["6.weight", "6.bias"] and not unexpected
head.freeze("[0-5].*")
trainer = fastnn.Trainer(head, optimizer=optim.Adam(lr=1e-2), schedule="cosine_annealing_lr", metrics=["accuracy"])
trainer.fit(X_train, y_train // 2, epochs=15)
assert trainer.evaluate(X_val, y_val // 2)["accuracy"] > 0.9

# 5. an ensemble
ensemble = fastnn.Ensemble.fit(
    lambda seed: fastnn.Trainer(make_net(seed), optimizer="adamw"),
    X_train, y_train, members=3, output="softmax", epochs=20,
)  # fmt: skip
assert ensemble.evaluate(X_val, y_val)["accuracy"] > 0.95
