#!/bin/sh
# Runs as root in /srv/app while the image is made: everything that needs the network happens here, once.
set -eu
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
venv/bin/python deploy/make_places.py places.db
chmod 0444 places.db
