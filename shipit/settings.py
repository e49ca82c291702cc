"""Every setting of shipit.yml: its meaning, its default, and what it must look like.

One source for the checks, for the JSON Schema and for docs/configuration.md. Unknown keys are refused everywhere.
"""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints, create_model, field_validator, model_validator

from shipit.errors import UsageError
from shipit.gates import kinds, several
from shipit.schedule import EXAMPLE, parse_schedule
from shipit.section import METRIC_ID, URL, Number, Section, Whole

APP_NAME = r"^[a-z][a-z0-9-]{0,30}$"
Name = Annotated[str, StringConstraints(pattern=APP_NAME)]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]+$")]
SecurityGroupId = Annotated[str, StringConstraints(pattern=r"^sg-[0-9a-f]+$")]
ImageId = Annotated[str, StringConstraints(pattern=r"^ami-[0-9a-f]+$")]
ListenerArn = Annotated[str, StringConstraints(pattern=r"^arn:[^:]+:elasticloadbalancing:[^:]+:\d+:listener/app/.+$")]
RuleArn = Annotated[str, StringConstraints(pattern=r"^arn:[^:]+:elasticloadbalancing:[^:]+:\d+:listener-rule/app/.+$")]
CommandLine = Annotated[str, StringConstraints(min_length=1)]
EnvironmentKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


# What a pattern means, for complaints: pydantic can only show the pattern.
MEANINGS = {
    APP_NAME: "lower case letters, digits and hyphens, a letter first, at most 31",
    r"^subnet-[0-9a-f]+$": "the id of a subnet",
    r"^sg-[0-9a-f]+$": "the id of a security group",
    r"^ami-[0-9a-f]+$": "the id of an AMI",
    r"^arn:[^:]+:elasticloadbalancing:[^:]+:\d+:listener/app/.+$": "the ARN of a listener of an Application Load Balancer",
    r"^arn:[^:]+:elasticloadbalancing:[^:]+:\d+:listener-rule/app/.+$": "the ARN of a rule of an Application Load Balancer",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "letters, digits and underscores, no digit first",
    r"^[a-z_][a-z0-9_-]*$": "the name of a user",
    r"^/[A-Za-z0-9_./-]+$": "an absolute path of letters, digits and . _ / -",
    r"^/[^\s]*$": "a path that begins with / and has no blanks",
    r"^\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*$": "status codes such as 200, 200,302 or 200-299",
    r"^[a-z]{2,4}(-[a-z]+)+-\d$": "the name of an AWS region",
    r"^\d{12}$": "12 digits in quotes",
    r"^[A-Za-z0-9_.-]{3,255}$": "3 to 255 letters, digits and . _ -",
    METRIC_ID: "a small letter, then letters, digits and underscores",
    URL: "a URL: https://, a host, and a path",
}


class SourceImage(Section):
    """The AMI to build on: one by id, or the newest that matches name and owners."""

    id: ImageId | None = Field(None, description="A fixed AMI id.", examples=["ami-0123456789abcdef0"])
    name: str | None = Field(None, description="Name pattern; the newest match wins.", examples=["debian-12-amd64-*"])
    owners: tuple[str, ...] = Field(
        (), description="Account ids or aliases that may own it; a must with `name`.", examples=[["136693071363"]]
    )
    architecture: Literal["x86_64", "arm64"] = Field("x86_64", description="CPU architecture of the AMI.")

    @model_validator(mode="after")
    def _one_way_to_name_it(self) -> SourceImage:
        if (self.id is None) == (self.name is None):
            raise ValueError("give either `id`, or `name` with `owners`")
        if self.name is not None and not self.owners:
            raise ValueError("`name` needs `owners`: anybody can publish an AMI of that name")
        return self


class Bake(Section):
    """How a commit becomes an image (Packer, amazon-ebs)."""

    template: str | None = Field(
        None, description="Your own Packer template, relative to shipit.yml.", examples=["packer/app.pkr.hcl.j2"]
    )
    source_image: SourceImage = Field(
        SourceImage(name="debian-12-amd64-*", owners=("136693071363",)), description="The AMI to build on."
    )
    instance_type: str = Field("t3.small", description="Type of the builder instance.", examples=["c7i.large"])
    communicator: Literal["ssh", "ssm"] = Field(
        "ssh", description="How Packer reaches the builder; `ssm` needs Packer >= 1.7 and an instance profile."
    )
    ssh_username: str = Field("admin", description="User of the source AMI.", pattern=r"^[a-z_][a-z0-9_-]*$")
    ssh_interface: Literal["public_ip", "private_ip"] = Field("public_ip", description="Address that Packer dials.")
    subnet: SubnetId | None = Field(None, description="Subnet of the builder; the default VPC's when left out.")
    security_groups: tuple[SecurityGroupId, ...] = Field((), description="A temporary group is made when empty.")
    instance_profile: str | None = Field(None, description="IAM instance profile of the builder.")
    encrypt: bool = Field(False, description="Encrypt the image's snapshots.")
    kms_key: str | None = Field(None, description="KMS key for that; the account's default key when left out.")
    scripts: tuple[str, ...] = Field(
        (), description="Shell scripts run as root in the app's folder, in order.", examples=[["deploy/install.sh"]]
    )
    variables: dict[EnvironmentKey, str] = Field(
        default_factory=dict, description="Environment of the scripts. They are part of the fingerprint; no secrets."
    )
    folder: str = Field("/srv/app", description="Where the tree of the commit goes.", pattern=r"^/[A-Za-z0-9_./-]+$")
    timeout_minutes: Number = Field(30, description="Packer is stopped after this long.", gt=0, le=24 * 60)


