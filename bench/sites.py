"""What crash, fault and chaos sweeps run in: environments side by side in one sandbox, each with a rule of its own.

The first one shifts the listener's default action, the others a rule each. Settings are short enough for thousands of
commands, and such that a pin shows: two instances, of which one is the configured minimum.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bench.picture import Camera
from bench.sweep import Site, commit
from bench.world import World, world
from shipit.sandbox.state import State

DEADLINE_SECONDS = 10.0
SICK = "sick"
SICKLY: Mapping[str, Mapping[str, str]] = {SICK: {"SICK": ""}}


@contextmanager
def sites(
    count: int,
    versions: Sequence[str] = ("v1", "v2"),
    extra: Mapping[str, Mapping[str, str]] = SICKLY,
    **app_files: str,
) -> Iterator[list[Site]]:
    """A sandbox with so many environments and all versions baked, the first one serving everywhere; all gone afterwards.

    `extra` are versions with files of their own, `app_files` those of all versions.
    """
    with world() as here:
        for name, text in app_files.items():
            (here.folder / name.replace("__", ".")).write_text(text)
        for version in versions:
            commit(here.folder, version, {})
        for version, files in extra.items():
            commit(here.folder, version, files)
            for file in files:
                (here.folder / file.replace("__", ".")).unlink()
        made = [_site(here, number) for number in range(count)]
        with ThreadPoolExecutor(len(made) + 1) as pool:
            made[0].must("bake", versions[0])
            first = [pool.submit(site.must, "release", versions[0], "--canary", "100%") for site in made]
            for version in (*versions[1:], *extra):
                made[0].must("bake", version)
            for release in first:
                release.result()
        yield made


def _site(here: World, number: int) -> Site:
    env, state = f"site{number}", here.state
    folder = here.folder.parent / env / "hello"
    shutil.copytree(here.folder, folder)
    target = state.listener_arn if number == 0 else _rule(state, env, 100 + number)
    site = Site(state, env, folder, target)
    configure(site)
    return site


def configure(
    site: Site,
    deadline_seconds: float = DEADLINE_SECONDS,
    gates: Mapping[str, Any] | None = None,
    hooks: Mapping[str, Any] | None = None,
    **traffic: Any,
) -> None:
    """Writes the clone's shipit.yml (JSON is YAML). Metrics come every five seconds there, and a second later."""
    state, is_listener = site.state, site.target == site.state.listener_arn
    where = {"listener" if is_listener else "rule": site.target, "settle_seconds": 0.5, "drain_seconds": 1}
    fleet = {
        "subnets": state.subnet_ids,
        "security_groups": [state.security_group_ids["app"]],
        "instance_profile": state.instance_profile,
        "size": 2,
        "min_size": 1,
        "max_size": 4,
        "grace_seconds": 30,
    }
    bake = {"source_image": {"id": state.base_image_id}, "ssh_username": "root", "ssh_interface": "private_ip"}
    health = {"path": "/healthz", "deadline_seconds": deadline_seconds, "steady_seconds": 0.5, "poll_seconds": 0.3}
    settings = {
        "app": "hello",
        "region": state.region,
        "run": {"command": "/usr/bin/python3 server.py"},
        "fleet": fleet,
        "health": health,
        "bake": {**bake, "subnet": state.subnet_ids[0]},
        "traffic": {**where, **traffic},
        "gates": {"period_seconds": 5, "lag_seconds": 2, **(gates or {})},
        "hooks": hooks or {},
        "environments": {site.env: {}},
    }
    (site.folder / "shipit.yml").write_text(json.dumps(settings))


def _rule(state: State, env: str, priority: int) -> str:
    vacant = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "nothing yet"}
    made = (
        Camera(state, "hello", env, "")
        .client("elbv2")
        .create_rule(
            ListenerArn=state.listener_arn,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{env}/*"]}}],
            Actions=[{"Type": "fixed-response", "FixedResponseConfig": vacant}],
        )
    )
    return str(made["Rules"][0]["RuleArn"])
