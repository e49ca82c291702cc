"""The long sweep: 50 releases and 50 rollbacks under steady load."""

from __future__ import annotations

import sys

from bench import releases

if __name__ == "__main__":
    sys.exit(releases.main(["--rounds", "50", "--rate", "400"]))
