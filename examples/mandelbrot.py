"""The Mandelbrot set: a while loop whose lanes leave one by one."""

import numpy as np

import kdsl as kd
from kdsl import Tensor, f32, i32

H, W = kd.dims("H W")


@kd.export
@kd.kernel(grid=lambda d: (d.H,))
def mandelbrot(turns: Tensor[i32, H, W], left: f32, top: f32, step: f32, limit: i32) -> None:
    """Count the turns of z = z * z + c until |z| > 2, at most ``limit``; pixel (y, x) is one c."""
    y = kd.program_id(0)
    ci = top + y.to(f32) * step

    @kd.vectorize(turns.shape[1])
    def pixel(x, w):
        cr = left + x.to(f32) * step
        zr, zi, n = kd.cast(0.0, f32), kd.cast(0.0, f32), kd.cast(0, i32)
        while (zr * zr + zi * zi <= 4.0) & (n < limit):
            zr, zi = zr * zr - zi * zi + cr, 2.0 * zr * zi + ci
            n = n + 1
        turns.store(y, x, n)


def reference(
    height: int, width: int, left: float, top: float, step: float, limit: int
) -> np.ndarray:
    """Return the same counts from NumPy, whose products and sums are rounded one by one."""
    one = np.float32
    cr = (one(left) + np.arange(width, dtype=one) * one(step))[None, :]
    ci = (one(top) + np.arange(height, dtype=one) * one(step))[:, None]
    zr = np.zeros((height, width), one)
    zi = np.zeros((height, width), one)
    turns = np.zeros((height, width), np.int32)
    for _ in range(limit):
        inside = zr * zr + zi * zi <= 4
        turns += inside
        zr, zi = (
            np.where(inside, zr * zr - zi * zi + cr, zr),
            np.where(inside, 2 * zr * zi + ci, zi),
        )
    return turns


def main() -> None:
    height, width, limit = 60, 90, 100
    turns = np.empty((height, width), np.int32)
    mandelbrot(turns, -2.1, -1.2, 0.04, limit)
    expected = reference(height, width, -2.1, -1.2, 0.04, limit)
    differing = np.count_nonzero(turns != expected)
    for row in turns[::4, ::1]:
        print("".join(" .:-=+*#%@"[min(9, n * 10 // (limit + 1))] for n in row))
    print(f"mandelbrot of {turns.shape}: {differing} of {turns.size} pixels differ by rounding")
    assert differing <= turns.size // 100


if __name__ == "__main__":
    main()
