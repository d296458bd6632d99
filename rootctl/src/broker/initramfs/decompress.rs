//! Modules are packed as they load: the image as a whole is compressed better, and not every kernel can unpack a module.

use std::path::Path;

use anyhow::{Context, Result};

use crate::guard::Guard;

/// The plain bytes of a module file, by the ending of its name.
pub(super) fn module(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let unpacking = || format!("cannot unpack {}", path.display());
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("ko") => Ok(bytes),
        Some("zst") => zstd::stream::decode_all(bytes.as_slice()).with_context(unpacking),
        Some("xz") => {
            let mut plain = Vec::with_capacity(bytes.len().saturating_mul(4));
            lzma_rs::xz_decompress(&mut bytes.as_slice(), &mut plain)
                .map_err(|error| anyhow::anyhow!("{error:?}"))
                .with_context(unpacking)?;
            Ok(plain)
        }
        _ => Guard::refused(format!(
            "{} is compressed in a way that is not understood (known: plain, .xz, .zst)",
            path.display()
        ))
        .next("report which distribution packs its modules like that")
        .err(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_zstd_and_xz_modules_come_out_the_same() {
        let plain = b"module ".repeat(1000);
        let packed = zstd::bulk::compress(&plain, 3).unwrap();
        let mut xz = Vec::new();
        lzma_rs::xz_compress(&mut plain.as_slice(), &mut xz).unwrap();
        for (name, bytes) in [
            ("a.ko", plain.clone()),
            ("a.ko.zst", packed),
            ("a.ko.xz", xz),
        ] {
            assert_eq!(module(Path::new(name), bytes).unwrap(), plain, "{name}");
        }
    }

    #[test]
    fn damaged_and_unknown_files_are_named() {
        for name in ["a.ko.zst", "a.ko.xz", "a.ko.lz"] {
            let error = module(Path::new(name), b"nonsense".to_vec()).unwrap_err();
            assert!(format!("{error:#}").contains(name), "{error:#}");
        }
    }
}
