"""Disks of machines and the layers of images, all in one tmpfs that nobody else sees and that ends with its owner.

A disk is what a machine wrote (the upper side of its overlays); an image is a list of layers, each a copy of a disk.
Both have one folder per volume: `root` lies over the base system, the others over a folder of the host, which is
never written.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shipit.sandbox import namespaces, skeleton

Layers = tuple[str, ...]

_BASE = "base"


@dataclass(frozen=True)
class Volume:
    """One overlay of a machine; `host` is the folder of the host at the very bottom."""

    name: str
    mount_point: str
    host: str | None


# /var/lib/dpkg says which packages /usr holds, so it comes from where /usr comes from.
VOLUMES = (
    Volume("root", "", None),
    Volume("usr", "usr", "/usr"),
    Volume("dpkg", "var/lib/dpkg", "/var/lib/dpkg"),
    Volume("apt", "var/lib/apt", "/var/lib/apt"),
)


@dataclass(frozen=True)
class Disk:
    """What one machine wrote, over the layers (oldest first) of the image that it was made from."""

    folder: Path
    layers: Sequence[Path]

    def mount(self, target: Path) -> None:
        """Mounts all volumes under `target`, in the caller's mount namespace."""
        for volume in VOLUMES:
            if volume.host is None or Path(volume.host).is_dir():
                self._mount_volume(volume, target / volume.mount_point)

    def _mount_volume(self, volume: Volume, target: Path) -> None:
        lower = [_quoted(layer / volume.name) for layer in reversed(self.layers) if (layer / volume.name).is_dir()]
        below = ":".join([*lower, *([volume.host] if volume.host else [])])
        upper, work = (_quoted(self.folder / side / volume.name) for side in ("upper", "work"))
        # Without redirects and indexes the upper side means the same wherever it is copied to: it can become a layer.
        fixed = "redirect_dir=off,index=off,metacopy=off,xino=off"
        namespaces.mount(
            "overlay", target, "overlay", options=f"lowerdir={below},upperdir={upper},workdir={work},{fixed}"
        )


def _quoted(path: Path) -> str:
    """A path as an option of the overlay file system, which splits at commas and colons."""
    return re.sub(r"([\\,:])", r"\\\1", str(path))


class Disks:
    """Keeps the disks and images in `folder`, over which it mounts its tmpfs: call `open` in a mount namespace of its
    own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images: dict[str, Layers] = {}
        self._disks: dict[str, Layers] = {}
        self._kept: set[str] = set()
        self._layers_made = 0

    def open(self) -> None:
        flags = namespaces.NO_SUID | namespaces.NO_DEVICES
        namespaces.mount("shipit", self._folder, "tmpfs", flags, "mode=0700")
        for name in ("disks", "layers", "machine"):
            (self._folder / name).mkdir()
        skeleton.build(self._layer(_BASE))

    @property
    def mount_point(self) -> Path:
        """An empty folder on which a machine, in its own namespace, mounts its disk before it makes that its root."""
        return self._folder / "machine"

    def create(self, instance_id: str, image_id: str) -> Disk:
        """An empty disk over an image; an unknown image is the base system."""
        self._disks[instance_id] = self._images.get(image_id, ())
        for side in ("upper", "work"):
            for volume in VOLUMES:
                (self._folder / "disks" / instance_id / side / volume.name).mkdir(parents=True)
        return self.get(instance_id)

    def get(self, instance_id: str) -> Disk:
        layers = [self._layer(name) for name in (_BASE, *self._disks[instance_id])]
        return Disk(self._folder / "disks" / instance_id, layers)

    def drop(self, instance_id: str) -> list[Path]:
        """Forgets a disk; the answer is what may be deleted now."""
        del self._disks[instance_id]
        gone = self._folder / "disks" / f"{instance_id}.gone{self._next()}"
        (self._folder / "disks" / instance_id).rename(gone)
        return [gone, *self._unused_layers()]

    def copy(self, instance_id: str) -> tuple[Layers, subprocess.Popen[bytes]]:
        """Starts to copy a disk to a new layer; whiteouts and the overlay's own attributes go with it. Then `keep`
        it.
        """
        layer = str(self._next())
        upper = self._folder / "disks" / instance_id / "upper"
        copying = subprocess.Popen(["cp", "-a", "--", upper, self._layer(layer)], stderr=subprocess.PIPE)
        return (*self._disks[instance_id], layer), copying

    def keep(self, image_id: str, layers: Layers) -> None:
        """Makes what `copy` made an image."""
        self._images[image_id] = layers
        self._kept.update(layers)

    def drop_image(self, image_id: str) -> list[Path]:
        """Forgets an image; the answer is what may be deleted now."""
        self._images.pop(image_id, None)
        return self._unused_layers()

    def _unused_layers(self) -> list[Path]:
        """The layers on which nothing builds any more; each is named once."""
        used = {layer for layers in [*self._images.values(), *self._disks.values()] for layer in layers}
        unused = self._kept - used
        self._kept &= used
        return [self._layer(layer) for layer in unused]

    def _layer(self, name: str) -> Path:
        return self._folder / "layers" / name

    def _next(self) -> int:
        self._layers_made += 1
        return self._layers_made
