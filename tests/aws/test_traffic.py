"""How traffic is shifted, on moto and on the sandbox: what is ours changes, everything else stays."""

from __future__ import annotations

from typing import Any

import pytest

from shipit import naming
from shipit.errors import CloudError, Drifted, NotFound, Refused
from shipit.model import Observed, Split
from shipit.release.guard import refuse_foreign_route
from tests.contract.clouds import Place, cloud, nothing_yet, place, routed, weights_in
from tests.sandbox.conftest import sandbox

__all__ = ["cloud", "place", "routed", "sandbox"]

OIDC = {
    "Issuer": "https://login.example",
    "AuthorizationEndpoint": "https://login.example/authorize",
    "TokenEndpoint": "https://login.example/token",
    "UserInfoEndpoint": "https://login.example/me",
    "ClientId": "shop",
    "ClientSecret": "secret",
    "SessionCookieName": "session",
    "SessionTimeout": 3600,
    "Scope": "openid",
    "OnUnauthenticatedRequest": "authenticate",
}


def forward(*tuples: tuple[str, int], **more: Any) -> dict[str, Any]:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in tuples]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups, **more}}


def preview_of(place: Place) -> list[str]:
    """Where all preview rules on the listener lead to."""
    rules = [rule for rule in place.rules() if tokens_in(rule)]
    return [name for rule in rules for name in weights_in(rule["Actions"])]


def tokens_in(rule: dict[str, Any]) -> list[str]:
    """What the preview header must say for this rule."""
    configs = [condition.get("HttpHeaderConfig", {}) for condition in rule["Conditions"]]
    return [v for c in configs if c.get("HttpHeaderName", "").lower() == naming.PREVIEW_HEADER for v in c["Values"]]


def test_a_vacant_listener_is_seen_as_such(routed: Place) -> None:
    route = routed.traffic.observe()
    assert (route.vacant, dict(route.split.weights), route.obstacle) == (True, {}, "")


def test_a_first_shift_fills_a_vacant_listener(routed: Place) -> None:
    routed.group("one")
    route = routed.shift(Split({"one": 100}))
    assert route.split.weights == {"one": 100}
    assert not route.vacant
    assert routed.weights() == {"one": 100}


def test_weights_are_written_as_they_are_given(routed: Place) -> None:
    for name in ("one", "two"):
        routed.group(name)
    for split in ({"one": 100}, {"one": 95, "two": 5}, {"one": 999, "two": 1}, {"one": 0, "two": 100}):
        assert routed.shift(Split(split)).split.weights == split
        assert routed.weights() == split


def test_a_shift_of_a_rule_leaves_the_default_action_alone(routed: Place) -> None:
    routed.group("one")
    routed.shift(Split({"one": 100}))
    default = routed.anew(rule=None)
    assert (default.actions()[0]["Type"] == "fixed-response") is bool(routed.rule)


def test_the_conditions_of_a_rule_stay(routed: Place) -> None:
    before = [rule["Conditions"] for rule in routed.rules()]
    routed.group("one")
    routed.shift(Split({"one": 100}))
    assert [rule["Conditions"] for rule in routed.rules()] == before


def test_a_group_that_is_not_named_any_more_leaves_the_action(routed: Place) -> None:
    for name in ("one", "two"):
        routed.group(name)
    routed.shift(Split({"one": 100, "two": 0}))
    routed.shift(Split({"one": 100}))
    assert routed.weights() == {"one": 100}


def test_a_shift_from_another_process_finds_the_groups_by_itself(routed: Place) -> None:
    routed.group("one")
    routed.shift(Split({"one": 100}))
    assert routed.anew().traffic.observe().split.weights == {"one": 100}


def test_shifting_twice_writes_once(routed: Place) -> None:
    for name in ("one", "two"):
        routed.group(name)
    split = Split({"one": 95, "two": 5})
    routed.shift(split)
    writes = routed.wire.count("elbv2", "ModifyRule" if routed.rule else "ModifyListener")
    routed.shift(split)
    assert writes == []


def test_shifting_everything_to_one_fleet_twice_writes_once(routed: Place) -> None:
    routed.group("one")
    routed.shift(Split({"one": 100}))
    described = routed.actions()[0]
    if "TargetGroupArn" not in described:
        described["TargetGroupArn"] = described["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"]
        routed.set_actions([described])
    writes = routed.wire.count("elbv2", "ModifyRule" if routed.rule else "ModifyListener")
    routed.shift(Split({"one": 100}))
    assert writes == []


