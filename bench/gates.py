"""Gates on real traffic: versions that fail, are slow, or turn bad at 50 %, and how many bad answers users got of each, by
each kind of gate and without any.

`python -m bench.gates` releases them in environments of their own, some side by side in one sandbox, under load. Metrics come
every five seconds there, so that a minute's hold is what twelve minutes are on AWS. Failed requests may only be those that the
sick version answered itself.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

from bench.lanes import end_on_sigterm
from bench.scenarios import alone
from bench.sites import configure, sites
from bench.sweep import Done, Site, finished
from shipit.sandbox.load import run_load
from shipit.sandbox.tally import LoadReport

RATE = 100.0
# How long blue is watched alone first: what is usual must be known.
BEFORE_SECONDS = 20.0
LONGEST_SECONDS = 600.0
# More than so many at once, and two cores are too slow for the steady load that the figures rest on.
AT_ONCE = 5
SCHEDULE = "20% 60s, 50% 60s, 100%"
# On a machine that is busy with five of these, and in milliseconds, what is usual says little: so the limit is set.
COMPARED = {
    "errors": {"warm_up_seconds": 0},
    "latency": {"warm_up_seconds": 0, "slower_than_ms": 150, "tolerance": 20},
}
VERSIONS: Mapping[str, Mapping[str, str]] = {
    "failing": {"ERRORS": "2"},
    "slow": {"SLOW": "200"},
    "garbage": {"GARBAGE": "4"},
    # With two instances of each: 20 % are 10 requests a second for one of them, 50 % are 25.
    "strained": {"ERRORS": "10", "BUSY": "18"},
}


# Flagger's and Argo's way: green's rate of errors above 1 %, for the third time in a row.
THRESHOLD = {
    "metrics": {
        name: {
            "namespace": "AWS/ApplicationELB",
            "name": metric,
            "dimensions": {"LoadBalancer": "{load_balancer}", "TargetGroup": "{green}"},
            "stat": "Sum",
        }
        for name, metric in {"bad": "HTTPCode_Target_5XX_Count", "all": "RequestCount"}.items()
    },
    "expression": "100 * FILL(bad, 0) / all",
    "above": 1,
    "periods": 3,
}
POINT_ALARM = Path(__file__).parents[1] / "examples" / "gates" / "point_alarm.py"


def alarm_of(site: Site) -> str:
    return f"{site.env}-5xx"


def point_alarm(site: Site) -> str:
    """The command line that points the alarm of this environment at the fleet that SHIPIT_FLEET names."""
    return f"{sys.executable} {POINT_ALARM} {alarm_of(site)}"


def make_alarm(site: Site, fleet: str) -> None:
    """The alarm, on the fleet that serves: two answers with 5xx in ten seconds, twice. Metrics come every five seconds here."""
    camera = site.camera
    (group,) = camera.client("elbv2").describe_target_groups(Names=[fleet])["TargetGroups"]
    balancer = group["LoadBalancerArns"][0].split(":loadbalancer/")[1]
    dimensions = {"LoadBalancer": balancer, "TargetGroup": group["TargetGroupArn"].rpartition(":")[2]}
    camera.client("cloudwatch").put_metric_alarm(
        AlarmName=alarm_of(site),
        Namespace="AWS/ApplicationELB",
        MetricName="HTTPCode_Target_5XX_Count",
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=2,
        Threshold=2,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )


def all_kinds(site: Site) -> Mapping[str, Any]:
    return {
        **COMPARED,
        "alarms": {"names": [alarm_of(site)]},
        "threshold": {"rate": THRESHOLD},
        "probe": {"page": {"url": site.url, "contains": "hello from"}},
        "command": {"smoke": {"run": "echo tried"}},
    }


@dataclass(frozen=True)
class Scenario:
    """What is released, with how many requests a second, and how that must end: at which share (0: at any), by which gate. An empty
    `ending`: whatever it is, since it is only there to be compared with. `unanswered`: what the version does not answer, the balancer does,
    with 502.
    """

    version: str
    ending: str
    percent: float = 0.0
    gate: str = ""
    rate: float = RATE
    gates: Callable[[Site], Mapping[str, Any]] = lambda _: COMPARED
    words: tuple[str, ...] = ()
    unanswered: bool = False


SCENARIOS: Mapping[str, Scenario] = {
    "an equal version, by all kinds of gates": Scenario("v2", "succeeded", gates=all_kinds),
    "2 % more errors": Scenario("failing", "failed_clean", 20, "errors"),
    "200 ms slower": Scenario("slow", "failed_clean", 20, "latency"),
    "4 % that are no answer": Scenario("garbage", "failed_clean", 20, "errors", unanswered=True),
    "bad only at 50 %": Scenario("strained", "failed_clean", 50, "errors"),
    "no traffic": Scenario(
        "v2",
        "waiting",
        20,
        rate=0,
        words=("--hand-over",),
        gates=lambda site: {"errors": {"undecided": "ask", "warm_up_seconds": 0}},
    ),
    "2 % more errors, by an alarm": Scenario(
        "failing", "failed_clean", 20, "alarms", gates=lambda site: {"alarms": {"names": [alarm_of(site)]}}
    ),
    "2 % more errors, by a threshold": Scenario(
        "failing", "failed_clean", gate="rate", gates=lambda site: {"threshold": {"rate": THRESHOLD}}
    ),
    "another page, by a probe": Scenario(
        "v2",
        "failed_clean",
        20,
        "page",
        gates=lambda site: {"probe": {"page": {"url": site.url, "contains": "hello from v1"}}},
    ),
    "a program that says no": Scenario(
        "v2",
        "failed_clean",
        20,
        "smoke",
        gates=lambda site: {"command": {"smoke": {"run": "test $SHIPIT_PERCENT = 0"}}},
        words=("--smoke",),
    ),
    "2 % more errors, by Kayenta's test": Scenario(
        "failing",
        "",
        gates=lambda site: {"command": {"kayenta": {"run": f"{sys.executable} -m bench.kayenta", "undecided": "pass"}}},
    ),
    "2 % more errors, by nobody": Scenario("failing", "", gates=lambda site: {}),
}


@dataclass(frozen=True)
class Result:
    """How it ended, and what users got: bad answers of the new version, and anything else that failed."""

    done: Done
    seconds: float
    sent: int
    bad: int
    failed: int
    first_failures: tuple[str, ...] = ()

    @property
    def opinions(self) -> list[dict[str, Any]]:
        return [event for event in self.done.events if event.get("kind") == "gate"]

    def line(self, name: str) -> str:
        end = self.done.ending
        shares = f"{self.sent} requests, {self.bad} bad answers, {self.failed} others failed"
        why = end.get("reason") or "; ".join(one["reason"] for one in self.opinions)
        return f"{name}: {end.get('ending')} after {self.seconds:.0f} s; {shares}\n  {why}"

    def wrong(self, scenario: Scenario) -> list[str]:
        """What is not as it must be."""
        ending = self.done.ending
        right = not scenario.ending or ending.get("ending") == scenario.ending
        found = [] if right else [f"expected {scenario.ending}: {self.done}"]
        bad = [one for one in self.opinions if one["mood"] == "bad"]
        shares = (scenario.percent,) if scenario.percent else (20, 50)
        if scenario.gate and not any(one["gate"] == scenario.gate and one["percent"] in shares for one in bad[:1]):
            found.append(f"expected {scenario.gate} at {shares} %: {bad}")
        if scenario.ending == "waiting" and "undecided" not in ending.get("reason", ""):
            found.append(f"undecided is not said: {ending}")
        if scenario.rate and not self.sent:
            found.append("no request was sent")
        if self.failed:
            found.append(f"{self.failed} requests failed that no version answered: {', '.join(self.first_failures)}")
        if self.bad and scenario.ending == "succeeded":
            found.append(f"{self.bad} bad answers of a good version")
        return found


def release(site: Site, scenario: Scenario) -> Result:
    make_alarm(site, next(iter(site.camera.look().weights)))
    configure(site, gates=scenario.gates(site), hooks={"before_traffic": point_alarm(site)})
    with _load(site, scenario.rate) as reports:
        time.sleep(BEFORE_SECONDS if scenario.rate else 0)
        began = time.monotonic()
        process = site.start("release", scenario.version, "--canary", SCHEDULE, *scenario.words)
        done = finished(process, LONGEST_SECONDS)
        seconds = time.monotonic() - began
    report = reports[0] if reports else None
    if report is None:
        return Result(done, seconds, 0, 0, 0)
    # What the balancer says of itself has no version.
    balancers = 0 if scenario.unanswered else report.versions.get("", 0)
    bad = report.failures.get("5xx", 0) - balancers
    told = (f"{one.at_seconds} s {one.kind} {one.detail}" for one in report.first_failures)
    return Result(done, seconds, report.sent, bad, report.failed - bad, tuple(told))


def judge(site: Site, scenario: Scenario) -> tuple[Result, list[str]]:
    result = release(site, scenario)
    return result, result.wrong(scenario)


@contextmanager
def _load(site: Site, rate: float) -> Iterator[Sequence[LoadReport]]:
    stop, reports = threading.Event(), list[LoadReport]()
    thread = threading.Thread(target=lambda: reports.append(run_load(site.url, rate, 1e6, stop=stop)))
    if rate:
        thread.start()
    try:
        yield reports
    finally:
        stop.set()
        if rate:
            thread.join()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="all by default")
    options = parser.parse_args(arguments)
    chosen = {name: SCENARIOS[name] for name in options.scenario or SCENARIOS}
    end_on_sigterm()
    faults, free = 0, Queue[Site]()

    def judged(scenario: Scenario) -> tuple[Result, list[str]]:
        site = free.get()
        try:
            alone(site)
            return judge(site, scenario)
        finally:
            free.put(site)

    with sites(min(AT_ONCE, len(chosen)), extra=VERSIONS) as here, ThreadPoolExecutor(len(here)) as pool:
        for site in here:
            free.put(site)
        running = {name: pool.submit(judged, one) for name, one in chosen.items()}
        for name, future in running.items():
            result, wrong = future.result()
            print(result.line(name), flush=True)
            for text in wrong:
                print(f"  WRONG: {text}")
            faults += len(wrong)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
