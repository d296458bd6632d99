//! What a unit says about itself while it runs.

/// What a unit says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// It reads its settings again.
    Reloading,
    /// It ends.
    Stopping,
    /// What it does will take so many milliseconds from now on.
    Extend(u64),
    /// A sign of life.
    Alive,
    /// It is not well.
    Hangs,
    /// From now on it gives signs of life within so many milliseconds.
    Within(u64),
}
