"""Versions that cannot serve, under load: a sick one, one whose process exits at once, one whose script fails in the bake.

Prints how each ended, after how long, with which reason, what was left behind, and how many requests failed.
"""

from __future__ import annotations

import sys

from bench.world import World, ending, load, world

EXITS = "import sys\nsys.exit('no database')\n"


def main() -> int:
    with world("bake:\n  scripts: [deploy/install.sh]\n") as here:
        (here.folder / "deploy").mkdir()
        here.version("v1", **{"deploy/install__sh": "true\n"})
        here.shipit("release", "v1", "--canary", "100%")
        server = (here.folder / "server.py").read_text()
        bad = {
            "sick": {"SICK": ""},
            "exits": {"server__py": EXITS},
            "bake-fails": {"deploy/install__sh": "echo cannot install >&2\nexit 7\n"},
        }
        codes = []
        with load(here.state.front_door_url, 200) as reports:
            for name, files in bad.items():
                here.version(name, **files)
                codes.append(failed_clean(here, name))
                (here.folder / "SICK").unlink(missing_ok=True)
                (here.folder / "server.py").write_text(server)
    print(f"requests: {reports[0].sent} sent, {reports[0].failed} failed")
    return 0 if all(codes) and reports[0].failed == 0 else 1


def failed_clean(here: World, version: str) -> bool:
    before = here.resources()
    end = ending(here.shipit("release", version, "--canary", "5% 10s, 100%", expect=1))
    left = {kind: sorted(set(names) - set(before[kind])) for kind, names in here.resources().items()}
    left = {kind: names for kind, names in left.items() if names}
    print(f"{version}: {end['ending']} after {end['seconds']:.1f} s; left behind: {left or 'nothing'}")
    print(f"  {end['reason']}")
    return end["ending"] == "failed_clean" and not left


if __name__ == "__main__":
    sys.exit(main())
