//! Units that serve each connection by a run of its own: places for connections, made before the first one comes.
//!
//! A supervisor that made units while it runs could run out of memory by it. So a unit whose sockets accept becomes a name
//! that holds them, and beside it there are as many units as there may be connections, which are used again and again.

use crate::plan::{Conduct, FdStore, Manual, Plan, Policy, Ready, Tie, TieKind, Unit, Work};

/// Adds the places, behind all other units.
pub(super) fn add_places(plan: &mut Plan) {
    let mut places = Vec::new();
    for (index, unit) in (0..).zip(&mut plan.units) {
        let accepts = unit.sockets.iter().find_map(|socket| socket.accept);
        let Some(accept) = accepts else { continue };
        let serves = Tie {
            kind: TieKind::Serves,
            unit: index,
        };
        let place = place(unit, serves);
        places.push((accept.connections, place));
        unit.work = Work::Group;
        unit.ready = Ready::Exec;
        unit.conditions.clear();
        unit.care = None;
    }
    for (count, place) in places {
        let numbers = (1_u32..).map(|number| format!("{}@{number}", place.name));
        let free = numbers.filter(|name| plan.find(name).is_none());
        let names: Vec<String> = free.take(usize::from(count)).collect();
        plan.units.extend(names.into_iter().map(|name| Unit {
            name: name.into(),
            ..place.clone()
        }));
    }
}

/// What a unit runs for one connection.
fn place(unit: &Unit, serves: Tie) -> Unit {
    let conduct = Conduct {
        // Without a connection there is nothing to start, and nobody else's is to end it.
        manual: Manual::Stop,
        ..unit.conduct().clone()
    };
    let mut place = unit.clone();
    place.restart.policy = Policy::Never;
    Unit {
        needs: vec![serves.unit],
        wants: Vec::new(),
        after: Vec::new(),
        ties: Box::new([serves]),
        conduct: Some(Box::new(conduct)),
        fdstore: FdStore::default(),
        gate: None,
        sockets: Vec::new(),
        timers: Box::default(),
        paths: Box::default(),
        ..place
    }
}
