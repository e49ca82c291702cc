"""Variables and folders that make a right command wrong: what CI forgets to set, or sets to something else."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bad_input.cases import Case
from tests.bad_input.lines import FILES, NASTY, commands
from tests.bad_input.terminal import GOOD

NO_REGION = GOOD.replace("region: eu-west-1\n", "").encode()
COMMANDS = [command.line() for command in commands() if command.words[0] not in ("init", "sandbox", "history")]
SANDBOXED = [(*line, "--env", "sandbox") for line in COMMANDS]
# Variable -> values that it cannot have. An empty one is as good as none.
WRONG: dict[str, tuple[str, ...]] = {
    "SHIPIT_ENV": tuple(value for value in NASTY if value),
    "SHIPIT_CONFIG": FILES,
    "AWS_PROFILE": ("nobody", " ", "SHOP", "profile shop", "\x1b[2J", "x" * 1000),
    "AWS_DEFAULT_PROFILE": ("nobody",),
    "AWS_ENDPOINT_URL": ("nowhere", "127.0.0.1:1", "http://", "http:// x", "://", "http://[::1", "\x1b[2J"),
    "AWS_ENDPOINT_URL_EC2": ("nowhere",),
    "AWS_CONFIG_FILE": ("../odd/binary", "../odd/elf"),
    "AWS_SHARED_CREDENTIALS_FILE": ("../odd/binary",),
    "AWS_DEFAULTS_MODE": ("nonsense",),
    "AWS_STS_REGIONAL_ENDPOINTS": ("nonsense",),
}
REGIONS = (
    "nowhere at all",
    "eu_west_1",
    "-",
    "\x1b[2J",
    "a" * 70,
    "eu-west-1\n",
    "../..",
    "eu west 1",
    "evil.example/",
)


def all_surroundings() -> list[Case]:
    return [*_wrong_variables(), *_wrong_regions(), *_wrong_sandboxes(), *_contradictions()]


def _wrong_variables() -> Iterator[Case]:
    for variable, values in WRONG.items():
        for number, value in enumerate(values):
            yield Case(COMMANDS[number % len(COMMANDS)], variables={variable: value})


def _wrong_regions() -> Iterator[Case]:
    for number, value in enumerate(REGIONS):
        for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            yield Case(COMMANDS[number % len(COMMANDS)], NO_REGION, {variable: value})
    # doctor lists it among its findings, on standard output.
    yield from (Case(line, NO_REGION, names=("region",)) for line in COMMANDS if line[0] != "doctor")


def _wrong_sandboxes() -> Iterator[Case]:
    for number, value in enumerate((*NASTY, "../etc", "not-up", "NOT-UP")):
        yield Case(SANDBOXED[number % len(SANDBOXED)], variables={"SHIPIT_SANDBOX": value})


def _contradictions() -> Iterator[Case]:
    several = GOOD.encode() + b"environments: {staging: {}, live: {}}\n"
    for line in COMMANDS:
        yield Case(line, several, names=("staging, live",))
        yield Case(line, several, {"SHIPIT_ENV": "production"}, names=("staging, live",))
        yield Case((*line, "--env", "production"), several, {"SHIPIT_ENV": "live"}, names=("staging, live",))
        yield Case(line, variables={"SHIPIT_ENV": "staging"}, names=("production",))
        if line[0] in ("release", "stage", "plan"):
            yield Case(line, GOOD.replace("fleet:", "fleet:\n  user_data: missing.sh").encode(), names=("missing.sh",))
        yield Case((*line, "--profile", "nobody"), variables={"AWS_PROFILE": "shop"}, names=("nobody",))
