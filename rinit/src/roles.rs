//! What `rinit` and `rinit-helper` agree on, beside the errand of an executor (`rootspec::setup`), that of a mounter
//! (`rootspec::mounting`) and what a watcher is told (`watch/link.rs`).

/// Makes itself what a unit asks for and becomes its program: followed by two descriptors.
pub(crate) const EXEC: &str = "exec";
/// Asks a unit one question: followed by the question.
pub(crate) const ASK: &str = "ask";
/// Looks at paths.
pub(crate) const WATCH: &str = "watch";

/// Descriptor on which a watcher talks with PID 1.
pub(crate) const WATCH_LINK: i32 = 3;

/// Exit codes of an asker. 0 is a good answer, an error number of the kernel (at most 133) says why there was none, and
/// these are ours.
pub(crate) mod answer {
    /// The name on the bus has no owner.
    pub(crate) const NO_OWNER: u8 = 200;
    /// What came is not what was expected.
    pub(crate) const NONSENSE: u8 = 201;
    /// The question makes no sense: a fault of ours.
    pub(crate) const NO_QUESTION: u8 = 202;
    /// The answer was an error of the one who was asked.
    pub(crate) const REFUSED: u8 = 203;
}
