#!/bin/sh
# A hook before the first request: only what the old version can live with. It may be run again after a crash.
set -eu
echo "expanding the schema for $SHIPIT_VERSION ($SHIPIT_COMMIT)"