def test_a_single_group_may_be_given_by_its_arn_alone(routed: Place) -> None:
    routed.set_actions([{"Type": "forward", "TargetGroupArn": routed.group("one")}])
    assert routed.traffic.observe().split.percent("one") == 100
    routed.group("two")
    assert routed.shift(Split({"one": 95, "two": 5})).split.weights == {"one": 95, "two": 5}


def test_a_single_group_may_be_given_in_both_forms(routed: Place) -> None:
    arn = routed.group("one")
    routed.set_actions([{**forward((arn, 1)), "TargetGroupArn": arn}])
    assert routed.traffic.observe().split.weights == {"one": 1}
    routed.group("two")
    routed.shift(Split({"one": 0, "two": 100}))
    assert routed.weights() == {"one": 0, "two": 100}


def test_foreign_groups_keep_their_weight(routed: Place) -> None:
    arn, legacy = routed.group("one"), routed.group("legacy", foreign=True)
    routed.set_actions([forward((legacy, 0), (arn, 100))])
    route = routed.traffic.observe()
    assert list(route.foreign.values()) == [0]
    assert "legacy" in next(iter(route.foreign))
    routed.group("two")
    routed.shift(Split({"one": 50, "two": 50}))
    assert routed.weights() == {"one": 50, "two": 50, "legacy": 0}


def test_a_foreign_group_with_a_share_is_refused(routed: Place) -> None:
    routed.set_actions([forward((routed.group("one"), 50), (routed.group("legacy", foreign=True), 50))])
    with pytest.raises(Refused, match="legacy"):
        refuse_foreign_route(Observed(routed.traffic.observe()))


STICKY = {"Enabled": True, "DurationSeconds": 77}


def sticky(place: Place) -> dict[str, Any]:
    """As AWS describes it: moto leaves it out of an action with one group that had none."""
    config: dict[str, Any] = place.actions()[0]["ForwardConfig"].get("TargetGroupStickinessConfig", {})
    return {key: value for key, value in config.items() if config["Enabled"]}


def test_a_shift_takes_clients_with_a_cookie_along(routed: Place) -> None:
    routed.set_actions([forward((routed.group("one"), 100), TargetGroupStickinessConfig=STICKY)])
    assert routed.traffic.observe().sticky_seconds == 77
    routed.group("two")
    assert routed.shift(Split({"one": 95, "two": 5})).sticky_seconds == 0
    assert sticky(routed) == {}


def test_what_was_set_is_found_by_another_process_and_put_back(routed: Place) -> None:
    routed.set_actions([forward((routed.group("one"), 100), TargetGroupStickinessConfig=STICKY)])
    routed.group("two")
    routed.traffic.keep_stickiness(routed.traffic.observe().sticky_seconds)
    routed.shift(Split({"one": 0, "two": 100}))
    other = routed.anew()
    assert (other.traffic.observe().sticky_seconds, other.traffic.observe().kept_sticky_seconds) == (0, 77)
    other.traffic.restore_stickiness("two")
    assert (sticky(routed), routed.weights()) == (STICKY, {"two": 100})
    route = routed.anew().traffic.observe()
    assert (route.sticky_seconds, route.kept_sticky_seconds) == (77, 0)


def test_putting_it_back_twice_writes_once(routed: Place) -> None:
    routed.set_actions([forward((routed.group("one"), 100), TargetGroupStickinessConfig=STICKY)])
    routed.traffic.keep_stickiness(77)
    writes = routed.wire.count("elbv2", "ModifyListener"), routed.wire.count("elbv2", "ModifyRule")
    routed.traffic.restore_stickiness("one")
    routed.traffic.restore_stickiness("one")
    assert [len(made) for made in writes] == [0, 0]
    assert sticky(routed) == STICKY


def test_somebody_who_has_set_it_anew_meanwhile_is_heard(routed: Place) -> None:
    routed.traffic.observe()
    routed.set_actions([forward((routed.group("one"), 100), TargetGroupStickinessConfig=STICKY)])
    routed.traffic.keep_stickiness(600)
    routed.traffic.restore_stickiness("one")
    assert sticky(routed) == STICKY
    assert routed.traffic.observe().kept_sticky_seconds == 0


