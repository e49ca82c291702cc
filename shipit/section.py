"""What all sections of shipit.yml have in common: unknown keys are refused, numbers are numbers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Strict

# Strict: `size: true` is a mistake, not one instance.
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
# What CloudWatch takes for the id of a metric in a query.
METRIC_ID = r"^[a-z][a-zA-Z0-9_]*$"
URL = r"^https?://[^\s/]+(/[^\s]*)?$"
# What to do when a hold is over and a gate does not know: hold on for as long again, go on, wait for a person, go home.
Undecided = Literal["extend", "pass", "ask", "abort"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, str_strip_whitespace=True)
