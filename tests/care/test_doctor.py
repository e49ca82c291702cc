"""A healthy shop, on moto and on the sandbox; then one thing at a time is wrong, and one line says so."""

from __future__ import annotations

import ipaddress
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shipit import doctor, naming
from shipit.found import Finding, Health
from shipit.gates import alarms
from shipit.model import Exposure, Version
from shipit.settings import Bake, SourceImage
from shipit.standing import Aim, Freeze, Holder, Standing
from shipit.wiring import Shop
from tests.care.shops import Ahead, shop_in, writing
from tests.contract.clouds import ENV, Place, cloud, place
from tests.sandbox.conftest import sandbox

__all__ = ["cloud", "place", "sandbox"]

PACKER = '#!/bin/sh\necho "Packer v1.9.4"\n'
Make = Callable[..., Shop]


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, and a Packer in PATH."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "packer").write_text(PACKER)
    (tmp_path / "bin" / "packer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "shipit.yml").write_text("app: hello\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["tag", "v1"]):
        git(tmp_path / "app", *words)
    return tmp_path / "app"


@pytest.fixture
def made(place: Place, folder: Path) -> Make:
    """Makes a shop in which nothing is wrong but what the test asks for."""
    filters = [{"Name": "vpc-id", "Values": [place.cloud.vpc]}]
    group = place.ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]

    def make(record: writing | None = None, **fleet: Any) -> Shop:
        wanted = place.settings.fleet.model_copy(update={"security_groups": (group,), **fleet})
        bake = Bake(source_image=SourceImage(id=place.cloud.image))
        account = place.session.account
        return shop_in(place, record, folder, fleet=wanted, bake=bake, account=account)

    return make


def findings(shop: Shop) -> list[Finding]:
    return list(doctor.examine(shop))


def only(shop: Shop, mood: Health) -> Finding:
    """The one finding that is not in order."""
    wrong = [found for found in findings(shop) if found.mood is not Health.OK]
    assert [found.mood for found in wrong] == [mood], wrong
    assert wrong[0].next
    return wrong[0]


def test_a_healthy_shop_has_an_ok_for_everything(made: Make) -> None:
    found = findings(made())
    assert {one.mood for one in found} == {Health.OK}, found
    said = "\n".join(one.what for one in found)
    for word in ("shipit.yml", "HEAD is v1", "Packer 1.9.4", "account", "load balancer", "0 of 5", "subnets in"):
        assert word in said
    for word in ("security groups", "source image", "record", "nothing is left over"):
        assert word in said


def test_no_git_repository(made: Make, folder: Path) -> None:
    (folder / ".git").rename(folder / "was-git")
    assert "no usable git repository" in only(made(), Health.FAIL).what


def test_changes_that_are_not_committed(made: Make, folder: Path) -> None:
    (folder / "shipit.yml").write_text("app: other\n")
    assert "uncommitted" in only(made(), Health.WARN).what


def test_no_packer(made: Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "nothing").mkdir()
    (folder / "nothing" / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(folder / "nothing"))
    git(folder, "add", "nothing")
    git(folder, "commit", "-qm", "y")
    assert "there is no Packer" in only(made(), Health.FAIL).what


def test_another_account_ends_the_questions_to_aws(place: Place, made: Make) -> None:
    shop = made()
    shop.config.settings.__dict__["account"] = "000000000001"
    wrong = [found for found in findings(shop) if found.mood is not Health.OK]
    assert [found.mood for found in wrong] == [Health.FAIL, Health.WARN]
    assert "belong to account" in wrong[0].what
    assert "nothing in AWS was checked" in wrong[1].what


def test_no_account_in_shipit_yml(place: Place, made: Make) -> None:
    shop = made()
    shop.config.settings.__dict__["account"] = None
    assert only(shop, Health.WARN).next == f'account: "{place.session.account}"'