def test_a_tag_that_another_process_has_written_is_seen_once_the_action_has_changed(routed: Place) -> None:
    routed.set_actions([forward((routed.group("one"), 100), TargetGroupStickinessConfig=STICKY)])
    routed.group("two")
    mine, other = routed.anew(), routed.anew()
    assert mine.traffic.observe().kept_sticky_seconds == 0
    other.traffic.keep_stickiness(other.traffic.observe().sticky_seconds)
    other.shift(Split({"one": 0, "two": 100}))
    assert mine.traffic.observe().kept_sticky_seconds == 77


def test_a_tag_that_another_process_forgets_before_the_shift_is_remembered(routed: Place) -> None:
    routed.set_actions([forward((routed.group("one"), 100), TargetGroupStickinessConfig=STICKY)])
    routed.group("two")
    routed.traffic.observe()
    routed.traffic.keep_stickiness(77)
    routed.anew().traffic.restore_stickiness("one")
    routed.shift(Split({"one": 0, "two": 100}))
    assert routed.traffic.observe().kept_sticky_seconds == 77


def test_taking_an_idle_group_out_of_the_action_keeps_clients_where_they_are(routed: Place) -> None:
    groups = (routed.group("one"), 100), (routed.group("two"), 0)
    routed.set_actions([forward(*groups, TargetGroupStickinessConfig=STICKY)])
    routed.shift(Split({"one": 100}))
    assert (routed.weights(), sticky(routed)) == ({"one": 100}, STICKY)


def test_it_is_put_back_whatever_weight_a_person_has_given_to_the_only_fleet(routed: Place) -> None:
    routed.set_actions([forward((routed.group("one"), 7), (routed.group("two"), 0))])
    routed.traffic.keep_stickiness(77)
    routed.traffic.restore_stickiness("one")
    assert (routed.weights(), sticky(routed)) == ({"one": 100}, STICKY)


def test_a_fleet_that_waits_aside_is_named_by_a_rule_until_it_leaves(routed: Place) -> None:
    for name in ("one", "two"):
        routed.group(name)
        routed.traffic.keep_aside(name)
    routed.traffic.open_preview("one")
    routed.traffic.close_preview()
    assert routed.anew().traffic.observe().aside == {"one", "two"}
    for _ in range(2):
        routed.traffic.leave_aside("one")
    assert routed.traffic.observe().aside == {"two"}


def test_a_preview_behind_the_rule_that_is_shifted_has_no_token(place: Place) -> None:
    header = {"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.example"]}}
    made = place.elb.create_rule(ListenerArn=place.listener, Priority=1, Conditions=[header], Actions=nothing_yet())
    ruled = place.anew(rule=made["Rules"][0]["RuleArn"])
    ruled.group("one")
    ruled.traffic.open_preview("one")
    assert (ruled.traffic.observe().preview, ruled.traffic.observe().preview_token) == ("one", "")


def test_it_is_not_put_back_under_a_split_that_somebody_else_has_made(routed: Place) -> None:
    routed.set_actions([forward((routed.group("one"), 60), (routed.group("two"), 40))])
    routed.traffic.keep_stickiness(77)
    with pytest.raises(Drifted):
        routed.traffic.restore_stickiness("one")
    assert (routed.weights(), sticky(routed)) == ({"one": 60, "two": 40}, {})


def test_a_redirect_is_an_obstacle_and_refused(routed: Place) -> None:
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    routed.set_actions([{"Type": "redirect", "RedirectConfig": redirect}])
    with pytest.raises(Refused, match="redirects"):
        refuse_foreign_route(Observed(routed.traffic.observe()))


def behind_a_login(place: Place) -> Place:
    """The place on an HTTPS listener that authenticates before it forwards to group `one`."""
    body = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    made = place.cloud.client("iam").upload_server_certificate(
        ServerCertificateName=place.app, CertificateBody=body, PrivateKey="key"
    )
    listener = place.elb.create_listener(
        LoadBalancerArn=place.cloud.balancer,
        Protocol="HTTPS",
        Port=8443,
        Certificates=[{"CertificateArn": made["ServerCertificateMetadata"]["Arn"]}],
        DefaultActions=nothing_yet(),
    )
    secure = place.anew(listener=listener["Listeners"][0]["ListenerArn"])
    login = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": OIDC}
    secure.set_actions([login, {**forward((secure.group("one"), 100)), "Order": 2}])
    return secure


