//! Whether two files hold the same bytes, as far as their extents tell: pure. What they do not tell has to be read.

use std::ops::Range;

use super::item::{Extent, Source};

/// What the extents say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same bytes.
    Same,
    /// Other bytes.
    Other,
    /// The same outside of these stretches.
    Read(Vec<Range<u64>>),
}

/// Compares two files of `size` bytes each.
pub(super) fn judge(size: u64, old: &[Extent], new: &[Extent]) -> Verdict {
    let mut unknown: Vec<Range<u64>> = Vec::new();
    let (mut at, mut old, mut new) = (0, Cursor::new(old), Cursor::new(new));
    while at < size {
        let (one, other) = (old.at(at), new.at(at));
        let end = one.end.min(other.end).min(size);
        match one.same_as(&other, at..end) {
            Some(true) => {}
            Some(false) => return Verdict::Other,
            None => match unknown.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => unknown.push(at..end),
            },
        }
        at = end;
    }
    if unknown.is_empty() {
        Verdict::Same
    } else {
        Verdict::Read(unknown)
    }
}

/// Walks through the extents of a file, which are in order.
struct Cursor<'a> {
    rest: &'a [Extent],
}

impl<'a> Cursor<'a> {
    fn new(rest: &'a [Extent]) -> Self {
        Self { rest }
    }

    /// What is at this place, which is not before the last one asked for.
    fn at(&mut self, at: u64) -> Piece<'a> {
        let end = |extent: &Extent| extent.start.saturating_add(extent.length);
        while let [first, behind @ ..] = self.rest {
            if end(first) > at {
                break;
            }
            self.rest = behind;
        }
        match self.rest.first() {
            Some(extent) if extent.start <= at => Piece {
                end: end(extent),
                start: extent.start,
                source: &extent.source,
            },
            // Between extents there is nothing: the file system was made without explicit holes.
            next => Piece {
                end: next.map_or(u64::MAX, |extent| extent.start),
                start: at,
                source: &Source::Zeros,
            },
        }
    }
}

struct Piece<'a> {
    start: u64,
    end: u64,
    source: &'a Source,
}

impl Piece<'_> {
    /// Do both have the same bytes in this stretch? `None`: only reading tells.
    fn same_as(&self, other: &Self, stretch: Range<u64>) -> Option<bool> {
        match (self.source, other.source) {
            (Source::Zeros, Source::Zeros) => Some(true),
            (
                Source::Disk { address, from },
                Source::Disk {
                    address: other_address,
                    from: other_from,
                },
            ) => {
                let place = |from: u64, start: u64| from.wrapping_add(stretch.start - start);
                let same = address == other_address
                    && place(*from, self.start) == place(*other_from, other.start);
                // Other places on the disk may hold the same bytes.
                same.then_some(true)
            }
            (
                Source::Inline { compression, data },
                Source::Inline {
                    compression: other_compression,
                    data: other_data,
                },
            ) => {
                if compression == other_compression && data == other_data {
                    return Some(true);
                }
                let plain = *compression == 0 && *other_compression == 0;
                let part = |data: &[u8]| -> Option<Vec<u8>> {
                    let end = usize::try_from(stretch.end).ok()?;
                    Some(
                        data.get(usize::try_from(stretch.start).ok()?..end)?
                            .to_vec(),
                    )
                };
                if plain {
                    Some(part(data)? == part(other_data)?)
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1024;

    fn disk(start: u64, length: u64, address: u64, from: u64) -> Extent {
        Extent {
            start,
            length,
            source: Source::Disk { address, from },
        }
    }

    fn inline(text: &str, compression: u8) -> [Extent; 1] {
        [Extent {
            start: 0,
            length: text.len() as u64,
            source: Source::Inline {
                compression,
                data: text.into(),
            },
        }]
    }

    fn read(from: u64, to: u64) -> Verdict {
        Verdict::Read(std::iter::once(from..to).collect())
    }

    #[test]
    fn one_extent_in_two_pieces_is_the_same_extent() {
        let whole = [disk(0, 64 * K, 1 << 30, 0)];
        let pieces = [
            disk(0, 16 * K, 1 << 30, 0),
            disk(16 * K, 48 * K, 1 << 30, 16 * K),
        ];
        assert_eq!(judge(64 * K, &whole, &pieces), Verdict::Same);
        // What lies behind the end of the file is no content.
        assert_eq!(judge(10 * K, &whole, &pieces[..1]), Verdict::Same);
    }

    #[test]
    fn only_what_lies_elsewhere_must_be_read() {
        let old = [disk(0, 64 * K, 1 << 30, 0)];
        let new = [
            disk(0, 16 * K, 1 << 30, 0),
            disk(16 * K, 4 * K, 1 << 31, 0),
            disk(20 * K, 4 * K, 1 << 32, 0),
            disk(24 * K, 40 * K, 1 << 30, 24 * K),
        ];
        assert_eq!(judge(64 * K, &old, &new), read(16 * K, 24 * K));
        // The same extent, but from another byte on.
        let shifted = [disk(0, 64 * K, 1 << 30, 4 * K)];
        assert_eq!(judge(64 * K, &old, &shifted), read(0, 64 * K));
    }

    #[test]
    fn holes_are_equal_however_they_are_written() {
        let hole = Extent {
            start: 4 * K,
            length: 8 * K,
            source: Source::Zeros,
        };
        let explicit = [
            disk(0, 4 * K, 1 << 30, 0),
            hole,
            disk(12 * K, 4 * K, 1 << 31, 0),
        ];
        let implied = [explicit[0].clone(), explicit[2].clone()];
        assert_eq!(judge(16 * K, &explicit, &implied), Verdict::Same);
        // Behind the last extent there is a hole as well, and a hole may be equal to written zeros.
        assert_eq!(
            judge(32 * K, &explicit, &[]),
            Verdict::Read(vec![0..4 * K, 12 * K..16 * K])
        );
    }

    #[test]
    fn inline_bytes_are_compared_at_once() {
        let text = inline("abc", 0);
        assert_eq!(judge(3, &text, &inline("abc", 0)), Verdict::Same);
        assert_eq!(judge(3, &text, &inline("abd", 0)), Verdict::Other);
        assert_eq!(judge(2, &text, &inline("abd", 0)), Verdict::Same);
        assert_eq!(judge(3, &text, &inline("xyz", 1)), read(0, 3));
        assert_eq!(judge(0, &text, &[]), Verdict::Same);
    }

    #[test]
    fn extents_that_overlap_or_run_over_never_hang() {
        let mad = [
            disk(0, u64::MAX, 1, u64::MAX),
            disk(0, 0, 2, 0),
            disk(u64::MAX, u64::MAX, 3, 0),
        ];
        assert!(judge(u64::MAX, &mad, &mad) == Verdict::Same);
        assert_eq!(judge(5, &mad[1..], &[]), Verdict::Same);
    }
}
