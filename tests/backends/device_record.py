"""Run library kernels and ops on this machine's device, and record what was right.

    PYTHONPATH=.:backends python tests/backends/device_record.py ptx:sm_90a hardware.json

The same as ``kdsl conformance --target ... --record ...``, for machines without the command line's
dependencies. The exit status is 1 when something is wrong; it is printed.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

from kdsl.cli.forks import cores, mapped
from kdsl.testing.conformance_ops import op_cases
from kdsl.testing.conformance_record import executed, executed_json, joined, read_executed
from kdsl.testing.conformance_table import every_case, make_table


def main(target: str, file: str) -> int:
    """Try everything and write the record."""
    path = Path(file)
    table = make_table([target], every_case(), op_cases(), lambda f, jobs: mapped(f, jobs, cores()))
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    path.write_text(executed_json(joined(read_executed(path), executed(table, today))))
    for row in executed(table, today):
        print(f"{row.target} on {row.device}: {len(row.kernels)} kernels, {len(row.ops)} ops")
    print("\n".join(table.wrong) or "nothing wrong")
    return int(bool(table.wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
