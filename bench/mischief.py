"""What can happen while a release runs: one function each, by chance of the run's seed.

Each starts its commands, does its mischief, waits, and returns what is wrong with how they ended. Requests may fail only where a
run has excused it: while a killed instance, or a version that crashes, still gets its share.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.faults import EXPLAINED
from bench.scenarios import alone
from bench.sweep import Site, finished
from shipit.sandbox import lifecycle

SLOWLY = ("--canary", "25% 2s, 50% 2s, 100%")
CRASH = "crash"
VERSIONS = ("v1", "v2", "v3")
# How long the balancer may need to notice a dead target: two checks a second apart, and what was under way.
NOTICED_SECONDS = 5.0


@dataclass
class Run:
    """One run at one site. `goal` is what must serve at the end; `excused` are times (monotonic) when requests may fail.

    Where the weights were `edited` by somebody else, who goes on has to say that this is accepted.
    """

    site: Site
    random: random.Random
    now: str
    goal: str
    excused: list[tuple[float, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    edited: bool = False

    def wait(self, low: float, high: float) -> None:
        time.sleep(self.random.uniform(low, high))

    def excuse(self, seconds: float) -> None:
        self.excused.append((time.monotonic() - 0.5, time.monotonic() + seconds))

    def release(self, version: str, *, patient: bool = False) -> subprocess.Popen[str]:
        return self.site.start("release", version, *SLOWLY, patient=patient)

    def judge(self, *processes: subprocess.Popen[str]) -> list[int]:
        """Waits for commands, all of which must end with an explanation."""
        ends = [finished(process) for process in processes]
        for done in ends:
            if done.unexplained or (done.code not in EXPLAINED and not done.killed):
                self.wrong.append(done.unexplained or f"unknown end: {done}")
        return [done.code for done in ends]

    def instances(self) -> list[str]:
        groups = self.site.camera.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        mine = [group for group in groups if group["AutoScalingGroupName"].startswith(f"hello-{self.site.env}-")]
        return [
            one["InstanceId"] for group in mine for one in group["Instances"] if one["LifecycleState"] == "InService"
        ]

    def until_shifted(self, percent: float, seconds: float = 20) -> bool:
        """Waits until the goal has that share."""
        deadline = time.monotonic() + seconds
        while self.site.camera.look().serving.get(self.goal, 0) < percent:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True


def begin(site: Site, seed: int) -> Run:
    chance = random.Random(seed)
    now = alone(site)
    return Run(site, chance, now, chance.choice([version for version in VERSIONS if version != now]))


def instances_die(run: Run) -> None:
    process = run.release(run.goal)
    for _ in range(run.random.randint(1, 2)):
        run.wait(0.3, 3)
        chosen = run.random.choice(run.instances() or [""])
        run.excuse(NOTICED_SECONDS)
        lifecycle.ask(run.site.state.name, "POST", "/_shipit/chaos/kill", instance=chosen)
    run.judge(process)


def green_crashes(run: Run) -> None:
    """A version that dies under its first requests must not get to 100 %."""
    began = time.monotonic()
    codes = run.judge(run.site.start("release", CRASH, "--canary", "25% 5s, 100%"))
    run.excused.append((began, time.monotonic() + NOTICED_SECONDS))
    if codes != [1]:
        run.wrong.append(f"a crashing version: exit {codes[0]}")
    run.wrong += run.site.serves(run.now)


def blue_turns_sick(run: Run) -> None:
    blue = next(iter(run.site.camera.look().weights))
    process = run.release(run.goal)
    run.until_shifted(50)
    for instance in lifecycle.status(run.site.state.name)["instances"]:
        if instance["name"] == blue:
            with urllib.request.urlopen(f"http://{instance['address']}:8080/become/sick", timeout=5):
                pass
    run.judge(process)


def health_flaps(run: Run) -> None:
    process = run.release(run.goal)
    run.wait(0, 2)
    number = run.site.chaos(what="flap", group=f"hello-{run.site.env}-*", seconds=6.0)
    run.judge(process)
    run.site.calm(number)


def api_is_gone(run: Run) -> None:
    """For 30 s, from the first or the second shift on."""
    nth = run.random.randint(1, 2)
    number = run.site.chaos(what="gone", service="elbv2", action="Modify[LR]*", nth=nth, seconds=30.0)
    run.judge(run.release(run.goal, patient=True))
    time.sleep(1)
    run.site.calm(number)


def three_operators(run: Run) -> None:
    third = next(version for version in VERSIONS if version not in (run.now, run.goal))
    commands = [("release", run.goal, *SLOWLY), ("release", third, *SLOWLY), ("rollback",)]
    run.random.shuffle(commands)
    processes = []
    for words in commands:
        processes.append(run.site.start(*words))
        run.wait(0, 3)
    run.judge(*processes)


def listener_is_edited(run: Run) -> None:
    """Somebody else sets other weights in the middle."""
    process = run.release(run.goal)
    if run.until_shifted(25):
        run.edited = True
        _swap_weights(run.site, run.random.choice((100, 80, 0)))
    run.judge(process)


def shipit_is_killed(run: Run) -> None:
    for _ in range(run.random.randint(1, 3)):
        process = run.release(run.goal)
        run.wait(0.3, 5)
        process.send_signal(signal.SIGKILL)
        run.judge(process)


MISCHIEF: Sequence[Callable[[Run], None]] = (
    instances_die,
    green_crashes,
    blue_turns_sick,
    health_flaps,
    api_is_gone,
    three_operators,
    listener_is_edited,
    shipit_is_killed,
)


def _swap_weights(site: Site, percent: int) -> None:
    """The first fleet of the action gets `percent`, the second one the rest."""
    elb = site.camera.client("elbv2")
    rules = elb.describe_rules(ListenerArn=site.state.listener_arn)["Rules"]
    is_mine = [
        r for r in rules if r["RuleArn"] == site.target or (r["IsDefault"] and site.target == site.state.listener_arn)
    ]
    groups = is_mine[0]["Actions"][0]["ForwardConfig"]["TargetGroups"]
    weights = [percent, 100 - percent] + [0] * len(groups)
    tuples = [{**group, "Weight": weight} for group, weight in zip(groups, weights, strict=False)]
    actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}]
    if site.target == site.state.listener_arn:
        elb.modify_listener(ListenerArn=site.target, DefaultActions=actions)
    else:
        elb.modify_rule(RuleArn=site.target, Actions=actions)
