"""The models of a path without the bias of the penalty."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sknormnet.path.walk import Point, Walk


def relaxed(
    walk: Walk, points: Sequence[Point], rng: np.random.RandomState, score: Callable[[np.ndarray], float] | None
) -> list[Point]:
    """Each point refitted at alpha = 0 with its zeros held; those that have the same zeros share a refit.

    What is held are zeros among the weights, and among the intercepts where they are penalised. The others start from
    the point that fits the data best of those that share them, and constraints still bind them.
    """
    penalized = np.zeros(walk.problem.plan.n_parameters, dtype=bool)
    for where, *_ in walk.problem.plan.penalized():
        penalized[where] = True
    sharing: dict[bytes, list[Point]] = {}
    for point in points:
        support = np.packbits(point.theta.toarray()[0] != 0).tobytes()
        sharing.setdefault(support, []).append(point)
    refits: dict[float, Point] = {}
    for same in sharing.values():
        theta = min(same, key=lambda point: point.data_loss).theta.toarray()[0]
        walk.objective.hold(penalized & (theta == 0))
        (refit,) = walk.follow([0.0], theta, rng, certify=True)
        if score is not None:
            refit.score = score(refit.theta)
        refit = refit.sparse()
        refits |= {point.alpha: replace(refit, alpha=point.alpha, start=point.start) for point in same}
    walk.objective.hold(None)
    return [refits[point.alpha] for point in points]
