"""Prints the tail: the longest files and functions of shipit/. The tail is what a review is about."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

SHOWN = 12


def main() -> None:
    files: list[tuple[int, str]] = []
    functions: list[tuple[int, str]] = []
    for path in sorted(Path("shipit").rglob("*.py")):
        text = path.read_text()
        files.append((text.count("\n"), str(path)))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions.append(
                    ((node.end_lineno or node.lineno) - node.lineno + 1, f"{path}:{node.lineno} {node.name}")
                )
    for kind, rows in (("files", files), ("functions", functions)):
        lengths = sorted(length for length, _ in rows)
        p90 = lengths[int(len(lengths) * 0.9)]
        print(f"{len(rows)} {kind}: median {statistics.median(lengths):g}, p90 {p90}, longest {lengths[-1]}")
        for length, where in sorted(rows, reverse=True)[:SHOWN]:
            print(f"  {length:5d}  {where}")


if __name__ == "__main__":
    main()
