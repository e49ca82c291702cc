"""What `bench.canary` has found, as the tables and the picture of docs/canary.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def false_aborts(rows: Sequence[Row]) -> str:
    """A table: the share of harmless releases that each judge, as shipped, aborts in each cell."""
    judges = _judges(rows)
    lines = [_line("traffic", "shape", "errors", *judges), _line(*["---"] * 3, *["---:"] * len(judges))]
    for traffic, shape, rate in _cells(rows):
        found = [_one(rows, traffic, shape, rate, judge, 0.0)["as_shipped"] for judge in judges]
        lines.append(_line(traffic, shape, f"{100 * rate:g} %", *(_percent(one) for one in found)))
    return "\n".join(lines)


def power(rows: Sequence[Row], worse: float) -> str:
    """A table: the share of releases with this regression that each judge aborts, at equal false aborts; and after how many of
    green's requests in the median.
    """
    judges = _judges(rows)
    lines = [_line("traffic", "shape", "errors", *judges), _line(*["---"] * 3, *["---:"] * len(judges))]
    for traffic, shape, rate in _cells(rows):
        found = [_one(rows, traffic, shape, rate, judge, worse) for judge in judges]
        best = max(one["calibrated"] for one in found)
        lines.append(_line(traffic, shape, f"{100 * rate:g} %", *(_powerful(one, best) for one in found)))
    return "\n".join(lines)


def lost(rows: Sequence[Row]) -> list[str]:
    """The cells in which another judge has more power than the better one of ours by more than chance, in words."""
    found = []
    for worse in sorted({row["worse"] for row in rows} - {0.0}):
        for traffic, shape, rate in _cells(rows):
            named = {judge: _one(rows, traffic, shape, rate, judge, worse)["calibrated"] for judge in _judges(rows)}
            ours = max(value for judge, value in named.items() if judge.startswith("shipit"))
            better = {judge: value for judge, value in named.items() if value > ours + 0.01}
            found += [
                f"{traffic} {shape} {100 * rate:g} %, +{100 * worse:g} pp: {judge} {_percent(value)}, ours {_percent(ours)}"
                for judge, value in better.items()
            ]
    return found


def plot(rows: Sequence[Row], worse: float, path: Path) -> None:
    """Power at equal false aborts over the rate of errors: a panel for each traffic and shape, a line for each judge."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "shipit"
    from matplotlib import pyplot

    traffics, shapes = (list(dict.fromkeys(row[key] for row in rows)) for key in ("traffic", "shape"))
    figure, axes = pyplot.subplots(len(shapes), len(traffics), figsize=(10, 8), sharex=True, sharey=True)
    for (down, shape), (across, traffic) in ((d, a) for d in enumerate(shapes) for a in enumerate(traffics)):
        panel = axes[down][across]
        for judge in _judges(rows):
            here = [
                r for r in rows if (r["traffic"], r["shape"], r["judge"], r["worse"]) == (traffic, shape, judge, worse)
            ]
            style = "-" if judge.startswith("shipit") else "--"
            panel.plot(
                [100 * r["rate"] for r in here], [100 * r["calibrated"] for r in here], style, marker="o", label=judge
            )
        panel.set_xscale("log")
        panel.set_ylim(-4, 104)
        panel.set_title(f"{traffic} traffic, {shape}", fontsize=9)
    figure.supxlabel("errors of the version that serves, %")
    figure.supylabel(f"releases with {100 * worse:g} pp more errors that are aborted, %")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="upper center", ncols=3, fontsize=8)
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    figure.savefig(path, metadata={"Date": None})


def _judges(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["judge"] for row in rows))


def _cells(rows: Sequence[Row]) -> list[tuple[str, str, float]]:
    return list(dict.fromkeys((row["traffic"], row["shape"], row["rate"]) for row in rows))


def _one(rows: Sequence[Row], traffic: str, shape: str, rate: float, judge: str, worse: float) -> Row:
    wanted = (traffic, shape, rate, judge, worse)
    return next(r for r in rows if (r["traffic"], r["shape"], r["rate"], r["judge"], r["worse"]) == wanted)


def _powerful(row: Row, best: float) -> str:
    text = _percent(row["calibrated"])
    text = f"**{text}**" if row["calibrated"] >= best - 0.01 else text
    return text if row["requests"] is None else f"{text} after {row['requests']:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share < 0.0995 else f"{100 * share:.0f} %"


def _line(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"
