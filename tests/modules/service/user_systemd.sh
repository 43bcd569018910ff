#!/bin/sh
# A real `systemd --user` in namespaces of its own: user_systemd.sh SHARED CGROUP
#
# SHARED: a directory that is seen at the same path inside and outside; the bus is SHARED/run/bus, units are in
# SHARED/units, dbus.socket and dbus.service among them: a manager goes only to the bus that it runs itself.
# CGROUP: an empty cgroup of the hierarchy that systemd uses. Everything dies with this process: SIGKILL it, as unshare
# hears nothing else.
#
# systemd refuses to be a user's manager where /run/systemd/system is missing (sd_booted(3)): so /run is a private one that
# has it. It never runs with --system here: that would run systemd-tmpfiles --boot on the machine's own /tmp.
# Sources: unshare(1), mount_namespaces(7), cgroup_namespaces(7), systemd(1), systemd-journald(8).
set -eu
shared=$1 cgroup=$2

if [ -z "${AMON_LAB_INSIDE:-}" ]; then
    echo $$ > "$cgroup/cgroup.procs"
    AMON_LAB_INSIDE=1 exec unshare --mount --cgroup --pid --fork --kill-child --mount-proc "$0" "$shared" "$cgroup"
fi

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system /run/systemd/journal /run/keep /run/log/journal
mount --bind "$shared" /run/keep
mount -t tmpfs -o mode=1777 tmpfs /tmp # a belt: nothing in here can touch the machine's own
mkdir -p "$shared"
mount --bind /run/keep "$shared"

if [ -d /sys/fs/cgroup/systemd ]; then
    umount /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd,xattr cgroup /sys/fs/cgroup/systemd
else
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi

export HOME="$shared/home" XDG_RUNTIME_DIR="$shared/run"
mkdir -p -m 700 "$XDG_RUNTIME_DIR" "$HOME/.config/systemd"
ln -sfn "$shared/units" "$HOME/.config/systemd/user"
/lib/systemd/systemd-journald &
# Not by exec: process 1 of a pid namespace would be taken for the system's manager, and end.
/lib/systemd/systemd --user --unit=basic.target &
wait $!
