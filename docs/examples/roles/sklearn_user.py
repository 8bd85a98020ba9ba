"""A table of customers, from the frame to the saved pipeline, as a user of scikit-learn types it."""

import tempfile
import warnings
from pathlib import Path

import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
import sklearn.neural_network
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastnn
from fastnn.sklearn import MLPClassifier, MLPRegressor

mpl.use("Agg")
warnings.simplefilter("ignore", ConvergenceWarning)
rng = np.random.default_rng(0)
n = 2000
df = pd.DataFrame({"age": rng.normal(45, 12, n), "income": rng.lognormal(10, 0.5, n), "visits": rng.poisson(4, n)})
df["town"] = rng.choice(["Bath", "Leeds", "York"], n)
risk = (df.age - 45) / 12 - (df.visits - 4) / 2 + (df.town == "York") + rng.normal(0, 0.3, n)
y = pd.Series(np.where(risk > 1.8, "leaves", "stays"), name="churn")
X_train, X_test, y_train, y_test = train_test_split(df, y, stratify=y, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(X_train, y_train, stratify=y_train, random_state=0)

# the search: frame -> columns -> net
prep = make_column_transformer((StandardScaler(), ["age", "income", "visits"]), (OneHotEncoder(), ["town"]))
mlp = MLPClassifier(optimizer="adamw", class_weight="balanced", early_stopping=True, max_iter=60, random_state=0)
pipe = Pipeline([("prep", prep), ("mlp", mlp)])
grid = {"mlp__hidden_layer_sizes": [(32,), (32, 16)], "mlp__learning_rate_init": [1e-3, 1e-2]}
search = GridSearchCV(pipe, grid, scoring="balanced_accuracy", cv=3).fit(X_train, y_train)
print(pd.DataFrame(search.cv_results_)[["params", "mean_test_score"]])
assert search.best_score_ > 0.85

# the best one again, with my own validation rows, a schedule and curves
best = search.best_estimator_
best.set_params(mlp__schedule="cosine_annealing_lr", mlp__scoring="roc_auc", mlp__callbacks=[fastnn.TimeLimit(30)])
best.fit(X_train, y_train, mlp__X_val=prep.fit(X_train).transform(X_val), mlp__y_val=y_val)
clf = best.named_steps["mlp"]
curves = pd.DataFrame({"loss": clf.loss_curve_, "validation loss": clf.validation_loss_curve_})
assert len(clf.validation_scores_) == len(curves) == clf.n_iter_
assert curves["validation loss"].min() < curves["validation loss"].iloc[0]
auc = roc_auc_score(y_test == "stays", best.predict_proba(X_test)[:, 1])
print(clf.classes_, balanced_accuracy_score(y_test, best.predict(X_test)), auc)
print(clf.net_.summary(), fastnn.__version__)
assert auc > 0.95

importance = permutation_importance(best, X_test, y_test, n_repeats=3, random_state=0).importances_mean
assert importance[df.columns.get_loc("income")] < importance[df.columns.get_loc("visits")]

with tempfile.TemporaryDirectory() as folder:
    curves.plot(logy=True).figure.savefig(Path(folder, "curves.png"))
    joblib.dump(best, Path(folder, "churn.joblib"))
    loaded = joblib.load(Path(folder, "churn.joblib"))
    assert Path(folder, "curves.png").stat().st_size > 1000
assert (loaded.predict_proba(X_test) == best.predict_proba(X_test)).all()

# is it really the same as scikit-learn?
A, B = prep.transform(X_train), prep.transform(X_test)
theirs = sklearn.neural_network.MLPClassifier((32,), max_iter=100, random_state=1).fit(A, y_train)
ours = MLPClassifier((32,), max_iter=100, random_state=1).fit(A, y_train)
np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
assert (ours.predict(B) == theirs.predict(B)).all() and ours.score(B, y_test) > 0.9

reg = MLPRegressor(hidden_layer_sizes=(64, 64), activation="gelu", loss="mae", max_iter=100, random_state=0)
reg = make_pipeline(StandardScaler(), reg)
reg.fit(df[["age", "visits"]], risk)
assert reg.score(df[["age", "visits"]], risk) > 0.7
