"""Quoting for where a value lands: Packer's HCL, a shell, a systemd unit. Nothing reaches a template unquoted.

`environment()` is a Jinja environment in which an undefined name is an error, and so is a string that was not passed
through one of these filters: forgetting to quote cannot go unnoticed.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from shipit.errors import UsageError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Quoted(str):
    """Text that is already safe where it lands."""

    __slots__ = ()


def hcl(value: object) -> Quoted:
    """A value as an HCL2 expression: strings in quotes, lists and maps too.

    `${` and `%{` would be evaluated by HCL and are doubled. `{{` would be evaluated by Packer's older template
    language, in some fields more than once, so that no escape holds: it is refused with `UsageError`.
    """
    if isinstance(value, jinja2.Undefined):
        str(value)  # raises, and says which name
    if isinstance(value, bool):
        return Quoted("true" if value else "false")
    if isinstance(value, (int, float)):
        return Quoted(repr(value))
    if isinstance(value, (str, Path)):
        return Quoted(_hcl_string(str(value)))
    if isinstance(value, Mapping):
        pairs = (f"{hcl(str(key))} = {hcl(item)}" for key, item in value.items())
        return Quoted("{ " + ", ".join(pairs) + " }")
    if isinstance(value, Sequence):
        return Quoted("[" + ", ".join(hcl(item) for item in value) + "]")
    raise UsageError(
        f"a Packer template cannot use {value!r}", f"{type(value).__name__} has no form in HCL", "use text or a list"
    )


def sh(value: object) -> Quoted:
    """One word of a POSIX shell; also a value of a systemd EnvironmentFile, which reads quotes alike."""
    text = str(value)
    if "\0" in text:
        raise UsageError(f"{text!r} cannot be given to a shell", "it holds a NUL character", "remove it")
    return Quoted(shlex.quote(text))


def unit(value: object) -> Quoted:
    """A value of a systemd unit: one line, specifiers (`%`) taken literally (systemd.unit(5))."""
    text = str(value)
    if _CONTROL.search(text) or text.endswith("\\"):
        raise UsageError(
            f"{text!r} cannot stand in a systemd unit", "it must be one line of text", "put it into a script of the app"
        )
    return Quoted(text.replace("%", "%%"))


def line(value: object) -> Quoted:
    """One line of a comment or a label: control characters become spaces."""
    return Quoted(_CONTROL.sub(" ", str(value)))


def environment() -> jinja2.Environment:
    """Jinja with these filters, strict about undefined names and about text that nobody quoted."""
    jinja = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    jinja.filters.update(hcl=hcl, sh=sh, unit=unit, line=line)
    return jinja


def _finalize(value: Any) -> Any:
    if isinstance(value, (Quoted, jinja2.Undefined)):
        return value
    raise jinja2.TemplateRuntimeError(f"{value!r} is not quoted: add a filter, `| hcl` or `| sh`")


def _hcl_string(text: str) -> str:
    if "{{" in text:
        raise UsageError(
            f"{text!r} cannot stand in a Packer template",
            "Packer would evaluate what follows `{{`",
            "choose a text without `{{`",
        )
    quoted = json.dumps(text, ensure_ascii=False)
    quoted = quoted.replace("\\b", "\\u0008").replace("\\f", "\\u000c") if _CONTROL.search(text) else quoted
    return re.sub(r"([$%])\{", r"\1\1{", quoted)
