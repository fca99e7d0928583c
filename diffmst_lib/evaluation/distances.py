"""How far a set of mixes is from a set of records, by their embeddings: FAD, its extrapolation, and KAD.

FAD compares means and covariances. With few vectors it is far too large, also between two sets of the same kind, and
the more so the fewer there are. KAD has no such bias. Neither says anything about one pair: a set of mixes whose records
were swapped scores the same. Both hear what the embedding hears, and no more.

Chapter: How good is a mix?
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.spatial.distance
import scipy.stats
import torch

from ..inputs import InputError
from ..network.musicnn import embed

if TYPE_CHECKING:
    import pandas as pd

Embedding = Callable[
    [torch.Tensor, int], "torch.Tensor | np.ndarray"
]  # (2, num_samples), Hz -> (vectors, features)
Vectors = np.ndarray | torch.Tensor

MUSICNN = "musicnn (MSD), 200-d, mono, 16 kHz"
SCALE = 100.0  # of KAD, as its authors print it
MOST_FOR_MEDIAN = 4000  # vectors of a reference set whose pairs are counted
ROWS = 1000  # rows of a kernel at a time
SIZES, REPEATS = 8, 10  # of the extrapolation
SMALLEST = 0.25  # of the vectors, in its smallest samples
FEWEST = 32  # vectors to extrapolate from


def frechet_distance(a: Vectors, b: Vectors) -> float:
    """Compute the Fréchet distance of two sets: FAD, where their vectors are embeddings of sounds.

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), with the covariances C, in float64. The last trace is the
    sum of the singular values of X_a X_b^T for any X^T X = C, which needs no root of a matrix.

    Args:
        a: Vectors (num_vectors, features).
        b: Vectors (num_vectors, features); the order of the two is of no consequence.

    Returns:
        The distance, 0 or more; NaN for a set of less than two vectors.

    Raises:
        InputError: For other shapes, and for vectors that are not finite.

    Source: Kilgour et al. (2019), "Fréchet audio distance".

    Example:
        >>> a = np.array([[0.0, -1.0], [0.0, 1.0]])
        >>> round(frechet_distance(a, 3 * a + 2), 9)        # means 8 apart, deviations 2 ** 0.5 and 3 * 2 ** 0.5
        16.0
    """
    a, b = _checked(a, b)
    if min(len(a), len(b)) < 2:
        return math.nan
    means = [x.mean(axis=0) for x in (a, b)]
    roots = [_root(x - mean) for x, mean in zip((a, b), means, strict=True)]  # X with X^T X = C
    powers = sum(float((root**2).sum()) for root in roots)
    shared = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return max(0.0, float(((means[0] - means[1]) ** 2).sum()) + powers - 2.0 * shared)


def _root(centered: np.ndarray) -> np.ndarray:
    """Find a small X with X^T X = C, the covariance of centered vectors."""
    scaled = centered / math.sqrt(len(centered) - 1)
    return np.asarray(np.linalg.qr(scaled, mode="r")) if scaled.shape[0] > scaled.shape[1] else scaled


def frechet_by_size(
    a: Vectors, b: Vectors, *, sizes: int = SIZES, repeats: int = REPEATS, seed: int = 0
) -> pd.DataFrame:
    """Show how the Fréchet distance falls with the number of vectors: its bias.

    Args:
        a: Vectors (num_vectors, features).
        b: Vectors to compare them with. Both sets are thinned out alike.
        sizes: Number of sizes, from a quarter of the vectors to all, equally far apart in 1/n.
        repeats: Samples of each size, drawn without replacement.
        seed: Seed of the draws.

    Returns:
        A row per size: vectors (of `a`), fad, the mean over samples, and spread, their standard deviation.

    Raises:
        InputError: As in `frechet_distance`.
    """
    import pandas as pd

    a, b = _checked(a, b)
    rng, rows = np.random.default_rng(seed), []
    for share in 1.0 / np.linspace(1.0 / SMALLEST, 1.0, sizes):
        counts = [max(2, round(share * len(x))) for x in (a, b)]
        if min(len(a), len(b)) < 2:
            continue
        draws = 1 if share == 1.0 else repeats
        values = [
            frechet_distance(*(rng.permutation(x)[:n] for x, n in zip((a, b), counts, strict=True)))
            for _ in range(draws)
        ]
        spread = float(np.std(values, ddof=1)) if draws > 1 else math.nan
        rows.append((counts[0], float(np.mean(values)), spread))
    return pd.DataFrame(rows, columns=["vectors", "fad", "spread"])


def frechet_infinity(
    a: Vectors, b: Vectors, *, sizes: int = SIZES, repeats: int = REPEATS, seed: int = 0
) -> float:
    """Extrapolate the Fréchet distance to endlessly many vectors: the intercept of a line in 1/n.

    Unlike in the sources, both sets are thinned out, since here both are small. With fewer vectors than features the
    bias is not quite a line in 1/n, and a tenth of it or so is left: `frechet_by_size` shows it.

    Args:
        a: Vectors (num_vectors, features).
        b: Vectors to compare them with.
        sizes: As in `frechet_by_size`.
        repeats: As there.
        seed: As there.

    Returns:
        The distance, which may be below 0 by chance; NaN for a set of less than 32 vectors, where a line in 1/n
        misses by more than the bias.

    Raises:
        InputError: As in `frechet_distance`.

    Source: Chong and Forsyth (2020), "Effectively unbiased FID"; Gui et al. (2024), "Adapting Fréchet audio distance
        for generative music evaluation".

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a, b = rng.normal(size=(2, 300, 20))             # of one kind
        >>> frechet_distance(a, b) > 0.5, abs(frechet_infinity(a, b)) < 0.2
        (True, True)
    """
    a, b = _checked(a, b)
    if min(len(a), len(b)) < FEWEST:
        return math.nan
    table = frechet_by_size(a, b, sizes=sizes, repeats=repeats, seed=seed)
    return float(np.polyfit(1.0 / table["vectors"], table["fad"], 1)[1])


def kernel_distance(a: Vectors, b: Vectors, *, bandwidth: float | None = None) -> float:
    """Compute the kernel distance of a set from a reference set: KAD, where the vectors are embeddings of sounds.

    100 (mean k(a, a') + mean k(b, b') - 2 mean k(a, b)) with k(x, y) = exp(-|x - y|^2 / (2 h^2)), the means over pairs
    of different vectors: unbiased, so that it is below 0 about half of the time for two sets of one kind.

    Args:
        a: Vectors (num_vectors, features).
        b: The reference set (num_vectors, features).
        bandwidth: The h of the kernel; None: the median distance of two vectors of `b`.

    Returns:
        The distance, from about -100 to 200; NaN for a set of less than two vectors, and where the bandwidth is 0.

    Raises:
        InputError: As in `frechet_distance`.

    Source: Chung et al. (2025), "KAD: no more FAD!", arXiv 2502.15602; Gretton et al. (2012), equation 3.

    Example:
        >>> a, b = np.array([[0.0], [1.0]]), np.array([[100.0], [101.0]])
        >>> round(kernel_distance(a, b), 1)                  # 100 * 2 exp(-1/2): as far as it gets
        121.3
    """
    a, b = _checked(a, b)
    if min(len(a), len(b)) < 2:
        return math.nan
    width = median_distance(b) if bandwidth is None else bandwidth
    if not width > 0.0:
        return math.nan
    within = [(_kernel_sum(x, x, width) - len(x)) / (len(x) * (len(x) - 1)) for x in (a, b)]
    between = _kernel_sum(a, b, width) / (len(a) * len(b))
    return SCALE * (within[0] + within[1] - 2.0 * between)


def median_distance(vectors: Vectors) -> float:
    """Compute the median distance of two vectors of a set: the bandwidth of KAD.

    Args:
        vectors: (num_vectors, features). Of more than 4,000, so many are taken at equal steps.

    Returns:
        The median; NaN for less than two vectors.

    Raises:
        InputError: As in `frechet_distance`.

    Example:
        >>> median_distance(np.array([[0.0], [1.0], [3.0]]))
        2.0
    """
    x = _checked(vectors)[0]
    if len(x) < 2:
        return math.nan
    some = x[np.linspace(0, len(x) - 1, min(len(x), MOST_FOR_MEDIAN)).round().astype(int)]
    return float(np.median(scipy.spatial.distance.pdist(some)))


def _kernel_sum(a: np.ndarray, b: np.ndarray, width: float) -> float:
    parts = (
        scipy.spatial.distance.cdist(a[at : at + ROWS], b, "sqeuclidean") for at in range(0, len(a), ROWS)
    )
    return sum(float(np.exp(part / (-2.0 * width**2)).sum()) for part in parts)


def set_distances(
    mixes: Vectors,
    records: Vectors,
    *,
    songs: Sequence[str] | None = None,
    embedding: str = MUSICNN,
    records_are: str = "the records",
    seed: int = 0,
) -> pd.DataFrame:
    """Compare a set of mixes with a set of records by all three distances, named with embedding and sets.

    Args:
        mixes: Embeddings of the mixes (num_vectors, features).
        records: Those of the records.
        songs: For each row of `mixes`, its song; None: no intervals.
        embedding: What made the vectors, for the table.
        records_are: What the records are, for the table.
        seed: Seed of FAD-infinity's samples.

    Returns:
        A row each for FAD, FAD-infinity and KAD: distance, value, low and high (95 %, by the jackknife over songs:
        a bootstrap would draw a song twice, which both distances take for likeness; NaN with less than three songs,
        and for FAD-infinity, whose draws differ as much as songs do), embedding, records (what they are), vectors,
        record_vectors, songs.

    Raises:
        InputError: As in `frechet_distance`, and when `songs` are not as many as `mixes`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> table = set_distances(rng.normal(size=(60, 8)), rng.normal(size=(90, 8)), embedding="noise")
        >>> table["distance"].tolist()
        ['FAD', 'FAD-infinity', 'KAD']
    """
    import pandas as pd

    a, b = _checked(mixes, records)
    of = (
        np.zeros(len(a), dtype=int)
        if songs is None
        else np.unique(np.asarray(songs, str), return_inverse=True)[1]
    )
    if len(of) != len(a):
        raise InputError(f"{len(of)} songs for {len(a)} embeddings: one for each is needed")
    count, width = len(set(of.tolist())), median_distance(b)
    distances: dict[str, Callable[[np.ndarray], float]] = {
        "FAD": lambda x: frechet_distance(x, b),
        "FAD-infinity": lambda x: frechet_infinity(x, b, seed=seed),
        "KAD": lambda x: kernel_distance(x, b, bandwidth=width),
    }
    rows = []
    for name, distance in distances.items():
        value, half = distance(a), math.nan
        if count > 2 and name != "FAD-infinity":
            without = np.array([distance(a[of != one]) for one in range(count)])
            error = math.sqrt((count - 1) * float(np.var(without)))
            half = float(scipy.stats.t.ppf(0.975, count - 1)) * error
        rows.append((name, value, value - half, value + half))
    table = pd.DataFrame(rows, columns=["distance", "value", "low", "high"])
    sizes = {"vectors": len(a), "record_vectors": len(b), "songs": 0 if songs is None else count}
    return table.assign(embedding=embedding, records=records_are, **sizes)


def embed_all(
    sounds: Sequence[torch.Tensor], sample_rate: int = 44100, *, embedding: Embedding = embed
) -> tuple[np.ndarray, np.ndarray]:
    """Embed sounds, for the distances above.

    Args:
        sounds: Sounds (2, num_samples), at one loudness.
        sample_rate: Their sample rate in Hz.
        embedding: Function (audio, sample_rate) -> (vectors, features), of your own; not given: musicnn.

    Returns:
        All vectors (num_vectors, features), float64, and for each the number of its sound, from 0.

    Raises:
        InputError: For no sounds, and for an embedding that returns anything else.

    Example:
        >>> def levels(audio, sample_rate):
        ...     return audio.unfold(-1, sample_rate, sample_rate).square().mean(dim=-1).T
        >>> vectors, of = embed_all([torch.ones(2, 88200), torch.ones(2, 44100)], embedding=levels)
        >>> vectors.shape, of.tolist()
        ((3, 2), [0, 0, 1])
    """
    if not len(sounds):
        raise InputError("no sounds to embed")
    parts: list[np.ndarray] = []
    for number, sound in enumerate(sounds):
        made = embedding(sound, sample_rate)
        part = np.asarray(made.detach().cpu() if isinstance(made, torch.Tensor) else made, dtype=np.float64)
        if part.ndim != 2 or (parts and part.shape[1] != parts[0].shape[1]) or not np.isfinite(part).all():
            raise InputError(
                f"an embedding must be finite (vectors, features), that of sound {number + 1} is {part.shape}"
            )
        parts.append(part)
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _checked(*sets: Vectors) -> list[np.ndarray]:
    """Return sets in float64, or raise InputError."""
    arrays = [
        np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x, dtype=np.float64) for x in sets
    ]
    for x in arrays:
        if x.ndim != 2 or x.shape[1] != arrays[0].shape[-1]:
            shapes = " and ".join(str(one.shape) for one in arrays)
            raise InputError(f"embeddings must be (num_vectors, features), of as many features, got {shapes}")
        if not np.isfinite(x).all():
            raise InputError("embeddings must be finite, there are NaN or infinite ones")
    return arrays
