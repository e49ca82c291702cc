"""The name of everything that decides what is in an image: the same inputs have the same fingerprint, and one image.

In it: the git *tree* of the app's folder, the Packer template rendered with stand-ins, the scripts beside it, the unit,
the app's own scripts and variables, the source image. Not in it: the version's name, the commit id, who, when, where,
and with which Packer.

Two commits with the same tree (a revert, an empty commit, a merge that changes another folder) are the same image. That
is why the image's word on its commit is not the last one: tags and /etc/shipit/image say from which commit it was first
baked, and user data tells each instance at launch which version and commit it was released as, before the app starts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from shipit.bake.bundle import image_parts
from shipit.bake.render import Template, stand_ins
from shipit.config import Config

# Raised when provisioning changes in a way that the files do not show.
_GENERATION = b"1"


def fingerprint(config: Config, template: Template, tree: str, source_image: str) -> str:
    """64 hex digits. `tree` is git's hash of the app's folder, `source_image` the AMI id that was resolved."""
    digest = hashlib.sha256()
    for name, content in _ingredients(config, template, tree, source_image):
        # Lengths first: no two different lists of ingredients may read the same.
        digest.update(f"{len(name.encode())}:{name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def _ingredients(config: Config, template: Template, tree: str, source_image: str) -> Iterator[tuple[str, bytes]]:
    yield "generation", _GENERATION
    yield "app", config.app.encode()
    yield "tree", tree.encode()
    yield "source image", source_image.encode()
    yield "template", template.render(config, stand_ins(source_image)).encode()
    for name, path in template.files().items():
        yield f"beside/{name}", path.read_bytes()
    for name, content in image_parts(config).items():
        yield f"bundle/{name}", content
