"""What image builds do: install packages, where the host itself can; and what they write lands in the image, not on
the host.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipit.sandbox.machines import LocalMachines
from shipit.sandbox.network import pick_network
from shipit.sandbox.seams import Boot

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMachines]:
    made = LocalMachines(pick_network(), tmp_path_factory.mktemp("sandbox"))
    yield made
    made.close()


def run(machines: LocalMachines, number: int, script: str, image: str = "base") -> str:
    """What a script printed as user data; an image is kept as `ami-NUMBER`."""
    boot = Boot(
        f"i-{number}", str(machines.network[number]), f"ip-{number}", image, f"#!/bin/sh\n{script}\necho the end\n"
    )
    machines.boot(boot)
    deadline = time.monotonic() + 120
    while "]: the end" not in machines.console(boot.instance_id):
        assert time.monotonic() < deadline, machines.console(boot.instance_id)
        time.sleep(0.05)
    machines.snapshot(boot.instance_id, f"ami-{number}")
    machines.destroy(boot.instance_id)
    return machines.console(boot.instance_id)


def needs(machines: LocalMachines, *command: str) -> None:
    if machines.outbound:
        pytest.skip(machines.outbound)
    if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("the host itself cannot: " + " ".join(command))


def test_pip_installs_into_the_image(machines: LocalMachines, tmp_path: Path) -> None:
    pip = "python3 -m pip download --no-deps --no-cache-dir"
    needs(machines, "/usr/bin/python3", *pip.split()[1:], "-d", str(tmp_path), "six")
    run(machines, 10, "python3 -m pip install --no-cache-dir --target /opt/app six")
    assert "1." in run(
        machines, 11, "PYTHONPATH=/opt/app python3 -c 'import six; print(six.__version__, six.__file__)'", "ami-10"
    )
    assert not Path("/opt/app").exists()


def test_apt_installs_into_the_image(machines: LocalMachines) -> None:
    needs(machines, "apt-get", "install", "--print-uris", "-y", "hello")
    if Path("/usr/bin/hello").exists():
        pytest.skip("the host has hello")
    assert "Setting up hello" in run(machines, 12, "apt-get install -y hello")
    assert "Hello, world!" in run(machines, 13, "hello; dpkg -s hello", "ami-12")
    assert "install ok installed" in machines.console("i-13")
    assert not Path("/usr/bin/hello").exists()


def test_no_secret_of_the_host_is_in_a_machine(machines: LocalMachines) -> None:
    said = run(
        machines, 14, "cut -d: -f2 /etc/shadow | sort -u; ls -A /root; find /etc/ssh /etc/ssl/private 2>&1; ls /home"
    )
    assert "]: *\n" in said
    assert "id_" not in said
    assert "$" not in said


def test_what_is_dangerous_is_refused(machines: LocalMachines) -> None:
    said = run(
        machines,
        15,
        "mount -t tmpfs x /mnt; date -s 2001-01-01; echo 1 > /proc/sys/kernel/panic; ip link add d0 type dummy;"
        "mknod /tmp/disk b 254 0 && head -c1 /tmp/disk; unshare -m true; reboot -f; grep CapEff /proc/self/status",
    )
    assert "00000000a80425fb" in said
    assert said.count("ermission denied") + said.count("not permitted") + said.count("Read-only") >= 5
