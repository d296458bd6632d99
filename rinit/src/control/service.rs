//! `org.varlink.service`: what every Varlink service can say about itself (varlink.org/Service).

use rootspec::protocol::init::{DESCRIPTION, INTERFACE};
use serde_json::{Value, json};
use varlink::{Reply, Request};

/// The interface's name.
const NAME: &str = "org.varlink.service";

const OWN: &str = "# The Varlink service interface
interface org.varlink.service

# Who is this
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# The description of an interface
method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
";

/// Answers if the request is one of this interface.
pub(super) fn answer(request: &Request<'_>) -> Option<Reply> {
    let method = request.method.strip_prefix(NAME)?.strip_prefix('.')?;
    Some(match method {
        "GetInfo" => Reply::parameters(Some(json!({
            "vendor": "rootctl",
            "product": "rinit",
            "version": crate::init::VERSION,
            "url": "",
            "interfaces": [NAME, INTERFACE],
        }))),
        "GetInterfaceDescription" => describe(request.parameters.as_ref()),
        _ => unknown_method(&request.method),
    })
}

fn describe(parameters: Option<&Value>) -> Reply {
    let name = parameters
        .and_then(|p| p.get("interface"))
        .and_then(Value::as_str);
    let text = match name {
        Some(INTERFACE) => DESCRIPTION,
        Some(NAME) => OWN,
        Some(other) => {
            let which = Some(json!({ "interface": other }));
            return Reply::error("org.varlink.service.InterfaceNotFound", which);
        }
        None => return invalid("interface"),
    };
    Reply::parameters(Some(json!({ "description": text })))
}

/// There is no such method.
pub(super) fn unknown_method(method: &str) -> Reply {
    let which = Some(json!({ "method": method }));
    Reply::error("org.varlink.service.MethodNotFound", which)
}

/// A parameter is missing or wrong.
pub(super) fn invalid(parameter: &str) -> Reply {
    let which = Some(json!({ "parameter": parameter }));
    Reply::error("org.varlink.service.InvalidParameter", which)
}
