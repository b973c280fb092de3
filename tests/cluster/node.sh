#!/bin/sh
# Become a node of the test cluster: run by `unshare --mount`, so that no other process sees what is mounted here, and
# all of it is gone with the last process of the node.
#   node.sh HOME FROM:AT... -- HIDDEN... -- COMMAND...
# HOME: a folder that is to be read-only. FROM:AT: the folder FROM is seen, read-only, at AT too. HIDDEN: folders that are
# empty here, as folders of another machine would be: what is written to them lies on this node alone.
set -eu
home=$1
shift
while [ "$1" != -- ]; do
    mount --rbind "${1%%:*}" "${1#*:}"
    mount -o remount,bind,ro "${1#*:}"
    shift
done
shift
while [ "$1" != -- ]; do
    mount -t tmpfs tmpfs "$1"
    shift
done
shift
mount -t tmpfs -o ro tmpfs "$home"
exec "$@"