def test_a_login_before_the_forward_stays_with_its_secret(place: Place) -> None:
    secure = behind_a_login(place)
    try:
        secure.group("two")
        assert not secure.traffic.observe().previewable
        writes = secure.wire.count("elbv2", "ModifyListener")
        secure.shift(Split({"one": 95, "two": 5}))
        (sent,) = writes
        login, routing = sent["DefaultActions"]
        assert set(sent) == {"ListenerArn", "DefaultActions"}, "a port or certificate sent along would be changed"
        assert [login["Order"], routing["Order"]] == [1, 2]
        kept = {key: value for key, value in OIDC.items() if key != "ClientSecret"}
        assert login["AuthenticateOidcConfig"] == {**kept, "UseExistingClientSecret": True}
        assert weights_in(secure.actions()) == {"one": 95, "two": 5}
    finally:
        secure.wire.mend()
        secure.elb.delete_listener(ListenerArn=secure.listener)


def test_a_group_that_came_into_the_action_since_the_last_look_is_still_ours(routed: Place) -> None:
    arn = routed.group("one")
    routed.group("two")
    routed.traffic.observe()
    routed.set_actions([forward((arn, 100))])
    routed.anew().shift(Split({"two": 100}))
    assert routed.weights() == {"two": 100}


def test_a_write_that_fails_after_it_took_effect_is_read_back_and_counts(routed: Place) -> None:
    routed.group("one")
    struck = routed.wire.fail_after("elbv2", "ModifyRule" if routed.rule else "ModifyListener", "Weird")
    assert routed.shift(Split({"one": 100})).split.weights == {"one": 100}
    assert struck


def test_a_write_that_has_no_effect_is_reported_with_the_code_of_aws(routed: Place) -> None:
    routed.group("one")
    routed.wire.fail_before("elbv2", "ModifyRule" if routed.rule else "ModifyListener", "TooManyTargetGroups")
    with pytest.raises(CloudError, match="shifting traffic") as raised:
        routed.shift(Split({"one": 100}))
    assert raised.value.code == "TooManyTargetGroups"
    assert routed.traffic.observe().vacant


def test_somebody_who_writes_at_the_same_time_is_noticed(routed: Place) -> None:
    arn = routed.group("one")
    routed.group("two")
    other = forward((arn, 7))
    operation = "ModifyRule" if routed.rule else "ModifyListener"
    meta = routed.elb.meta
    event = f"after-call.{meta.service_model.service_id.hyphenize()}.{operation}"
    again: list[bool] = []

    def overwrite(**_: Any) -> None:
        if not again:
            again.append(True)
            routed.set_actions([other])

    meta.events.register(event, overwrite)
    with pytest.raises(Drifted, match="somebody else moved the traffic"):
        routed.shift(Split({"one": 0, "two": 100}))
    meta.events.unregister(event, overwrite)


def test_a_group_that_does_not_exist_is_not_shifted_to(routed: Place) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        routed.shift(Split({"nowhere": 100}))
    assert routed.traffic.observe().vacant


def test_a_rule_that_is_gone_is_named(place: Place) -> None:
    gone = place.anew(rule=place.listener.replace(":listener/", ":listener-rule/") + "/0123456789abcdef")
    with pytest.raises(NotFound, match=r"traffic\.rule|not on the listener"):
        gone.traffic.observe()


def test_a_listener_that_is_gone_is_named(place: Place) -> None:
    gone = place.anew(listener=place.listener[:-4] + "ffff")
    with pytest.raises(NotFound, match="reading the rules"):
        gone.traffic.observe()


def test_a_preview_goes_to_its_fleet_alone_and_before_every_other_rule(routed: Place) -> None:
    routed.group("one")
    routed.traffic.open_preview("one")
    assert routed.traffic.observe().preview == "one"
    (rule,) = [rule for rule in routed.rules() if rule["RuleArn"] != routed.rule]
    assert list(weights_in(rule["Actions"])) == ["one"]
    assert int(rule["Priority"]) < 10


def test_each_preview_has_a_token_of_its_own_that_everybody_can_read_from_the_rule(routed: Place) -> None:
    tokens = []
    for name in ("one", "two"):
        routed.group(name)
        routed.traffic.open_preview(name)
        tokens.append(routed.anew().traffic.observe().preview_token)
        assert [token for rule in routed.rules() for token in tokens_in(rule)] == tokens[-1:]
    assert len(set(tokens)) == 2
    assert all(len(token) == 16 for token in tokens)
    routed.traffic.close_preview()
    assert routed.traffic.observe().preview_token == ""


