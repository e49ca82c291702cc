"""Several gates over a hold, and what they mean for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from shipit.errors import CloudError, UsageError
from shipit.gate import Facts, Gates, Judged, NoGates, Opinion
from shipit.gates import alarms, command, probe
from shipit.model import Mood
from shipit.panel import Panel, Seat
from shipit.release.watch import Word, decide
from tests.fakes.cloud import FakeClock
from tests.gates.canaries import NOON, Setting, facts

YES, SETTLED = Opinion(Mood.GOOD, "fine"), Opinion(Mood.GOOD, "fine", settled=True)
NO, UNSURE = Opinion(Mood.BAD, "bad"), Opinion(Mood.NOT_YET, "41 requests")


def judged(*opinions: Opinion | tuple[Opinion, str]) -> list[Judged]:
    pairs = [one if isinstance(one, tuple) else (one, "extend") for one in opinions]
    return [Judged(f"g{n}", opinion, policy, ends_holds=True) for n, (opinion, policy) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("said", "over", "extended", "word"),
    [
        ([], False, False, Word.HOLD),
        ([], True, False, Word.GO_ON),
        ([YES], False, False, Word.HOLD),
        ([YES], True, False, Word.GO_ON),
        ([SETTLED, SETTLED], False, False, Word.GO_ON),
        ([SETTLED, YES], False, False, Word.HOLD),
        ([SETTLED, UNSURE], False, False, Word.HOLD),
        ([SETTLED, NO], False, False, Word.GO_HOME),
        ([NO], True, True, Word.GO_HOME),
        ([YES, UNSURE], True, False, Word.HOLD),
        ([YES, UNSURE], True, True, Word.ASK),
        ([(UNSURE, "ask")], True, False, Word.ASK),
        ([(UNSURE, "abort")], False, False, Word.HOLD),
        ([(UNSURE, "abort")], True, False, Word.GO_HOME),
        ([(UNSURE, "pass")], True, False, Word.GO_ON),
        ([(UNSURE, "pass"), (UNSURE, "ask")], True, False, Word.ASK),
        ([(UNSURE, "ask"), UNSURE], True, False, Word.HOLD),
    ],
)
def test_what_the_gates_mean_for_a_hold(
    said: list[Opinion | tuple[Opinion, str]], over: bool, extended: bool, word: Word
) -> None:
    decision = decide(judged(*said), over=over, extended=extended)
    assert decision.word is word


def test_a_hold_ends_early_only_by_what_users_got() -> None:
    page, errors = Judged("page", SETTLED), Judged("errors", SETTLED, ends_holds=True)
    assert decide([page], over=False, extended=False).word is Word.HOLD
    assert decide([page, errors], over=False, extended=False).word is Word.GO_ON


def test_those_that_need_no_share_can_try_a_fleet_before_it_has_one() -> None:
    world = Setting().world
    made = {
        "home": probe.gate(probe.Settings(url="http://shop.example/"), world),
        "script": command.gate(command.Settings(run="true"), world),
        "alarms": alarms.gate(alarms.Settings(names=["shop-5xx"]), world),
    }
    panel = Panel([Seat(name, gate, "extend") for name, gate in made.items()], FakeClock(), lambda event: None)
    assert panel.smoking() == ["home", "script"]


def test_a_decision_names_the_gates_that_made_it() -> None:
    assert decide(judged(YES, NO), over=False, extended=False).reason == "g1: bad"
    assert decide(judged(YES, UNSURE), over=True, extended=False).reason == "holding on: g1: 41 requests"
    assert decide(judged((UNSURE, "abort")), over=True, extended=False).reason == "the hold is over: g0: 41 requests"


@dataclass
class Scripted:
    """A gate that says one thing after the other."""

    opinions: list[Opinion | Exception]
    every_seconds: float = 10
    asked: list[Facts] = field(default_factory=list)

    def check(self) -> None:
        self.asked.clear()

    def judge(self, facts: Facts) -> Opinion:
        self.asked.append(facts)
        opinion = self.opinions.pop(0) if len(self.opinions) > 1 else self.opinions[0]
        if isinstance(opinion, Exception):
            raise opinion
        return opinion


def panel(*gates: Scripted) -> tuple[Panel, list[object]]:
    heard: list[object] = []
    seats = [Seat(f"g{n}", gate, "extend") for n, gate in enumerate(gates)]
    return Panel(seats, FakeClock(), heard.append), heard


def test_a_gate_is_asked_as_often_as_it_wants_and_anew_at_each_share() -> None:
    gate = Scripted([UNSURE])
    made, _ = panel(gate)
    for seconds in range(31):
        made.judge(facts(seconds / 60))
    assert len(gate.asked) == 4
    made.judge(facts(0, 25, NOON + timedelta(seconds=31)))
    assert len(gate.asked) == 5


def test_what_changes_its_mind_is_told_once_and_the_last_word_of_each_share_is_kept() -> None:
    made, heard = panel(Scripted([UNSURE, YES, YES, SETTLED, NO]))
    for minutes in range(6):
        made.judge(facts(minutes))
    made.judge(facts(0, 25, NOON + timedelta(minutes=9)))
    told = [(event.mood, event.settled, event.percent) for event in heard]  # type: ignore[attr-defined]
    assert told == [(Mood.GOOD, False, 5), (Mood.GOOD, True, 5), (Mood.BAD, False, 5), (Mood.BAD, False, 25)]
    assert [(word.percent, word.gate, word.reason) for word in made.words()] == [(5, "g0", "bad"), (25, "g0", "bad")]


def test_a_gate_that_cannot_be_asked_does_not_know() -> None:
    made, _ = panel(Scripted([CloudError("reading metrics", "Throttling")]), Scripted([YES]))
    first, second = made.judge(facts())
    assert (first.opinion.mood, second.opinion.mood) == (Mood.NOT_YET, Mood.GOOD)
    assert "Throttling" in first.opinion.reason


def test_without_gates_there_is_nothing_to_ask() -> None:
    made, _ = panel()
    assert (made.any, list(made.judge(facts())), list(made.words())) == (False, [], [])


def test_only_the_gates_that_a_stage_names_judge_it() -> None:
    made, _ = panel(Scripted([YES]), Scripted([NO]))
    assert [one.gate for one in made.judge(facts())] == ["g0", "g1"]
    assert [one.gate for one in made.judge(replace(facts(), gates=("g0",)))] == ["g0"]
    with pytest.raises(UsageError, match="there are g0, g1"):
        made.check(["g2"])


@pytest.mark.parametrize("gates", [panel(Scripted([YES]))[0], NoGates()], ids=["others", "none"])
def test_a_gate_that_a_stage_names_and_nobody_has_is_no_yes(gates: Gates) -> None:
    (absent,) = [one for one in gates.judge(replace(facts(), gates=("g7",))) if one.gate == "g7"]
    assert (absent.opinion.mood, absent.undecided) == (Mood.NOT_YET, "extend")
