"""Tile programs that Hopper schedules are made for, and how tests run them."""

from pathlib import Path

import ml_dtypes
import numpy as np

import kdsl as kd
import kdsl.dialects.all
import kdsl_ptx.dialect.tile  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl import Const, Tensor, f32
from kdsl.ir.interpreter import interpret
from kdsl.passes.manager import run_pipeline
from kdsl.passes.pipelines import OPTIMIZE
from kdsl_ptx.features import resolve
from kdsl_ptx.hopper.pipeline import SCHEDULE
from kdsl_ptx.hopper.simulate import at_random, simulate

HERE = Path(__file__).parent
HOPPER = resolve("sm_90a")
ONE_ORDER = (at_random(0),)
BF16 = ml_dtypes.bfloat16
M, F, I = kd.dims("M F I")
T = kd.dtype_var("T", kd.bf16, kd.f16)


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), kd.cdiv(d.F, d.BN)))
def gated(
    x: Tensor[T, M, I],
    gate: Tensor[T, F, I],
    up: Tensor[T, F, I],
    bias: Tensor[f32, F],
    out: Tensor[T, M, F],
    *,
    BM: Const[int] = 128,
    BN: Const[int] = 128,
    BK: Const[int] = 64,
) -> None:
    """Write silu(x @ gate.T + bias) * (x @ up.T)."""
    rows = kd.span(kd.program_id(0), BM, stop=x.shape[0])
    cols = kd.span(kd.program_id(1), BN, stop=gate.shape[0])
    g, u = kd.zeros((BM, BN), f32), kd.zeros((BM, BN), f32)
    for k in kd.range(kd.cdiv(x.shape[1], BK), stages=2):
        depth = kd.span(k, BK, stop=x.shape[1])
        left = x[rows, depth].load()
        g = kd.dot(left, gate[cols, depth].load().T, acc=g)
        u = kd.dot(left, up[cols, depth].load().T, acc=u)
    g = g + bias[cols].load()[None, :]
    out[rows, cols].store((g / (1.0 + kd.exp2(g * -kd.LOG2E)) * u).to(T))


def traced(kernel, target=HOPPER, **values):
    """Return a kernel's module, traced for a target, after the common passes."""
    module = kernel.trace(kernel.specialize(**values), target).module
    run_pipeline(OPTIMIZE, module, target)
    return module


def scheduled(kernel, target=HOPPER, **values):
    """Return a kernel's module after the passes that make roles."""
    module = traced(kernel, target, **values)
    run_pipeline(SCHEDULE, module, target, verify=True)
    return module


def lines(module):
    """Return what passes say that they did."""
    found = []
    for function in module.functions:
        found += function.attributes.get("kdsl.explain", [])
    return found


def answers_agree(kernel, values, arrays, orders=ONE_ORDER, tolerance=0.03):
    """Check that the scheduled kernel's answer, run role by role, is the program's."""
    plain, roles = traced(kernel, **values), scheduled(kernel, **values)
    assert "ptx.roles" in str(roles), lines(roles)
    names = [a.name for a in plain.function(kernel.name).body.args]
    wanted = _copies(arrays)
    interpret(plain, kernel.name, [wanted[n] for n in names])
    for order in orders:
        got = _copies(arrays)
        simulate(roles, kernel.name, [got[n] for n in names], order)
        for name in names:
            if isinstance(wanted[name], np.ndarray):
                np.testing.assert_allclose(
                    got[name].astype(np.float32),
                    wanted[name].astype(np.float32),
                    atol=tolerance,
                    rtol=tolerance,
                )


def _copies(arrays):
    return {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arrays.items()}


def normal(*shape, seed=0, dtype=BF16, scale=1.0):
    """Return random numbers."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return (values * np.float32(scale)).astype(dtype)


def attention_arrays(rows, keys, size, heads=2, key_heads=1, dtype=BF16):
    """Return the arguments of ``kdsl.library.attention.attention``."""
    return {
        "q": normal(1, heads, rows, size, seed=1, dtype=dtype),
        "k": normal(1, key_heads, keys, size, seed=2, dtype=dtype),
        "v": normal(1, key_heads, keys, size, seed=3, dtype=dtype),
        "out": np.zeros((1, heads, rows, size), dtype),
        "lse": np.zeros((1, heads, rows), np.float32),
        "scale": np.float32(size**-0.5),
    }


def rope_arrays(rows, size, turned, keys=None, heads=2, key_heads=1):
    """Return the arguments of the programs of ``kdsl.library.rope_attention``."""
    angles = normal(max(rows, keys or 0) + 8, turned, seed=4, dtype=np.float32)
    found = attention_arrays(rows, rows, size, heads, key_heads)
    found |= {"cos": np.cos(angles), "sin": np.sin(angles)}
    found["positions"] = np.arange(rows, dtype=np.int32)[None]
    if keys is not None:
        found["start"] = keys - rows
        found["k_cache"] = normal(1, key_heads, keys, size, seed=5)
        found["v_cache"] = normal(1, key_heads, keys, size, seed=6)
    return found


def matmul_arrays(m, o, i):
    """Return the arguments of ``kdsl.library.linear.matmul``."""
    return {
        "x": normal(m, i, seed=1, scale=0.2),
        "w": normal(o, i, seed=2, scale=0.2),
        "out": np.zeros((m, o), BF16),
    }


def gated_arrays(m, f, i):
    """Return the arguments of ``gated``."""
    return {
        "x": normal(m, i, seed=1, scale=0.3),
        "gate": normal(f, i, seed=2, scale=0.3),
        "up": normal(f, i, seed=3, scale=0.3),
        "bias": normal(f, seed=4, dtype=np.float32),
        "out": np.zeros((m, f), BF16),
    }
