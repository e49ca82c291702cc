"""Markers where secrets are, and everywhere to look for them afterwards."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipit.sandbox.state import State
from shipit.sandbox.state import folder as folder_of
from tests.end_to_end.test_release import World

# Each is a word of its own, so that what is found says where it came from; and of this process alone, since the command lines
# of the whole machine are watched.
MARK = f"marked-{os.getpid()}-"
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKIAMARKEDENVIRONMENT",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}secret-key-of-the-environment",
    "AWS_SESSION_TOKEN": f"{MARK}session-token-of-the-environment",
    "DATABASE_PASSWORD": f"{MARK}database-password",
    "GITHUB_TOKEN": f"{MARK}github-token",
    "NPM_TOKEN": f"{MARK}npm-token",
    "PACKER_GITHUB_API_TOKEN": f"{MARK}packer-token",
    "PKR_VAR_password": f"{MARK}packer-variable",
    "CI_JOB_URL": f"https://ci:{MARK}password-of-the-job-page@ci.example.invalid/job/7",
}
PROFILE = {
    "aws_access_key_id": "AKIAMARKEDPROFILE",
    "aws_secret_access_key": f"{MARK}secret-key-of-the-profile",
    "aws_session_token": f"{MARK}session-token-of-the-profile",
}
REMOTE = f"https://someone:{MARK}password-of-the-remote@git.example.invalid/hello.git"
DOTENV = f"SECRET={MARK}secret-of-the-ignored-file\n"
# In shipit.yml, under run.environment: goes to the instances by way of user data, and nowhere else.
FOR_THE_APP = f"{MARK}value-of-the-app"
# Key ids are no secrets: AWS itself shows them in errors and logs.
MARKS = (MARK.encode(),)
# Prints all that it was given: what reaches a builder is in the log of its bake.
TELLTALE = "#!/bin/sh\nenv | sort\nenv > told-at-bake.txt\n"
SHIM = """\
#!/bin/sh
[ "$1" != build ] || cp -a .. "{kept}/given-$$"
exec {packer} "$@"
"""


@dataclass(frozen=True)
class Find:
    """A marker in a place where nobody may find it."""

    place: str
    text: str


def finds(place: str, content: bytes, allowed: tuple[str, ...] = ()) -> Iterator[Find]:
    for mark in MARKS:
        start = content.find(mark)
        while start >= 0:
            text = content[start : start + 50].split(b"\n")[0].decode(errors="replace")
            if not text.startswith(allowed or ("\0",)):
                yield Find(place, text)
            start = content.find(mark, start + 1)


def in_folder(folder: Path, allowed: tuple[str, ...] = ()) -> Iterator[Find]:
    """In every file, in every name of a file, and in every target of a link."""
    for path in folder.rglob("*"):
        yield from finds(f"the name of {path}", str(path.relative_to(folder)).encode(errors="replace"), allowed)
        if path.is_symlink():
            yield from finds(f"the link {path}", os.fsencode(path.readlink()), allowed)
        elif path.is_file():
            yield from finds(str(path), path.read_bytes(), allowed)


def in_images(sandbox: State) -> tuple[int, list[Find]]:
    """In the layers of all images: how many there are, and what was found. They lie in a file system of the hypervisor's."""
    layers = _machine_folder(sandbox) / "layers"
    made = [layer for layer in layers.iterdir() if layer.name != "base"]
    return len(made), [find for layer in made for find in in_folder(layer)]


def in_disks(sandbox: State) -> list[Find]:
    """On the disks of instances, where the values of `run.environment` belong."""
    return list(in_folder(_machine_folder(sandbox) / "disks", allowed=(FOR_THE_APP,)))


def in_daemon_files(sandbox: State) -> list[Find]:
    return list(in_folder(folder_of(sandbox.name), allowed=(FOR_THE_APP,)))


def _machine_folder(sandbox: State) -> Path:
    """Where the machines' tmpfs is seen: through the process that has it mounted."""
    for process in Path("/proc").glob("[0-9]*"):
        words = _command_line(process).split(b"\0")
        if b"shipit.sandbox.hypervisor" in words and _parent(process) == sandbox.pid:
            return process / "root" / os.fsdecode(words[words.index(b"shipit.sandbox.hypervisor") + 4]).lstrip("/")
    raise AssertionError("the sandbox has no hypervisor")


def in_account(world: World) -> dict[str, list[Find]]:
    """In all that AWS would show: items of the history, tags, names, consoles; in user data but for what belongs there."""
    ec2 = world.client("ec2")
    found = {
        "history": list(finds("DynamoDB", _items(world.client("dynamodb")))),
        "tags": list(finds("tags", _bytes(ec2.describe_tags()))),
        "images": list(finds("images", _bytes(ec2.describe_images(Owners=["self"])))),
        "balancer": list(finds("balancer", _balancer(world))),
        "groups": list(finds("groups", _bytes(world.client("autoscaling").describe_auto_scaling_groups()))),
    }
    consoles, data = list[Find](), list[Find]()
    for instance in _instances(ec2):
        console = ec2.get_console_output(InstanceId=instance).get("Output", "")
        consoles += finds(f"console of {instance}", console.encode())
        data += finds(f"user data of {instance}", _user_data(ec2, instance), allowed=(FOR_THE_APP,))
    for template in ec2.describe_launch_templates()["LaunchTemplates"]:
        data += finds(template["LaunchTemplateName"], _template_data(ec2, template), allowed=(FOR_THE_APP,))
    return {**found, "consoles": consoles, "user data": data}


def _items(dynamo: Any) -> bytes:
    tables = dynamo.list_tables()["TableNames"]
    assert tables, "there is a history to look into"
    return b"".join(_bytes(dynamo.scan(TableName=table)["Items"]) for table in tables)


def _balancer(world: World) -> bytes:
    elb = world.client("elbv2")
    groups = elb.describe_target_groups()
    arns = [group["TargetGroupArn"] for group in groups["TargetGroups"]]
    rules = elb.describe_rules(ListenerArn=world.sandbox.listener_arn)
    return _bytes([groups, rules, elb.describe_tags(ResourceArns=arns) if arns else {}])


def _instances(ec2: Any) -> list[str]:
    return [i["InstanceId"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]


def _user_data(ec2: Any, instance: str) -> bytes:
    answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]
    return base64.b64decode(answer.get("Value", ""))


def _template_data(ec2: Any, template: Mapping[str, Any]) -> bytes:
    name = template["LaunchTemplateName"]
    versions = ec2.describe_launch_template_versions(LaunchTemplateName=name)["LaunchTemplateVersions"]
    told = [base64.b64decode(v["LaunchTemplateData"].get("UserData", "")) for v in versions]
    return b"".join([_bytes(versions), *told])


def _bytes(document: object) -> bytes:
    return json.dumps(document, default=str).encode()


@contextmanager
def command_lines_watched() -> Iterator[list[Find]]:
    """Markers on the command line of any process of this machine while the block runs: `ps` shows those to everybody."""
    found: list[Find] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.03):
            for process in Path("/proc").glob("[0-9]*"):
                line = _command_line(process)
                found.extend(finds(line.replace(b"\0", b" ").decode(errors="replace")[:200], line))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
