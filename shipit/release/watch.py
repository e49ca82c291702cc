"""What the gates mean for a hold: go on, hold on, ask a person, go home."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction

from shipit.events import GateWord
from shipit.gate import Judged
from shipit.model import Mood
from shipit.value import value


class Word(StrEnum):
    GO_ON = "go on"
    HOLD = "hold"
    ASK = "ask"
    GO_HOME = "go home"


@value()
class Decision:
    word: Word
    reason: str


def decide(judged: Sequence[Judged], *, over: bool, extended: bool) -> Decision:
    """`over`: the hold has lasted as long as it should; `extended`: twice as long, and long enough for all to know. Without gates
    time alone decides.

    Nothing passes by absence: a gate that does not know is only passed over where its settings say so. A hold ends early by what
    users got: that a page is there, or a program content, is no reason to watch for less long than was asked.
    """
    bad = [one for one in judged if one.opinion.mood is Mood.BAD]
    unsure = [one for one in judged if one.opinion.mood is Mood.NOT_YET]
    if bad:
        return Decision(Word.GO_HOME, in_words(bad))
    if not over:
        settled = not unsure and all(one.opinion.settled for one in judged) and any(one.ends_holds for one in judged)
        return Decision(Word.GO_ON if settled else Word.HOLD, in_words(judged))
    by_policy = {policy: [one for one in unsure if one.undecided == policy] for policy in ("abort", "extend", "ask")}
    if by_policy["abort"]:
        return Decision(Word.GO_HOME, f"the hold is over: {in_words(by_policy['abort'])}")
    if by_policy["extend"] and not extended:
        return Decision(Word.HOLD, f"holding on: {in_words(by_policy['extend'])}")
    if asking := [*by_policy["extend"], *by_policy["ask"]]:
        return Decision(Word.ASK, in_words(asking))
    return Decision(Word.GO_ON, in_words(judged))


def in_doubt(words: Sequence[GateWord], percent: Fraction) -> str:
    """What those gates said that did not know at this share."""
    return "; ".join(f"{w.gate}: {w.reason}" for w in words if w.mood is Mood.NOT_YET and w.percent == float(percent))


def in_words(judged: Sequence[Judged]) -> str:
    return "; ".join(f"{one.gate}: {one.opinion.reason}" for one in judged)
