#!/bin/bash
# dracut module: puts the boot stage into the image and lets it mount the root. Installed as
# /usr/lib/dracut/modules.d/90rootctl/module-setup.sh.

# Only on request (add_dracutmodules+=" rootctl "): it takes over mounting the root.
check() {
    require_binaries /usr/lib/rootctl/rinit-boot || return 1
    return 255
}

depends() {
    echo base udev-rules
}

# The store's file system, the layers over it, images, and EFI variables for the next try.
installkernel() {
    hostonly='' instmods btrfs overlay loop squashfs erofs efivarfs
}

install() {
    inst_binary /usr/lib/rootctl/rinit-boot
    inst_multiple modprobe sleep
    # shellcheck disable=SC2154 # moddir is dracut's
    inst_hook cmdline 20 "$moddir/rootctl-cmdline.sh"
    inst_hook mount 20 "$moddir/rootctl-mount.sh"
}
