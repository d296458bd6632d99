//! Who has to go when all places are taken: pure.
//!
//! A connection costs nothing to whoever opens it, so places that are merely occupied are worth nothing. Whoever comes takes
//! the place of somebody who has nothing under way: of the user with the most connections the one silent for the longest.
//! So nobody keeps anybody else out, and who leaks connections loses his own.

use std::collections::BTreeMap;

/// Clients at the same time.
pub(super) const CLIENTS: usize = 64;
/// Of these, for users other than root.
const CLIENTS_OF_USERS: usize = 48;

/// A client that has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number.
    pub(super) client: u32,
    /// Whose it is.
    pub(super) uid: u32,
    /// It waits for an answer, or has not taken all of one.
    pub(super) busy: bool,
    /// When it last asked something, or came.
    pub(super) heard: u64,
}

/// What there is for somebody who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// A free place.
    Free,
    /// The place of this client.
    Of(u32),
    /// None: all have something under way.
    None,
}

/// Finds room for one more of this user.
pub(super) fn find(uid: u32, places: &[Place]) -> Room {
    let users = places.iter().filter(|place| place.uid != 0).count();
    if places.len() < CLIENTS && (uid == 0 || users < CLIENTS_OF_USERS) {
        return Room::Free;
    }
    let mut of_each: BTreeMap<u32, u32> = BTreeMap::new();
    for place in places {
        let count = of_each.entry(place.uid).or_default();
        *count = count.saturating_add(1);
    }
    // Users never push root out.
    let candidates = places.iter().filter(|place| uid == 0 || place.uid != 0);
    let silent = candidates.filter(|place| !place.busy);
    let first = silent.min_by_key(|place| {
        let count = of_each.get(&place.uid).copied().unwrap_or_default();
        (std::cmp::Reverse(count), place.heard, place.client)
    });
    first.map_or(Room::None, |place| Room::Of(place.client))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(uid: u32, numbers: std::ops::Range<u32>) -> Vec<Place> {
        let place = |client| Place {
            client,
            uid,
            busy: false,
            heard: client.into(),
        };
        numbers.map(place).collect()
    }

    #[test]
    fn some_places_are_roots_alone() {
        let users = many(1000, 0..48);
        assert_eq!(find(0, &users), Room::Free);
        assert_eq!(find(1001, &users), Room::Of(0));
        assert_eq!(find(1001, &many(1000, 0..47)), Room::Free);
    }

    #[test]
    fn who_has_the_most_makes_room_and_the_longest_silent_first() {
        let mut places = many(1000, 0..40);
        places.extend(many(1001, 40..48));
        places[0].busy = true;
        places[1].heard = 100;
        // Also for himself.
        for comes in [1000, 1001, 1002] {
            assert_eq!(find(comes, &places), Room::Of(2));
        }
    }

    #[test]
    fn users_push_nobody_out_but_users() {
        let mut places = many(0, 0..40);
        places.extend(many(1000, 40..64));
        assert_eq!(find(1000, &places), Room::Of(40));
        assert_eq!(find(0, &places), Room::Of(0));
        let alone = many(0, 0..64);
        assert_eq!(find(1000, &alone), Room::None);
        assert_eq!(find(0, &alone), Room::Of(0));
    }

    #[test]
    fn who_has_something_under_way_stays() {
        let mut places = many(1000, 0..48);
        places.iter_mut().for_each(|place| place.busy = true);
        assert_eq!(find(1001, &places), Room::None);
    }
}
