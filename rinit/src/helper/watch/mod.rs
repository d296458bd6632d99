//! `rinit-helper watch`: the process that looks at paths, with a thread for each unit that has some. A thread may hang with the file system that
//! it looks at; nobody waits for it, and the first thread looks at nothing.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | threads, and what they and PID 1 say to each other |
//! | `sight` | what such a thread looks at |
//! | `../../watch/link.rs` | what is said, in bytes |
//!
//! Threads are short of memory, not of time: 1,000 units with paths are 1,000 small stacks in one process.

#[path = "../../watch/link.rs"]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "PID 1 asks whether something is half said")
)]
mod link;
mod sight;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rootspec::plan::{UnitIndex as UnitId, paths_from_bytes};
use sys::epoll::{Epoll, Interest};

use link::{Inbox, Message};
use sight::Sight;

use crate::roles::WATCH_LINK;

/// Stack of a thread, in bytes: a kernel's buffer and a few paths lie on it.
const STACK: usize = 64 << 10;
const TOKEN_LINK: u64 = 0;
const TOKEN_MOUNTS: u64 = 1;

/// What a thread is told by the first one.
#[derive(Debug)]
struct Told {
    /// Entries that PID 1 asks about, a bit each: a unit has 32 at most.
    asked: AtomicU32,
    /// Something was mounted or unmounted.
    mounted: AtomicBool,
    /// Nobody wants to know any more.
    over: AtomicBool,
    /// Where a byte wakes it.
    bell: UnixStream,
}

impl Told {
    fn wake(&self) {
        // Full: then it is awake, or hangs.
        (&self.bell).write_all(&[0]).ok();
    }
}

/// A thread, and the paths that it was given.
#[derive(Debug)]
struct Eye {
    paths: Vec<u8>,
    told: Arc<Told>,
    thread: std::thread::JoinHandle<()>,
}

/// What threads tell PID 1 by.
#[derive(Debug, Clone)]
struct Voice {
    unit: UnitId,
    link: Arc<Mutex<UnixStream>>,
    told: Arc<Told>,
}

impl Voice {
    fn say(&self, messages: impl Iterator<Item = Message>) {
        let mut bytes = Vec::new();
        messages.for_each(|message| message.write(&mut bytes));
        let Ok(mut link) = self.link.lock() else {
            return;
        };
        // Somebody else may look at other paths of this unit by now.
        if !self.told.over.load(Ordering::Acquire) {
            // PID 1 lets go: the first thread sees that too.
            link.write_all(&bytes).ok();
        }
    }

    fn give_up(&self, why: &str) {
        self.say(std::iter::once(Message::Words(self.unit, why.into())));
    }
}

/// The role: looks until PID 1 lets go.
pub(crate) fn run() -> u8 {
    let Ok(link) = sys::inherit::take(WATCH_LINK) else {
        return 2;
    };
    u8::from(serve(&UnixStream::from(link)).is_err())
}

fn serve(link: &UnixStream) -> sys::error::Result<()> {
    use sys::error::Cannot;
    // Four for each unit. Where that is refused, a unit's paths are not watched, and that is told.
    sys::descriptors::raise().ok();
    let shared = link.try_clone().cannot("share", "the link to rinit")?;
    let shared = Arc::new(Mutex::new(shared));
    let mut epoll = Epoll::new()?;
    epoll.add(link, TOKEN_LINK, Interest::Read)?;
    // inotify(7) tells nothing of what is mounted over a path.
    let mounts = File::open("/proc/self/mountinfo").ok();
    if let Some(mounts) = &mounts {
        epoll.add(mounts, TOKEN_MOUNTS, Interest::Change)?;
    }
    let (mut eyes, mut inbox, mut happenings) = (BTreeMap::new(), Inbox::default(), Vec::new());
    loop {
        epoll.wait(&mut happenings)?;
        for happening in &happenings {
            match happening.token {
                TOKEN_MOUNTS => mounted(&eyes),
                _ if hear(link, &mut inbox, &mut eyes, &shared) => {}
                _ => return Ok(()),
            }
        }
    }
}

fn mounted(eyes: &BTreeMap<UnitId, Eye>) {
    for eye in eyes.values() {
        eye.told.mounted.store(true, Ordering::Release);
        eye.told.wake();
    }
}

