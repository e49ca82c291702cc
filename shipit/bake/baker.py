"""Commit in, image out: the image that already is the commit, the one that another bake is making, or a new one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from shipit.bake.bundle import write_bundle
from shipit.bake.git import Repository
from shipit.bake.lock import only_one
from shipit.bake.mark import Mark
from shipit.bake.packer import Packer, built_image, find_packer, install_plugins, run_packer
from shipit.bake.recipe import Recipe, write_recipe
from shipit.bake.render import Inputs
from shipit.bake.report import Report
from shipit.bake.ssm import require_ssm
from shipit.config import Config
from shipit.errors import BakeError, ShipitError
from shipit.events import Listener, Note, Progress
from shipit.model import Image, Mood, Verdict, Version
from shipit.ports import BakeImages, Builders, Clock
from shipit.wait import Pace, until

_FAILED_STATES = ("failed", "error", "invalid")
_OTHER_BAKE = Pace(first_seconds=1.0, longest_seconds=10.0)


@dataclass(frozen=True)
class Workplace:
    """Where a bake happens: the environment of its child processes, where logs are kept, and who asked for it."""

    environ: Mapping[str, str]
    log_folder: Path
    who: str


class PackerBaker:
    """`ports.Baker` by Packer's amazon-ebs builder. `hear` gets BakeLine, Note and Progress events."""

    def __init__(
        self, config: Config, images: BakeImages, builders: Builders, clock: Clock, hear: Listener, workplace: Workplace
    ) -> None:
        self._config = config
        self._images = images
        self._builders = builders
        self._clock = clock
        self._hear = hear
        self._workplace = workplace
        self._repository = Repository(config.folder)

    def find(self, version: Version) -> Image | None:
        """The available image with the fingerprint of this version, returned as the version that was asked for."""
        found = self._images.by_fingerprint(self._recipe(version).fingerprint)
        return replace(found, version=version) if found and found.state == "available" else None

    def bake(self, version: Version) -> Image:
        """The image of this version, baked unless it exists. Raises `Stopped` only once nothing is left behind."""
        recipe = self._recipe(version)
        locks = self._workplace.log_folder / "locks"
        with only_one(locks, recipe.fingerprint, self._wait_for_neighbour(recipe)):
            image = self._existing(recipe) or self._from_another_machine(recipe) or self._new(recipe)
        self._images.tag(image.id, recipe.tags(self._config.app, self._workplace.who, self._clock.now()))
        return replace(image, version=version, fingerprint=recipe.fingerprint)

    def _recipe(self, version: Version) -> Recipe:
        return write_recipe(self._config, self._repository, self._images, version)

    def _existing(self, recipe: Recipe) -> Image | None:
        """By tag, or by name when whoever made it died before tagging it; waited for while it is pending."""
        found = self._images.by_fingerprint(recipe.fingerprint) or self._images.by_name(recipe.image_name)
        if found is None:
            return None
        if found.state in _FAILED_STATES:
            self._note(f"removing {found.id}: an earlier bake of {recipe.version.name} left it {found.state}")
            self._images.discard(found.id)
            return None
        return self._images.settle(found.id, self._timeout_seconds, self._progress)

    def _from_another_machine(self, recipe: Recipe) -> Image | None:
        """Waits while a builder elsewhere makes this image; None when there is none, or it gave up."""
        deadline = self._clock.now() + timedelta(seconds=self._timeout_seconds)

        def probe() -> Verdict:
            busy = [text for text in self._builders.marks(recipe.fingerprint) if self._in_use(text)]
            if not busy or self._clock.now() > deadline:
                return Verdict(Mood.BAD, "no other bake")
            waiting = f"another bake makes the same image: {busy[0]}"
            return Verdict(Mood.NOT_YET if self._images.by_name(recipe.image_name) is None else Mood.GOOD, waiting)

        until(probe, self._clock, _OTHER_BAKE, self._progress)
        return self._existing(recipe)

    def _new(self, recipe: Recipe) -> Image:
        packer = find_packer(self._workplace.environ)
        require_ssm(self._config.settings.bake, packer, self._workplace.environ)
        self._sweep()
        for note in self._repository.notes(recipe.version):
            self._note(note)
        with tempfile.TemporaryDirectory(prefix="shipit-bake-") as folder:
            image_id = self._run(packer, recipe, Path(folder))
        return self._images.settle(image_id, self._timeout_seconds, self._progress)

    def _run(self, packer: Packer, recipe: Recipe, folder: Path) -> str:
        """One run of Packer; the id of the image it made, or that won the race for the name."""
        mark = Mark.new(self._config.app, self._clock.now(), self._config.settings.bake.timeout_minutes)
        inputs = self._inputs(packer, recipe, folder, str(mark))
        self._repository.archive(recipe.version, folder / "tree.tar")
        write_bundle(self._config, recipe.version, folder / "tree.tar", Path(inputs.bundle))
        recipe.template.write(self._config, inputs, folder / "packer")
        environ = self._environ(inputs)
        install_plugins(packer, folder / "packer", environ)
        with (
            self._cleaned_up(str(mark)),
            Report.to(self._log_path(recipe), self._config, self._clock, self._hear) as report,
        ):
            hear = self._claiming(str(mark), report)
            outcome = run_packer(packer, folder / "packer", environ, self._clock, self._timeout_seconds, hear)
            made = built_image(Path(inputs.manifest)) if outcome.status == 0 else None
            winner = None if made else self._images.by_name(recipe.image_name)
            if winner and winner.state not in _FAILED_STATES:
                return winner.id
            if made is None:
                raise report.error(recipe.version, packer, outcome)
            return made

    def _inputs(self, packer: Packer, recipe: Recipe, folder: Path, mark: str) -> Inputs:
        return Inputs(
            modern=packer.modern,
            version=recipe.version,
            source_image=recipe.source_image,
            fingerprint=recipe.fingerprint,
            image_name=recipe.image_name,
            mark=mark,
            bundle=str(folder / "bundle.tar"),
            manifest=str(folder / "manifest.json"),
            region=self._builders.region(),
            endpoint=self._builders.endpoint(),
            who=self._workplace.who,
        )

    def _environ(self, inputs: Inputs) -> Mapping[str, str]:
        """Packer's environment: our credentials; an endpoint of one's own (the sandbox) is asked every second."""
        credentials = self._builders.credentials()
        inherited = dict(self._workplace.environ)
        if "AWS_ACCESS_KEY_ID" in credentials:
            for key in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
                inherited.pop(key, None)
        pace = (
            {"AWS_POLL_DELAY_SECONDS": "1"}
            if inputs.endpoint
            else {"AWS_MAX_ATTEMPTS": str(int(self._timeout_seconds // 2))}
        )
        return {**pace, **inherited, **credentials}

    def _claiming(self, mark: str, report: Report) -> Callable[[str], None]:
        """Packer 1.6 does not tag the security group that it makes: done for it as soon as it names one."""
        named: set[str] = set()
        claimed: set[str] = set()

        def hear(raw: str) -> None:
            waiting = named - claimed
            claimed.update(waiting)
            named.update(report.hear(raw))
            if waiting:
                self._claim(mark, sorted(waiting))

        return hear

    def _claim(self, mark: str, groups: list[str]) -> None:
        """Failing to mark must not end a bake: the mark only matters should Packer be killed."""
        try:
            self._builders.claim(mark, groups)
        except ShipitError as error:
            self._note(f"{', '.join(groups)} could not be marked: {error.what} ({error.why})")

    @contextmanager
    def _cleaned_up(self, mark: str) -> Iterator[None]:
        """Packer removes what it made; what it could not remove is removed here, whatever ended it."""
        try:
            yield
        except BaseException:
            self._remove(lambda text: text == mark)
            raise

    def _sweep(self) -> None:
        """Removes what killed bakes left behind, on this machine or any other."""
        self._remove(lambda text: not self._in_use(text))

    def _remove(self, ours: Callable[[str], bool]) -> None:
        """A clean-up that fails must not hide why it was needed, nor stop a bake: the next one tries again."""
        try:
            for removed in self._builders.sweep(ours):
                self._note(f"removed a leftover: {removed}")
        except ShipitError as error:
            self._note(f"leftovers of a bake may remain: {error.what} ({error.why})")

    def _in_use(self, text: str) -> bool:
        """Also true for what carries no mark of ours: it is not ours to judge."""
        mark = Mark.parse(text)
        return mark is None or not mark.abandoned(self._clock.now())

    def _wait_for_neighbour(self, recipe: Recipe) -> Callable[[], None]:
        deadline = self._clock.now() + timedelta(seconds=2 * self._timeout_seconds)

        def wait() -> None:
            if self._clock.now() > deadline:
                raise BakeError(
                    f"another shipit bakes {recipe.version.name} on this machine, and does not end", "", "shipit bake"
                )
            self._clock.sleep(0.2)

        return wait

    def _log_path(self, recipe: Recipe) -> Path:
        name = f"bake-{self._config.app}-{recipe.version.short_commit}-{self._clock.now():%Y%m%dT%H%M%S}.log"
        return self._workplace.log_folder / name

    @property
    def _timeout_seconds(self) -> float:
        return self._config.settings.bake.timeout_minutes * 60

    def _note(self, text: str) -> None:
        self._hear(Note(at=self._clock.now(), app=self._config.app, env=self._config.env, text=text))

    def _progress(self, reason: str) -> None:
        self._hear(
            Progress(at=self._clock.now(), app=self._config.app, env=self._config.env, step="BakeImage", reason=reason)
        )
