"""The whole bake with a script in Packer's place and AWS in memory: what is reused, what is reported, what is cleaned up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from shipit.bake.baker import PackerBaker, Workplace
from shipit.bake.git import Repository
from shipit.errors import BakeError, ShipitError, Stopped, UsageError
from shipit.events import BakeLine, Note
from shipit.model import Image, Version
from shipit.ports import SourceQuery
from tests.bake.conftest import Checkout, config_at
from tests.bake.test_packer import RealClock, fake

# Writes the manifest as Packer would, after the lines given.
BAKES = """
case $1 in version) echo 'Packer v1.6.6'; exit;; esac
echo "$$" >>"$COUNT"
{lines}
out=$(sed -n 's/^    output *= "\\(.*\\)"/\\1/p' shipit.pkr.hcl)
echo '{{"builds":[{{"artifact_id":"eu-west-1:ami-1","packer_run_uuid":"u"}}],"last_run_uuid":"u"}}' >"$out"
"""
FAILS = """
case $1 in version) echo 'Packer v1.6.6'; exit;; esac
{lines}
exit 1
"""


@dataclass
class MemoryImages:
    """Implements `ports.BakeImages`."""

    images: dict[str, Image] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    discarded: list[str] = field(default_factory=list)

    def by_fingerprint(self, fingerprint: str) -> Image | None:
        found = (image for image in self.images.values() if image.fingerprint == fingerprint)
        return next(found, None)

    def by_id(self, image_id: str) -> Image | None:
        return self.images.get(image_id)

    def all(self) -> Sequence[Image]:
        return list(self.images.values())

    def source(self, query: SourceQuery) -> str:
        return "ami-0123456789abcdef0"

    def by_name(self, name: str) -> Image | None:
        return self.images.get(self.names.get(name, ""))

    def tag(self, image_id: str, tags: Mapping[str, str]) -> None:
        self.tags[image_id] = {**tags, **self.tags.get(image_id, {})}
        fingerprint = self.tags[image_id]["shipit:fingerprint"]
        self.images[image_id] = replace(self.images[image_id], fingerprint=fingerprint)

    def settle(self, image_id: str, patience_seconds: float, told: Callable[[str], None]) -> Image:
        image = replace(self.images.get(image_id, Image(image_id, Version(image_id))), state="available")
        self.images[image_id] = image
        return image

    def discard(self, image_id: str) -> None:
        self.discarded.append(image_id)
        self.names = {name: known for name, known in self.names.items() if known != image_id}
        del self.images[image_id]


@dataclass
class MemoryBuilders:
    """Implements `ports.Builders`."""

    busy: list[str] = field(default_factory=list)
    claimed: list[str] = field(default_factory=list)
    swept: list[Callable[[str], bool]] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    def endpoint(self) -> str | None:
        return None

    def region(self) -> str:
        return "eu-west-1"

    def credentials(self) -> Mapping[str, str]:
        return {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}

    def marks(self, fingerprint: str) -> Sequence[str]:
        return self.busy

    def claim(self, mark: str, groups: Sequence[str]) -> None:
        self.claimed += groups

    def sweep(self, ours: Callable[[str], bool]) -> Sequence[str]:
        self.swept.append(ours)
        return [text for text in self.leftovers if ours(text)]


@dataclass
class Scene:
    """A baker and everything around it."""

    checkout: Checkout
    tmp_path: Path
    images: MemoryImages = field(default_factory=MemoryImages)
    builders: MemoryBuilders = field(default_factory=MemoryBuilders)
    clock: RealClock = field(default_factory=RealClock)
    events: list[Any] = field(default_factory=list)
    script: str = BAKES.format(lines="")
    bake_settings: dict[str, Any] = field(default_factory=dict)

    def baker(self) -> PackerBaker:
        environ = {
            **fake(self.tmp_path / "bin", self.script),
            "COUNT": str(self.tmp_path / "count"),
            "AWS_PROFILE": "sso",
        }
        workplace = Workplace(environ, self.tmp_path / "logs", "ada")
        config = config_at(self.checkout.folder, bake=self.bake_settings)
        return PackerBaker(config, self.images, self.builders, self.clock, self.events.append, workplace)

    def bake(self, ref: str = "v1") -> Image:
        return self.baker().bake(Repository(self.checkout.folder).resolve(ref))

    @property
    def runs(self) -> int:
        count = self.tmp_path / "count"
        return len(count.read_text().splitlines()) if count.exists() else 0

    @property
    def image_name(self) -> str:
        from shipit.bake.recipe import write_recipe

        config = config_at(self.checkout.folder, bake=self.bake_settings)
        repository = Repository(self.checkout.folder)
        return write_recipe(config, repository, self.images, repository.resolve("v1")).image_name

    def texts(self, kind: type[BakeLine] | type[Note]) -> list[str]:
        return [event.text for event in self.events if isinstance(event, kind)]


@pytest.fixture
def scene(checkout: Checkout, tmp_path: Path) -> Scene:
    return Scene(checkout, tmp_path)


def test_a_commit_becomes_a_tagged_image(scene: Scene) -> None:
    image = scene.bake()
    commit = scene.checkout.git("rev-parse", "v1")
    assert (image.id, image.version, image.state) == ("ami-1", Version("v1", commit), "available")
    tags = scene.images.tags["ami-1"]
    assert tags["shipit:app"] == "hello"
    assert tags["shipit:version"] == "v1"
    assert tags["shipit:commit"] == commit
    assert tags["shipit:fingerprint"] == image.fingerprint
    assert tags["shipit:source-image"] == "ami-0123456789abcdef0"
    assert tags["shipit:baked-by"] == "ada"
    assert tags["shipit:baked-at"]


def test_an_unchanged_commit_is_not_baked_again_whatever_it_is_called(scene: Scene) -> None:
    first = scene.bake()
    scene.checkout.git("tag", 'v2";id;')
    second = scene.bake('v2";id;')
    assert scene.runs == 1
    assert (second.id, second.version.name) == (first.id, 'v2";id;')
    assert scene.images.tags["ami-1"]["shipit:version"] == "v1"


def test_find_bakes_nothing(scene: Scene) -> None:
    version = Repository(scene.checkout.folder).resolve("v1")
    assert scene.baker().find(version) is None
    scene.bake()
    found = scene.baker().find(version)
    assert found is not None
    assert found.id == "ami-1"


def test_an_image_that_was_never_tagged_is_found_by_its_name(scene: Scene) -> None:
    scene.images.names[scene.image_name] = "ami-7"
    scene.images.images["ami-7"] = Image("ami-7", Version("?"), state="pending")
    assert scene.bake().id == "ami-7"
    assert scene.runs == 0
    assert scene.images.tags["ami-7"]["shipit:version"] == "v1"


def test_a_failed_image_of_that_name_makes_way(scene: Scene) -> None:
    scene.images.names[scene.image_name] = "ami-7"
    scene.images.images["ami-7"] = Image("ami-7", Version("?"), state="failed")
    assert scene.bake().id == "ami-1"
    assert scene.images.discarded == ["ami-7"]


def test_the_loser_of_a_race_for_the_name_uses_the_winners_image(scene: Scene) -> None:
    """The name is free when Packer starts and taken when it ends."""
    name, images = scene.image_name, scene.images
    scene.script = FAILS.format(lines='echo "1,,ui,error,name is in use"')

    def taken(_: str, groups: Sequence[str]) -> None:
        images.names[name] = "ami-9"
        images.images["ami-9"] = Image("ami-9", Version("?"), state="pending")

    scene.script = FAILS.format(lines="echo 1,,ui,say,packer_6b0369fb-ea9e-f075-0482-a700b14fea5f; echo 1,,ui,say,next")
    scene.builders.claim = taken  # type: ignore[method-assign,assignment]
    assert scene.bake().id == "ami-9"


def test_the_output_is_streamed_and_kept_in_a_file(scene: Scene) -> None:
    scene.script = BAKES.format(lines="echo '1,,ui,say,==> amazon-ebs.image: Stopping'; echo '1,,ui,message,    hi'")
    scene.bake()
    lines = [(event.text, event.important) for event in scene.events if isinstance(event, BakeLine)]
    assert lines == [("Stopping", True), ("    hi", False)]
    (log,) = (scene.tmp_path / "logs").glob("*.log")
    assert "Stopping" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_packer_gets_our_credentials_by_environment_and_not_the_profile(scene: Scene) -> None:
    scene.script = BAKES.format(lines='echo "1,,ui,message,$AWS_ACCESS_KEY_ID/$AWS_SECRET_ACCESS_KEY/$AWS_PROFILE/$#"')
    scene.bake()
    assert scene.texts(BakeLine) == ["key/secret//4"]


def test_a_failed_script_is_named_with_what_it_said(scene: Scene) -> None:
    scene.checkout.write("bad.sh", "exit 3\n")
    scene.checkout.commit()
    scene.bake_settings = {"scripts": ["bad.sh"]}
    scene.script = FAILS.format(
        lines="""
