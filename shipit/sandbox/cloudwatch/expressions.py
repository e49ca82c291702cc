"""Metric math: the part of it that gates and alarms need. Everything else is refused, rather than answered wrongly.

A time series is a mapping from the second at which a period begins to its value. An operator between two series has a value where
both have one; a number stands beside every value.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence

Timeline = Mapping[int, float]
Value = Timeline | float

_OPERATORS: Mapping[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "SUM": math.fsum,
    "AVG": lambda values: math.fsum(values) / len(values),
    "MIN": min,
    "MAX": max,
}
_POINTWISE: Mapping[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}


class ExpressionError(ValueError):
    """An expression that cannot be read, or that the sandbox cannot answer."""


def evaluate(expression: str, known: Mapping[str, Timeline], periods: Sequence[int]) -> Value:
    """The value of an expression over series known by their ids. `periods` are those that FILL fills. Raises `ExpressionError`."""
    return _Reader(known, periods).value(_parsed(expression))


def names(expression: str) -> set[str]:
    """The ids that an expression uses, and the functions. Raises `ExpressionError`."""
    return {node.id for node in ast.walk(_parsed(expression)) if isinstance(node, ast.Name)}


def _parsed(expression: str) -> ast.AST:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise ExpressionError(f"Error in expression: {expression}") from error


class _Reader:
    def __init__(self, known: Mapping[str, Timeline], periods: Sequence[int]) -> None:
        self._known, self._periods = known, periods

    def value(self, node: ast.AST) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name) if name in self._known:
                return self._known[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _each(self.value(operand), operator.neg)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _both(self.value(left), self.value(right), _OPERATORS[type(op)])
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return _both(self.value(left), self.value(right), _OPERATORS[type(op)])
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name.upper(), arguments)
        raise ExpressionError(f"the sandbox cannot evaluate: {ast.unparse(node)}")

    def _call(self, name: str, arguments: Sequence[ast.AST]) -> Value:
        match name, arguments:
            case "FILL", [series, filling]:
                return self._filled(self.value(series), filling)
            case "IF", [condition, then, otherwise]:
                return _chosen(self.value(condition), self.value(then), self.value(otherwise))
            case (("SUM" | "AVG" | "MIN" | "MAX"), [ast.List(elts=several)]):
                return _across([self.value(one) for one in several], _AGGREGATES[name])
            case (("SUM" | "AVG" | "MIN" | "MAX"), [one]):
                value = self.value(one)
                values = list(value.values()) if isinstance(value, Mapping) else [value]
                return _AGGREGATES[name](values) if values else {}
            case (("ABS" | "CEIL" | "FLOOR"), [one]):
                return _each(self.value(one), _POINTWISE[name])
        raise ExpressionError(f"the sandbox has no {name} with {len(arguments)} arguments")

    def _filled(self, value: Value, filling: ast.AST) -> Value:
        if not isinstance(value, Mapping):
            return value
        if isinstance(filling, ast.Name) and filling.id.upper() == "REPEAT":
            return _repeated(value, self._periods)
        filler = self.value(filling)
        return {begin: value.get(begin, _at(filler, begin, 0.0)) for begin in self._periods}


def _repeated(value: Timeline, periods: Sequence[int]) -> Timeline:
    filled: dict[int, float] = {}
    for begin in periods:
        before = value.get(begin, filled.get(max(filled, default=begin)))
        if before is not None:
            filled[begin] = before
    return filled


def _each(value: Value, change: Callable[[float], float]) -> Value:
    if not isinstance(value, Mapping):
        return change(value)
    return {begin: change(one) for begin, one in value.items()}


def _both(left: Value, right: Value, join: Callable[[float, float], float]) -> Value:
    """Where a division by zero has no value, neither has the series."""
    if not isinstance(left, Mapping) and not isinstance(right, Mapping):
        return _joined(left, right, join) or 0.0
    begins = [set(side) for side in (left, right) if isinstance(side, Mapping)]
    found = {begin: _joined(_at(left, begin), _at(right, begin), join) for begin in set.intersection(*begins)}
    return {begin: value for begin, value in sorted(found.items()) if value is not None}


def _joined(left: float, right: float, join: Callable[[float, float], float]) -> float | None:
    try:
        return float(join(left, right))
    except (ZeroDivisionError, OverflowError):
        return None


def _at(value: Value, begin: int, default: float = 0.0) -> float:
    return value.get(begin, default) if isinstance(value, Mapping) else value


def _chosen(condition: Value, then: Value, otherwise: Value) -> Value:
    if not isinstance(condition, Mapping):
        return then if condition else otherwise
    found = {begin: then if holds else otherwise for begin, holds in condition.items()}
    known = {begin: side for begin, side in found.items() if not isinstance(side, Mapping) or begin in side}
    return {begin: _at(side, begin) for begin, side in known.items()}


def _across(values: Sequence[Value], join: Callable[[Sequence[float]], float]) -> Value:
    """Period by period over several series, each where it has a value."""
    begins = sorted({begin for value in values if isinstance(value, Mapping) for begin in value})
    found: dict[int, float] = {}
    for begin in begins:
        there = [_at(value, begin) for value in values if not isinstance(value, Mapping) or begin in value]
        found[begin] = join(there)
    return found
