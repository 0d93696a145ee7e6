"""The nuclear norm, which makes matrices of low rank."""

import numpy as np
import scipy.linalg

from sknormnet.penalties.base import Penalty, floating


class NuclearNorm(Penalty):
    """Sum of the singular values: its minima are matrices of low rank.

    Omega(W) = sum_k sigma_k(W). The prox takes step * strength off every singular value, down to 0. Each step of sgd
    and adam costs two decompositions of the matrix, which dominate on all but small layers; fista needs far fewer.
    Singular values below eps * max(fan_in, fan_out) times the largest count as zero.

    References
    ----------
    Cai, Candes and Shen (2010), A singular value thresholding algorithm for matrix completion, SIAM J. Optim. 20(4);
    Watson (1992), Characterization of the subdifferential of some matrix norms, Linear Algebra Appl. 170.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import NuclearNorm
    >>> W = NuclearNorm().prox(np.array([[2.0, 1.0], [1.0, 2.0]]), step=1.0, strength=1.0)
    >>> W.round(6)
    array([[1., 1.],
           [1., 1.]])
    """

    name = "nuclear"
    smooth = False
    convex = True

    def value(self, W: np.ndarray, strength: float) -> float:
        """strength * Omega(W)."""
        W = floating(W)
        if not np.isfinite(W).all():
            return np.nan
        return strength * float(scipy.linalg.svdvals(W, check_finite=False).sum(dtype=np.float64))

    def subgradient(self, W: np.ndarray, strength: float) -> np.ndarray:
        """strength * U V' of the singular vectors with positive singular values."""
        W = floating(W)
        U, _, Vt = _decompose(W)
        return (strength * (U @ Vt)).astype(W.dtype, copy=False)

    def prox(self, V: np.ndarray, step: float, strength: float) -> np.ndarray:
        """V with step * strength taken off its singular values."""
        V = floating(V)
        if not np.isfinite(V).all():
            return np.full_like(V, np.nan)
        U, sigma, Vt = _decompose(V)
        left = np.maximum(sigma - step * strength, 0)
        kept = left > 0
        return ((U[:, kept] * left[kept]) @ Vt[kept]).astype(V.dtype, copy=False)

    def residual(self, W: np.ndarray, gradient: np.ndarray, strength: float) -> np.ndarray:
        """Sizes of the entries of the smallest matrix in gradient + subdifferential."""
        W = floating(W)
        # gradient + strength * (U V' + Z), where Z has spectral norm <= 1 and rows and columns orthogonal to U and V.
        U, _, Vt = _decompose(W)
        slope = gradient + strength * (U @ Vt)
        free = slope - U @ (U.T @ slope)
        free -= (free @ Vt.T) @ Vt
        return np.abs(slope - free + self.prox(free, 1.0, strength)).astype(W.dtype, copy=False)


def _decompose(W: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U, sigma, V' of the singular values that are positive beyond rounding."""
    U, sigma, Vt = scipy.linalg.svd(W, full_matrices=False, check_finite=False)
    kept = sigma > max(W.shape) * np.finfo(W.dtype).eps * sigma[0]
    return U[:, kept], sigma[kept], Vt[kept]
