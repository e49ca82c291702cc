"""Random operators, crashes, faults and foreign hands: the invariants hold after every write, and somebody can always go on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import pytest

from tests.model.play import play
from tests.model.plot import Plot, chosen, parse_plot
from tests.model.race import races

# What the model has found, shrunk to the line that shows it, named after what must not happen.
FOUND = {
    "an abort whose next read fails does not give the canary everything": (
        "left; 0 stage v3; 26 resume accept-drift; 74 abort; 88 fail 0"
    ),
    "an abort does not tidy beside a release that it could not tell to stop": (
        "old; 0 release v2 watched; 8 abort; 28 retire; 20 fail 2"
    ),
    "an abort that cannot read the record leaves the preview of a release at work": (
        "empty; 0 release v2 canary; 22 shift 25; 119 abort; 49 deaf 90; 59 fail 2; 59 deaf 90; 123 fail 0"
    ),
    "an abort wins against a release that shifts and leaves at the same moment": (
        "two; 0 release v1 at-once; 39 abort; 24 suspend 45; 77 switch 1; 163 switch 1"
    ),
    "a rollback that has to launch does not do so beside a release": "staged; 0 release v1 at-once; 6 rollback v2",
    "a fleet made to serve by hand does not shrink under a canary": (
        "two; 0 release v3 canary; 107 shift 100; 143 release v4 watched keep-failed; 10 edit 0; 40 suspend 3;"
        " 43 edit 1; 45 fail 2; 110 die 1"
    ),
    "a fleet made to serve by hand is drained before it is deleted": (
        "staged; 0 release v1 at-once; 139 stage v3; 0 fail 2; 95 edit 2"
    ),
    "a resumed retreat lets a fleet settle that somebody gave everything": (
        "staged; 0 release v3 half; 0 release v2 canary; 72 release v2 at-once; 34 fail 1; 36 edit 2; 68 switch 1;"
        " 136 stop 0; 231 end 0"
    ),
    "a fleet settles that had a share between two looks": "one; 0 release v2 canary; 244 abort",
    "a release that tidies does not give a date to shrink to a fleet that serves again": (
        "one; 0 release v2 canary; 367 rollback"
    ),
    "a stage after a rollback that tidied nothing takes the pin away": (
        "two; 0 stage v3; 47 rollback; 32 die 1; 44 deaf 30; 69 switch 0; 73 fail 2; 294 die 0"
    ),
    "a release that is called off twice ends all the same": (
        "staged; 0 release v3 half; 16 abort; 22 resume accept-drift; 20 sick 1; 26 edit 0; 272 fail 2"
    ),
    "a rollback to a fleet that was taken out of the listener waits for it under the lease": (
        "two; 0 release v2 at-once; 74 retire; 135 rollback; 6 switch 1; 9 switch 1; 16 switch 2; 16 switch 1; 27 stop 2"
    ),
    "a parked fleet that served by hand until a rollback settles": (
        "old; record none; 0 release v4 watched keep-failed; 18 rollback; 3 end 1; 9 edit 1; 14 suspend 45; 132 well 1"
    ),
    "an abort of a first release that is over by then does not say that it succeeded": (
        "empty; 0 release v4 watched keep-failed; 15 release v3 canary keep-failed; 106 abort; 58 switch 0; 112 suspend 3"
    ),
    "a release that is sent home without a share moves no traffic": (
        "staged; 0 release v3 half; 11 release v2 half no-auto-rollback; 59 rollback v2; 2 suspend 65; 87 fail 0"
    ),
    "a rollback whose fleet was taken away by hand grows it without the lease": (
        "old; 0 release v4 watched keep-failed; 5 abort; 29 rollback v1; 2 edit 1; 15 edit 0; 111 delete 0; 118 switch 0; 122 stop 2"
    ),
    "stickiness comes back after a rollback beside a release": "sticky; 0 release v3 canary; 88 rollback",
    "a canary of a fleet that has served before is pinned": "old; 0 release v2 watched; 126 freeze; 22 edit 1; 73 die 1",
    "a first release that failed after it began to serve is resumed": (
        "empty; 0 release v3 half; 71 release v3 half; 95 rollback; 57 fail 1; 182 fail 1"
    ),
    "a rollback that fails leaves alone what a release is working with": (
        "left; 0 stage v3; 9 rollback; 5 sick 1; 32 switch 0; 47 delete 0"
    ),
    "a release whose record did not answer looks again before it moves traffic": (
        "old; 0 release v3 canary; 30 release v1 at-once; 131 rollback; 26 switch 0; 49 deaf 30"
    ),
    "a release that waited for its record does not move traffic to what was drained meanwhile": (
        "staged; 0 release v2 canary; 139 rollback v2; 35 deaf 90; 45 well 1; 276 well 2"
    ),
    "a paused release without a share does not let a fleet shrink that somebody gave everything": (
        "sticky; 0 release v3 canary keep-failed; 124 pause; 256 edit 1"
    ),
    "a rollback whose fleet is deleted after its first look does not launch it without the lease": (
        "sticky; 0 release v2 canary; 135 rollback; 16 delete 1"
    ),
    "a fleet settles whose share the one that died had not written down": (
        "left; 0 release v1 at-once; 36 resume accept-drift; 118 rollback v1"
    ),
    "a rollback without a record wins against a release that is about to write": (
        "one; record none; 0 release v2 canary; 151 rollback"
    ),
}


@pytest.mark.parametrize("tens", range(50))
def test_whatever_happens_the_invariants_hold_and_somebody_can_go_on(tens: int) -> None:
    """Ten of the runs of `bench.model` at a time."""
    plots = [chosen(0, number) for number in range(10 * tens, 10 * tens + 10)]
    assert {str(plot): complaints for plot in plots if (complaints := play(plot))} == {}


@pytest.mark.parametrize("name", FOUND)
def test_found_once_and_never_again(name: str) -> None:
    assert play(parse_plot(FOUND[name])) == []


@pytest.mark.parametrize("caller", ["abort", "rollback"])
@pytest.mark.parametrize("kept", [True, False], ids=["with a record", "without"])
def test_who_calls_a_release_off_wins_whenever_that_is(caller: str, kept: bool) -> None:
    lost = [(str(plot), complaints) for plot in every_ninth(races(caller, kept=kept)) if (complaints := play(plot))]
    assert lost == []


def test_a_plot_is_replayed_from_the_line_that_is_printed() -> None:
    for text in chain(FOUND.values(), ["one; record none; 0 release v2 canary; 3 die 1"]):
        assert str(parse_plot(text)) == text


def every_ninth(all_of_them: Iterator[Plot]) -> Iterator[Plot]:
    return islice(all_of_them, 0, None, 9)