/// Takes what PID 1 says. False: it has let go, or speaks another language.
fn hear(
    mut link: &UnixStream,
    inbox: &mut Inbox,
    eyes: &mut BTreeMap<UnitId, Eye>,
    shared: &Arc<Mutex<UnixStream>>,
) -> bool {
    let mut bytes = [0; 4096];
    match link.read(&mut bytes) {
        Ok(0) => return false,
        Ok(count) => inbox.push(bytes.get(..count).unwrap_or_default()),
        Err(error) if error.kind() == ErrorKind::Interrupted => return true,
        Err(_) => return false,
    }
    let Some(messages) = inbox.take() else {
        return false;
    };
    for message in messages {
        match message {
            Message::Entry(unit, number) => {
                if let (Some(eye), 0..32) = (eyes.get(&unit), number) {
                    eye.told.asked.fetch_or(1 << number, Ordering::Release);
                    eye.told.wake();
                }
            }
            Message::Words(unit, paths) => look_at(unit, paths, eyes, shared),
        }
    }
    true
}

/// The paths of a unit are these: whoever looks at them already goes on.
fn look_at(
    unit: UnitId,
    paths: Vec<u8>,
    eyes: &mut BTreeMap<UnitId, Eye>,
    shared: &Arc<Mutex<UnixStream>>,
) {
    let goes_on = |eye: &Eye| eye.paths == paths && !eye.thread.is_finished();
    if eyes.get(&unit).is_some_and(goes_on) {
        return;
    }
    if let Some(old) = eyes.remove(&unit) {
        old.told.over.store(true, Ordering::Release);
        old.told.wake();
    }
    if paths.is_empty() {
        return;
    }
    match Eye::open(unit, paths, shared) {
        Ok(eye) => drop(eyes.insert(unit, eye)),
        Err(error) => {
            let mut bytes = Vec::new();
            let why = format!("cannot start a thread: {error}");
            Message::Words(unit, why.into()).write(&mut bytes);
            if let Ok(mut link) = shared.lock() {
                link.write_all(&bytes).ok();
            }
        }
    }
}

impl Eye {
    fn open(unit: UnitId, paths: Vec<u8>, link: &Arc<Mutex<UnixStream>>) -> std::io::Result<Self> {
        let (bell, rings) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rings.set_nonblocking(true)?;
        let told = Arc::new(Told {
            asked: AtomicU32::new(0),
            mounted: AtomicBool::new(false),
            over: AtomicBool::new(false),
            bell,
        });
        let voice = Voice {
            unit,
            link: Arc::clone(link),
            told: Arc::clone(&told),
        };
        let bytes = paths.clone();
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || {
                let looked = AssertUnwindSafe(|| look(&bytes, &rings, &voice));
                match std::panic::catch_unwind(looked) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => voice.give_up(&sys::chain(&error)),
                    Err(_) => voice.give_up("a fault in rinit itself"),
                }
            })?;
        Ok(Self {
            paths,
            told,
            thread,
        })
    }
}

/// A thread: looks until it is told that it is over.
fn look(paths: &[u8], mut rings: &UnixStream, voice: &Voice) -> sys::error::Result<()> {
    let Some(paths) = paths_from_bytes(paths) else {
        voice.give_up("rinit is another version; it must be started anew");
        return Ok(());
    };
    let mut sight = Sight::new(&paths)?;
    let mut epoll = Epoll::new()?;
    epoll.add(rings, 0, Interest::Read)?;
    epoll.add(sight.inotify(), 1, Interest::Read)?;
    let mut happenings = Vec::new();
    loop {
        let news = sight.news();
        if !news.is_empty() {
            let messages = news.into_iter();
            voice.say(messages.map(|number| Message::Entry(voice.unit, number)));
        }
        epoll.wait(&mut happenings)?;
        // Before what was told is looked at: what is told later rings again.
        while matches!(rings.read(&mut [0; 64]), Ok(1..)) {}
        let told = &voice.told;
        if told.over.load(Ordering::Acquire) {
            return Ok(());
        }
        let asked = told.asked.swap(0, Ordering::AcqRel);
        let numbers = (0..u32::BITS).filter(|number| asked & (1 << number) != 0);
        numbers.for_each(|number| sight.asked(number));
        if told.mounted.swap(false, Ordering::AcqRel) {
            sight.settle()?;
        }
        sight.take_changes()?;
    }
}
