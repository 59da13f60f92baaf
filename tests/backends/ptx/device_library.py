"""Every library kernel on the GPU of this machine, against the interpreted kernel.

    python tests/backends/ptx/device_library.py                  # each case, then 100 equal repeats
    compute-sanitizer --tool racecheck python tests/backends/ptx/device_library.py --repeats 1

Prints one line for a case that is wrong and a count last; the exit code is the number of them.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import ml_dtypes
import numpy as np
import torch

from kdsl.errors import KdslError
from kdsl.ir.interpreter import interpret
from kdsl.testing.conformance_table import _difference
from kdsl.testing.library_cases import Case, library_cases, matrix_cases

TORCH = {np.dtype(ml_dtypes.bfloat16): (np.int16, torch.bfloat16)}


def to_device(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value.item() if isinstance(value, np.generic) else value
    raw, kind = TORCH.get(value.dtype, (value.dtype, None))
    made = torch.from_numpy(value.view(raw).copy()).cuda()
    return made if kind is None else made.view(kind)


def to_host(value: Any, like: np.ndarray) -> np.ndarray:
    _, kind = TORCH.get(like.dtype, (like.dtype, None))
    plain = value if kind is None else value.view(torch.int16)
    return plain.cpu().numpy().view(like.dtype)


def consts_of(case: Case) -> dict[str, Any]:
    return {n: v for n, v in case.values.items() if n in case.kernel.params.consts}


def run_once(case: Case) -> tuple[np.ndarray, ...]:
    given = [to_device(a) for a in case.args]
    case.kernel(*given, **consts_of(case))
    torch.cuda.synchronize()
    pairs = zip(given, case.args, strict=True)
    return tuple(to_host(g, a) if isinstance(a, np.ndarray) else a for g, a in pairs)


def oracle(case: Case) -> tuple[Any, ...]:
    args = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in case.args)
    interpret(case.module(), case.kernel.name, args)
    return args


def problem_of(case: Case, repeats: int) -> str:
    try:
        first = run_once(case)
    except KdslError as problem:
        return f"{problem.code}: {problem.summary}"
    if wrong := _difference(case, oracle(case), first):
        return wrong
    for number in range(repeats):
        again = run_once(case)
        for a, b in zip(first, again, strict=True):
            if isinstance(a, np.ndarray) and a.tobytes() != b.tobytes():
                return f"repeat {number} differs"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--only", default="")
    parser.add_argument("--matrix", action="store_true", help="only tiles that fill a matrix unit")
    asked = parser.parse_args()
    cases = matrix_cases() if asked.matrix else [*library_cases(), *matrix_cases()]
    cases = [case for case in cases if asked.only in str(case)]
    wrong = 0
    for case in cases:
        if problem := problem_of(case, asked.repeats):
            wrong += 1
            print(f"WRONG {case}: {problem}", flush=True)
    print(f"{len(cases) - wrong} of {len(cases)} cases are right on {torch.cuda.get_device_name()}")
    return min(wrong, 100)


if __name__ == "__main__":
    sys.exit(main())