def test_a_listener_that_is_gone_is_told_once(place: Place, made: Make) -> None:
    shop = made()
    gone = place.listener[:-16] + "0" * 16
    traffic = shop.config.settings.traffic.model_copy(update={"listener": gone})
    shop.config.settings.__dict__["traffic"] = traffic
    wrong = [found for found in findings(shop) if found.mood is not Health.OK]
    assert "ListenerNotFound" in wrong[0].why
    assert all(found.next for found in wrong)


def test_a_listener_that_redirects(place: Place, made: Make) -> None:
    config = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    place.set_actions([{"Type": "redirect", "RedirectConfig": config}])
    assert "redirects" in only(made(), Health.FAIL).why


def test_a_foreign_target_group_with_a_share(place: Place, made: Make) -> None:
    place.set_actions([{"Type": "forward", "TargetGroupArn": place.group(place.name("x"), foreign=True)}])
    assert "not shipit's" in only(made(), Health.FAIL).what


def forward(place: Place, others: int, sticky_seconds: int = 0) -> None:
    """All requests go to a fleet of ours; so many target groups of somebody else are in the action, at 0 %."""
    launch = place.launch("blue")
    place.fleets.launch(launch)
    place.fleets.expose(launch.name, Exposure.ALL)
    foreign = [place.group(place.name(f"x{number}"), foreign=True) for number in range(others)]
    groups = [{"TargetGroupArn": place.groups.arn(launch.name), "Weight": 1}]
    groups += [{"TargetGroupArn": arn, "Weight": 0} for arn in foreign]
    config: dict[str, Any] = {"TargetGroups": groups}
    if sticky_seconds:
        config["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": sticky_seconds}
    place.set_actions([{"Type": "forward", "ForwardConfig": config}])


def test_an_action_that_is_full(place: Place, made: Make) -> None:
    forward(place, others=4)
    assert "names 5 target groups" in only(made(), Health.FAIL).what


def test_a_sticky_action(place: Place, made: Make) -> None:
    forward(place, others=1, sticky_seconds=600)
    assert any("kept on their target group for 600 s" in finding.what for finding in findings(made()))


def test_stickiness_that_a_release_has_left_switched_off(place: Place, made: Make) -> None:
    forward(place, others=1)
    place.traffic.observe()
    place.traffic.keep_stickiness(600)
    found = only(made(), Health.WARN)
    assert ("600 s" in found.why, found.next) == (True, "shipit resume")


def test_no_subnets(made: Make) -> None:
    assert only(made(subnets=()), Health.FAIL).what == "fleet.subnets is empty"


def test_a_subnet_that_does_not_exist(made: Make) -> None:
    assert "InvalidSubnetID.NotFound" in only(made(subnets=("subnet-0123456789abcdef0",)), Health.FAIL).why


def test_a_subnet_of_another_vpc(place: Place, made: Make) -> None:
    vpc = place.ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    other = place.ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
    assert f"{other}: not in the load balancer's VPC" in only(made(subnets=(other,)), Health.FAIL).what


def test_a_subnet_in_a_zone_without_the_load_balancer(place: Place, made: Make) -> None:
    if place.cloud.kind == "sandbox":
        pytest.skip("its VPC has no room for another subnet")
    region = place.session.region
    block = place.ec2.describe_vpcs(VpcIds=[place.cloud.vpc])["Vpcs"][0]["CidrBlock"]
    *_, last = ipaddress.ip_network(block).subnets(new_prefix=28)
    other = place.ec2.create_subnet(VpcId=place.cloud.vpc, CidrBlock=str(last), AvailabilityZone=f"{region}c")
    subnet = other["Subnet"]["SubnetId"]
    try:
        assert "sends nothing there" in only(made(subnets=(place.cloud.subnets[0], subnet)), Health.FAIL).why
    finally:
        place.ec2.delete_subnet(SubnetId=subnet)


def test_subnets_in_one_zone(place: Place, made: Make) -> None:
    assert "all subnets are in" in only(made(subnets=(place.cloud.subnets[0],)), Health.WARN).what


