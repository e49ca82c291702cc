"""Whatever the tests start keeps its caches and logs in a folder of theirs, which is gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config._shipit_home = tempfile.mkdtemp(prefix="shipit-tests-")  # type: ignore[attr-defined]
    # TMPDIR is for child processes: what one that a test kills had made there goes as well.
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "TMPDIR"):
        os.environ[variable] = config._shipit_home  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config._shipit_home, ignore_errors=True)  # type: ignore[attr-defined]
