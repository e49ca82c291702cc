from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from shipit.bake.git import Repository
from shipit.errors import UsageError
from shipit.model import Version
from tests.bake.conftest import Checkout

HOSTILE = ["v1$(id)", 'v1";rm$IFS-rf', "v1';id;'", "v1${env.HOME}", "v1%{if}", "vé☃", "v1&&id", "v1|id", "v1`id`"]


@pytest.mark.parametrize("ref", ["v1", "main", "HEAD~0", "refs/tags/v1"])
def test_a_ref_becomes_its_commit(checkout: Checkout, ref: str) -> None:
    assert Repository(checkout.folder).resolve(ref).commit == checkout.git("rev-parse", "v1")


def test_a_full_or_short_commit_is_a_ref(checkout: Checkout) -> None:
    commit = checkout.git("rev-parse", "HEAD")
    assert Repository(checkout.folder).resolve(commit[:9]) == Version(commit[:9], commit)


def test_an_annotated_tag_means_the_commit_it_points_to(checkout: Checkout) -> None:
    checkout.git("tag", "--annotate", "v2", "--message", "two")
    assert Repository(checkout.folder).resolve("v2").commit == checkout.git("rev-parse", "HEAD")


def test_head_gets_a_name_that_lasts(checkout: Checkout) -> None:
    assert Repository(checkout.folder).resolve("HEAD").name == "v1"
    commit = checkout.commit("second")
    assert Repository(checkout.folder).resolve("HEAD") == Version(commit[:12], commit)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_tag_name_is_only_a_name(checkout: Checkout, name: str) -> None:
    checkout.git("tag", name)
    assert Repository(checkout.folder).resolve(name) == Version(name, checkout.git("rev-parse", "HEAD"))


@pytest.mark.parametrize("ref", ["", "--help", "-v", "--output=/tmp/x", "v1\nv2", "v1\x00", "v1\x1b[31m"])
def test_what_cannot_be_a_ref_is_refused(checkout: Checkout, ref: str) -> None:
    with pytest.raises(UsageError):
        Repository(checkout.folder).resolve(ref)


def test_an_unknown_ref_names_similar_ones_and_what_to_type(checkout: Checkout) -> None:
    checkout.git("tag", "v1.2.3")
    with pytest.raises(UsageError) as caught:
        Repository(checkout.folder).resolve("v1.2.4")
    assert "v1.2.3" in caught.value.why
    assert caught.value.next == "git fetch --tags origin"


def test_a_shallow_clone_is_named_as_the_reason(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit("second")
    shallow = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", "--no-tags", f"file://{checkout.folder}", str(shallow)], check=True
    )
    with pytest.raises(UsageError) as caught:
        Repository(shallow).resolve("v1")
    assert "shallow" in caught.value.why
    assert "--unshallow" in caught.value.next


def test_a_branch_that_only_origin_has_is_found(checkout: Checkout, tmp_path: Path) -> None:
    checkout.git("branch", "feature")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(checkout.folder), str(clone)], check=True)
    assert Repository(clone).resolve("feature").commit == checkout.git("rev-parse", "HEAD")


def test_outside_a_repository_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no usable git repository"):
        Repository(tmp_path).resolve("v1")


def test_two_commits_with_the_same_files_have_one_tree(checkout: Checkout) -> None:
    repository = Repository(checkout.folder)
    before = repository.tree(repository.resolve("v1"))
    checkout.commit("changed", VERSION="v2\n")
    assert repository.tree(repository.resolve("main")) != before
    checkout.commit("back again", VERSION="v1\n")
    assert repository.tree(repository.resolve("main")) == before


def test_in_a_larger_repository_only_the_folder_of_the_app_counts(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write("services/shop/server.py", "pass\n")
    checkout.commit()
    shop = Repository(checkout.folder / "services/shop")
    before = shop.tree(shop.resolve("main"))
    checkout.commit("elsewhere", README="new\n")
    version = shop.resolve("main")
    assert shop.tree(version) == before
    shop.archive(version, tmp_path / "tree.tar")
    with tarfile.open(tmp_path / "tree.tar") as archive:
        assert archive.getnames() == ["server.py"]


def test_a_folder_that_the_commit_lacks_is_an_error(checkout: Checkout) -> None:
    checkout.write("late/server.py", "pass\n")
    checkout.commit()
    late = Repository(checkout.folder / "late")
    with pytest.raises(UsageError, match="has no folder late"):
        late.tree(late.resolve("v1"))


def test_export_subst_cannot_bring_the_commit_into_the_tree(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write(".gitattributes", "id export-subst\n")
    checkout.commit(id="$Format:%H$\n")
    repository = Repository(checkout.folder)
    repository.archive(repository.resolve("main"), tmp_path / "tree.tar")
    with tarfile.open(tmp_path / "tree.tar") as archive:
        member = archive.extractfile("id")
        assert member is not None
        assert member.read() == b"$Format:%H$\n"


def test_uncommitted_changes_are_noted_for_the_commit_at_hand_only(checkout: Checkout) -> None:
    repository = Repository(checkout.folder)
    checkout.write("VERSION", "v9\n")
    assert "1 uncommitted change" in repository.notes(repository.resolve("HEAD"))[0]
    checkout.commit()
    checkout.write("VERSION", "v10\n")
    assert repository.notes(repository.resolve("v1")) == []
