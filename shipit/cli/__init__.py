"""The command line: parse, call, show. What a command does stands in `shipit.operations`."""
