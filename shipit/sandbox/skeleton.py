"""The base system: what a machine has that is neither its image's nor the host's /usr.

`build` makes two folders, `root` and `usr`, the lowest layers of every machine. Of the host's /etc it takes what
programs from the host's /usr need (a list, below), never a secret: accounts get locked passwords, keys and
credentials stay where they are.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import shipit

FROM_HOST = """
    etc/alternatives etc/ld.so.cache etc/ld.so.conf etc/ld.so.conf.d etc/localtime etc/timezone etc/ssl/certs
    etc/ssl/openssl.cnf etc/ca-certificates etc/ca-certificates.conf etc/pip.conf etc/python3* etc/perl
    etc/mime.types etc/services etc/protocols etc/rpc etc/apt/apt.conf.d etc/apt/apt.conf etc/apt/sources.list
    etc/apt/sources.list.d etc/apt/preferences.d etc/apt/trusted.gpg.d etc/apt/keyrings etc/dpkg
    etc/debconf.conf etc/debian_version etc/os-release etc/login.defs etc/profile etc/bash.bashrc etc/inputrc
    etc/terminfo etc/host.conf etc/gai.conf etc/pam.conf etc/pam.d etc/security etc/adduser.conf
    etc/deluser.conf etc/skel etc/shells etc/magic etc/magic.mime etc/xattr.conf etc/issue etc/java-*
    etc/fonts
"""
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_FOLDERS = """
    dev proc sys run usr boot home/admin media mnt opt srv etc/systemd/system etc/default
    var/cache/apt/archives/partial var/cache/debconf var/lib/apt/lists/partial var/lib/dpkg var/lib/cloud
    var/lib/systemd var/lib/pam var/log/apt var/mail var/opt var/spool var/backups etc/init.d
"""
_STICKY = ("tmp", "var/tmp")
_LARGEST_SYSTEM_ID = 999
_NOBODY = 65534


def build(folder: Path) -> None:
    """Fills `folder/root` and `folder/usr`. Takes some 50 ms, once per sandbox."""
    root, usr = folder / "root", folder / "usr"
    for name in _FOLDERS.split():
        (root / name).mkdir(parents=True, exist_ok=True)
    _copy_from_host(root)
    _link_merged_folders(root)
    for name in _STICKY:
        (root / name).mkdir()
        (root / name).chmod(0o1777)
    (root / "root").mkdir(mode=0o700)
    (root / "var/run").symlink_to("/run")
    (root / "var/lock").symlink_to("/run/lock")
    _write_accounts(root)
    _copy_own_files(root, usr)


def templates() -> Path:
    """Where our own files lie: beside the package in a work tree, inside it once installed."""
    package = Path(shipit.__file__).parent
    installed = package / "_data" / "templates"
    return (installed if installed.is_dir() else package.parent / "templates") / "sandbox"


def _copy_from_host(root: Path) -> None:
    present = [str(path.relative_to("/")) for pattern in FROM_HOST.split() for path in Path("/").glob(pattern)]
    subprocess.run(["cp", "-a", "--parents", *present, str(root)], cwd="/", check=True, capture_output=True)


def _link_merged_folders(root: Path) -> None:
    for name in _MERGED:
        if Path("/", name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")


def _copy_own_files(root: Path, usr: Path) -> None:
    shutil.copytree(templates() / "root", root, dirs_exist_ok=True)
    shutil.copytree(templates() / "usr", usr)
    for program in (usr / "local/bin").iterdir():
        program.chmod(0o755)
    for link in ("poweroff", "halt", "shutdown"):
        (usr / "local/sbin").mkdir(exist_ok=True)
        (usr / "local/sbin" / link).symlink_to("../bin/systemctl")
    (root / "etc/sudoers").chmod(0o440)
    if shutil.which("sudo"):
        (usr / "local/bin/sudo").unlink()


def _write_accounts(root: Path) -> None:
    """The host's system accounts (packages own files by them) and `admin`, the login of Debian's AMIs. All locked."""
    users = [line for line in _records("/etc/passwd") if _is_system(line)]
    users.append(["admin", "x", "1000", "1000", "Debian", "/home/admin", "/bin/bash"])
    groups = [[*line[:3], ""] for line in _records("/etc/group") if _is_system(line)] + [["admin", "x", "1000", ""]]
    _write_records(root / "etc/passwd", users)
    _write_records(root / "etc/group", groups)
    _write_records(root / "etc/shadow", [[user[0], "*", "19000", "0", "99999", "7", "", "", ""] for user in users])
    (root / "etc/shadow").chmod(0o640)
    shutil.chown(root / "home/admin", 1000, 1000)


def _is_system(record: list[str]) -> bool:
    return int(record[2]) <= _LARGEST_SYSTEM_ID or int(record[2]) == _NOBODY


def _records(path: str) -> list[list[str]]:
    return [line.split(":") for line in Path(path).read_text().splitlines() if line.count(":") >= 3]


def _write_records(path: Path, records: list[list[str]]) -> None:
    path.write_text("".join(":".join(record) + "\n" for record in records))
