"""Bad input is refused in words, before anything outside of this machine is touched: exit code 2 or 5, never a traceback.

A slice of what `python -m bench.bad_input` tries in full. To see one case alone: `shipit` with the words that a failure shows.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as effort

from tests.bad_input import files, lines, surroundings
from tests.bad_input.cases import Case, complaints
from tests.bad_input.terminal import GOOD, Project

# One in so many of the enumerated cases: together some 400, in the time that a test may take.
EVERY = 17
FUZZ = effort(
    max_examples=60,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
BOMB = "\n".join(
    [
        "app: hello",
        "x0: &x0 [l, l, l, l, l, l, l, l, l]",
        *(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 9)),
        "fleet: {size: *x8}",
    ]
)
# What once ended in a traceback, hung, guessed, or asked AWS first.
FOUND: dict[str, Case] = {
    "a pipe as config without a writer": Case(("status", "--config", "../odd/fifo"), names=("a pipe",)),
    "a device that never ends": Case(("status", "--config", "/dev/zero"), names=("a device",)),
    "aliases of aliases of aliases": Case(("status",), BOMB.encode(), file="shipit.yml", names=("size",)),
    "a wrong value that was merged in": Case(
        ("status",), b"app: hello\nbase: &b {size: 0}\nfleet: {<<: *b}\n", file="shipit.yml", names=("fleet.size",)
    ),
    "an ordered mapping as section": Case(("status",), b"app: hello\nrun: !!omap [a: b]\n", file="shipit.yml"),
    "all but a version": Case(("release", "^v1"), names=("^v1",)),
    "no version where one was meant": Case(("release", ""), names=("''",)),
    "an unknown version": Case(("release", "v404"), names=("v404",)),
    "an unknown version to bake": Case(("bake", "v404"), names=("v404",)),
    "a rollback to an empty variable": Case(("rollback", "--to", ""), names=("--to",)),
    "an environment from an empty variable": Case(("release", "v1", "--env", ""), names=("--env",)),
    "what is no instance": Case(("logs", "web-1"), names=("web-1",)),
    "a profile that does not exist": Case(("bake", "v1", "--profile", "nobody"), names=("nobody",)),
    "an endpoint that is none": Case(("status",), variables={"AWS_ENDPOINT_URL": "nowhere"}, names=("nowhere",)),
    "a boot script that is not there": Case(
        ("release", "v1"), GOOD.replace("fleet:", "fleet:\n  user_data: boot.sh").encode(), names=("boot.sh",)
    ),
    "a rate that is not a number": Case(("sandbox", "load", "--rate", "nan"), names=("--rate",)),
    "a header that HTTP cannot send": Case(("sandbox", "load", "-H", "X: \u20ac"), names=("X: \u20ac",)),
    "a folder with too long a name": Case(("init", "x" * 300), names=("x" * 30,)),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.made(tmp_path_factory.mktemp("bad-input"))


def faults(cases: list[Case], project: Project) -> Iterator[str]:
    for case in cases:
        for text in complaints(case, project):
            yield f"{case}\n    {text}"


@pytest.mark.parametrize("name", FOUND)
def test_what_was_once_found_is_refused(project: Project, name: str) -> None:
    assert list(faults([FOUND[name]], project)) == []


def test_every_command_refuses_every_wrong_value_of_every_option(project: Project) -> None:
    assert list(faults(lines.all_lines()[::EVERY], project)) == []


def test_every_wrong_value_of_every_setting_is_refused_with_its_file_and_key(project: Project) -> None:
    assert list(faults(files.all_files()[::EVERY], project)) == []


def test_wrong_variables_are_refused(project: Project) -> None:
    assert list(faults(surroundings.all_surroundings()[::3], project)) == []


@seed(1)
@FUZZ
@given(case=lines.random_lines())
def test_any_letters_in_a_wrong_value_are_refused(project: Project, case: Case) -> None:
    assert list(faults([case], project)) == []


@seed(2)
@FUZZ
@given(case=files.random_files())
def test_any_bytes_that_are_no_settings_are_refused(project: Project, case: Case) -> None:
    assert list(faults([case], project)) == []


# The test of the tests: what is right is not refused, and what would touch AWS is seen


@pytest.mark.parametrize("command", list(lines.commands()), ids=lambda command: " ".join(command.words))
def test_the_lines_that_are_made_wrong_are_right(project: Project, command: lines.Command) -> None:
    said = project.run(command.line())
    project.reset()
    is_down = "the sandbox 'not-up' is not up" in said.err
    assert said.touched or said.code == 0 or is_down, said


@pytest.mark.parametrize("command", list(lines.commands()), ids=lambda command: " ".join(command.words))
def test_every_option_is_right_with_its_right_value(project: Project, command: lines.Command) -> None:
    for parameter in command.parameters:
        if parameter.param_type_name == "option" and not parameter.is_flag:
            words = (
                *command.line(lines.known_as(parameter)),
                max(parameter.opts, key=len),
                lines.right_value(parameter),
            )
            # What an earlier test has made there would be refused, whatever the order of the tests.
            for made in (project.folder.parent / "odd" / "room").iterdir():
                made.unlink()
            said = project.run(words)
            assert said.touched or said.code == 0 or "the sandbox 'not-up' is not up" in said.err, (words, said)


def test_every_option_that_takes_text_says_what_is_wrong_for_it() -> None:
    taken = {lines.known_as(p) for command in lines.commands() for p in command.parameters if lines.takes_text(p)}
    assert taken == set(lines.TEXTS)


def test_there_are_enough_cases() -> None:
    assert len(lines.all_lines()) + len(files.all_files()) + len(surroundings.all_surroundings()) > 5000


def test_doctor_lists_a_missing_region_among_its_findings(project: Project) -> None:
    said = project.run(("doctor",), surroundings.NO_REGION)
    assert said.code == 5
    assert "FAIL  AWS credentials: no AWS region" in said.out


def test_a_file_with_a_byte_order_mark_is_read(project: Project) -> None:
    assert project.run(("status",), "\ufeff".encode() + GOOD.encode()).touched