def test_a_preview_of_a_rule_keeps_the_conditions_of_the_rule(routed: Place) -> None:
    routed.group("one")
    routed.traffic.open_preview("one")
    (rule,) = [rule for rule in routed.rules() if rule["RuleArn"] != routed.rule]
    fields = {condition["Field"] for condition in rule["Conditions"]}
    assert fields == ({"http-header", "host-header", "path-pattern"} if routed.rule else {"http-header"})


def test_opening_twice_makes_one_rule_and_closing_twice_leaves_none(routed: Place) -> None:
    routed.group("one")
    for _ in range(2):
        routed.traffic.open_preview("one")
    assert preview_of(routed) == ["one"]
    for _ in range(2):
        routed.traffic.close_preview()
    assert preview_of(routed) == []


def test_a_new_preview_takes_the_place_of_the_old_one(routed: Place) -> None:
    for name in ("one", "two"):
        routed.group(name)
        routed.traffic.open_preview(name)
    assert preview_of(routed) == ["two"]


def test_a_taken_priority_is_passed_over(place: Place) -> None:
    header = {"Field": "host-header", "HostHeaderConfig": {"Values": ["other.example"]}}
    for priority in (1, 2):
        place.elb.create_rule(ListenerArn=place.listener, Priority=priority, Conditions=[header], Actions=nothing_yet())
    place.group("one")
    place.traffic.open_preview("one")
    assert sorted(int(rule["Priority"]) for rule in place.rules()) == [1, 2, 3]


def test_a_priority_that_is_taken_in_this_moment_is_passed_over(place: Place) -> None:
    place.group("one")
    header = {"Field": "host-header", "HostHeaderConfig": {"Values": ["other.example"]}}

    def other() -> None:
        place.elb.create_rule(ListenerArn=place.listener, Priority=1, Conditions=[header], Actions=nothing_yet())

    place.wire.before("elbv2", "CreateRule", other)
    place.traffic.open_preview("one")
    assert place.traffic.observe().preview == "one"
    assert sorted(int(rule["Priority"]) for rule in place.rules()) == [1, 2]


def test_a_preview_that_an_earlier_try_opened_is_adopted(place: Place) -> None:
    place.group("one")
    struck = place.wire.fail_after("elbv2", "CreateRule", "PriorityInUse")
    place.traffic.open_preview("one")
    assert struck
    assert preview_of(place) == ["one"]


def test_the_preview_of_another_app_on_the_same_listener_is_left_alone(place: Place) -> None:
    other = place.anew(app="somebody-else", settings=place.settings.model_copy(update={"app": "somebody-else"}))
    other.group("theirs")
    other.traffic.open_preview("theirs")
    place.group("ours")
    place.traffic.open_preview("ours")
    place.traffic.close_preview()
    place.traffic.close_preview()
    assert preview_of(place) == ["theirs"]
    assert place.traffic.observe().preview is None


def test_the_preview_of_another_environment_is_left_alone(place: Place) -> None:
    place.group("ours")
    tags = {naming.APP: place.app, naming.ENV: "staging", naming.FLEET: "theirs"}
    arn = place.raw_group("theirs", [{"Key": key, "Value": value} for key, value in tags.items()])
    header = {"HttpHeaderName": naming.PREVIEW_HEADER, "Values": ["theirs"]}
    place.elb.create_rule(
        ListenerArn=place.listener,
        Priority=1,
        Conditions=[{"Field": "http-header", "HttpHeaderConfig": header}],
        Actions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    place.traffic.open_preview("ours")
    place.traffic.close_preview()
    assert preview_of(place) == ["theirs"]


def test_a_rule_that_vanishes_while_it_is_closed_is_fine(place: Place) -> None:
    place.group("one")
    place.traffic.open_preview("one")
    place.wire.fail_after("elbv2", "DeleteRule", "RuleNotFound")
    place.traffic.close_preview()
    assert preview_of(place) == []


def test_a_rule_of_the_first_priority_can_be_released_to(place: Place) -> None:
    header = {"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.example"]}}
    made = place.elb.create_rule(ListenerArn=place.listener, Priority=1, Conditions=[header], Actions=nothing_yet())
    ruled = place.anew(rule=made["Rules"][0]["RuleArn"])
    ruled.group("blue")
    ruled.shift(Split({"blue": 100}))
    ruled.group("one")
    if ruled.traffic.observe().previewable:
        ruled.traffic.open_preview("one")
