#!/bin/sh
# Mounts the root. dracut calls this again and again until something is mounted at $NEWROOT.

rootctl_mount() {
    for rootctl_module in btrfs overlay loop; do
        modprobe -q "$rootctl_module"
    done
    rootctl_init=$(/usr/lib/rootctl/rinit-boot --assemble "$NEWROOT")
    case $? in
    0)
        # The program that was found to be there; init= and rootctl.init= were obeyed.
        echo "init=$rootctl_init" >/etc/cmdline.d/99-rootctl.conf
        # dracut keeps what it read from there.
        unset CMDLINE CMDLINE_ETC_D
        ;;
    3)
        # A snapshot on trial failed, and that was written down: the next boot leads back.
        warn "rootctl: the trial failed, rebooting"
        sleep 10
        /usr/lib/rootctl/rinit-boot --reboot
        ;;
    *)
        die "rootctl could not put the root together; the reason is above"
        ;;
    esac
}

# shellcheck disable=SC2154 # root is dracut's
case $root in
rootctl:*)
    ismounted "$NEWROOT" || rootctl_mount
    ;;
esac
