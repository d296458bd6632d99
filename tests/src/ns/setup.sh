#!/bin/busybox sh
# Runs as process 1 of the new namespaces, still on the host's root; ends by becoming the program.
# Arguments: STAGE ROOT TERMINAL ready|disks|bare [--bind FROM TO]... -- PROGRAM [ARG]...
set -e
b=/bin/busybox
stage=$1 root=$2 terminal=$3 mounts=$4
shift 4

$b mount -t tmpfs -o mode=0755 root "$root"
$b cp -a "$stage/." "$root/"
for folder in bin sbin dev proc sys run tmp etc var root usr/bin usr/sbin old; do
    $b mkdir -p "$root/$folder"
done
$b chmod 1777 "$root/tmp"

if [ "$mounts" != bare ]; then
    $b mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
    $b mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
    $b mount -t cgroup2 -o nosuid,nodev,noexec cgroup "$root/sys/fs/cgroup"
    $b mount -t tmpfs -o nosuid,mode=0755 dev "$root/dev"
    $b mount -t tmpfs -o nosuid,nodev,mode=0755 run "$root/run"
    while read -r name major minor; do
        $b mknod -m 0666 "$root/dev/$name" c "$major" "$minor"
    done <<NODES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
NODES
    $b mkdir "$root/dev/pts" "$root/dev/shm"
    $b mount -t devpts -o nosuid,noexec,newinstance,mode=0620,ptmxmode=0666 devpts "$root/dev/pts"
    $b ln -s pts/ptmx "$root/dev/ptmx"
    $b ln -s /proc/self/fd "$root/dev/fd"
fi
if [ "$mounts" = disks ]; then
    $b mknod "$root/dev/loop-control" c 10 237
    $b mknod "$root/dev/btrfs-control" c 10 234
    number=0
    while [ $number -lt 64 ]; do
        $b mknod "$root/dev/loop$number" b 7 $number
        number=$((number + 1))
    done
fi
: > "$root/dev/console"
$b mount --bind "$terminal" "$root/dev/console"

while [ "$1" = --bind ]; do
    if [ -d "$2" ]; then
        $b mkdir -p "$root/$3"
    else
        $b mkdir -p "$($b dirname "$root/$3")"
        : > "$root/$3"
    fi
    $b mount --rbind "$2" "$root/$3"
    shift 3
done
shift

$b hostname namespace
$b ip link set lo up
cd "$root"
$b pivot_root . old
exec $b chroot . $b sh -c '
    /bin/busybox umount -l /old
    /bin/busybox rmdir /old
    cd /
    echo "the root is ready" > /dev/console
    exec env -i "$@" < /dev/console > /dev/console 2>&1
' sh PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ TERM=linux "$@"
