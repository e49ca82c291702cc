"""Decides: goal in, facts in, steps out. Nothing here knows AWS, the clock of this machine, or a file."""
