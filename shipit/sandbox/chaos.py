"""Chaos on demand: rules say which calls fail and how, which launches find no capacity, whose health checks flap.

A rule counts the calls that fit it and acts on the `nth` of them and on the `times - 1` after it (0: on all from then on).
Rules fit calls of shipit alone unless `agent` says otherwise, so that a driver of a test, Packer and the AWS CLI are spared.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from shipit.errors import UsageError
from shipit.sandbox.api import SERVICES, Call
from shipit.sandbox.chaos_faults import fault_for
from shipit.sandbox.lag import Lag, is_read, may_be_behind
from shipit.sandbox.wire import Answer, NoAnswer

PAGE = "/_shipit/chaos"
BEFORE = ("throttle", "error-before", "denied", "expired")
AFTER = ("error-after", "timeout-after", "hang-after")
KINDS = (*BEFORE, *AFTER, "latency", "lag", "gone", "capacity", "flap")
HANG_SECONDS = 120.0


@dataclass(frozen=True)
class Rule:
    """What happens to which calls. `service` and `action` are globs of names as the API has them (`elbv2`, `Describe*`),
    `agent` is a part of the caller's User-Agent, `group` a glob of Auto Scaling group or target group names (`capacity`,
    `flap`). `seconds` is how long it lasts (`gone`, `flap`), how much is added (`latency`) or how far reads are behind (`lag`).
    """

    what: str
    service: str = "*"
    action: str = "*"
    nth: int = 1
    times: int = 1
    writes: bool = False
    agent: str = "shipit/"
    group: str = "*"
    seconds: float = 5.0

    def fits(self, call: Call) -> bool:
        return (
            fnmatchcase(call.service, self.service)
            and fnmatchcase(call.action, self.action)
            and self.agent in call.request.headers.get("User-Agent", "")
            and not (is_read(call) and (self.writes or self.what == "lag"))
        )


def read_rule(given: Mapping[str, Any]) -> Rule:
    """Raises `UsageError` for a rule that has no such kind or key, a value of another type, or that no service fits."""
    known = {field.name: type(field.default) for field in fields(Rule) if field.name != "what"}
    for key, value in given.items():
        if key == "what" and value in KINDS:
            continue
        if key not in known or not isinstance(value, (known[key], int) if known[key] is float else known[key]):
            raise UsageError(f"a rule cannot have {key} {value!r}", f"kinds: {', '.join(KINDS)}", "docs/sandbox.md")
    if "what" not in given:
        raise UsageError("a rule must say what happens", f"kinds: {', '.join(KINDS)}", "docs/sandbox.md")
    rule = Rule(**given)
    if not any(fnmatchcase(service, rule.service) for service in SERVICES.values()):
        services = ", ".join(sorted(SERVICES.values()))
        raise UsageError(f"{rule.service!r} fits no service of the sandbox", f"it has {services}", "--service '*'")
    return rule


@dataclass
class _Active:
    """A rule and what it has done so far. `until` is when what it began is over."""

    rule: Rule
    since: float
    matched: int = 0
    hits: int = 0
    until: float = 0.0
    lag: Lag = field(default_factory=Lag)

    def strikes(self) -> bool:
        """Counts a call that fits; whether it is one of those that the rule acts on."""
        self.matched += 1
        last = self.rule.nth + self.rule.times - 1
        struck = self.matched >= self.rule.nth and (not self.rule.times or self.matched <= last)
        self.hits += struck
        return struck


class Chaos:
    """The rules that are set. Thread-safe; `kill` ends an instance at once, without a word to anybody."""

    def __init__(self, kill: Callable[[str], str] = lambda wanted: wanted) -> None:
        self._kill = kill
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._rules: dict[int, _Active] = {}

    def add(self, rule: Rule) -> int:
        with self._lock:
            number = next(self._ids)
            self._rules[number] = _Active(rule, time.monotonic())
        return number

    def clear(self, number: int | None = None) -> None:
        """Forgets one rule, or all of them and what they began."""
        with self._lock:
            if number is not None:
                self._rules.pop(number, None)
            else:
                self._rules.clear()

    def rules(self) -> list[dict[str, Any]]:
        with self._lock:
            return [
                {"id": number, **asdict(one.rule), "matched": one.matched, "hits": one.hits}
                for number, one in self._rules.items()
            ]

    def pages(self) -> dict[tuple[str, str], Callable[[bytes], object]]:
        """`GET` lists, `POST` adds a rule, `DELETE` forgets one (`{"id": 3}`) or all, `POST …/kill` ends an instance."""
        return {
            ("GET", PAGE): lambda _: self.rules(),
            ("POST", PAGE): lambda body: self._added(json.loads(body)),
            ("DELETE", PAGE): lambda body: self.clear(json.loads(body or b"{}").get("id")),
            ("POST", f"{PAGE}/kill"): lambda body: {"killed": self._kill(json.loads(body)["instance"])},
        }

    def around(self, call: Call, proceed: Callable[[], Answer]) -> Answer:
        """Stands between callers and services. Raises `NoAnswer` where none is to be given."""
        if not self._rules:
            return proceed()
        struck = self._struck(call)
        for one in struck:
            if one.rule.what == "latency":
                time.sleep(one.rule.seconds)
        kinds = {one.rule.what for one in struck}
        if "gone" in kinds or self._is_gone(call):
            raise NoAnswer
        for kind in (*BEFORE, "capacity"):
            if kind in kinds:
                return fault_for(kind, call)
        for one in struck:
            if one.rule.what == "lag":
                one.lag.before_write(call, one.rule.seconds)
        return _after(kinds, call, self._answered(call, proceed))

    def no_capacity(self, group: str) -> bool:
        """Whether a launch of this Auto Scaling group finds no capacity."""
        return self._any("capacity", lambda one: fnmatchcase(group, one.rule.group) and one.strikes())

    def flaps(self, group_arn: str) -> bool:
        """Whether a health check of this target group fails: every second one, while the rule lasts."""
        name = group_arn.split(":targetgroup/")[-1].split("/")[0]
        now = time.monotonic()
        flapping = self._any(
            "flap", lambda one: fnmatchcase(name, one.rule.group) and now - one.since < one.rule.seconds
        )
        return flapping and random.random() < 0.5

    def _added(self, given: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"id": self.add(read_rule(given))}
        except UsageError as error:
            return {"error": [error.what, error.why, error.next]}

    def _struck(self, call: Call) -> list[_Active]:
        struck = []
        with self._lock:
            for one in self._rules.values():
                if one.rule.what == "flap" or (one.rule.what == "capacity" and call.action != "RunInstances"):
                    continue
                if one.rule.fits(call) and one.strikes():
                    struck.append(one)
                    if one.rule.what == "gone":
                        one.until = max(one.until, time.monotonic() + one.rule.seconds)
        return struck

    def _is_gone(self, call: Call) -> bool:
        """An API that is gone is gone for all calls of that caller, whichever of them the rule waited for."""
        agent, now = call.request.headers.get("User-Agent", ""), time.monotonic()
        return self._any("gone", lambda one: one.until > now and one.rule.agent in agent)

    def _any(self, what: str, true_of: Callable[[_Active], bool]) -> bool:
        with self._lock:
            # Every one of them: being asked is what some of them count.
            found = [true_of(one) for one in self._rules.values() if one.rule.what == what]
        return any(found)

    def _answered(self, call: Call, proceed: Callable[[], Answer]) -> Answer:
        """Reads may be behind for the callers that a rule of lag is for."""
        agent = call.request.headers.get("User-Agent", "")
        lags = [one for one in list(self._rules.values()) if one.rule.what == "lag" and one.rule.agent in agent]
        return lags[0].lag.read(call, proceed) if lags and may_be_behind(call) else proceed()


def _after(kinds: set[str], call: Call, answer: Answer) -> Answer:
    """What becomes of an answer, once the call took effect."""
    if "error-after" in kinds:
        return fault_for("error-after", call)
    if "hang-after" in kinds:
        raise NoAnswer(HANG_SECONDS)
    if "timeout-after" in kinds:
        raise NoAnswer
    return answer
