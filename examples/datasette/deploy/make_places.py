"""Makes the database that datasette serves."""

import sqlite3
import sys

PLACES = [("Lisbon", "Portugal", 545_923), ("Porto", "Portugal", 231_800), ("Bergen", "Norway", 291_940)]

with sqlite3.connect(sys.argv[1]) as database:
    database.execute("CREATE TABLE places (name TEXT PRIMARY KEY, country TEXT, people INTEGER)")
    database.executemany("INSERT INTO places VALUES (?, ?, ?)", PLACES)