echo '1,,ui,message,    shipit: running bad.sh'
echo '1,,ui,error,==> amazon-ebs.image: E: no such package'
echo '1,,ui,message,    shipit-failed: 3 bad.sh'
echo '1,,ui,error,Build errored: exit status 3'"""
    )
    with pytest.raises(BakeError) as caught:
        scene.bake("main")
    assert caught.value.what == "baking main failed: bad.sh ended with exit code 3"
    assert caught.value.why == "E: no such package"
    assert "full log: " in caught.value.next


def test_any_other_failure_shows_packers_own_errors(scene: Scene) -> None:
    scene.script = FAILS.format(lines="echo '1,,ui,say,==> Launching'; echo '1,,ui,error,UnauthorizedOperation'")
    with pytest.raises(BakeError, match=r"Packer 1\.6\.6 ended with exit code 1") as caught:
        scene.bake()
    assert caught.value.why == "UnauthorizedOperation"


def test_a_failed_bake_removes_what_packer_left(scene: Scene) -> None:
    scene.script = FAILS.format(lines="grep -o 'shipit-bake:[^\"]*' shipit.pkr.hcl | head -1")
    with pytest.raises(BakeError):
        scene.bake()
    mark = scene.texts(BakeLine)[0]
    assert scene.builders.swept[-1](mark)
    assert not scene.builders.swept[-1]("shipit-bake:another")


def test_a_stop_is_passed_on_once_packer_has_ended(scene: Scene) -> None:
    scene.script = BAKES.format(lines="trap 'echo 1,,ui,say,cleaned; exit 1' TERM; while :; do sleep 0.05; done")
    original = scene.clock.sleep

    def stop_soon(seconds: float) -> None:
        if scene.runs:
            scene.clock.stop.set()
        original(seconds)

    scene.clock.sleep = stop_soon  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        scene.bake()
    assert len(scene.builders.swept) == 2


def test_leftovers_of_abandoned_bakes_only_are_swept_before_a_bake(scene: Scene) -> None:
    old = "shipit-bake:hello:20200101T000000Z:31m:elsewhere.00000000:1:n1"
    foreign = "packer_6b0369fb"
    scene.builders.leftovers = [old, foreign]
    scene.bake()
    assert scene.texts(Note) == [f"removed a leftover: {old}"]


def test_the_temporary_group_is_claimed_once_it_exists(scene: Scene) -> None:
    name = "packer_6b0369fb-ea9e-f075-0482-a700b14fea5f"
    scene.script = BAKES.format(lines=f"echo '1,,ui,say,Creating {name}'; echo 1,,ui,say,next; echo 1,,ui,say,last")
    scene.bake()
    assert scene.builders.claimed == [name]


def test_a_template_without_manifest_still_yields_the_image_by_name(scene: Scene) -> None:
    name = scene.image_name
    scene.script = "case $1 in version) echo 'Packer v1.6.6'; exit;; esac; sleep 0.5"
    scene.clock.sleep = lambda _: (  # type: ignore[method-assign,assignment]
        scene.images.names.update({name: "ami-5"}),
        scene.images.images.update({"ami-5": Image("ami-5", Version("?"))}),
    )
    scene.builders.busy = []
    assert scene.bake().id == "ami-5"


def test_a_template_that_names_no_image_is_an_error_that_says_so(scene: Scene) -> None:
    scene.script = "case $1 in version) echo 'Packer v1.6.6'; exit;; esac"
    with pytest.raises(BakeError, match="no image of v1 can be found"):
        scene.bake()


def test_the_uncommitted_change_is_noted(scene: Scene) -> None:
    scene.checkout.write("VERSION", "v9\n")
    scene.bake()
    assert any("uncommitted" in text for text in scene.texts(Note))


@pytest.mark.parametrize("settings", [{"communicator": "ssm"}, {"communicator": "ssm", "instance_profile": "builder"}])
def test_ssm_that_cannot_work_is_refused_before_a_builder_runs(scene: Scene, settings: dict[str, Any]) -> None:
    scene.bake_settings = settings
    with pytest.raises(UsageError, match="communicator: ssm"):
        scene.bake()
    assert scene.runs == 0


def test_no_packer_is_no_problem_when_the_image_exists(scene: Scene) -> None:
    scene.bake()
    scene.script = "exit 127"
    assert scene.bake().id == "ami-1"


def test_every_error_is_one_of_ours(scene: Scene) -> None:
    scene.script = "exit 127"
    with pytest.raises(ShipitError):
        scene.bake()