class Run(Section):
    """How the app is started: becomes a systemd unit in the image."""

    command: str | None = Field(
        None, description="Command line, run in `bake.folder`.", examples=["/usr/bin/python3 server.py"]
    )
    user: str = Field("www-data", description="User that runs it.", pattern=r"^[a-z_][a-z0-9_-]*$")
    environment: dict[EnvironmentKey, str] = Field(
        default_factory=dict, description="Environment set at launch (user data): changing it bakes nothing."
    )


class FleetSettings(Section):
    """The instances of one version."""

    instance_type: str = Field("t3.micro", description="Instance type.", examples=["m7g.large"])
    size: Whole = Field(
        2, description="Instances of the first fleet; later ones start at the serving fleet's.", ge=1, le=1000
    )
    min_size: Whole | None = Field(
        None, description="MinSize once a fleet serves; `size` when left out.", ge=0, le=1000
    )
    max_size: Whole | None = Field(None, description="MaxSize; twice `size` when left out.", ge=1, le=2000)
    subnets: tuple[SubnetId, ...] = Field((), description="Subnets, best in two zones of the load balancer.")
    security_groups: tuple[SecurityGroupId, ...] = Field((), description="Security groups of the instances.")
    instance_profile: str | None = Field(None, description="Name of the IAM instance profile.")
    port: Whole = Field(8080, description="Port that the app listens on.", ge=1, le=65535)
    user_data: str | None = Field(
        None, description="Shell script run as root at first boot, relative to shipit.yml.", examples=["deploy/boot.sh"]
    )
    grace_seconds: Whole = Field(120, description="HealthCheckGracePeriod of the Auto Scaling group.", ge=0, le=7200)

    @model_validator(mode="after")
    def _sizes_in_order(self) -> FleetSettings:
        low, high = self.min_size if self.min_size is not None else self.size, self.max_size or 2 * self.size
        if not low <= self.size <= high:
            raise ValueError(f"sizes must be in order: min_size {low} <= size {self.size} <= max_size {high}")
        return self


class Health(Section):
    """The target group's health check, and how sure shipit wants to be."""

    path: str = Field("/", description="Path that answers when the app can serve.", pattern=r"^/[^\s]*$")
    codes: str = Field(
        "200", description="Answers that count as healthy.", pattern=r"^\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*$"
    )
    interval_seconds: Whole = Field(5, description="Time between checks.", ge=5, le=300)
    timeout_seconds: Whole = Field(2, description="Time for one check, less than the interval.", ge=2, le=120)
    healthy_threshold: Whole = Field(2, description="Passes in a row that make a sick target healthy.", ge=2, le=10)
    unhealthy_threshold: Whole = Field(2, description="Failures in a row that make a target sick.", ge=2, le=10)
    steady_seconds: Number = Field(
        5, description="A fleet must stay healthy this long before it is trusted.", ge=0, le=3600
    )
    deadline_seconds: Number = Field(600, description="A fleet that is not healthy by then has failed.", gt=0, le=86400)
    tolerate_seconds: Number = Field(
        30,
        description="How long a fleet that has traffic may be short of healthy instances before the release goes home; "
        "at once when it has lost half of them.",
        ge=0,
        le=3600,
    )
    poll_seconds: Number = Field(
        2, description="Longest time between two looks; AWS allows 10 ELB calls a second per account.", ge=0.1, le=60
    )
    percent: Number = Field(100, description="Share of the instances that must be healthy.", gt=0, le=100)

    @model_validator(mode="after")
    def _timeout_within_interval(self) -> Health:
        if self.timeout_seconds >= self.interval_seconds:
            raise ValueError(
                f"timeout_seconds {self.timeout_seconds} must be less than interval_seconds {self.interval_seconds}"
            )
        return self


class Traffic(Section):
    """Which listener or rule is shifted, and how."""

    listener: ListenerArn | None = Field(None, description="ARN of the ALB listener whose default action is shifted.")
    rule: RuleArn | None = Field(None, description="ARN of the listener rule to shift instead of the default action.")
    schedule: str = Field("100%", description="Canary stages.", examples=[EXAMPLE])
    drain_seconds: Whole = Field(30, description="Time that a leaving instance has to finish requests.", ge=0, le=3600)
    settle_seconds: Number = Field(
        60,
        description="Time after a shift before the capacity of the fleet that lost its share is touched.",
        ge=0,
        le=3600,
    )
    dns_evaluates_health: bool = Field(
        False,
        description="Set it when a Route 53 alias to the balancer evaluates target health: a parked fleet then keeps one "
        "instance instead of none.",
    )

    @field_validator("schedule")
    @classmethod
    def _schedule_reads(cls, text: str) -> str:
        try:
            parse_schedule(text)
        except UsageError as error:
            raise ValueError(f"{error.why} ({error.what})") from error
        return text


