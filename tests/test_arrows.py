"""Who may import whom. Dependencies point one way: cli, web -> operations, wiring -> release | aws | bake -> the seams."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "shipit"
SEAMS = {
    "value",
    "model",
    "counts",
    "periods",
    "gate",
    "hooks",
    "section",
    "standing",
    "found",
    "machine",
    "errors",
    "events",
    "ports",
    "naming",
    "schedule",
    "settings",
    "config",
    "wait",
}
PACKAGES = {"aws", "bake", "gates", "release", "sandbox", "cli", "web", "wiring", "operations", "setup"} | {
    "choice",
    "clock",
    "lease",
    "care",
    "doctor",
    "reporting",
    "tenure",
    "steering",
}
ALLOWED: dict[str, set[str]] = {
    "value": set(),
    "model": {"value"},
    "counts": {"value"},
    "periods": set(),
    "section": set(),
    "hooks": {"errors", "value"},
    "program": set(),
    "sandboxed": {"errors", "sandbox"},
    "gate": {"errors", "events", "model", "ports", "value"},
    "gates": (SEAMS - {"settings", "config"}) | {"release", "panel"},
    "panel": {"errors", "events", "gate", "model", "ports"},
    "front_door": {"errors"},
    "errors": set(),
    "naming": {"model", "errors"},
    "events": {"model", "value"},
    "machine": set(),
    "clock": {"errors"},
    "standing": {"model", "value"},
    "found": {"model", "value"},
    "ports": {"counts", "model", "events", "standing", "value"},
    "schedule": {"model", "errors"},
    "settings": {"model", "errors", "schedule", "section", "gates"},
    "checked": {"errors", "gate", "gates", "schedule", "settings"},
    "config": {"errors", "settings", "checked"},
    "wait": {"model", "ports", "value"},
    "release": SEAMS - {"config", "settings"},
    "aws": SEAMS,
    "bake": SEAMS,
    "sandbox": {"errors"},
    "setup": SEAMS | {"bake"},
    "lease": {"errors", "ports", "standing"},
    "wiring": SEAMS
    | {"clock", "lease", "release", "aws", "bake", "sandbox", "gates", "panel", "front_door", "program", "sandboxed"},
    "reporting": SEAMS | {"release", "wiring"},
    "tenure": SEAMS | {"release", "reporting", "wiring"},
    "choice": SEAMS | {"release", "wiring"},
    "operations": SEAMS | {"choice", "release", "reporting", "tenure", "wiring"},
    "steering": SEAMS | {"choice", "release", "operations", "reporting", "tenure", "wiring"},
    "care": SEAMS | {"release", "bake", "tenure", "wiring"},
    "doctor": SEAMS | {"release", "aws", "care", "tenure", "sandboxed", "wiring"},
    "__main__": {"cli"},
    "cli": SEAMS | PACKAGES,
    "web": SEAMS | PACKAGES,
}
HOMES = {
    "boto3": "aws",
    "botocore": "aws",
    "tenacity": "wait",
    "typer": "cli",
    "moto": "sandbox",
    "asyncssh": "sandbox",
}


def imports(path: Path) -> set[str]:
    """Every module that the file imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = node.module == "shipit"
            found |= {f"shipit.{alias.name}" for alias in node.names} if inside else {node.module}
    return found


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path: Path) -> None:
    here = package_of(path)
    inside = {name.split(".")[1] for name in imports(path) if name.startswith("shipit.")} - {here, "__version__"}
    assert inside <= ALLOWED[here]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_library_has_one_home(path: Path) -> None:
    here = package_of(path)
    strays = {name.split(".")[0] for name in imports(path)} & set(HOMES)
    assert {name for name in strays if HOMES[name] != here} == set()
