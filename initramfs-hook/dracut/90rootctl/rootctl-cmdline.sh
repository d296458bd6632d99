#!/bin/sh
# Claims the root before the other modules do, if the kernel command line speaks of rootctl.
# shellcheck disable=SC2034 # root and rootok are read by dracut's init

rootctl_wanted() {
    for rootctl_word in $(cat /proc/cmdline); do
        case $rootctl_word in
        rootctl.*) return 0 ;;
        esac
    done
    return 1
}

if rootctl_wanted; then
    # A kind of root that no other module knows. The boot stage reads root= from /proc/cmdline itself.
    root="rootctl:$root"
    rootok=1
fi
