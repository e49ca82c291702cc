from __future__ import annotations

import pytest

from shipit.bake.output import FailedScript, Line, failed_script, parse, temporary_names


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        ("1606000000,,ui,say,==> amazon-ebs.image: Stopping the instance", [Line("Stopping the instance", "say")]),
        ("1606000000,,ui,message,    amazon-ebs.image: a%!(PACKER_COMMA) b", [Line("    a, b", "message")]),
        (r"1606000000,,ui,error,one\ntwo\r", [Line("one", "error"), Line("two", "error")]),
        ("1606000000,amazon-ebs.image,error,it broke", [Line("it broke", "error")]),
        ("1606000000,amazon-ebs.image,artifact,0,id,eu-west-1:ami-1", []),
        ("panic: something", [Line("panic: something")]),
        ("", []),
    ],
)
def test_a_raw_line_becomes_lines_for_a_person(raw: str, lines: list[Line]) -> None:
    assert parse(raw) == lines


def test_the_failed_script_is_known_by_its_own_report() -> None:
    lines = [Line("    shipit: running a.sh"), Line("    shipit-failed: 3 deploy/a b.sh"), Line("Cleaning up", "say")]
    assert failed_script(lines) == FailedScript("deploy/a b.sh", 3)
    assert failed_script(lines[:1]) is None


def test_temporary_names_are_found_in_any_sentence() -> None:
    name = "packer_6b0369fb-ea9e-f075-0482-a700b14fea5f"
    assert temporary_names(f"Creating temporary security group for this instance: {name}") == {name}
    assert temporary_names("packer_setup is not one") == set()
