# %% [markdown]
# # From scikit-learn's perceptrons to fastnn's
#
# Only the import line changes. Cells begin with `# %%`: editors and Jupyter run them one by one.

# %%
import time
import warnings

import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
import fastnn.sklearn
from fastnn import nn

warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)

# %% [markdown]
# ## The same results
#
# With the same `random_state` both have the same initial weights and the same order of the rows. The losses of all
# epochs agree to many digits, so that you can check the change of the import line on your own data.

# %%
fits, seconds = {}, {}
for module in (sklearn.neural_network, fastnn.sklearn):
    start = time.perf_counter()
    fits[module] = module.MLPClassifier(random_state=0, max_iter=30).fit(X_train, y_train)
    seconds[module] = time.perf_counter() - start
theirs, ours = fits.values()
error = np.max(np.abs(np.array(ours.loss_curve_) / theirs.loss_curve_ - 1))
print(f"losses agree to {error:.0e}; {seconds[sklearn.neural_network] / seconds[fastnn.sklearn]:.1f} times as fast")
assert error < 1e-11
assert (ours.predict(X_test) == theirs.predict(X_test)).all()

# %% [markdown]
# Pipelines, searches and all other tools of scikit-learn accept these estimators.

# %%
pipeline = make_pipeline(StandardScaler(), fastnn.sklearn.MLPClassifier(random_state=0, max_iter=20))
search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e-1]}, cv=3).fit(X_train, y_train)
print(f"{search.best_params_}: {search.score(X_test, y_test):.3f}")

# %% [markdown]
# ## Additional options
#
# An evaluation set and its loss curve, batch norm, dropout, one activation per layer, another optimiser, label
# smoothing, a schedule, and an early stop when the validation loss rises. All are off by default.

# %%
scaler = StandardScaler().fit(X_train)
net = fastnn.sklearn.MLPClassifier(
    hidden_layer_sizes=(128, 64),
    activation=["relu", "tanh"],
    batch_norm=True,
    dropout=0.2,
    optimizer="AdamW",
    learning_rate_init=3e-3,
    schedule="CosineAnnealingLR",
    loss=nn.CrossEntropyLoss(label_smoothing=0.05),
    callbacks=[fastnn.EarlyStopping("val_loss", patience=5)],
    dtype="float32",
    max_iter=25,
    n_iter_no_change=25,
    random_state=0,
)
net.fit(scaler.transform(X_train), y_train, eval_set=(scaler.transform(X_test), y_test))
print(f"{net.n_iter_} epochs, accuracy {net.score(scaler.transform(X_test), y_test):.3f}")
assert net.score(scaler.transform(X_test), y_test) > 0.95
assert len(net.validation_loss_curve_) == net.n_iter_

# %% [markdown]
# A loss that scikit-learn does not have: it fits the 90 % quantile of the targets.

# %%
rng = np.random.default_rng(0)
hours = rng.uniform(0, 1, (600, 1))
load = np.sin(6 * hours[:, 0]) + rng.exponential(0.5, 600)
high = fastnn.sklearn.MLPRegressor(
    nn.QuantileLoss(0.9), (32, 32), learning_rate_init=0.01, max_iter=150, random_state=0
).fit(hours, load)
below = np.mean(load < high.predict(hours))
print(f"{below:.0%} of the targets are below the prediction")
assert 0.85 < below < 0.95
