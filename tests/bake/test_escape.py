from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.bake.escape import environment, hcl, line, sh, unit
from shipit.errors import UsageError

HOSTILE = [
    'v1"; rm -rf /',
    "${env.HOME}",
    "$${x} $$${y} %{ if true }%%{ x }",
    "line\nbreak\r\ttab \x08\x0c\x1f",
    "snow ☃ 😀 \u2028",
    "$(id) `id` $HOME",
    "'; id; '",
    'back\\slash \\" \\${x}',
    "}} ]] { { ${",
    '"\n}\nbuild {}\n#',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_reads_back_what_was_quoted(text: str) -> None:
    said = subprocess.run(["sh", "-c", f"printf %s {sh(text)}"], capture_output=True, check=True).stdout
    assert said.decode() == text


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
def test_any_text_is_one_shell_word(text: str) -> None:
    said = subprocess.run(["sh", "-c", f"printf %s {sh(text)}"], capture_output=True, check=True).stdout
    assert said.decode() == text


@pytest.mark.skipif(shutil.which("packer") is None, reason="needs Packer")
def test_packer_reads_back_what_was_quoted(tmp_path: Path) -> None:
    words = ", ".join(hcl(f"T{index}={text}") for index, text in enumerate(HOSTILE))
    prints = "; ".join(f'printf "%s\\0" "$T{index}"' for index in range(len(HOSTILE)))
    (tmp_path / "t.pkr.hcl").write_text(
        'source "null" "t" {\n  communicator = "none"\n}\nbuild {\n  sources = ["source.null.t"]\n'
        f'  provisioner "shell-local" {{\n    environment_vars = [{words}]\n    inline = [{hcl(f"({prints}) >said")}]\n  }}\n}}\n'
    )
    subprocess.run(["packer", "build", "-color=false", "."], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "said").read_bytes().decode().split("\0")[:-1] == HOSTILE


@pytest.mark.parametrize("text", ["{{user `x`}}", "a{{ env `HOME` }}"])
def test_what_packer_would_evaluate_twice_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot stand in a Packer template"):
        hcl(text)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (3, "3"),
        (("a", "b"), '["a", "b"]'),
        ({"k": "v"}, '{ "k" = "v" }'),
        ("plain", '"plain"'),
    ],
)
def test_values_have_their_hcl_form(value: object, written: str) -> None:
    assert hcl(value) == written


def test_something_without_an_hcl_form_is_refused() -> None:
    with pytest.raises(UsageError):
        hcl(None)


@pytest.mark.parametrize("text", ["one\ntwo", "one\rtwo", "ends in \\", "nul\0"])
def test_a_unit_takes_one_line_only(text: str) -> None:
    with pytest.raises(UsageError):
        unit(text)


def test_specifiers_of_systemd_are_taken_literally() -> None:
    assert unit("date +%H") == "date +%%H"


def test_a_comment_stays_on_its_line() -> None:
    assert line("a\nrm -rf /\u2028b") == "a rm -rf / b"


def test_text_that_nobody_quoted_does_not_render() -> None:
    with pytest.raises(jinja2.TemplateError, match="not quoted"):
        environment().from_string("name = {{ name }}").render(name="v1")


def test_an_undefined_name_does_not_render() -> None:
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ nmae | hcl }}").render(name="v1")


def test_plain_json_strings_are_plain_hcl_strings() -> None:
    assert hcl("hé\n") == json.dumps("hé\n", ensure_ascii=False)
