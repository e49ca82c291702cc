"""The demo: an AWS on this machine, a small app in three versions, real traffic, one command after the other.

Run it with `make demo`. Everything that it makes lies in one temporary folder and one sandbox, and is gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shipit.sandbox import lifecycle
from shipit.sandbox.load import run_load
from shipit.sandbox.tally import LoadReport

HELLO = Path(__file__).parent / "hello"
SHIPIT = [sys.executable, "-m", "shipit"]
RATE = 600
CANARY = "10% 10s, 50% 10s, 100%"


@dataclass
class Traffic:
    """Steady requests in the background, from `start` until `stop`."""

    url: str
    _stop: threading.Event = field(default_factory=threading.Event)
    _reports: list[LoadReport] = field(default_factory=list)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="load")
        self._thread.start()

    def stop(self) -> LoadReport:
        self._stop.set()
        self._thread.join()
        return self._reports[0]

    def _run(self) -> None:
        self._reports.append(run_load(self.url, RATE, 600, stop=self._stop))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the sandbox and the repository there")
    keep = parser.parse_args().keep
    name = "default" if keep else f"demo-{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="shipit-demo-"))
    kept = False
    try:
        make_repository(folder / "hello")
        say("an AWS on this machine: real instances, a real load balancer, the real Packer")
        state = lifecycle.up(name, fast=True)
        print(f"front door {state.front_door_url}, AWS endpoint {state.endpoint_url}")
        code = tell(Stage(folder / "hello", name), state.front_door_url)
        kept = keep and code == 0
        if kept:
            print(what_next(folder / "hello", state.front_door_url, state.endpoint_url))
    except KeyboardInterrupt:
        return 130
    else:
        return code
    finally:
        if not kept:
            lifecycle.down(name)
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Stage:
    """Where the demo's commands are run: the app's folder, against this sandbox."""

    folder: Path
    sandbox: str

    def run(self, *words: str, expect: int = 0) -> None:
        """Shows the command, runs it, and stops the demo when it does not end as expected."""
        line = f"$ shipit {' '.join(quoted(words))}"
        print(f"\n\x1b[1m{line}\x1b[0m" if sys.stdout.isatty() else f"\n{line}", flush=True)
        code = subprocess.run([*SHIPIT, *words], cwd=self.folder, env=self._environment(), check=False).returncode
        if code != expect:
            raise SystemExit(f"demo: exit code {code}, expected {expect}")

    def history(self) -> list[dict[str, object]]:
        command = [*SHIPIT, "history", "--env", "sandbox", "--output", "json"]
        answer = subprocess.run(command, cwd=self.folder, env=self._environment(), check=True, capture_output=True)
        found: list[dict[str, object]] = json.loads(answer.stdout)
        return found

    def _environment(self) -> dict[str, str]:
        package = str(Path(__file__).parents[1])
        home = str(self.folder.parent)
        places = {"XDG_CACHE_HOME": home, "XDG_STATE_HOME": home}
        return {**os.environ, **places, "SHIPIT_SANDBOX": self.sandbox, "PYTHONPATH": package}


def tell(stage: Stage, url: str) -> int:
    """The story; returns the exit code."""
    env = ("--env", "sandbox")
    say("v1: the commit becomes an image, the image a fleet, the fleet gets all requests")
    stage.run("release", "v1", *env)
    say(f"from here on {RATE} requests a second, all the time; v2 comes as a canary")
    with steady(url) as traffic:
        stage.run("release", "v2", "--canary", CANARY, *env)
        say("v2 is not what we wanted: back, at once")
        stage.run("rollback", *env)
        say("v3 answers 500 on /healthz: it never gets a request, and nothing is left of it")
        stage.run("release", "v3", *env, expect=1)
        stage.run("status", *env)
        stage.run("history", *env)
        report = traffic.stop()
    say("what it cost")
    print(summary(stage.history(), report))
    return 0 if report.failed == 0 else 1


@contextmanager
def steady(url: str) -> Iterator[Traffic]:
    traffic = Traffic(url)
    traffic.start()
    try:
        yield traffic
    finally:
        traffic._stop.set()
        traffic._thread.join()


def make_repository(folder: Path) -> None:
    """The hello app in a git repository with three tags; v3 is sick."""
    shutil.copytree(HELLO, folder)
    git = ["git", "-C", str(folder), "-c", "user.name=demo", "-c", "user.email=demo@example.invalid"]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    for version in ("v1", "v2", "v3"):
        (folder / "VERSION").write_text(f"{version}\n")
        if version == "v3":
            (folder / "SICK").touch()
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", f"hello {version}"], check=True)
        subprocess.run([*git, "tag", version], check=True)


def summary(history: Sequence[dict[str, object]], report: LoadReport) -> str:
    """Seconds by phase for each command, requests sent and failed, share by version."""
    phases = ("bake", "launch", "boot", "health", "shift", "hold", "tidy")
    rows = [("", *phases, "total", "ending")]
    for event in reversed(history):
        seconds = {phase["name"]: phase["seconds"] for phase in event["phases"]}  # type: ignore[attr-defined]
        cells = (f"{seconds[phase]:.1f}" if phase in seconds else "-" for phase in phases)
        rows.append((f"{event['command']} {event['version']}", *cells, f"{event['seconds']:.1f}", str(event["ending"])))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    shares = ", ".join(
        f"{version} {count} ({100 * count / report.sent:.1f} %)" for version, count in sorted(report.versions.items())
    )
    return "\n".join(
        [
            "seconds by phase:",
            *(f"  {line}" for line in table),
            f"requests: {report.sent} sent, {report.failed} failed, answered by {shares}",
            f"latency: {', '.join(f'{name} {value:g} ms' for name, value in report.latency_ms.items())}",
            *(f"  {failure}" for failure in report.first_failures),
        ]
    )


def what_next(folder: Path, front_door: str, endpoint: str) -> str:
    return "\n".join(
        [
            "",
            "the sandbox stays up. Try:",
            f"  cd {folder}",
            f"  curl -i {front_door}",
            "  shipit status --watch --env sandbox",
            "  shipit rollback --env sandbox",
            f"  aws --endpoint-url {endpoint} elbv2 describe-listeners   (after: eval $(shipit sandbox env))",
            "  shipit sandbox load --rate 200 --seconds 30",
            "  shipit sandbox down",
            f"shipit is {Path(sys.executable).parent}/shipit",
        ]
    )


def quoted(words: Sequence[str]) -> list[str]:
    return [f'"{word}"' if " " in word else word for word in words]


def say(text: str) -> None:
    print(f"\n\x1b[36m# {text}\x1b[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
