"""Machines are real: they boot, crash, keep disks, become images, answer SSH, and leave nothing behind."""

from __future__ import annotations

import http.client
import itertools
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shipit.sandbox.machines import LocalMachines
from shipit.sandbox.network import pick_network
from shipit.sandbox.seams import Boot, MachineError

pytestmark = pytest.mark.sandbox

OPTIONS = ("-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
SSH = ("ssh", *OPTIONS, "-o", "BatchMode=yes")

_numbers = itertools.count(10)

WEB = """
[Service]
ExecStart=/usr/bin/python3 -m http.server 8080 --directory ${ROOT}
Environment=ROOT=/srv
Restart=always
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMachines]:
    made = LocalMachines(pick_network(), tmp_path_factory.mktemp("sandbox"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def machine(machines: LocalMachines, key: Path) -> Iterator[Boot]:
    made = new_boot(machines, key)
    machines.boot(made)
    yield made
    machines.destroy(made.instance_id)


def new_boot(machines: LocalMachines, key: Path | None = None, image: str = "base", user_data: str = "") -> Boot:
    number = next(_numbers)
    public = key.with_suffix(".pub").read_text() if key else None
    return Boot(f"i-{number}", str(machines.network[number]), f"ip-{number}", image, user_data, public)


def until(is_true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def ssh(
    key: Path, boot: Boot, command: str, user: str = "root", stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    words = [*SSH, "-i", str(key), f"{user}@{boot.address}", command]
    return subprocess.run(words, input=stdin or "", capture_output=True, text=True, timeout=60, check=False)


def get(boot: Boot, path: str) -> int:
    connection = http.client.HTTPConnection(boot.address, 8080, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def install(key: Path, boot: Boot, name: str, text: str) -> None:
    path = f"/etc/systemd/system/{name}"
    done = ssh(key, boot, f"cat > {path} && systemctl enable --now {name}", stdin=text)
    assert done.returncode == 0, done.stderr


def test_a_machine_has_its_own_name_address_and_processes(machine: Boot, key: Path) -> None:
    said = ssh(key, machine, "hostname; ip -4 -o addr show eth0; ls -d /proc/[0-9]* | wc -l; id -un").stdout
    assert machine.hostname in said
    assert machine.address in said
    assert int(said.splitlines()[-2]) < 10


def test_a_command_over_ssh_returns_its_status_and_streams(machine: Boot, key: Path) -> None:
    done = ssh(key, machine, "cat; echo bad >&2; exit 7", stdin="good\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "good\n", "bad\n")


def test_a_large_stream_over_ssh_arrives_whole(machine: Boot, key: Path) -> None:
    text = "0123456789abcdef\n" * 200_000
    assert ssh(key, machine, "cat", stdin=text).stdout == text


def test_admin_is_an_ordinary_user(machine: Boot, key: Path) -> None:
    done = ssh(key, machine, "id -un; pwd; touch /etc/x", user="admin")
    assert done.stdout == "admin\n/home/admin\n"
    assert done.returncode != 0


def test_others_and_other_keys_are_refused(machine: Boot, key: Path, tmp_path: Path) -> None:
    assert ssh(key, machine, "true", user="www-data").returncode == 255
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    assert ssh(tmp_path / "other", machine, "true").returncode == 255


def test_a_machine_without_a_key_has_no_ssh(machines: LocalMachines, key: Path) -> None:
    boot = new_boot(machines)
    machines.boot(boot)
    assert "refused" in ssh(key, boot, "true").stderr
    machines.destroy(boot.instance_id)


def test_scp_copies_as_packer_does(machine: Boot, key: Path, tmp_path: Path) -> None:
    (tmp_path / "script.sh").write_text("echo hello\n")
    copied = tmp_path / "script.sh"
    scp = ["scp", "-O", "-q", *OPTIONS, "-i", str(key), str(copied), f"admin@{machine.address}:/tmp/script.sh"]
    subprocess.run(scp, check=True, timeout=30)
    assert ssh(key, machine, "sh /tmp/script.sh").stdout == "hello\n"


def test_a_command_dies_with_its_client(machine: Boot, key: Path) -> None:
    client = subprocess.Popen(
        [*SSH, "-i", str(key), f"root@{machine.address}", "echo up; exec sleep 4711"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert client.stdout
    client.stdout.readline()
    client.kill()
    client.communicate()
    until(lambda: "4711" not in ssh(key, machine, "ps -eo args | grep [s]leep").stdout)


def test_a_terminal_can_be_had(machine: Boot, key: Path) -> None:
    words = [*SSH, "-tt", "-i", str(key), f"root@{machine.address}", "tty; exit 3"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    assert "/dev/pts/" in done.stdout
    assert done.returncode == 3


def test_a_service_that_crashes_is_started_again(machines: LocalMachines, machine: Boot, key: Path) -> None:
    install(key, machine, "web.service", WEB)
    until(lambda: get(machine, "/") == 200)
    ssh(key, machine, "pkill -9 -f http.server")
    until(lambda: "web.service: Scheduled restart job" in machines.console(machine.instance_id))
    until(lambda: get(machine, "/") == 200)
    assert "web.service: Main process exited, code=killed, status=9/KILL" in machines.console(machine.instance_id)


def test_a_crash_loop_ends_as_under_systemd(machines: LocalMachines, machine: Boot, key: Path) -> None:
    unit = (
        '[Service]\nExecStart=/bin/sh -c "echo broken; exit 1"\nRestart=always\n[Install]\nWantedBy=multi-user.target\n'
    )
    install(key, machine, "broken.service", unit)
    until(lambda: "broken.service: Start request repeated too quickly." in machines.console(machine.instance_id))
    console = machines.console(machine.instance_id)
    assert console.count("]: broken\n") == 5
    assert ssh(key, machine, "systemctl is-active broken").stdout == "failed\n"


def test_user_data_runs_once_and_an_image_runs_its_own(machines: LocalMachines, key: Path) -> None:
    first = new_boot(machines, key, user_data="#!/bin/sh\necho ran >> /root/count; echo said so\n")
    machines.boot(first)
    until(lambda: "]: said so" in machines.console(first.instance_id))
    machines.stop(first.instance_id, grace_seconds=5)
    machines.start(first.instance_id)
    assert ssh(key, first, "cat /root/count").stdout == "ran\n"
    machines.snapshot(first.instance_id, "ami-once")
    second = new_boot(machines, key, "ami-once", "#!/bin/sh\necho second >> /root/count\n")
    machines.boot(second)
    until(lambda: ssh(key, second, "cat /root/count").stdout == "ran\nsecond\n")
    machines.destroy(first.instance_id)
    machines.destroy(second.instance_id)


def test_other_user_data_is_said_to_be_ignored(machines: LocalMachines) -> None:
    boot = new_boot(machines, user_data="#cloud-config\nruncmd: []\n")
    machines.boot(boot)
    until(lambda: "cloud-init: user data is not a script" in machines.console(boot.instance_id))
    machines.destroy(boot.instance_id)


def test_an_image_starts_what_was_enabled_and_keeps_what_was_deleted(
    machines: LocalMachines, machine: Boot, key: Path
) -> None:
    install(key, machine, "web.service", WEB)
    ssh(
        key,
        machine,
        "rm -r /etc/skel /usr/share/doc/bash; mkdir /opt/app; echo v1 > /usr/local/bin/app; echo 1 > /srv/page",
    )
    machines.snapshot(machine.instance_id, "ami-web")
    boot = new_boot(machines, key, "ami-web")
    machines.boot(boot)
    until(lambda: get(boot, "/page") == 200)
    assert (
        ssh(key, boot, "ls -d /etc/skel /usr/share/doc/bash /opt/app; cat /usr/local/bin/app").stdout
        == "/opt/app\nv1\n"
    )
    machines.snapshot(boot.instance_id, "ami-web-2")
    machines.drop_image("ami-web")
    machines.destroy(boot.instance_id)
    last = new_boot(machines, key, "ami-web-2")
    machines.boot(last)
    until(lambda: get(last, "/page") == 200)
    machines.destroy(last.instance_id)


def test_the_host_is_not_written(machine: Boot, key: Path) -> None:
    ssh(
        key,
        machine,
        "touch /usr/bin/shipit-was-here /etc/shipit-was-here /var/lib/dpkg/shipit-was-here; rm -f /usr/bin/env",
    )
    assert not any(Path(path).exists() for path in ("/usr/bin/shipit-was-here", "/etc/shipit-was-here"))
    assert Path("/usr/bin/env").exists()


def test_a_stopped_machine_keeps_its_disk(machines: LocalMachines, machine: Boot, key: Path) -> None:
    told: list[str] = []
    machines.on_exit(told.append)
    ssh(key, machine, "echo kept > /root/kept; echo lost > /tmp/lost")
    machines.stop(machine.instance_id, grace_seconds=5)
    assert not machines.is_running(machine.instance_id)
    machines.start(machine.instance_id)
    assert ssh(key, machine, "cat /root/kept /tmp/lost").stdout == "kept\n"
    assert told == []


def test_stopping_asks_first_and_insists_after_the_grace(machines: LocalMachines, machine: Boot, key: Path) -> None:
    stubborn = "[Service]\nExecStart=/bin/sh -c 'trap \"echo asked\" TERM; while :; do sleep 0.1; done'\n"
    install(key, machine, "stubborn.service", stubborn + "[Install]\nWantedBy=multi-user.target\n")
    began = time.monotonic()
    machines.stop(machine.instance_id, grace_seconds=1)
    assert 0.9 < time.monotonic() - began < 3
    assert "]: asked" in machines.console(machine.instance_id)


def test_who_asked_is_told_when_a_machine_goes_down_by_itself(machines: LocalMachines, key: Path) -> None:
    told = threading.Event()
    boot = new_boot(machines, key)
    machines.boot(boot)
    machines.on_exit(lambda instance_id: told.set() if instance_id == boot.instance_id else None)
    ssh(key, boot, "poweroff")
    assert told.wait(10)
    assert not machines.is_running(boot.instance_id)
    assert "Shutting down" in machines.console(boot.instance_id)
    machines.start(boot.instance_id)
    machines.destroy(boot.instance_id)
    assert machines.console(boot.instance_id)


def test_units_start_after_those_they_come_after(machines: LocalMachines, machine: Boot, key: Path) -> None:
    first = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'sleep 0.3; echo first > /srv/first'\nRemainAfterExit=yes\n"
    second = (
        "[Unit]\nAfter=z.service\n[Service]\nExecStartPre=/usr/bin/test -f /srv/first\nExecStart=/usr/bin/sleep 1000\n"
    )
    wanted = "[Install]\nWantedBy=multi-user.target\n"
    install(key, machine, "z.service", first + wanted)
    install(key, machine, "a.service", second + wanted)
    ssh(key, machine, "rm /srv/first")
    machines.stop(machine.instance_id, grace_seconds=5)
    machines.start(machine.instance_id)
    until(lambda: ssh(key, machine, "systemctl is-active a").stdout == "active\n")
    assert "a.service: Control" not in machines.console(machine.instance_id)


def test_what_cannot_be_is_said(machines: LocalMachines, machine: Boot) -> None:
    with pytest.raises(MachineError, match="exists already"):
        machines.boot(machine)
    with pytest.raises(MachineError, match="there is no machine i-none"):
        machines.start("i-none")
    with pytest.raises(MachineError, match="runs already"):
        machines.start(machine.instance_id)
    machines.destroy("i-none")


def test_a_restarted_machine_answers_although_somebody_was_connected(
    machines: LocalMachines, machine: Boot, key: Path
) -> None:
    install(key, machine, "web.service", WEB)
    until(lambda: get(machine, "/") == 200)
    with socket.create_connection((machine.address, 22)), socket.create_connection((machine.address, 8080)):
        for _ in range(3):
            machines.stop(machine.instance_id, grace_seconds=5)
            machines.start(machine.instance_id)
            began = time.monotonic()
            until(lambda: get(machine, "/") == 200)
            assert time.monotonic() - began < 3


def test_admin_may_become_root_and_others_may_not(machine: Boot, key: Path) -> None:
    assert ssh(key, machine, "cd /tmp; sudo -E A=1 sh -c 'id -un; pwd; cat; exit 4'", "admin", "in").returncode == 4
    assert ssh(key, machine, "cd /tmp; sudo -E A=1 sh -c 'id -un; pwd; cat'", "admin", "in").stdout == "root\n/tmp\nin"
    assert ssh(key, machine, "sudo -u www-data id -un", "admin").stdout == "www-data\n"
    assert ssh(key, machine, "sudo -u www-data sudo id -un").returncode != 0


def test_an_image_can_be_made_of_a_machine_that_goes_at_once(machines: LocalMachines, machine: Boot, key: Path) -> None:
    ssh(key, machine, "mkdir /opt/many; cd /opt/many; seq 3000 | xargs touch")
    made = threading.Thread(target=machines.snapshot, args=[machine.instance_id, "ami-many"])
    made.start()
    time.sleep(0.005)
    machines.destroy(machine.instance_id)
    made.join()
    boot = new_boot(machines, key, "ami-many")
    machines.boot(boot)
    assert ssh(key, boot, "ls /opt/many | wc -l").stdout == "3000\n"
    machines.destroy(boot.instance_id)


def test_64_machines_boot_in_seconds(machines: LocalMachines, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boots = [new_boot(machines, key) for _ in range(64)]
    began = time.monotonic()
    callers = [threading.Thread(target=machines.boot, args=[boot]) for boot in boots]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    booted = time.monotonic() - began
    assert all(machines.is_running(boot.instance_id) for boot in boots)
    for boot in boots:
        machines.destroy(boot.instance_id)
    with capsys.disabled():
        print(f"\n64 machines: booted in {booted:.2f} s, destroyed in {time.monotonic() - began - booted:.2f} s")
    assert booted < 10
