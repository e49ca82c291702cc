"""Unit files as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipit.sandbox.journal import KEPT_BYTES, Journal, open_console, read
from shipit.sandbox.units import UnitError, enabled, find, load, parse, seconds

APP = """
# our app
[Unit]
Description=The app, %i
After=network.target setup.service
StartLimitIntervalSec=1min 30s

[Service]
Type=exec
User=www-data
Environment=PORT=8080 "GREETING=hello world"
Environment=DEBUG=1
EnvironmentFile=-/nowhere
ExecStartPre=-/bin/false
ExecStart=/usr/bin/app --port ${PORT} \\
  --greeting "$GREETING" $FLAGS $$HOME
Restart=on-failure
RestartSec=2s
SomethingNew=yes

[Install]
WantedBy=multi-user.target
"""


def test_a_service_says_what_to_run_as_whom_and_when() -> None:
    unit = parse("app@blue.service", APP)
    assert (unit.description, unit.kind, unit.user) == ("The app, blue", "exec", "www-data")
    assert (unit.restart, unit.restart_seconds, unit.start_limit_seconds) == ("on-failure", 2.0, 90.0)
    assert unit.start_pre[0].may_fail
    assert "setup.service" in unit.after


def test_variables_are_replaced_as_systemd_does() -> None:
    unit = parse("app.service", APP)
    environment = unit.full_environment() | {"FLAGS": "-a -b"}
    words = unit.start[0].expand(environment)
    assert words[:4] == ["/usr/bin/app", "--port", "8080", "--greeting"]
    assert words[-3:] == ["-a", "-b", "$HOME"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", 5), ("100ms", 0.1), ("1min 30s", 90), ("2h", 7200), ("infinity", float("inf")), ("0", 0)],
)
def test_time_spans(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


def test_an_empty_assignment_forgets_and_a_drop_in_adds(tmp_path: Path) -> None:
    folder = tmp_path / "etc/systemd/system"
    (folder / "app.service.d").mkdir(parents=True)
    (folder / "app.service").write_text("[Service]\nExecStart=/bin/old\nEnvironment=A=1\n")
    (folder / "app.service.d/override.conf").write_text("[Service]\nExecStart=\nExecStart=/bin/new\nEnvironment=B=2\n")
    unit = load("app.service", tmp_path)
    assert [command.words for command in unit.start] == [["/bin/new"]]
    assert unit.environment == {"A": "1", "B": "2"}


def test_a_template_serves_its_instances(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/systemd/system"
    folder.mkdir(parents=True)
    (folder / "app@.service").write_text("[Service]\nExecStart=/bin/app %i\n")
    assert find("app@green.service", tmp_path) == folder / "app@.service"
    assert load("app@green.service", tmp_path).start[0].words == ["/bin/app", "green"]


def test_only_what_is_wanted_at_boot_is_enabled(tmp_path: Path) -> None:
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "b.service").symlink_to("/etc/systemd/system/b.service")
    (wants / "a.service").symlink_to("/etc/systemd/system/a.service")
    (wants / "t.timer").symlink_to("/etc/systemd/system/t.timer")
    assert enabled(tmp_path) == ["a.service", "b.service"]


@pytest.mark.parametrize("text", ["", "[Service]\nType=simple\n", "[Unit]\nExecStart=/bin/true\n"])
def test_nothing_to_run_is_an_error(text: str) -> None:
    with pytest.raises(UnitError, match="no ExecStart"):
        parse("app.service", text)


def test_a_missing_environment_file_is_an_error_unless_it_may_be() -> None:
    with pytest.raises(UnitError, match="environment files"):
        parse("a.service", "[Service]\nExecStart=/bin/a\nEnvironmentFile=/nowhere\n").full_environment()


def test_the_console_keeps_whole_lines_and_the_newest() -> None:
    console = open_console()
    journal = Journal(console)
    rest = journal.relay("app[7]", b"one\ntw", b"")
    assert (read(console), rest) == ("app[7]: one\n", b"tw")
    journal.relay("app[7]", b"o\n", rest)
    for number in range(30_000):
        journal.say("app[7]", f"line {number} {'x' * 40}")
    text = read(console)
    assert KEPT_BYTES <= len(text) <= 2 * KEPT_BYTES
    assert text.startswith("app[7]: line ")
    assert text.splitlines()[-1].startswith("app[7]: line 29999 ")


def test_a_unit_whose_path_condition_is_unmet_says_which(tmp_path: Path) -> None:
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.touch()
    text = f"[Unit]\nConditionPathExists={there}\nConditionPathExists={missing}\n[Service]\nExecStart=/bin/true\n"
    assert parse("app.service", text).unmet_condition() == f"ConditionPathExists={missing}"


def test_a_negated_path_condition_holds_while_the_path_is_missing(tmp_path: Path) -> None:
    text = f"[Unit]\nConditionPathExists=!{tmp_path / 'missing'}\n[Service]\nExecStart=/bin/true\n"
    assert parse("app.service", text).unmet_condition() is None
