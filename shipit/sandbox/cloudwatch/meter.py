"""HAProxy's log, read as it is written, as the metrics that an Application Load Balancer publishes (field notes A10).

Counts are reported only where they are not zero, response times only where a target answered: what is missing is missing here
too. One line of the log is one request; the log is a ring in HAProxy's memory, read over its runtime socket.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shipit.sandbox.cloudwatch.series import Metric, Series
from shipit.sandbox.seams import Names

log = logging.getLogger(__name__)

NAMESPACE = "AWS/ApplicationELB"
FLUSH_SECONDS = 0.5
_COMMAND = b"show events requests -w -n\n"
# [date] frontend backend/server queue/connect timers status …: option httplog.
_LINE = re.compile(
    rb"\] (?P<frontend>s\d+) (?P<backend>\S+)/(?P<server>\S+) "
    rb"-?\d+/-?\d+/(?P<connect>-?\d+)/(?P<response>-?\d+)/[+]?\d+ (?P<status>-?\d+) "
)


@dataclass(frozen=True)
class Answered:
    """One request: which listener and target group it went to (as HAProxy names them), and what came of it.

    `seconds` is how long the target took to begin its answer, None where none answered.
    """

    frontend: str
    backend: str
    status: int
    chosen: bool
    connected: bool
    seconds: float | None


def read_line(line: bytes) -> Answered | None:
    """None for a line that is about no request."""
    found = _LINE.search(line)
    if found is None:
        return None
    connect, response = int(found["connect"]), int(found["response"])
    chosen = found["server"] != b"<NOSRV>"
    seconds = (max(0, connect) + response) / 1000 if chosen and response >= 0 else None
    return Answered(
        found["frontend"].decode(), found["backend"].decode(), int(found["status"]), chosen, connect >= 0, seconds
    )


@dataclass(frozen=True)
class Point:
    """A metric's name and dimensions, with values and how often each came."""

    name: str
    dimensions: frozenset[tuple[str, str]]
    values: Counter[float]
    unit: str = "Count"


def points(answers: Iterable[Answered], names: Names) -> Iterator[Point]:
    """What an Application Load Balancer would publish about these requests."""
    counted: dict[tuple[str, frozenset[tuple[str, str]], str], Counter[float]] = {}
    for answer in answers:
        balancer = names.listeners.get(answer.frontend)
        if balancer is None:
            continue
        whole = frozenset({("LoadBalancer", load_balancer(balancer))})
        group = names.groups.get(answer.backend) if answer.chosen else None
        places = [whole, whole | {("TargetGroup", target_group(group))}] if group else [whole]
        for name, value, unit, everywhere in _of(answer):
            for place in places if everywhere else [whole]:
                counted.setdefault((name, place, unit), Counter())[value] += 1
    yield from (Point(name, place, values, unit) for (name, place, unit), values in counted.items())


def _of(answer: Answered) -> Iterator[tuple[str, float, str, bool]]:
    """Name, value and unit, and whether it is published for the target group as well as for the whole load balancer."""
    if answer.chosen:
        yield "RequestCount", 1.0, "Count", True
    if answer.chosen and not answer.connected:
        yield "TargetConnectionErrorCount", 1.0, "Count", True
    if answer.seconds is not None:
        yield f"HTTPCode_Target_{answer.status // 100}XX_Count", 1.0, "Count", True
        yield "TargetResponseTime", answer.seconds, "Seconds", True
    elif answer.status >= 500:
        yield "HTTPCode_ELB_5XX_Count", 1.0, "Count", False
        yield f"HTTPCode_ELB_{answer.status}_Count", 1.0, "Count", False


def hosts(balancer_arn: str, group_arn: str, healthy: int, unhealthy: int) -> Iterator[Point]:
    """How many targets a group has."""
    name = balancer_arn.rpartition(":loadbalancer/")[2]
    place = frozenset({("LoadBalancer", name), ("TargetGroup", target_group(group_arn))})
    yield Point("HealthyHostCount", place, Counter({float(healthy): 1.0}))
    yield Point("UnHealthyHostCount", place, Counter({float(unhealthy): 1.0}))


def load_balancer(listener_arn: str) -> str:
    """The value of the dimension: `app/NAME/ID` of `…:listener/app/NAME/ID/LISTENER`."""
    return listener_arn.rpartition(":listener/")[2].rpartition("/")[0]


def target_group(arn: str) -> str:
    """The value of the dimension: `targetgroup/NAME/ID`."""
    return arn.rpartition(":")[2]


class Meter:
    """Reads the log until it is closed, in a thread of its own, and adds to the series every half second: what was answered,
    and what `also` counts.
    """

    def __init__(
        self,
        path: Path,
        series: Series,
        names: Callable[[], Names],
        also: Callable[[], Iterable[Point]],
        resolution: int,
    ) -> None:
        self._path, self._series, self._names, self._also, self._resolution = path, series, names, also, resolution
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._wire: socket.socket | None = None
        self._heard: dict[int, list[Answered]] = {}
        self._threads = [threading.Thread(target=loop, daemon=True, name="meter") for loop in (self._read, self._flush)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closed.set()
        with self._lock, suppress(OSError):
            if self._wire:
                self._wire.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        while not self._closed.is_set():
            with suppress(OSError):
                self._listen()
            self._closed.wait(0.1)

    def _listen(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            with self._lock:
                self._wire = wire
            wire.connect(str(self._path))
            wire.sendall(_COMMAND)
            rest = b""
            while not self._closed.is_set() and (text := wire.recv(65536)):
                *lines, rest = (rest + text).split(b"\n")
                heard = [answer for line in lines if (answer := read_line(line))]
                with self._lock:
                    self._heard.setdefault(int(time.time()), []).extend(heard)

    def _flush(self) -> None:
        while not self._closed.wait(FLUSH_SECONDS):
            with self._lock:
                heard, self._heard = self._heard, {}
            names, now = self._names(), int(time.time())
            found = [(second, point) for second, answers in heard.items() for point in points(answers, names)]
            for second, point in (*found, *((now, point) for point in self._also())):
                metric = Metric(NAMESPACE, point.name, point.dimensions)
                self._series.add(metric, second, point.values, point.unit, self._resolution)
