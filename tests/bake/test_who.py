from __future__ import annotations

from pathlib import Path

import pytest

from shipit.bake.files import data_path
from shipit.bake.who import where, who


@pytest.mark.parametrize(
    ("environ", "person"),
    [
        ({"GITHUB_ACTOR": "ada", "USER": "runner"}, "ada"),
        ({"GITLAB_USER_LOGIN": "grace", "USER": "root"}, "grace"),
        ({"SUDO_USER": "linus", "USER": "root"}, "linus"),
        ({"USER": "ken"}, "ken"),
        ({"SHIPIT_WHO": "me", "GITHUB_ACTOR": "ada"}, "me"),
    ],
)
def test_the_person_is_the_one_who_asked(environ: dict[str, str], person: str) -> None:
    assert who(environ) == person


def test_without_any_name_there_is_still_an_answer() -> None:
    assert who({})
    assert where({})


def test_a_ci_job_is_named_by_its_page() -> None:
    environ = {"GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "ada/hello", "GITHUB_SERVER_URL": "https://git.example"}
    assert where(environ) == "https://git.example/ada/hello/actions/runs/7"
    assert where({"CI_JOB_URL": "https://ci.example/1"}) == "https://ci.example/1"


@pytest.mark.parametrize(
    "parts", [("packer", "shipit.pkr.hcl.j2"), ("packer", "scripts", "provision.sh"), ("templates", "app.service.j2")]
)
def test_our_own_files_are_there(parts: tuple[str, ...]) -> None:
    assert Path(data_path(*parts)).is_file()


def test_a_password_in_the_address_of_the_job_is_left_out() -> None:
    assert where({"CI_JOB_URL": "https://bot:token@ci.example/jobs/7"}) == "https://ci.example/jobs/7"
