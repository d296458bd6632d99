//! "Did you mean": the known word nearest to an unknown one.

/// The candidate nearest to `word`, if it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let best = candidates.iter().map(|c| (distance(word, c), *c)).min()?;
    (best.0 <= word.len().div_ceil(3)).then_some(best.1)
}

/// "unknown {what} "{word}", did you mean "{best}"?"; without a near one, `otherwise` says where to look.
pub(crate) fn unknown(what: &str, word: &str, known: &[&str], otherwise: &str) -> String {
    match nearest(word, known) {
        Some(best) => format!("unknown {what} \"{word}\", did you mean \"{best}\"?"),
        None => format!("unknown {what} \"{word}\", {otherwise}"),
    }
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.chars().enumerate() {
            let change = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
