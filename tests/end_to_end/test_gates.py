"""A slice of bench.gates, on real traffic in the sandbox: each kind of gate sends a version home, and no traffic is no yes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bench.gates import SCENARIOS, VERSIONS, Result, judge
from bench.sites import sites
from tests.sandbox.conftest import CAN_RUN

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(not CAN_RUN or not shutil.which("packer"), reason="needs root, HAProxy, iproute2 and Packer"),
    pytest.mark.xdist_group("end_to_end"),
]

CHOSEN = (
    "2 % more errors",
    "200 ms slower",
    "no traffic",
    "2 % more errors, by an alarm",
    "another page, by a probe",
    "a program that says no",
)
Judged = Mapping[str, Future[tuple[Result, list[str]]]]


@pytest.fixture(scope="module")
def releases() -> Iterator[Judged]:
    """All of them, side by side."""
    with sites(len(CHOSEN), extra=VERSIONS) as here, ThreadPoolExecutor(len(CHOSEN)) as pool:
        yield {name: pool.submit(judge, site, SCENARIOS[name]) for site, name in zip(here, CHOSEN, strict=True)}


@pytest.mark.parametrize("name", CHOSEN)
def test_gates_on_real_traffic(releases: Judged, name: str) -> None:
    _, wrong = releases[name].result()
    assert wrong == []
