"""What every test shares: a cache of its own, no settings from outside, the count of judges."""

from __future__ import annotations

import os

import pytest

from kdsl.settings import all_settings
from kdsl.testing import judges

KEPT = {"KDSL_ACCEPT", "KDSL_REQUIRE_JUDGES", "KDSL_VERIFY", "KDSL_NUM_THREADS"}
"""Settings that may steer a test run."""


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory):
    """Keep the user's settings out, and the tests out of the user's cache."""
    patch = pytest.MonkeyPatch()
    for setting in all_settings():
        if setting.variable not in KEPT:
            patch.delenv(setting.variable, raising=False)
    patch.setenv("KDSL_CACHE_DIR", str(tmp_path_factory.mktemp("kdsl-cache")))
    yield
    patch.undo()


def pytest_terminal_summary(terminalreporter):
    """Say which judges were missing; with pytest-xdist the workers' skips carry the names."""
    skipped = terminalreporter.stats.get("skipped", [])
    names = [str(report.longrepr[-1]) for report in skipped if isinstance(report.longrepr, tuple)]
    missing = [name for name in names if name.startswith("Skipped: judge ")]
    counts = {name: missing.count(name) for name in missing}
    for name, count in sorted(counts.items()):
        terminalreporter.write_line(f"{count} tests skipped: {name.removeprefix('Skipped: ')}")
    if not counts and judges.summary():
        terminalreporter.write_line(judges.summary())
    if os.environ.get("KDSL_REQUIRE_JUDGES") and counts:
        terminalreporter.write_line("KDSL_REQUIRE_JUDGES is set, yet judges were skipped", red=True)
