#!/bin/sh
# A gate: exit code 0 passes, 1 fails, 75 means not yet. The last line is the reason.
set -u
orders=$(cat "${ORDERS_FILE:-/var/tmp/orders}" 2>/dev/null || echo 0)
if [ "$orders" -lt 10 ]; then
    echo "$orders orders by $SHIPIT_VERSION so far, 10 are needed"
    exit 75
fi
echo "$orders orders by $SHIPIT_VERSION at $SHIPIT_PERCENT %"
