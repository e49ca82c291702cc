"""The files that come with shipit: Packer templates and provision scripts, and everything else that is rendered.

In a wheel they lie inside the package (`shipit/_data/…`, see pyproject.toml), in a checkout beside it.
"""

from __future__ import annotations

from pathlib import Path

import shipit


def data_path(*parts: str) -> Path:
    """Where one of them is: `data_path("templates", "app.service.j2")`, `data_path("packer")`."""
    package = Path(shipit.__file__).parent
    installed = package / "_data"
    return (installed if installed.is_dir() else package.parent).joinpath(*parts)
