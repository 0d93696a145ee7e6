"""
Which pixels does a digit need?
===============================

A network that reads handwritten digits of 8 x 8 pixels is led from all pixels to none: a group lasso on its first
weight matrix has one group per pixel, and the strength alpha of the penalty grows step by step. Pictures show which
pixels stay, and what the others are worth.
"""

# %%
# The path
# --------
# `regularization_path` fits the network at the smallest strength and goes on from there: each model starts where the
# one before ended. The L2 penalty keeps the last layer from growing while the first one shrinks, which would leave the
# network as it is and the group lasso next to no effect. Validation data score every model, and change none.
# ``relax=True`` refits the models without the penalty, what is zero staying zero. The digits can be separated, so that
# weights without a penalty grow for as long as they may: that the budget of epochs ends these fits needs no warning.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sknormnet import NormRegMLPClassifier, PerLayer, regularization_path
from sknormnet.penalties import GroupLasso
from sknormnet.plotting import RegularizationPathDisplay

X, y = load_digits(return_X_y=True)
X = X / 16
X_fit, X_test, y_fit, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(X_fit, y_fit, test_size=0.25, stratify=y_fit, random_state=0)

network = NormRegMLPClassifier(
    (50,),
    penalty=PerLayer(first=GroupLasso("input"), hidden="l2", last="l2"),
    learning_rate_init=0.005,
    random_state=0,
)
warnings.filterwarnings("ignore", category=ConvergenceWarning)
path = regularization_path(network, X_train, y_train, X_val=X_val, y_val=y_val, relax=True)
print(path)
print(f"{path.n_iter.sum()} epochs in {path.seconds.sum():.1f} s")

# %%
# Each line is the norm of one pixel's weights, and the numbers on top count the pixels that are read. The weakest
# penalty already does without those that are blank in nearly all images. The ten pixels that leave last have a colour
# each.

names = [f"row {row}, column {column}" for row, column in np.ndindex(8, 8)]
RegularizationPathDisplay.from_path(path, feature_names=names, score_name="accuracy")

# %%
# Which pixels stay
# -----------------
# `selected_features(n)` names the n pixels that leave last. Three images as a model of so few pixels sees them; what it
# does not read is blue.

counts = [64, 40, 20, 10, 5]
grey = plt.get_cmap("gray_r").with_extremes(bad="lightsteelblue")
figure, axes = plt.subplots(3, len(counts), figsize=(8, 5), layout="constrained")
for column, n in zip(axes.T, counts, strict=True):
    read = np.full(64, n == 64)
    if n < 64:
        read[path.selected_features(n)] = True
    column[0].set_title(f"{n} pixels")
    for ax, digit in zip(column, (0, 3, 8), strict=True):
        image = np.where(read, X_test[y_test == digit][0], np.nan)
        ax.imshow(image.reshape(8, 8), cmap=grey, vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])

# %%
# What they are worth
# -------------------
# `path.at(n_features=n)` is a fitted model with n pixels. The penalty that removes pixels also shrinks the weights of
# those that stay, which costs accuracy where few are left; `path.relaxed` has the models without that.

counts = np.unique(path.n_features)
penalised = [path.at(n_features=n).score(X_test, y_test) for n in counts]
relaxed = [path.relaxed.at(n_features=n).score(X_test, y_test) for n in counts]

figure, ax = plt.subplots(layout="constrained")
ax.plot(counts, penalised, "o-", markersize=4, label="on the path")
ax.plot(counts, relaxed, "s-", markersize=4, label="refitted without the penalty")
ax.set(xlabel="pixels", ylabel="accuracy on test images")
ax.legend()

print("pixels  accuracy  refitted")
for row in zip(counts, penalised, relaxed, strict=True):
    print("{:6d}  {:8.3f}  {:8.3f}".format(*row))

plt.show()
