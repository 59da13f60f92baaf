"""Cosine and sine tables of rotary position embeddings, with the usual context extensions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kdsl.errors import RelationError

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class LinearScaling:
    """Divide every frequency by ``factor`` (position interpolation, arXiv:2306.15595, eq. 4)."""

    factor: float


@dataclass(frozen=True)
class Llama3Scaling:
    """Slow only the low frequencies (Llama 3.1, arXiv:2407.21783 and its published rope_scaling).

    Wavelengths above ``original_length / low_frequency_factor`` are stretched by ``factor``, those
    below ``original_length / high_frequency_factor`` stay, those between are blended.
    """

    factor: float = 8.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_length: int = 8192


@dataclass(frozen=True)
class YarnScaling:
    """Blend per dimension by the number of turns in training (arXiv:2309.00071, 3.2-3.4).

    Dimensions that turn more than ``beta_fast`` times stay, those that turn less than ``beta_slow``
    times are interpolated. ``attention_factor`` multiplies cos and sin; None computes it from
    ``factor``, with DeepSeek's ``mscale`` pair when both are given. ``truncate`` rounds the borders
    of the blend outwards to whole dimensions, as most published models do.
    """

    factor: float
    original_length: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True


Scaling = LinearScaling | Llama3Scaling | YarnScaling


def rope_tables(
    positions: int | ArrayLike,
    dim: int,
    *,
    theta: float = 10_000.0,
    scaling: Scaling | None = None,
    dtype: DTypeLike = np.float32,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return cos and sin, each ``[len(positions), dim / 2]``, computed in f64 and then rounded.

    An int stands for the positions from zero up to it. ``dim`` is the number of rotated elements
    of a head, which a partial rotary embedding makes smaller than the head.
    """
    rows = np.arange(positions) if isinstance(positions, int) else np.asarray(positions)
    angles = rows.astype(np.float64)[:, None] * rope_frequencies(dim, theta=theta, scaling=scaling)
    factor = attention_factor(scaling)
    return (np.cos(angles) * factor).astype(dtype), (np.sin(angles) * factor).astype(dtype)


def rope_frequencies(
    dim: int, *, theta: float = 10_000.0, scaling: Scaling | None = None
) -> Float64:
    """Return the ``dim / 2`` angles by which one position turns each pair, in radians.

    Frequency i is ``theta ** (-2 i / dim)`` (RoFormer, arXiv:2104.09864, eq. 15), then scaled.
    """
    require("dim > 0 and dim % 2 == 0", dim=dim, holds=dim > 0 and dim % 2 == 0)
    require("theta > 1", theta=theta, holds=theta > 1)
    frequencies = theta ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
    match scaling:
        case None:
            return frequencies
        case LinearScaling(factor):
            require("factor > 0", factor=factor, holds=factor > 0)
            return frequencies / factor
        case Llama3Scaling():
            return _llama3(frequencies, scaling)
        case YarnScaling():
            return _yarn(frequencies, dim, theta, scaling)


def attention_factor(scaling: Scaling | None) -> float:
    """Return what cos and sin are multiplied by: 1 without YaRN (arXiv:2309.00071, eq. 22)."""
    if not isinstance(scaling, YarnScaling):
        return 1.0
    if scaling.attention_factor is not None:
        return scaling.attention_factor
    if scaling.mscale and scaling.mscale_all_dim:
        whole = _magnitude(scaling.factor, scaling.mscale_all_dim)
        return _magnitude(scaling.factor, scaling.mscale) / whole
    return _magnitude(scaling.factor, 1.0)


def require(relation: str, *, holds: bool, **values: object) -> None:
    """Raise ``RelationError`` with the values unless the relation holds."""
    if not holds:
        shown = ", ".join(f"{name} = {value}" for name, value in values.items())
        raise RelationError(kernel="rope_tables", relation=relation, values=shown)


def _magnitude(factor: float, weight: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0


def _llama3(frequencies: Float64, s: Llama3Scaling) -> Float64:
    low, high = s.low_frequency_factor, s.high_frequency_factor
    require("factor > 0", factor=s.factor, holds=s.factor > 0)
    require("low < high", low=low, high=high, holds=low < high)
    turns = s.original_length * frequencies / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return _blend(frequencies, kept, s.factor)


def _yarn(frequencies: Float64, dim: int, theta: float, s: YarnScaling) -> Float64:
    require("factor > 0", factor=s.factor, holds=s.factor > 0)
    require(
        "beta_fast > beta_slow > 0",
        beta_fast=s.beta_fast,
        beta_slow=s.beta_slow,
        holds=s.beta_fast > s.beta_slow > 0,
    )

    def dimension_that_turns(times: float) -> float:
        return dim * math.log(s.original_length / (times * 2 * math.pi)) / (2 * math.log(theta))

    first, last = dimension_that_turns(s.beta_fast), dimension_that_turns(s.beta_slow)
    if s.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0.0), min(last, dim - 1.0)
    # Published implementations widen an empty blend by a thousandth instead of dividing by zero.
    width = last - first if last != first else 1e-3
    interpolated = np.clip((np.arange(dim // 2) - first) / width, 0.0, 1.0)
    return _blend(frequencies, 1.0 - interpolated, s.factor)


def _blend(frequencies: Float64, kept: Float64, factor: float) -> Float64:
    """Mix ``kept`` parts of the trained frequency with the rest of the interpolated one."""
    return frequencies * kept + frequencies / factor * (1.0 - kept)
