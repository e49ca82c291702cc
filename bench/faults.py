"""The fault sweep: each kind of fault at each call of a command, once and for good, under load.

Whatever AWS does, a command ends in its goal, in `failed_clean` (and then everything is as before), or in a halt that says why
and what to type; no request fails; and once AWS is well again the same command gets there, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.lanes import Tally, Try, end_on_sigterm, work
from bench.scenarios import SCENARIOS, Case, clean
from bench.sites import sites
from bench.sweep import Done, Site
from shipit.sandbox.lag import READS

ANY_CALL = ("throttle", "error-before", "timeout-after", "denied", "expired")
WRITES = (*ANY_CALL, "error-after", "lag")
SLOW = "hang-after"
DEFAULT = ("canary", "rollback", "retire")
# Exit codes by which a command says that it stopped, and why: clean, dirty, shipped but dirty, refused, waiting.
EXPLAINED = (0, 1, 3, 4, 5, 6)
# What a rollback says that could not tell anybody, and so has left everything but traffic as it was.
UNTOLD = "shipit abort, once it can be, cleans up"
# What a command notes that could not write down where traffic is now.
STALE = "shipit resume --accept-drift"
# The names in signatures, where the sandbox has others.
_SERVICES = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch"}


@dataclass(frozen=True)
class Fault:
    """A kind of fault at the nth call of an operation; `times` 0 is for good."""

    kind: str
    call: str
    nth: int = 1
    times: int = 1

    def __str__(self) -> str:
        return f"{self.kind} at {self.call} {self.nth}{'' if self.times else ' and from then on'}"

    def set_at(self, site: Site) -> int:
        if self.kind == "capacity":
            return site.chaos(what="capacity", group=f"hello-{site.env}-*", times=self.times)
        service, action = self.call.split()
        where = {"service": _SERVICES.get(service, service), "action": action}
        return site.chaos(what=self.kind, nth=self.nth, times=self.times, seconds=5, **where)


def faults_of(calls: Sequence[str], launches: bool, hang: bool) -> Iterator[Fault]:
    """Every kind at each distinct call: at the first and the last of its kind once, and from the first one on."""
    for call, count in Counter(calls).items():
        is_write = not call.split()[1].startswith(READS)
        for kind in WRITES if is_write else ANY_CALL:
            yield from (Fault(kind, call, nth) for nth in sorted({1, count}))
            yield Fault(kind, call, times=0)
        if is_write and hang:
            yield Fault(SLOW, call)
    if launches:
        yield from (Fault("capacity", "a launch", times=times) for times in (1, 0))


def attempt(site: Site, name: str, fault: Fault, ends: Counter[str]) -> list[str]:
    """One command with one fault; what is wrong with its end, or with what comes after it."""
    case = SCENARIOS[name](site)
    number = fault.set_at(site)
    try:
        done = site.shipit(*case.words)
    finally:
        struck = site.calm(number).get("hits", 0)
    ends[done.ending.get("ending") or f"error, exit {done.code}" if struck else "did not come to it"] += 1
    wrong = _ended_badly(case, done)
    if any(STALE in event.get("text", "") for event in done.events):
        unexplained = site.shipit("resume", "--accept-drift").unexplained
        wrong += [unexplained] if unexplained else []
    if done.code != case.code:
        wrong += [f"afterwards: {text}" for text in _gone_on_badly(case)]
    if not wrong and not case.as_before and case.words[0] != "rollback":
        wrong = [f"in the end: {text}" for text in clean(site, case.serving, time.monotonic())]
    return wrong


def _gone_on_badly(case: Case) -> list[str]:
    """Once AWS is well again: a way home that was cut short is finished first, then the same command gets there."""
    done = case.site.resume(*case.words)
    if done.code == 1 and case.code == 0 and not done.unexplained:
        unlike = case.unlike_before()
        return [f"resumed, said failed_clean: {text} ({done})" for text in unlike] or case.wrong(
            case.site.shipit(*case.words)
        )
    return case.wrong(done)


def _ended_badly(case: Case, done: Done) -> list[str]:
    if done.unexplained:
        return [done.unexplained]
    if done.code not in EXPLAINED:
        return [f"unknown end: {done}"]
    if done.code == case.code:
        if UNTOLD in done.ending.get("reason", ""):
            case.site.must("abort")
        return case.wrong(done)
    return [f"said failed_clean: {text} ({done})" for text in case.unlike_before()] if done.code == 1 else []


def sweep(here: Sequence[Site], name: str, every: int, rate: float, *, hang: bool = False) -> Tally:
    """All faults of one scenario; its calls are those of a run without any."""
    case = SCENARIOS[name](here[0])
    calls = here[0].shipit(*case.words).calls
    faults = list(faults_of(calls, "release" in case.words, hang))[::every]
    ends: Counter[str] = Counter()
    tries: Iterator[Try] = (
        (str(fault), lambda site, fault=fault: attempt(site, name, fault, ends)) for fault in faults
    )
    tally = Tally()
    work(here, _Queue(tries).next, rate, tally)
    print(tally.line(f"{name} ({len(set(calls))} operations)", "faults"), flush=True)
    print(f"  ended: {', '.join(f'{end} {count}' for end, count in ends.most_common())}", flush=True)
    return tally


class _Queue:
    def __init__(self, tries: Iterator[Try]) -> None:
        self._tries = list(tries)[::-1]

    def next(self) -> Try | None:
        return self._tries.pop() if self._tries else None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scenario", action="append", choices=list(SCENARIOS), help="canary, rollback, retire by default"
    )
    parser.add_argument("--every", type=int, default=1, help="only every Kth fault")
    parser.add_argument("--parallel", type=int, default=5, help="environments side by side")
    parser.add_argument("--rate", type=float, default=100, help="requests per second, over all environments")
    parser.add_argument("--hang", action="store_true", help="also calls that never answer: 20 s each")
    options = parser.parse_args(arguments)
    total = Tally()
    end_on_sigterm()
    with sites(options.parallel) as here:
        for name in options.scenario or DEFAULT:
            rate = options.rate / options.parallel
            total.add(sweep(here, name, options.every, rate, hang=options.hang), name)
    print(total.line("all", "faults"), flush=True)
    return 1 if total.broken or total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
