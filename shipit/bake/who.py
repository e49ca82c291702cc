"""Who is at work, and where: the person and machine, or the CI job and its page."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping

_PEOPLE = (
    "SHIPIT_WHO",
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BITBUCKET_STEP_TRIGGERER_UUID",
    "BUILDKITE_BUILD_CREATOR",
    "CIRCLE_USERNAME",
)
_PAGES = ("SHIPIT_WHERE", "CI_JOB_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL", "BUILD_URL")
# `https://user:token@host/`: what is written into the history is read by many.
_PASSWORD = re.compile(r"//[^/@\s]*@")


def who(environ: Mapping[str, str]) -> str:
    """The person: as the CI names them, else the login name. Behind sudo it is the one who typed it."""
    named = next((environ[key] for key in _PEOPLE if environ.get(key)), "")
    return named or environ.get("SUDO_USER") or environ.get("USER") or _login()


def where(environ: Mapping[str, str]) -> str:
    """The page of the CI job, else the name of this machine."""
    if environ.get("GITHUB_RUN_ID") and environ.get("GITHUB_REPOSITORY"):
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{environ['GITHUB_REPOSITORY']}/actions/runs/{environ['GITHUB_RUN_ID']}"
    page = next((environ[key] for key in _PAGES if environ.get(key)), "")
    return _PASSWORD.sub("//", page) or socket.gethostname()


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
