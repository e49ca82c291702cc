from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shipit.bake.mark import Mark

NOW = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)


def test_a_mark_reads_back_as_it_was_written() -> None:
    mark = Mark.new("hello", NOW, 30)
    assert Mark.parse(str(mark)) == mark


@pytest.mark.parametrize("text", ["", "packer_6b0369fb", "shipit-bake:hello", "shipit-bake:hello:x:1m:h:1:n"])
def test_what_is_no_mark_of_ours_is_not_read(text: str) -> None:
    assert Mark.parse(text) is None


def test_a_mark_fits_a_tag_and_a_sed_expression() -> None:
    text = str(Mark.new("a" * 31, NOW, 24 * 60))
    assert len(text) <= 255
    assert "/" not in text


def test_a_bake_of_this_process_is_not_abandoned() -> None:
    assert not Mark.new("hello", NOW, 30).abandoned(NOW + timedelta(minutes=29))


def test_a_bake_of_a_dead_process_of_this_machine_is_abandoned() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert replace(Mark.new("hello", NOW, 30), pid=process.pid).abandoned(NOW)


def test_a_bake_elsewhere_is_left_alone_until_its_own_deadline_is_long_past() -> None:
    mark = replace(Mark.new("hello", NOW, 30), host="elsewhere.00000000")
    assert not mark.abandoned(NOW + timedelta(minutes=45))
    assert mark.abandoned(NOW + timedelta(minutes=47))
