"""The base of every action: moto's parsing and serialising by the AWS service model, our state, and clean errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar, TypeVar

from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores, get_service_model

from shipit.sandbox.autoscaling.errors import AutoScalingError, invalid
from shipit.sandbox.autoscaling.service import AutoScaling
from shipit.sandbox.autoscaling.world import World

T = TypeVar("T")


class Api(BaseResponse):  # type: ignore[misc]
    """Actions are methods named as the action in snake case; they run one at a time, under the world's lock."""

    service: ClassVar[AutoScaling]

    def __init__(self) -> None:
        super().__init__(service_name="autoscaling")
        self.automated_parameter_parsing = True
        self._malformed: AutoScalingError | None = None

    @property
    def _world(self) -> World:
        return self.service.world

    @property
    def _now(self) -> datetime:
        return self.service.clock.now()

    @property
    def _asked(self) -> dict[str, Any]:
        """The parameters, typed by the service model; times are aware."""
        return {key: _aware(value) for key, value in self._get_params().items()}

    def parse_parameters(self, request: Any) -> None:
        """Keeps what is wrong with the request for `call_action`; moto would answer it with an HTML page."""
        self.params: dict[str, Any] = {}
        if self._get_action() not in _required():
            self._malformed = unknown_action(self._get_action())
            return
        try:
            super().parse_parameters(request)
        except (ValueError, TypeError) as reason:
            self._malformed = invalid(f"1 validation error detected: {reason}")

    def call_action(self) -> Any:
        wrong = self._malformed or self._missing() or self._unimplemented()
        if wrong:
            return self.serialized(ActionResult(wrong))
        with self._world.lock:
            return super().call_action()

    def _missing(self) -> AutoScalingError | None:
        absent = [name for name in _required().get(self._get_action(), ()) if name not in self.params]
        if not absent:
            return None
        name = absent[0][0].lower() + absent[0][1:]
        return invalid(
            f"1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        )

    def _unimplemented(self) -> AutoScalingError | None:
        known = hasattr(type(self), camelcase_to_underscores(self._get_action()))
        return None if known else unknown_action(self._get_action())

    def _page(self, items: Sequence[T], *, most: int = 100, usual: int = 50) -> tuple[list[T], str | None]:
        """One page of items and the token of the next. The token is the position, opaque to callers."""
        asked = self._asked
        size = int(asked.get("MaxRecords") or usual)
        if not 1 <= size <= most:
            raise invalid(f"1 validation error detected: Value '{size}' at 'maxRecords' must be between 1 and {most}")
        token = asked.get("NextToken") or "0"
        if not token.isdigit() or int(token) > len(items):
            raise AutoScalingError("InvalidNextToken", f"The token '{token}' is invalid.")
        end = int(token) + size
        return list(items[int(token) : end]), (str(end) if end < len(items) else None)


def unknown_action(name: str) -> AutoScalingError:
    return AutoScalingError("InvalidAction", f"The sandbox does not have the action {name} of Auto Scaling.")


def chosen(items: Mapping[str, T], names: Sequence[str] | None) -> list[T]:
    """Those named, or all; unknown names are skipped, as Describe calls do."""
    return [items[name] for name in names if name in items] if names else list(items.values())


def matches(filters: Sequence[Mapping[str, Any]] | None, test: Callable[[str, set[str]], bool]) -> bool:
    """Whether all filters hold; `test` gets a filter's name and its values."""
    return all(test(one["Name"], set(one.get("Values") or [])) for one in filters or [])


@cache
def _required() -> Mapping[str, Sequence[str]]:
    """Required parameters by action, from the service model."""
    model = get_service_model("autoscaling")
    shapes = {name: model.operation_model(name).input_shape for name in model.operation_names}
    return {name: tuple(shape.required_members) if shape else () for name, shape in shapes.items()}


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
