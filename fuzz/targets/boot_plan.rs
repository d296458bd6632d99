//! What a boot starts from and what the executor is told, in binary. The checksum is put right, so that the fuzzer comes
//! behind it; a disk does so with a chance of one in four thousand million.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::kept::{self, Kept};
use rootspec::plan::{self, Plan};
use rootspec::setup::Errand;

fuzz_target!(|bytes: &[u8]| {
    // As it lies there.
    let _refused = Kept::from_bytes(bytes);
    // With a head that fits.
    let mut whole = plan::MAGIC.to_vec();
    whole.extend(plan::VERSION.to_le_bytes());
    whole.extend(bytes);
    if let Ok(plan) = Plan::from_bytes(&whole) {
        let Ok(again) = plan.to_bytes() else {
            panic!("a plan that can be read and not written");
        };
        assert_eq!(Plan::from_bytes(&again).as_ref(), Ok(&plan));
        for unit in &plan.units {
            let _index = plan.find(&unit.name);
        }
    }
    let mut sealed = kept::MAGIC.to_vec();
    sealed.extend(kept::VERSION.to_le_bytes());
    sealed.extend(crc32c::crc32c(bytes).to_le_bytes());
    sealed.extend(bytes);
    let _refused = Kept::from_bytes(&sealed);
    let _refused = Errand::from_bytes(bytes);
});
