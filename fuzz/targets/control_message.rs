//! Requests on a control socket, as they arrive: in pieces. The first byte says how large a piece is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::protocol::{init, store};
use serde::de::DeserializeOwned;
use varlink::sansio::{Server, ServerEvent};

fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    let mut server = Server::new();
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        if server.handle_input(piece).is_err() {
            return;
        }
        while let Some(event) = server.poll_event() {
            if let ServerEvent::Request { request } = event {
                let _service = request.method.rsplit_once('.');
                parameters(request.parameters.unwrap_or_default());
            }
        }
    }
});

/// Reads them as those of every method that changes something, and of those with lists.
fn parameters(value: serde_json::Value) {
    read::<init::Units>(&value);
    read::<init::Change>(&value);
    read::<init::Apply>(&value);
    read::<init::Power>(&value);
    read::<store::Diff>(&value);
    read::<store::New>(&value);
    read::<store::Delete>(&value);
    read::<store::Undelete>(&value);
    read::<store::Collect>(&value);
    read::<store::Label>(&value);
    read::<store::Keep>(&value);
    read::<store::Run>(&value);
    read::<store::Deploy>(&value);
    read::<store::Rollback>(&value);
    read::<store::Log>(&value);
}

fn read<T: DeserializeOwned>(value: &serde_json::Value) {
    let _read = serde_json::from_value::<T>(value.clone());
}