def test_more_instances_than_addresses(made: Make) -> None:
    assert "addresses are free" in only(made(size=100_000), Health.FAIL).what


def test_no_security_groups(made: Make) -> None:
    assert only(made(security_groups=()), Health.WARN).what == "fleet.security_groups is empty"


def test_a_security_group_that_does_not_exist(made: Make) -> None:
    assert "InvalidGroup.NotFound" in only(made(security_groups=("sg-0123456789abcdef0",)), Health.FAIL).why


def test_an_instance_profile_that_does_not_exist_and_one_without_a_role(place: Place, made: Make) -> None:
    assert "instance profile nobody: not there" in only(made(instance_profile="nobody"), Health.FAIL).what
    iam = place.cloud.client("iam")
    iam.create_instance_profile(InstanceProfileName=place.app)
    assert "has no role" in only(made(instance_profile=place.app), Health.FAIL).what


def test_a_source_image_that_does_not_exist(made: Make) -> None:
    shop = made()
    shop.config.settings.__dict__["bake"] = Bake(source_image=SourceImage(id="ami-0123456789abcdef0"))
    assert "there is no AMI ami-0123456789abcdef0" in only(shop, Health.FAIL).what


def test_a_record_that_cannot_be_read_is_told_by_the_check_and_by_the_list_of_leftovers(made: Make) -> None:
    wrong = [found for found in findings(made(writing(broken=True))) if found.mood is not Health.OK]
    assert [found.mood for found in wrong] == [Health.FAIL, Health.WARN]
    assert "no image is deleted" in wrong[1].what


NOW = Ahead().now()
HOLDER = Holder("h", "release", "v2", "ada", "ci", "mark", NOW, NOW + timedelta(days=1))
STANDINGS: dict[str, tuple[Standing, str, str]] = {
    "frozen": (Standing(freeze=Freeze("christmas", "ada", NOW)), "releases are frozen", "shipit unfreeze"),
    "in progress": (Standing(holder=HOLDER), "release v2 is in progress", "shipit status"),
    "stopped": (Standing(aim=Aim(Version("v2"), "f")), "the release of v2 was stopped", "shipit resume"),
}


@pytest.mark.parametrize(("standing", "what", "next_"), STANDINGS.values(), ids=STANDINGS)
def test_what_stands_in_the_record(made: Make, standing: Standing, what: str, next_: str) -> None:
    found = only(made(writing(standing)), Health.WARN)
    assert what in found.what
    assert next_ in found.next


def test_leftovers_are_counted(place: Place, made: Make) -> None:
    pairs = [{"Key": naming.APP, "Value": place.app}, {"Key": naming.ENV, "Value": ENV}]
    for version in ("a", "b"):
        place.raw_group(place.name(version), pairs)
    found = only(made(), Health.WARN)
    assert found.what == "left over: 2 target groups"
    assert found.next == "shipit gc --yes"


@pytest.mark.parametrize("code", ["AccessDenied", "InternalFailure"])
def test_an_error_that_several_checks_meet_is_told_once_and_stops_no_other(place: Place, made: Make, code: str) -> None:
    place.wire.fail_before("elbv2", "DescribeListeners", code, times=99)
    found = findings(made())
    wrong = [one for one in found if one.mood is not Health.OK]
    assert [one.mood for one in wrong] == [Health.FAIL, Health.WARN, Health.WARN]
    assert code in wrong[0].why
    assert [one.what for one in wrong[1:]] == ["subnets: not checked", "security groups: not checked"]
    assert found[-1].what == "nothing is left over"
    assert all(one.next for one in wrong)


def test_an_alarm_that_a_gate_wants_and_nobody_knows(made: Make) -> None:
    shop = made()
    gates = shop.config.settings.gates.model_copy(update={"alarms": alarms.Settings(names=("missing",))})
    settings = shop.config.settings.model_copy(update={"gates": gates})
    shop.config = replace(shop.config, settings=settings)
    finding = only(shop, Health.FAIL)
    assert "there is no alarm 'missing'" in finding.what
