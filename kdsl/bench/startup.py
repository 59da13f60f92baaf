"""What importing kdsl costs over importing numpy, in new processes."""

from __future__ import annotations

import statistics
import subprocess
import sys

from kdsl.bench.suites import Table

ROUNDS = 15
STATEMENTS = {
    "import numpy": "import numpy",
    "import kdsl": "import numpy, kdsl",
    "all public names": "import numpy, kdsl\nfor name in kdsl.__all__: getattr(kdsl, name)",
}
SCRIPT = "import time\nt = time.process_time()\n{statement}\nprint(time.process_time() - t)"


def import_cost() -> Table:
    """Return median CPU milliseconds of each statement, and what it adds to numpy's."""
    samples: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            samples[name].append(_cpu_seconds(statement))
    medians = {name: statistics.median(values) * 1e3 for name, values in samples.items()}
    base = medians["import numpy"]
    rows = tuple((name, f"{ms:.1f}", f"{ms - base:.1f}") for name, ms in medians.items())
    return Table("import", ("statement", "CPU ms", "over numpy"), rows)


def _cpu_seconds(statement: str) -> float:
    command = [sys.executable, "-c", SCRIPT.format(statement=statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)
