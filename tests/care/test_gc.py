"""What is left over, on moto and on the sandbox: each kind is really deleted, and what anything needs survives."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest

from shipit import care, naming
from shipit.aws.traffic import AwsTraffic
from shipit.errors import CloudError, Refused, ShipitError
from shipit.events import Ended
from shipit.found import Kind
from shipit.model import Ending, Exposure, Version
from shipit.release.leftovers import Rules
from shipit.standing import Aim, Standing
from shipit.wiring import Shop
from tests.care.shops import Ahead, images, images_there, shop_in, snapshots_of, tag, writing
from tests.contract.clouds import ENV, Place, cloud, place
from tests.sandbox.conftest import sandbox

__all__ = ["cloud", "place", "sandbox"]

RULES = Rules(keep_images=1, patience_seconds=60)
# The port has it; without it there is no clean way to take a group out of an action.
SHIFTS_AS_EXPECTED = "expected" in inspect.signature(AwsTraffic.shift).parameters


def listed(shop: Shop, rules: Rules = RULES) -> dict[tuple[Kind, str], bool]:
    """What is left over, and whether it may go."""
    return {(found.kind, found.name): found.deletable for found in care.survey(shop, rules).found}


def swept(shop: Shop, rules: Rules = RULES) -> dict[str, care.Fate]:
    told: list[str] = []
    fates = care.gc(shop, care.survey(shop, rules), rules, told.append)
    assert len([line for line in told if not line.startswith("waiting")]) == len(
        [fate for fate in fates if fate.leftover.deletable]
    )
    return {fate.leftover.name: fate for fate in fates}


def serving(place: Place, *names: str, weights: tuple[int, ...] = (1,)) -> None:
    """The listener forwards to fleets of these names, in these shares."""
    groups = [{"TargetGroupArn": place.groups.arn(name), "Weight": n} for name, n in zip(names, weights, strict=True)]
    place.set_actions([{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}])


def parts(place: Place, name: str) -> set[str]:
    """What there is of a fleet."""
    groups = place.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    targets = [g for g in place.elb.describe_target_groups()["TargetGroups"] if g["TargetGroupName"] == name]
    filters = [{"Name": "launch-template-name", "Values": [name]}]
    templates = place.ec2.describe_launch_templates(Filters=filters)["LaunchTemplates"]
    found = {"group": groups, "targets": targets, "template": templates}
    return {kind for kind, there in found.items() if there}


WHOLE = {"group", "targets", "template"}


@pytest.fixture
def blue(place: Place) -> str:
    """A fleet that serves all requests."""
    launch = place.launch("blue")
    place.fleets.launch(launch)
    place.fleets.expose(launch.name, Exposure.ALL)
    serving(place, launch.name)
    return launch.name


def launched(place: Place, version: str, exposure: Exposure = Exposure.NONE) -> str:
    launch = place.launch(version)
    place.fleets.launch(launch)
    place.fleets.expose(launch.name, exposure)
    return launch.name


@pytest.mark.parametrize("exposure", [Exposure.NONE, Exposure.SOME])
def test_a_failed_fleet_goes_with_all_its_parts_and_the_serving_one_stays(
    place: Place, blue: str, exposure: Exposure
) -> None:
    failed = launched(place, "failed", exposure)
    shop = shop_in(place)
    assert listed(shop) == {(Kind.FLEET, failed): True}
    assert parts(place, failed) == WHOLE, "listing changes nothing"
    assert swept(shop)[failed].gone
    assert parts(place, failed) == set()
    assert parts(place, blue) == WHOLE
    assert place.weights() == {blue: 1}
    assert listed(shop) == {}


def test_a_fleet_whose_deletion_was_cut_short_goes(place: Place, blue: str) -> None:
    left = launched(place, "left", Exposure.ALL)
    place.fleets.drain(left)
    assert swept(shop_in(place))[left].gone
    assert parts(place, left) == set()


def test_a_fleet_that_another_rule_sends_requests_to_survives(place: Place, blue: str) -> None:
    used = launched(place, "used")
    forward = {"Type": "forward", "TargetGroupArn": place.groups.arn(used)}
    conditions = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/used"]}}]
    place.elb.create_rule(ListenerArn=place.listener, Priority=7, Conditions=conditions, Actions=[forward])
    fate = swept(shop_in(place))[used]
    assert not fate.gone
    assert "rule 7 of listener" in fate.why
    assert fate.next
    assert parts(place, used) == WHOLE


def test_a_fleet_that_gets_requests_after_it_was_listed_survives(place: Place, blue: str) -> None:
    late = launched(place, "late")
    shop = shop_in(place)
    survey = care.survey(shop, RULES)
    serving(place, blue, late, weights=(9, 1))
    (fate,) = care.gc(shop, survey, RULES, lambda _: None)
    assert not fate.gone
    assert "kept" in fate.why
    assert parts(place, late) == WHOLE


def test_a_previewed_fleet_is_left_alone_and_told_when_it_failed(place: Place, blue: str) -> None:
    sick = launched(place, "sick")
    place.traffic.open_preview(sick)
    if place.cloud.kind == "moto":
        assert swept(shop_in(place)) == {}, "all targets of moto's are healthy: it was staged"
        return
    fate = swept(shop_in(place))[sick]
    assert "its preview is open" in fate.why
    assert "shipit retire" in fate.next
    assert parts(place, sick) == WHOLE


def test_a_fleet_of_a_stopped_release_survives(place: Place, blue: str) -> None:
    arriving = launched(place, "arriving")
    aim = Aim(Version("arriving"), arriving, home=blue)
    assert swept(shop_in(place, writing(Standing(aim=aim)))) == {}
    assert parts(place, arriving) == WHOLE


@pytest.mark.skipif(not SHIFTS_AS_EXPECTED, reason="AwsTraffic.shift does not compare yet")
def test_an_orphaned_target_group_at_0_percent_is_taken_out_of_the_action_first(place: Place, blue: str) -> None:
    orphan = place.name("orphan")
    place.group(orphan)
    serving(place, blue, orphan, weights=(100, 0))
    assert listed(shop_in(place)) == {(Kind.TARGET_GROUP, orphan): True}
    assert swept(shop_in(place))[orphan].gone
    assert place.weights() == {blue: 100}
    assert parts(place, orphan) == set()


def test_orphaned_parts_go_and_those_of_others_stay(place: Place, blue: str) -> None:
    orphan, foreign = place.name("orphan"), place.name("foreign")
    place.group(orphan)
    place.raw_group(foreign, [{"Key": naming.APP, "Value": "somebody-else"}, {"Key": naming.ENV, "Value": ENV}])
    template(place, place.name("template"))
    template(place, place.name("foreign-template"), app="somebody-else")
    shop = shop_in(place)
    assert listed(shop) == {(Kind.TARGET_GROUP, orphan): True, (Kind.TEMPLATE, place.name("template")): True}
    assert all(fate.gone for fate in swept(shop).values())
    assert parts(place, orphan) == parts(place, place.name("template")) == set()
    assert parts(place, foreign) == {"targets"}
    assert parts(place, place.name("foreign-template")) == {"template"}
    assert parts(place, blue) == WHOLE


def template(place: Place, name: str, app: str | None = None) -> None:
    tags = {naming.APP: app or place.app, naming.ENV: ENV}
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    place.ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={"ImageId": place.cloud.image},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": pairs}],
    )


def test_a_target_group_with_a_share_of_the_action_survives(place: Place, blue: str) -> None:
    orphan = place.name("orphan")
    place.group(orphan)
    serving(place, blue, orphan, weights=(1, 1))
    fate = swept(shop_in(place))[orphan]
    assert not fate.gone
    assert "default action" in fate.why
    assert parts(place, orphan) == {"targets"}


def test_parts_are_proved_anew_right_before_they_are_deleted(place: Place, blue: str) -> None:
    """Listed as orphans, then launched, named or given to somebody else: nothing of it goes."""
    names = [place.name(version) for version in ("launched", "named", "given")]
    for name in names[1:]:
        place.group(name)
    template(place, names[0])
    shop = shop_in(place)
    survey = care.survey(shop, RULES)
    assert {found.name for found in survey.found} == set(names)
    place.ec2.delete_launch_template(LaunchTemplateName=names[0])
    launched(place, "launched")
    serving(place, blue, names[1], weights=(1, 1))
    arn = place.elb.describe_target_groups(Names=[names[2]])["TargetGroups"][0]["TargetGroupArn"]
    place.elb.add_tags(ResourceArns=[arn], Tags=[{"Key": naming.APP, "Value": "somebody-else"}])
    fates = care.gc(shop, survey, RULES, lambda _: None)
    assert {fate.leftover.name for fate in fates if not fate.gone} == set(names)
    assert all("is kept" in fate.why or "are kept" in fate.why for fate in fates)
    assert parts(place, names[0]) == WHOLE


def test_what_an_abandoned_bake_left_goes_and_a_running_one_stays(place: Place) -> None:
    dead = f"shipit-bake:{place.app}:20200101T000000Z:31m:elsewhere.00:1:n"
    live = f"shipit-bake:{place.app}:20990101T000000Z:31m:elsewhere.00:1:n"
    other = "shipit-bake:somebody-else:20200101T000000Z:31m:elsewhere.00:1:n"
    ids = {mark: builder(place, mark) for mark in (dead, live, other)}
    shop = shop_in(place)
    expected = {Kind.BUILDER, Kind.KEY_PAIR, Kind.SECURITY_GROUP}
    assert {kind for kind, _ in listed(shop)} == expected
    assert {name for _, name in listed(shop)} == {*ids[dead], dead}
    assert all(fate.gone for fate in swept(shop).values())
    remaining = {found.id for found in shop.builders.marked() if found.mark in (dead, live, other)}
    assert remaining == {*ids[live], live, *ids[other], other}
    shop.builders.sweep(lambda mark: mark in (live, other))


def builder(place: Place, mark: str) -> tuple[str, str]:
    """Ids of a marked instance and of the temporary group that Packer made for it, which carries no mark (yet)."""
    name = f"packer_{mark[-20:]}_{len(mark)}_{place.app}_{mark.split(':')[1]}_{mark.split(':')[2]}"
    made = place.ec2.create_security_group(GroupName=name, Description="x", VpcId=place.cloud.vpc)["GroupId"]
    place.ec2.create_key_pair(KeyName=mark)
    tags = [{"Key": naming.BAKE, "Value": mark}, {"Key": naming.APP, "Value": place.app}]
    run = place.ec2.run_instances(
        ImageId=place.cloud.image,
        MinCount=1,
        MaxCount=1,
        SubnetId=place.cloud.subnets[0],
        SecurityGroupIds=[made],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return str(run["Instances"][0]["InstanceId"]), str(made)


def test_images_beyond_retention_go_with_their_snapshots_and_needed_ones_stay(place: Place, blue: str) -> None:
    old, pinned, goal, fleets, foreign, served, newest = images(place, 7)
    tag(place, pinned, {naming.KEEP: ""})
    tag(place, foreign, {naming.APP: "somebody-else"})
    tag(place, served, {naming.COMMIT: "served"})
    template_of_another_environment(place, fleets)
    aim = Aim(Version("goal"), place.name("goal"), image_id=goal)
    shop = shop_in(place, writing(Standing(aim=aim), [success("served")]))
    snapshots, kept = snapshots_of(place, old), snapshots_of(place, pinned)
    assert snapshots
    assert listed(shop) == {(Kind.IMAGE, old): True}
    assert swept(shop)[old].gone
    assert images_there(place, old, pinned, goal, fleets, foreign, served, newest) == (
        {pinned, goal, fleets, foreign, served, newest}
    )
    there = {s["SnapshotId"] for s in place.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert not there & set(snapshots)
    assert there >= set(kept)


def success(commit: str) -> Ended:
    """A release of that commit, a minute ago by the clock of the shop."""
    at = Ahead().now() - timedelta(minutes=1)
    known = {"app": "a", "env": ENV, "command": "release", "ending": Ending.SUCCEEDED}
    return Ended(at=at, commit=commit, **known)


def template_of_another_environment(place: Place, image_id: str) -> None:
    pairs = [{"Key": naming.APP, "Value": place.app}, {"Key": naming.ENV, "Value": "production"}]
    place.ec2.create_launch_template(
        LaunchTemplateName=f"{place.app}-production",
        LaunchTemplateData={"ImageId": image_id},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": pairs}],
    )


def test_an_image_that_a_release_of_another_environment_is_about_to_launch_survives(place: Place) -> None:
    goal, later, old, fleets, _ = images(place, 5)
    fleet_of_another_environment(place, fleets)
    shop, aimed = shop_in(place), [goal]
    elsewhere = {"production": lambda: writing(Standing(aim=Aim(Version("v9"), "f", image_id=aimed[0])))}
    vars(shop)["record_of"] = lambda env: elsewhere[env]()
    survey = care.survey(shop, RULES)
    assert {found.name for found in survey.found} == {later, old}
    aimed[0] = later
    fates = {fate.leftover.name: fate for fate in care.gc(shop, survey, RULES, lambda _: None)}
    assert fates[old].gone
    assert "the release of v9 in production" in fates[later].why
    assert images_there(place, goal, later, old) == {goal, later}


def fleet_of_another_environment(place: Place, image_id: str) -> None:
    """An empty one."""
    template_of_another_environment(place, image_id)
    name = f"{place.app}-production"
    pairs = {naming.APP: place.app, naming.ENV: "production"}
    tags = [
        {"ResourceId": name, "Key": key, "Value": value, "PropagateAtLaunch": False} for key, value in pairs.items()
    ]
    place.cloud.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": name, "Version": "1"},
        MinSize=0,
        MaxSize=0,
        VPCZoneIdentifier=place.cloud.subnets[0],
        Tags=tags,
    )


def test_an_image_that_is_pinned_used_or_shared_after_it_was_listed_survives(place: Place) -> None:
    pinned, used, run, shared, _ = images(place, 5)
    shop = shop_in(place)
    survey = care.survey(shop, RULES)
    assert {found.name for found in survey.found} == {pinned, used, run, shared}
    tag(place, pinned, {naming.KEEP: "why"})
    template_of_another_environment(place, used)
    place.ec2.run_instances(ImageId=run, MinCount=1, MaxCount=1, SubnetId=place.cloud.subnets[0])
    place.ec2.modify_image_attribute(ImageId=shared, LaunchPermission={"Add": [{"UserId": "210987654321"}]})
    fates = care.gc(shop, survey, RULES, lambda _: None)
    assert [fate.gone for fate in fates] == [False] * 4
    assert images_there(place, pinned, used, run, shared) == {pinned, used, run, shared}
    assert listed(shop) == {}


def test_nothing_goes_while_the_record_is_broken(place: Place) -> None:
    old, _ = images(place, 2)
    shop = shop_in(place, writing(broken=True))
    survey = care.survey(shop, RULES)
    assert "the record cannot be read, so no image is deleted" in survey.notes[0]
    with pytest.raises(CloudError, match="the record is broken"):
        care.gc(shop, survey, RULES, lambda _: None)
    assert images_there(place, old) == {old}


def test_a_snapshot_whose_image_was_deregistered_by_a_killed_gc_goes(place: Place) -> None:
    (old,) = images(place, 1)
    snapshots = snapshots_of(place, old)
    place.ec2.deregister_image(ImageId=old)
    shop = shop_in(place)
    assert listed(shop) == {(Kind.SNAPSHOT, snapshot): True for snapshot in snapshots}
    assert all(fate.gone for fate in swept(shop).values())
    assert listed(shop) == {}


def test_a_snapshot_that_is_not_tagged_ours_stays_when_its_image_goes(place: Place) -> None:
    old, _ = images(place, 2)
    (snapshot,) = snapshots_of(place, old)
    place.ec2.delete_tags(Resources=[snapshot], Tags=[{"Key": naming.APP}])
    assert f"snapshot {snapshot} stays" in swept(shop_in(place))[old].why
    assert images_there(place, old) == set()
    assert place.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]


REFUSALS: dict[str, tuple[str, str]] = {
    "protected from deregistration meanwhile": ("DeregisterImage", "OperationNotPermitted"),
    "in use": ("DeleteSnapshot", "InvalidSnapshot.InUse"),
}


@pytest.mark.parametrize(("operation", "code"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_of_aws_is_told_and_stops_no_other_deletion(place: Place, operation: str, code: str) -> None:
    images(place, 3)
    struck = place.wire.fail_before("ec2", operation, code)
    shop = shop_in(place)
    survey = care.survey(shop, RULES)
    fates = care.gc(shop, survey, RULES, lambda _: None)
    assert struck == [operation]
    assert [fate.gone for fate in fates].count(False) == 1
    assert len(fates) == 2
    (left,) = [fate for fate in fates if not fate.gone]
    assert code in left.why
    assert care.ending_of(fates) is Ending.SHIPPED_DIRTY


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("autoscaling", "DeleteAutoScalingGroup"),
        ("elbv2", "DeleteTargetGroup"),
        ("ec2", "DeleteLaunchTemplate"),
    ],
)
def test_a_deletion_that_was_answered_with_an_error_is_finished_by_the_next_one(
    place: Place, blue: str, service: str, operation: str, when: str
) -> None:
    failed = launched(place, "failed")
    (place.wire.fail_before if when == "before" else place.wire.fail_after)(service, operation, "Weird")
    shop = shop_in(place)
    first = care.gc(shop, care.survey(shop, RULES), RULES, lambda _: None)
    assert [(fate.leftover.name, fate.gone) for fate in first] == [(failed, False)]
    assert "Weird" in first[0].why
    care.gc(shop, care.survey(shop, RULES), RULES, lambda _: None)
    assert parts(place, failed) == set()
    assert listed(shop) == {}


def test_nothing_to_do_is_a_success(place: Place) -> None:
    assert care.ending_of(()) is Ending.SUCCEEDED
    assert swept(shop_in(place)) == {}


def test_credentials_of_another_account_are_refused(place: Place) -> None:
    with pytest.raises(Refused, match="belong to account"):
        care.survey(shop_in(place, account="000000000001"), RULES)


def test_what_cannot_be_read_is_an_error_of_ours(place: Place) -> None:
    place.wire.fail_before("ec2", "DescribeImages", "Weird")
    with pytest.raises(ShipitError, match="listing the images") as caught:
        care.survey(shop_in(place), RULES)
    assert isinstance(caught.value, CloudError)
