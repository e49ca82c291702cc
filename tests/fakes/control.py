"""The official fake of `ports.Control`: orders are given by setting them, and what the release tells is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from shipit.standing import Aim, Orders, Written


@dataclass
class FakeControl:
    """Implements `ports.Control`."""

    given: Orders = field(default_factory=Orders)
    phases: list[str] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)

    def orders(self) -> Orders:
        return self.given

    def tell(self, *, phase: str = "", written: Written | None = None, aim: Aim | None = None) -> None:
        self.phases += [phase] if phase else []
        self.written += [written] if written else []
        self.aims += [aim] if aim else []
