"""The commit to bake: from what a person typed to a commit, its tree, and an archive of it.

The app is the folder that holds shipit.yml, which may be a part of a larger repository: its tree is what counts.
"""

from __future__ import annotations

import difflib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from shipit.errors import BakeError, UsageError
from shipit.model import Version

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_HEAD = re.compile(r"(HEAD|@)([~^].*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_GITLINK = b"160000"


@dataclass(frozen=True)
class Repository:
    """The git repository that `folder` is in."""

    folder: Path

    def resolve(self, ref: str) -> Version:
        """The commit that a tag, branch, commit id or `HEAD` stands for; a branch known only to `origin` counts.

        A moving name without meaning for others (`HEAD`) is replaced by its tag or commit. Raises `UsageError`.
        """
        if not ref or ref.startswith("-") or _CONTROL.search(ref):
            raise UsageError(f"{ref!r} is not a git ref", "a tag, branch or commit was expected", "git tag --list")
        self._require_repository()
        candidates = (ref,) if _HEAD.fullmatch(ref) else (ref, f"refs/remotes/origin/{ref}")
        commits = (self._try("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") for name in candidates)
        # `^v1` is answered with `^<commit>`: everything but that commit.
        commit = next((found for found in commits if found and _COMMIT.fullmatch(found)), None)
        if commit is None:
            raise self._unknown(ref)
        return Version(self._lasting_name(commit) if _HEAD.fullmatch(ref) else ref, commit)

    def tree(self, version: Version) -> str:
        """Hash of the folder's content at that commit, the same for two commits with the same files."""
        found = self._try("rev-parse", "--verify", "--quiet", f"{version.commit}:{self._prefix()}")
        if found is None:
            raise self._not_there(version)
        return found

    def archive(self, version: Version, into: Path) -> None:
        """Writes the folder's files at that commit as a tar, in git's order.

        The tree is archived, not the commit, so that `export-subst` cannot put the commit into the files and the same
        tree gives the same content.
        """
        # In a folder below the top, git would look for that folder again inside the tree.
        top = self._try("rev-parse", "--show-toplevel") or "."
        self._bytes("-C", top, "archive", "--format=tar", f"--output={into.resolve()}", self.tree(version))

    def notes(self, version: Version) -> list[str]:
        """What the user should know: changes that are not in the commit, submodules that are not in an archive."""
        notes = []
        changed = (self._try("status", "--porcelain", "--", ".") or "").splitlines()
        if changed and self._try("rev-parse", "--verify", "--quiet", "HEAD") == version.commit:
            notes.append(
                f"{len(changed)} uncommitted change(s) are not in {version.name}: only what is committed is baked"
            )
        links = [
            entry
            for entry in self._bytes("ls-tree", "-rz", "--full-tree", self.tree(version)).split(b"\0")
            if entry.startswith(_GITLINK)
        ]
        if links:
            names = ", ".join(entry.split(b"\t", 1)[1].decode(errors="replace") for entry in links)
            notes.append(f"submodules are not part of the archive: {names}")
        return notes

    def names(self) -> list[str]:
        """Branches and tags of this clone."""
        found = self._try("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/tags")
        return (found or "").splitlines()

    def is_shallow(self) -> bool:
        """Whether the clone lacks a part of the history, and so perhaps the commit that somebody names."""
        return self._try("rev-parse", "--is-shallow-repository") == "true"

    def _prefix(self) -> str:
        return (self._try("rev-parse", "--show-prefix") or "").rstrip("/")

    def _lasting_name(self, commit: str) -> str:
        return self._try("describe", "--tags", "--exact-match", commit) or commit[:12]

    def _require_repository(self) -> None:
        result = self._run("rev-parse", "--git-dir")
        if result.returncode:
            why = result.stderr.decode(errors="replace").strip().splitlines()
            hint = "git init && git add . && git commit" if "--global" not in " ".join(why) else why[-1].strip()
            raise UsageError(f"no usable git repository at {self.folder}", why[0] if why else "", hint)

    def _unknown(self, ref: str) -> UsageError:
        shallow = self.is_shallow()
        close = difflib.get_close_matches(ref, self.names(), n=3)
        why = "this clone is shallow: it does not have the whole history" if shallow else ""
        why = why or (f"similar: {', '.join(close)}" if close else "no tag, branch or commit here has that name")
        hint = (
            "git fetch --unshallow --tags (actions/checkout: fetch-depth: 0)" if shallow else "git fetch --tags origin"
        )
        return UsageError(f"there is no git ref {ref!r}", why, hint)

    def _not_there(self, version: Version) -> UsageError:
        if self._try("cat-file", "-e", f"{version.commit}^{{commit}}") is None:
            return UsageError(
                f"commit {version.short_commit} of {version.name} is not in this clone", "", "git fetch --tags origin"
            )
        folder = self._prefix()
        return UsageError(
            f"{version.name} ({version.short_commit}) has no folder {folder}",
            "shipit.yml is not where it was then",
            f"git log -- {folder}",
        )

    def _try(self, *arguments: str) -> str | None:
        """Output of git; None when it failed."""
        result = self._run(*arguments)
        return None if result.returncode else result.stdout.decode(errors="surrogateescape").strip()

    def _bytes(self, *arguments: str) -> bytes:
        result = self._run(*arguments)
        if result.returncode:
            raise BakeError(
                f"git {' '.join(arguments)} failed", result.stderr.decode(errors="replace").strip(), "git fsck"
            )
        return result.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                ["git", *arguments], cwd=self.folder, capture_output=True, check=False, stdin=subprocess.DEVNULL
            )
        except FileNotFoundError as error:
            if self.folder.is_dir():
                raise UsageError("git is not installed", str(error), "apt-get install git") from error
            raise UsageError(f"there is no folder {self.folder}", str(error), "") from error