class Rollback(Section):
    """How long the way back stays instant."""

    keep_minutes: Number = Field(
        60, description="The previous fleet is kept at full size this long.", ge=0, le=28 * 24 * 60
    )


class Images(Section):
    """How many images stay for a way back."""

    keep: Whole = Field(
        10,
        description="The newest images of the app that `shipit gc` keeps; those in use, younger than a day, or tagged "
        "`shipit:keep` stay in any case.",
        ge=1,
        le=1000,
    )


class Hooks(Section):
    """Programs that run where shipit runs, at fixed points of a release: see docs/hooks.md."""

    before_bake: CommandLine | None = Field(None, description="Before an image is baked.", examples=["make check"])
    before_traffic: CommandLine | None = Field(
        None, description="Once per release, before the first request.", examples=["./migrate.sh"]
    )
    after_stage: CommandLine | None = Field(None, description="When the hold of a stage is over.")
    after_release: CommandLine | None = Field(None, description="When the new version serves everybody.")
    after_rollback: CommandLine | None = Field(None, description="When an earlier version serves again.")
    on_failure: CommandLine | None = Field(
        None, description="When a release or rollback has failed.", examples=["./alert.sh"]
    )
    timeout_seconds: Number = Field(300, description="A hook is ended after this long, and has failed.", gt=0, le=3600)


# What CloudWatch takes for a period, beside whole minutes. A load balancer's metrics come once a minute.
SHORT_PERIODS = (1, 5, 10, 20, 30)


class GatesBase(Section):
    """What decides whether a canary may go on, besides the health of its fleet: see docs/canary.md."""

    period_seconds: Whole = Field(60, description="How often CloudWatch gets the balancer's metrics.", ge=1, le=3600)
    lag_seconds: Number = Field(
        120, description="Metrics younger than this are not looked at: they may not be complete.", ge=0, le=3600
    )

    @field_validator("period_seconds")
    @classmethod
    def _is_a_period(cls, seconds: int) -> int:
        if seconds % 60 and seconds not in SHORT_PERIODS:
            raise ValueError("CloudWatch takes whole minutes, or 1, 5, 10, 20 or 30 seconds")
        return seconds

    @model_validator(mode="after")
    def _names_are_different(self) -> GatesBase:
        """A schedule names gates, and so does the history."""
        named = [name for kind in kinds() for name in (getattr(self, kind, None) if several(kind) else (kind,)) or ()]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f"two gates are called {twice[0]}")
        return self


def _gates() -> type[GatesBase]:
    """The section with a key for each kind of gate: one of it, or several by name."""
    fields: dict[str, Any] = {}
    for kind, module in kinds().items():
        said = str(module.Settings.__doc__).strip()
        if several(kind):
            fields[kind] = (
                GenericAlias(dict, (Name, module.Settings)),
                Field(default_factory=dict, description=f"By name: {said}"),
            )
        else:
            # No null: who writes `errors:` and nothing below it would believe that there is a gate.
            fields[kind] = (module.Settings, Field(None, description=said))
    return create_model("Gates", __base__=GatesBase, __doc__=GatesBase.__doc__, **fields)


if TYPE_CHECKING:
    Gates = GatesBase
else:
    Gates = _gates()


class Settings(Section):
    """One environment of shipit.yml, laid over the base."""

    app: Name = Field(description="Name of the app: lower case letters, digits, hyphens.", examples=["hello"])
    region: str | None = Field(
        None, description="AWS region.", pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d$", examples=["eu-west-1"]
    )
    account: str | None = Field(
        None, description="AWS account id; a release into any other account is refused.", pattern=r"^\d{12}$"
    )
    record: str = Field(
        "shipit",
        description="DynamoDB table of history and state; `none` goes without.",
        pattern=r"^[A-Za-z0-9_.-]{3,255}$",
    )
    bake: Bake = Field(Bake(), description="How a commit becomes an image.")
    run: Run = Field(Run(), description="How the app is started.")
    fleet: FleetSettings = Field(FleetSettings(), description="The instances of one version.")
    health: Health = Field(Health(), description="What healthy means.")
    traffic: Traffic = Field(Traffic(), description="Which listener, and how traffic moves.")
    gates: Gates = Field(Gates(), description="What decides whether a canary may go on.")
    hooks: Hooks = Field(Hooks(), description="Programs at fixed points of a release.")
    rollback: Rollback = Field(Rollback(), description="How long the way back stays instant.")
    images: Images = Field(Images(), description="How many images stay for a way back.")
