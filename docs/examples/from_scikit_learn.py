# %% [markdown]
# # From scikit-learn's perceptrons to fastnn's
#
# The import line changes, and nothing else does. Cells begin with `# %%`: editors and Jupyter run them one by one.

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
# ## The same
#
# One `random_state` gives both the same initial weights and the same order of the rows, so that the losses of all
# epochs agree to many digits, and a change of the import line can be looked at before it is relied on.

# %%
fits, seconds = {}, {}
for module in (sklearn.neural_network, fastnn.sklearn):
    start = time.perf_counter()
    fits[module] = module.MLPClassifier(random_state=0, max_iter=30).fit(X_train, y_train)
    seconds[module] = time.perf_counter() - start
theirs, ours = fits.values()
off = np.max(np.abs(np.array(ours.loss_curve_) / theirs.loss_curve_ - 1))
print(f"losses agree to {off:.0e}; {seconds[sklearn.neural_network] / seconds[fastnn.sklearn]:.1f} times as fast")
assert off < 1e-11
assert (ours.predict(X_test) == theirs.predict(X_test)).all()

# %% [markdown]
# Pipelines, searches and everything else that takes an estimator take this one.

# %%
pipeline = make_pipeline(StandardScaler(), fastnn.sklearn.MLPClassifier(random_state=0, max_iter=20))
search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e-1]}, cv=3).fit(X_train, y_train)
print(f"{search.best_params_}: {search.score(X_test, y_test):.3f}")

# %% [markdown]
# ## More
#
# An evaluation set with its curve, batch norm, dropout, an activation for each layer, another optimiser, label
# smoothing, a schedule, and an end when the curve rises: all by name, and all off by default.

# %%
scaler = StandardScaler().fit(X_train)
more = fastnn.sklearn.MLPClassifier(
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
more.fit(scaler.transform(X_train), y_train, eval_set=(scaler.transform(X_test), y_test))
print(f"{more.n_iter_} epochs, accuracy {more.score(scaler.transform(X_test), y_test):.3f}")
assert more.score(scaler.transform(X_test), y_test) > 0.95
assert len(more.validation_loss_curve_) == more.n_iter_

# %% [markdown]
# A loss that scikit-learn does not have: the 90 % quantile of a number.

# %%
rng = np.random.default_rng(0)
hours = rng.uniform(0, 1, (600, 1))
load = np.sin(6 * hours[:, 0]) + rng.exponential(0.5, 600)
high = fastnn.sklearn.MLPRegressor(
    nn.QuantileLoss(0.9), (32, 32), learning_rate_init=0.01, max_iter=150, random_state=0
).fit(hours, load)
below = np.mean(load < high.predict(hours))
print(f"{below:.0%} of the numbers are below")
assert 0.85 < below < 0.95
