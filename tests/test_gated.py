"""A release whose holds end by what gates say: early, late, with a question, or at home."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import pytest

from shipit.errors import Refused, UsageError
from shipit.events import GateWord
from shipit.gate import Facts, Judged, Opinion, refuse_unknown
from shipit.model import Ending, Mood
from tests.fakes.people import Command, SmallTown, promote, release, resume, stage

YES, SETTLED = Opinion(Mood.GOOD, "fine"), Opinion(Mood.GOOD, "fine", settled=True)
NO, UNSURE = Opinion(Mood.BAD, "2 % worse"), Opinion(Mood.NOT_YET, "41 requests")
STAGES = "5% 10m, 50% 10m, 100%"


@dataclass
class FakeGates:
    """One gate whose opinion a test sets, for each share another one if need be."""

    opinion: Opinion = YES
    undecided: str = "extend"
    at: dict[Fraction, Opinion] = field(default_factory=dict)
    refusal: Refused | None = None
    facts: list[Facts] = field(default_factory=list)
    said: list[GateWord] = field(default_factory=lambda: [GateWord("errors", 5.0, Mood.GOOD, "fine")])
    any: bool = True
    without_smoke: bool = False
    needs_seconds: float = 0.0

    def check(self, names: Collection[str] = ()) -> None:
        if self.refusal:
            raise self.refusal
        refuse_unknown(names, ["errors"])

    def judge(self, facts: Facts) -> Sequence[Judged]:
        self.facts.append(facts)
        return [Judged("errors", self.at.get(facts.percent, self.opinion), self.undecided, True, self.needs_seconds)]

    def names(self) -> Sequence[str]:
        return ["errors"]

    def smoking(self) -> Sequence[str]:
        return [] if self.without_smoke else ["errors"]

    def words(self) -> Sequence[GateWord]:
        return self.said


@pytest.fixture
def gates() -> FakeGates:
    return FakeGates()


@pytest.fixture
def town(gates: FakeGates) -> SmallTown:
    """A town that v1 serves, and gates that watch what comes."""
    town = SmallTown().served_by("v1")
    town.gates = gates
    town.policy = replace(town.policy, gated=True)
    return town


def hold(town: SmallTown, schedule: str = STAGES) -> tuple[Ending, float]:
    """How a release of v2 ended, and after how many minutes."""
    began = town.turns.seconds()
    ended = town.wait_for(town.begin("ann", release("v2", schedule)))
    return ended.ending, (town.turns.seconds() - began) / 60


def test_good_gates_let_it_go_on_when_the_holds_are_over(town: SmallTown, gates: FakeGates) -> None:
    ending, minutes = hold(town)
    assert ending is Ending.SUCCEEDED
    assert 20 <= minutes < 22
    told = gates.facts[0]
    assert (told.percent, told.version) == (5, "v2")
    assert told.green != told.blue
    assert {facts.percent for facts in gates.facts} == {5, 50}


def test_gates_that_have_settled_it_end_a_hold_early(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(5): SETTLED}
    ending, minutes = hold(town)
    assert ending is Ending.SUCCEEDED
    assert 10 <= minutes < 12


@pytest.mark.parametrize("share", [5, 50])
def test_a_bad_gate_sends_everything_home(town: SmallTown, gates: FakeGates, share: int) -> None:
    gates.at = {Fraction(share): NO}
    shop = town.begin("ann", release("v2", STAGES))
    ended = town.wait_for(shop)
    assert ended.ending is Ending.FAILED_CLEAN
    assert "errors: 2 % worse" in ended.reason
    assert town.share("v1") == 100
    assert town.versions == ["v1"]
    assert ended.gates == (GateWord("errors", 5.0, Mood.GOOD, "fine"),)


def test_what_is_not_known_extends_the_hold_and_then_asks_a_person(town: SmallTown, gates: FakeGates) -> None:
    gates.opinion = UNSURE
    shop = town.begun("v2", STAGES)
    town.turns.pass_time(15 * 60)
    assert town.share("v2") == 5
    town.turns.pass_time(60 * 60)
    assert town.share("v2") == 5, "never passed by absence"
    gates.opinion = YES
    town.run(promote, "bob")
    assert town.wait_for(shop).ending is Ending.SUCCEEDED


def test_a_hold_that_is_shorter_than_what_a_gate_needs_is_extended_until_it_can_know(
    town: SmallTown, gates: FakeGates
) -> None:
    gates.opinion, gates.needs_seconds = UNSURE, 300
    shop = town.begun("v2", "5% 1m, 100%")
    town.turns.pass_time(4 * 60)
    gates.opinion = YES
    assert town.wait_for(shop).ending is Ending.SUCCEEDED, "nobody was asked meanwhile"


def test_whoever_resumes_long_after_a_hold_lets_the_gates_look_first(town: SmallTown, gates: FakeGates) -> None:
    gates.opinion = UNSURE
    town.kill(town.begun("v2", "5% 1m, 100%"))
    town.turns.pass_time(30 * 60)
    shop = town.begin("bob", resume(hand_over=True))
    town.turns.pass_time(20)
    gates.opinion = YES
    assert town.wait_for(shop).ending is Ending.SUCCEEDED


def test_a_stage_by_a_gate_that_is_gone_by_now_waits_for_a_person(town: SmallTown, gates: FakeGates) -> None:
    town.kill(town.begun("v2", "5% 10m by errors, 100%"))
    town.gates, town.policy = None, replace(town.policy, gated=False)
    town.turns.pass_time(60 * 60)
    shop = town.begin("bob", resume())
    town.turns.pass_time(60 * 60)
    assert town.share("v2") == 5
    town.run(promote, "cy")
    assert town.wait_for(shop).ending is Ending.SUCCEEDED


def test_gates_that_nobody_will_ask_are_told(town: SmallTown) -> None:
    shop = town.begin("ann", release("v2", "100%"))
    town.wait_for(shop)
    assert [event.text for event in shop.events if "no gate is asked" in getattr(event, "text", "")]


def test_a_first_release_needs_no_alarm_that_is_there_already(gates: FakeGates) -> None:
    gates.refusal = Refused("there is no alarm 'shop-5xx'", "", "")
    town = SmallTown()
    town.gates = gates
    assert town.run(release("v1", STAGES)).ending is Ending.SUCCEEDED


def test_what_gets_known_in_the_extension_goes_on(town: SmallTown, gates: FakeGates) -> None:
    gates.opinion = UNSURE
    shop = town.begun("v2", STAGES)
    town.turns.pass_time(12 * 60)
    gates.opinion = SETTLED
    assert town.wait_for(shop).ending is Ending.SUCCEEDED


@pytest.mark.parametrize(
    ("undecided", "ending"), [("abort", Ending.FAILED_CLEAN), ("pass", Ending.SUCCEEDED), ("ask", Ending.WAITING)]
)
def test_what_is_not_known_does_what_the_settings_say(
    town: SmallTown, gates: FakeGates, undecided: str, ending: Ending
) -> None:
    gates.opinion, gates.undecided = UNSURE, undecided
    gates.said = [GateWord("errors", 5.0, Mood.NOT_YET, "undecided: 41 requests")]
    ended = town.wait_for(town.begin("ann", release("v2", STAGES, hand_over=True)))
    assert ended.ending is ending
    assert ending is not Ending.WAITING or "41 requests" in ended.reason


def test_a_gate_that_turns_bad_while_a_person_is_waited_for_sends_it_home(town: SmallTown, gates: FakeGates) -> None:
    shop = town.begun("v2", "5% 1m manual, 100%")
    town.turns.pass_time(300)
    gates.opinion = NO
    assert town.wait_for(shop).ending is Ending.FAILED_CLEAN
    assert town.share("v1") == 100


def test_a_resumed_hold_is_judged_anew_however_long_it_has_lasted(town: SmallTown, gates: FakeGates) -> None:
    gates.opinion = UNSURE
    town.kill(town.begun("v2", "5% 1m, 100%"))
    town.turns.pass_time(75)
    resumed = town.begin("bob", resume())
    town.turns.pass_time(30)
    assert town.share("v2") == 5
    gates.opinion = YES
    assert town.wait_for(resumed).ending is Ending.SUCCEEDED


def test_gates_that_cannot_work_refuse_a_canary_before_anything_is_done(town: SmallTown, gates: FakeGates) -> None:
    gates.refusal = Refused("there is no alarm 'errors'", "did you mean 'error'?", "")
    refused = town.run(release("v2", STAGES))
    assert refused.ending is Ending.REFUSED
    assert "no alarm" in refused.reason
    assert town.versions == ["v1"]
    assert town.run(release("v2", "100%")).ending is Ending.SUCCEEDED, "nothing is held, so no gate is asked"


def test_the_hold_at_100_percent_is_gated_too(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(100): NO}
    ended = town.wait_for(town.begin("ann", release("v2", "100% 5m")))
    assert ended.ending is Ending.FAILED_CLEAN
    assert town.share("v1") == 100


def test_a_stage_names_the_gates_that_judge_it(town: SmallTown, gates: FakeGates) -> None:
    hold(town, "5% 1m by errors, 50% 1m, 100%")
    assert {(facts.percent, facts.gates) for facts in gates.facts} == {(5, ("errors",)), (50, ())}


def test_a_gate_that_is_not_there_is_a_mistake_in_the_schedule(town: SmallTown) -> None:
    with pytest.raises(UsageError, match="no gate 'erors'"):
        town.run(release("v2", "5% 1m by erors, 100%"))
    assert town.versions == ["v1"]


@pytest.mark.parametrize("command", [stage("v2", smoke=True), release("v2", smoke=True)])
def test_a_smoke_test_is_passed_before_the_first_share(town: SmallTown, gates: FakeGates, command: Command) -> None:
    gates.at = {Fraction(0): SETTLED}
    assert town.wait_for(town.begin("ann", command)).ending is Ending.SUCCEEDED
    (told,) = gates.facts
    assert (told.percent, told.gates, told.version) == (0, ("errors",), "v2")
    assert told.token == f"token of {told.green}"


@pytest.mark.parametrize(
    ("opinion", "reason"),
    [
        (NO, "smoke test: errors: 2 % worse"),
        (UNSURE, "smoke test: errors: 41 requests, after 600 s (health.deadline_seconds)"),
    ],
)
def test_what_does_not_pass_its_smoke_test_gets_no_request(
    town: SmallTown, gates: FakeGates, opinion: Opinion, reason: str
) -> None:
    gates.at = {Fraction(0): opinion}
    before = dict(town.cloud.weights)
    ended = town.wait_for(town.begin("ann", release("v2", smoke=True)))
    assert (ended.ending, ended.reason) == (Ending.FAILED_CLEAN, reason)
    assert town.cloud.weights == before
    assert town.versions == ["v1"]
    assert town.cloud.preview is None


def test_the_reason_of_a_failed_smoke_test_is_said_once(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(0): UNSURE}
    shop = town.begin("ann", release("v2", smoke=True))
    town.turns.play(lambda: bool(gates.facts))
    gates.at = {Fraction(0): NO}
    assert town.wait_for(shop).reason == "smoke test: errors: 2 % worse"


def test_a_failed_stage_leaves_nothing(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(0): NO}
    assert town.run(stage("v2", smoke=True)).ending is Ending.FAILED_CLEAN
    assert (town.versions, town.cloud.preview) == (["v1"], None)


def test_a_fleet_that_is_staged_already_is_tried_again(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(0): SETTLED}
    town.run(stage("v2"))
    assert gates.facts == []
    assert town.run(stage("v2", smoke=True)).ending is Ending.SUCCEEDED
    assert len(gates.facts) == 1


def test_a_parked_fleet_gets_the_preview_header_before_it_is_tried(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(0): SETTLED}
    town.run(release("v2"))
    assert town.run(release("v1", smoke=True)).ending is Ending.SUCCEEDED
    assert gates.facts[-1].token == f"token of {gates.facts[-1].green}"


def test_whoever_goes_on_tries_it_again(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(0): UNSURE}
    shop = town.begin("ann", release("v2", smoke=True))
    town.turns.play(lambda: bool(gates.facts))
    town.kill(shop)
    gates.at = {Fraction(0): SETTLED}
    gates.facts.clear()
    assert town.run(resume()).ending is Ending.SUCCEEDED
    assert gates.facts[0].percent == 0


def test_nothing_to_try_it_with_is_refused_before_anything_is_done(town: SmallTown, gates: FakeGates) -> None:
    gates.without_smoke = True
    writes = list(town.cloud.writes)
    ended = town.run(release("v2", smoke=True))
    assert ended.ending is Ending.REFUSED
    assert "no gate of kind probe or command" in ended.reason
    town.cloud.previewable, gates.without_smoke = False, False
    assert "no rule for the preview header" in town.run(release("v2", smoke=True)).reason
    assert [write for write in town.cloud.writes[len(writes) :] if not write.startswith("bake")] == []


def test_gates_that_are_gone_when_somebody_goes_on_do_not_pass_it(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(0): UNSURE}
    shop = town.begin("ann", release("v2", smoke=True))
    town.turns.play(lambda: bool(gates.facts))
    town.kill(shop)
    gates.without_smoke = True
    assert town.run(resume()).ending is Ending.REFUSED
    assert town.share("v1") == 100


def test_a_smoke_test_whose_rule_is_removed_begins_anew(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(0): UNSURE}
    shop = town.begin("ann", release("v2", smoke=True))
    town.turns.play(lambda: bool(gates.facts))
    town.cloud.preview = None
    gates.at = {Fraction(0): SETTLED}
    assert town.wait_for(shop).ending is Ending.SUCCEEDED
    assert all(facts.token for facts in gates.facts)
    assert [event.step for event in shop.events if event.kind == "step"].count("Preview") == 2


def test_gates_that_are_gone_once_it_has_a_share_keep_nobody_from_going_on(town: SmallTown, gates: FakeGates) -> None:
    gates.at = {Fraction(0): SETTLED}
    town.kill(town.begun("v2", STAGES, smoke=True))
    gates.without_smoke = True
    assert town.run(resume()).ending is Ending.SUCCEEDED
