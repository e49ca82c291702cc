"""`python -m shipit`: the same as the `shipit` command."""

from shipit.cli.main import main

main()
