//! The store on a real btrfs.
