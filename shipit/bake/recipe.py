"""What a bake of a version knows before it touches anything: tree, template, source image, fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shipit import naming
from shipit.bake.fingerprint import fingerprint
from shipit.bake.git import Repository
from shipit.bake.render import Template, choose_template
from shipit.config import Config
from shipit.model import Version
from shipit.ports import BakeImages, SourceQuery


@dataclass(frozen=True)
class Recipe:
    """`fingerprint` and `image_name` follow from the rest: who finds an image of that name need not bake."""

    version: Version
    template: Template
    source_image: str
    fingerprint: str
    image_name: str

    def tags(self, app: str, who: str, now: datetime) -> Mapping[str, str]:
        """What the image and its snapshots are told apart by."""
        tags = {
            "Name": self.image_name,
            naming.APP: app,
            naming.VERSION: self.version.name,
            naming.COMMIT: self.version.commit,
            naming.FINGERPRINT: self.fingerprint,
            naming.SOURCE_IMAGE: self.source_image,
            naming.BAKED_BY: who,
            naming.BAKED_AT: now.isoformat(timespec="seconds"),
        }
        return {key: naming.tag_value(value) for key, value in tags.items()}


def write_recipe(config: Config, repository: Repository, images: BakeImages, version: Version) -> Recipe:
    """Reads the commit's tree and resolves the source image; no Packer is needed for it."""
    wanted = config.settings.bake.source_image
    template = choose_template(config)
    tree = repository.tree(version)
    source = images.source(SourceQuery(wanted.id, wanted.name, wanted.owners, wanted.architecture))
    print_ = fingerprint(config, template, tree, source)
    return Recipe(version, template, source, print_, naming.image_name(config.app, print_))
