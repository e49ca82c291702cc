"""Several operators at once, of whom one acts at a time: each is a thread, and only the one whose turn it is runs.

Every call that an operator makes is a point at which another may be given the turn. Time stands still while somebody can
act, and moves on to the next moment at which somebody wakes: hours pass in milliseconds, in the same order every time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.fakes.cloud import START

BEAT = timedelta(seconds=1)


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


class Hand:
    """One operator's process. `result` is what its command returned, `error` what it raised."""

    def __init__(self, turns: Turns, name: str, act: Callable[[], Any]) -> None:
        self.name = name
        self.dead = False
        self.ended = False
        self.frozen = False
        self.wakes_at = turns.now
        self.result: Any = None
        self.error: BaseException | None = None
        self.beat: Callable[[], None] = lambda: None
        self._turns, self._act = turns, act
        self.turn = threading.Lock()
        self.turn.acquire()
        self.thread = threading.Thread(target=self._live, daemon=True, name=name)
        self.thread.start()

    def _live(self) -> None:
        self.turn.acquire()
        try:
            if not self.dead:
                self.result = self._act()
        except Killed:
            self.dead = True
        except BaseException as error:  # noqa: BLE001 - raised where its end is asked for
            self.error = error
        self.ended = True
        self._turns.leave()


class Turns:
    """Who acts when. `at_point` hears of each point, may raise what happens to the operator there, or call `yield_turn`."""

    def __init__(self) -> None:
        self.now = START
        self.points = 0
        self.hands: list[Hand] = []
        self.current: Hand | None = None
        self.at_point: Callable[[Hand, str], None] = lambda hand, name: None
        self.each_second: Callable[[], None] = lambda: None
        self._director = threading.Lock()
        self._director.acquire()
        self._until: Callable[[], bool] = lambda: False
        self._last_beat = START

    # For the one who directs

    def begin(self, name: str, act: Callable[[], Any]) -> Hand:
        """Somebody who acts from the next `play` on."""
        hand = Hand(self, name, act)
        self.hands.append(hand)
        return hand

    def play(self, until: Callable[[], bool] = lambda: False) -> None:
        """Lets them act until that holds, or until nobody is left who could."""
        self._until = until
        if until() or not self._living():
            return
        self._give(self._next())
        self._director.acquire()
        self.current = None

    def pass_time(self, seconds: float) -> None:
        """So much time, or more, in which whoever is there acts."""
        end = self.now + timedelta(seconds=seconds)
        self.play(lambda: self.now >= end)
        if self.now < end:
            self._advance(end)

    def kill_all(self) -> None:
        """Ends whoever is still there, so that no thread is left."""
        for hand in self._living():
            hand.dead = True
            hand.wakes_at = self.now
        self.play()

    # For those who act

    def point(self, name: str) -> None:
        """The operator whose turn it is stands before a call, or has one behind it."""
        hand = self.current
        if hand is None:
            return
        if hand.dead:
            raise Killed
        self.points += 1
        self.at_point(hand, name)
        self.yield_turn(hand) if self._until() else None

    def sleep(self, seconds: float) -> None:
        """Time passes for the operator whose turn it is."""
        hand = self.current
        if hand is None:
            self._advance(self.now + timedelta(seconds=seconds))
            return
        self.point("sleep")
        if seconds > 0:
            hand.wakes_at = self.now + timedelta(seconds=seconds)
            self._hand_over(hand)

    def suspend(self, hand: Hand, seconds: float) -> None:
        """SIGSTOP, and SIGCONT so much later: neither it nor the thread that keeps its lease runs meanwhile."""
        hand.frozen, hand.wakes_at = True, self.now + timedelta(seconds=seconds)
        self._hand_over(hand)
        hand.frozen = False

    def yield_turn(self, hand: Hand) -> None:
        """Whoever else could act goes first."""
        self._hand_over(hand, others_first=True)

    def nudge(self, hand: Hand) -> None:
        """Ends its wait early."""
        if not hand.frozen:
            hand.wakes_at = min(hand.wakes_at, self.now)

    def leave(self) -> None:
        """The operator whose turn it is has ended."""
        self._give(self._next())

    def seconds(self) -> float:
        return (self.now - START).total_seconds()

    def _hand_over(self, hand: Hand, others_first: bool = False) -> None:
        following = self._next(hand if others_first else None)
        if following is hand:
            return
        self._give(following)
        hand.turn.acquire()
        if hand.dead:
            raise Killed

    def _next(self, after: Hand | None = None) -> Hand | None:
        """Who acts next; None for the one who directs."""
        while not self._until():
            living = self._living()
            if not living:
                return None
            ready = [hand for hand in living if hand.wakes_at <= self.now]
            if ready:
                return next((hand for hand in ready if hand is not after), ready[0])
            self._advance(min(hand.wakes_at for hand in living))
        return None

    def _give(self, hand: Hand | None) -> None:
        self.current = hand
        (hand.turn if hand else self._director).release()

    def _living(self) -> list[Hand]:
        return [hand for hand in self.hands if not hand.ended]

    def _advance(self, to: datetime) -> None:
        """Second by second; who is there and not stopped renews its lease in each, which may wake somebody earlier."""
        if not self._living():
            self.now = self._last_beat = to
            self.each_second()
        while self.now < to:
            self.now = min(to, self._last_beat + BEAT)
            if self.now - self._last_beat >= BEAT:
                self._last_beat = self.now
                self._beat()
                if self._until() or any(hand.wakes_at <= self.now for hand in self._living()):
                    return

    def _beat(self) -> None:
        self.each_second()
        for hand in self._living():
            if not hand.frozen and not hand.dead:
                hand.beat()
