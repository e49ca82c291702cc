#!/bin/sh
# Turns the builder into the image: provision.sh BUNDLE
#
# BUNDLE is a tar of: tree/ (the app), app.service, image (says what was baked), settings.sh (FOLDER, UNIT, RUN_USER),
# scripts (names, one to a line), variables.sh.
# A script that fails is reported on a line that shipit looks for: shipit-failed: STATUS NAME
set -eu
umask 022

bundle=$1
if [ "$(id -u)" -ne 0 ]; then
    if [ -n "${SHIPIT_SUDO:-}" ]; then
        echo "shipit-failed: 77 sudo: $(id -un) cannot become root"
        exit 77
    fi
    exec sudo -n env SHIPIT_SUDO=1 sh "$0" "$@"
fi

# A fresh cloud instance is still being set up when SSH answers; package managers are locked until then.
if command -v cloud-init >/dev/null 2>&1; then
    cloud-init status --wait >/dev/null 2>&1 || true
fi

work=$(mktemp -d /var/tmp/shipit-bake.XXXXXX)
trap 'rm -rf "$work" "$bundle"' EXIT
tar -xf "$bundle" -C "$work" --no-same-owner
. "$work/settings.sh"

# Only a folder that an earlier bake made is replaced: `folder: /etc` must not empty the system.
if [ -n "$(ls -A "$FOLDER" 2>/dev/null)" ] && ! grep -qsFx "SHIPIT_FOLDER=$FOLDER" /etc/shipit/image; then
    echo "shipit-failed: 64 bake.folder: $FOLDER is not empty on the source image"
    exit 64
fi
rm -rf "$FOLDER"
mkdir -p "$(dirname "$FOLDER")"
cp -a "$work/tree" "$FOLDER"

# www-data is Debian's; other systems get the user made.
if ! id -u "$RUN_USER" >/dev/null 2>&1; then
    useradd --system --no-create-home --shell /usr/sbin/nologin "$RUN_USER"
fi

# Names are one to a line. Both outputs of a script go the same way: two streams over SSH would lose their order.
exec 3<"$work/scripts"
while IFS= read -r script <&3; do
    echo "shipit: running $script"
    status=0
    (
        exec 3<&-
        cd "$FOLDER"
        . "$work/variables.sh"
        export DEBIAN_FRONTEND=noninteractive
        if [ -x "$script" ]; then "./$script"; else sh -e "./$script"; fi
    ) </dev/null 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        echo "shipit-failed: $status $script"
        exit "$status"
    fi
done
exec 3<&-

install -d -m 755 /etc/shipit
install -m 644 "$work/image" /etc/shipit/image
rm -f /etc/shipit/release /etc/shipit/app.env
if [ -f "$work/app.service" ]; then
    install -m 644 "$work/app.service" "/etc/systemd/system/$UNIT"
    systemctl enable "$UNIT"
fi

# What must differ between instances is made anew at their first boot.
if command -v cloud-init >/dev/null 2>&1; then
    cloud-init clean --logs >/dev/null 2>&1 || true
    : >/etc/machine-id
fi
sync
