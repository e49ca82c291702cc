#!/bin/sh
# A hook for when it went wrong.
set -eu
echo "$SHIPIT_APP in $SHIPIT_ENV: $SHIPIT_VERSION: $SHIPIT_ENDING: $SHIPIT_REASON"
