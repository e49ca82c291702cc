from __future__ import annotations

import pytest

from shipit.sandbox.cloudwatch.meter import Answered, points, read_line
from shipit.sandbox.seams import Names

LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/lb/0123/4567"
GROUP = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/green/89ab"
NAMES = Names({"s0": LISTENER}, {"g1": GROUP})
WHOLE = frozenset({("LoadBalancer", "app/lb/0123")})
OF_GROUP = WHOLE | {("TargetGroup", "targetgroup/green/89ab")}
PREFIX = "<134>Nov 25 14:00:00 haproxy[1]: 127.0.0.1:4321 [25/Nov/2026:14:00:00.000] "


def line(route: str, timers: str, status: int) -> bytes:
    return f'{PREFIX}{route} {timers} {status} 150 - - ---- 1/1/0/0/0 0/0 "GET / HTTP/1.1"'.encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (line("s0 g1/i-0a.1", "0/0/1/20/21", 200), Answered("s0", "g1", 200, True, True, 0.021)),
        (line("s0 g1/i-0a.1", "0/0/0/0/+7", 500), Answered("s0", "g1", 500, True, True, 0.0)),
        (line("s0 g1/i-0a.1", "0/0/-1/-1/3", 503), Answered("s0", "g1", 503, True, False, None)),
        (line("s0 g1/i-0a.1", "0/0/1/-1/60000", 504), Answered("s0", "g1", 504, True, True, None)),
        (line("s0 nowhere/<NOSRV>", "0/-1/-1/-1/0", 503), Answered("s0", "nowhere", 503, False, False, None)),
        (b"<133>Nov 25 14:00:00 haproxy[1]: Server g1/a is UP", None),
    ],
)
def test_a_line_of_the_log(text: bytes, expected: Answered | None) -> None:
    assert read_line(text) == expected


def published(*answers: Answered) -> dict[tuple[str, bool], dict[float, float]]:
    """By name, and whether it is the target group's own."""
    return {(one.name, one.dimensions == OF_GROUP): dict(one.values) for one in points(answers, NAMES)}


def test_what_a_target_answered_is_its_groups_and_the_balancers() -> None:
    ok, bad = (Answered("s0", "g1", status, True, True, 0.02) for status in (200, 502))
    found = published(ok, ok, bad)
    for own in (True, False):
        assert found["RequestCount", own] == {1.0: 3}
        assert found["HTTPCode_Target_2XX_Count", own] == {1.0: 2}
        assert found["HTTPCode_Target_5XX_Count", own] == {1.0: 1}
        assert found["TargetResponseTime", own] == {0.02: 3}
    assert ("HTTPCode_ELB_5XX_Count", False) not in found


def test_what_the_balancer_answered_itself_is_blamed_on_no_group() -> None:
    found = published(Answered("s0", "g1", 502, True, False, None), Answered("s0", "nowhere", 503, False, False, None))
    assert found["HTTPCode_ELB_5XX_Count", False] == {1.0: 2}
    assert found["HTTPCode_ELB_503_Count", False] == {1.0: 1}
    assert found["TargetConnectionErrorCount", True] == {1.0: 1}
    assert found["RequestCount", True] == {1.0: 1}
    assert not any(name.startswith("HTTPCode_ELB") and own for name, own in found)


def test_a_listener_that_is_no_more_publishes_nothing() -> None:
    assert published(Answered("s9", "g1", 200, True, True, 0.1)) == {}
