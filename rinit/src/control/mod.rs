//! The control socket: Varlink on `/run/rinit/control.sock`, spoken inside the one loop of PID 1.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | clients: their bytes in and out, bounded on both sides |
//! | `methods` | what the methods do |
//! | `room` | who has to go when all places are taken |
//! | `timers` | timers, for whoever asks |
//! | `hold` | clients that wait, for the program we become |
//! | `service` | the interface every Varlink service has |
//!
//! A client can be slow, silent, greedy or hostile: reads and writes never wait, requests have a largest size, replies
//! that nobody takes close the connection, and whoever only sits there makes room.

mod hold;
mod methods;
mod room;
mod service;
mod timers;

pub(crate) use hold::HeldControl;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};

use room::{Place, Room};
use rootspec::paths;
use rootspec::protocol::MAX_REQUEST;
use serde::{Deserialize, Serialize};
use sys::epoll::{Happening, Interest};
use sys::kernel::{Kernel, Linux};
use sys::socket::Peer;
use varlink::Reply;
use varlink::sansio::{Server, ServerEvent};

use crate::init::{CONTROL, Init};
use crate::supervisor::UnitId;

/// Replies that a client has not taken yet, in bytes.
const UNTAKEN: usize = 4 << 20;
/// Requests that wait for the one before them.
const QUEUE: usize = 64;
/// Read from one client in one lap, in bytes.
const READ: usize = 16 * 1024;
/// So long nobody is let in after it failed, in milliseconds.
const REST: u64 = 1_000;
/// Numbers of clients in the loop begin here.
const FIRST: u64 = 17 << 32;

/// The socket and its clients.
#[derive(Debug, Default)]
pub(crate) struct Control {
    listener: Option<UnixListener>,
    clients: BTreeMap<u32, Client>,
    next: u32,
    /// Nobody is let in before this time.
    resting: Option<u64>,
    /// That was said.
    told: bool,
}

/// A request that is answered later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    until: Until,
    oneway: bool,
}

/// What a request waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Until {
    /// These units are settled, after this was asked of them.
    Settled(Cow<'static, str>, Vec<UnitId>),
    /// The unit files were read.
    Read,
    /// Another program has taken this one's place.
    Succeeded,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    peer: Peer,
    /// It may change things.
    trusted: bool,
    server: Server,
    /// Bytes of a request that is not complete yet.
    unfinished: usize,
    requests: VecDeque<varlink::Request<'static>>,
    waiting: Option<Waiting>,
    /// When it last asked something, or came.
    heard: u64,
    out: Vec<u8>,
    writing: bool,
    /// No further requests; closed when everything is sent.
    closing: bool,
}

/// What becomes of a request.
pub(crate) enum Answer {
    Now(Reply),
    Later(Until),
}

impl Control {
    /// Listens.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(crate) fn open(&mut self, kernel: &mut Linux) -> sys::error::Result<()> {
        use sys::error::Cannot;
        let path = paths::run::INIT_SOCKET;
        // Everybody may ask; who may change is decided by credentials.
        let listener = sys::socket::listen(path, 0o666)?;
        listener.set_nonblocking(true).cannot("listen on", path)?;
        kernel.epoll().add(&listener, CONTROL, Interest::Read)?;
        self.listener = Some(listener);
        Ok(())
    }

    /// The client whose number in the loop this is.
    pub(crate) fn client_of(number: u64) -> Option<u32> {
        number
            .checked_sub(FIRST)
            .and_then(|number| u32::try_from(number).ok())
    }

    /// When somebody can be let in again, if that failed.
    pub(crate) fn resting(&self) -> Option<u64> {
        self.resting
    }

    fn token(client: u32) -> u64 {
        FIRST.saturating_add(u64::from(client))
    }

    fn room_for(&self, peer: Peer) -> Room {
        let all = self.clients.iter();
        let places: Vec<Place> = all.map(|(number, client)| client.place(*number)).collect();
        room::find(peer.uid, &places)
    }
}

impl Client {
    fn place(&self, client: u32) -> Place {
        Place {
            client,
            uid: self.peer.uid,
            busy: self.waiting.is_some() || !self.requests.is_empty() || !self.out.is_empty(),
            heard: self.heard,
        }
    }

    /// Reads what is there. False: the client is gone, or breaks the rules.
    /// Descriptors are of no use to us, and go to `kernel`.
    fn read(&mut self, kernel: &mut Linux) -> bool {
        let mut bytes = [0; READ];
        let length = match sys::socket::receive_bytes(&self.stream, &mut bytes) {
            Ok(None) => return true,
            Ok(Some((length, fds))) => {
                kernel.discard(fds);
                length
            }
            Err(_) => return false,
        };
        if length == 0 {
            return false;
        }
        let bytes = bytes.get(..length).unwrap_or_default();
        self.unfinished = match bytes.iter().rposition(|byte| *byte == 0) {
            Some(end) => length.saturating_sub(end).saturating_sub(1),
            None => self.unfinished.saturating_add(length),
        };
        if self.unfinished > MAX_REQUEST || self.server.handle_input(bytes).is_err() {
            return false;
        }
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Request { request } => {
                    self.heard = kernel.now();
                    self.requests.push_back(request);
                }
                // Nothing of ours turns into another protocol.
                ServerEvent::Upgrade { .. } => return false,
            }
        }
        self.requests.len() <= QUEUE
    }

    fn reply(&mut self, reply: Reply) {
        if self.server.send_reply(reply).is_err() {
            self.closing = true;
        }
        while let Some(message) = self.server.poll_transmit() {
            self.out.extend(message.payload);
        }
    }

    /// Writes as much as goes. False: the client is gone, or takes nothing.
    fn write(&mut self) -> bool {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(0) => return false,
                Ok(length) => {
                    self.out.drain(..length.min(self.out.len()));
                }
                Err(error) if is_patience(&error) => break,
                Err(_) => return false,
            }
        }
        self.out.len() <= UNTAKEN && !(self.closing && self.out.is_empty())
    }
}

fn is_patience(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Init {
    /// Takes new clients, a few per lap.
    pub(crate) fn accept(&mut self) {
        for _ in 0..16 {
            let Some(listener) = &self.control.listener else {
                return;
            };
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if is_patience(&error) => return,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return self.rest(&error),
            };
            self.control.told = false;
            let peer = sys::socket::peer(&stream);
            let peer = peer.ok().filter(|peer| self.make_room(*peer));
            let Some(peer) = peer.filter(|_| stream.set_nonblocking(true).is_ok()) else {
                self.hang_up(stream);
                continue;
            };
            let number = self.control.next;
            self.control.next = number.wrapping_add(1);
            let trusted = self
                .settings
                .trusts(peer.uid, peer.gid, || sys::socket::peer_groups(&stream));
            let token = Control::token(number);
            let kernel = &self.all.hands.kernel;
            if kernel.epoll().add(&stream, token, Interest::Read).is_err() {
                self.hang_up(stream);
                continue;
            }
            let client = Client {
                stream,
                peer,
                trusted,
                server: Server::new(),
                unfinished: 0,
                requests: VecDeque::new(),
                waiting: None,
                heard: sys::timer::now(),
                out: Vec::new(),
                writing: false,
                closing: false,
            };
            self.control.clients.insert(number, client);
        }
    }

    /// False: there is none.
    fn make_room(&mut self, peer: Peer) -> bool {
        match self.control.room_for(peer) {
            Room::Free => true,
            Room::Of(number) => {
                if let Some(client) = self.control.clients.remove(&number) {
                    self.hang_up(client.stream);
                }
                true
            }
            Room::None => false,
        }
    }

    /// There are no descriptors to be had, or no memory. The one who knocks would wake us for ever: nobody is listened to
    /// for a while. Whoever knocks meanwhile waits, and is not turned away.
    fn rest(&mut self, why: &std::io::Error) {
        let Some(listener) = &self.control.listener else {
            return;
        };
        if self.all.hands.kernel.epoll().remove(listener).is_err() {
            return;
        }
        self.control.resting = Some(sys::timer::now().saturating_add(REST));
        if !std::mem::replace(&mut self.control.told, true) {
            self.voice.shout(&format!(
                "the control socket rests, nobody can be let in: {why}"
            ));
        }
    }

    /// The rest is over.
    pub(crate) fn listen_again(&mut self) {
        let now = sys::timer::now();
        if self.control.resting.is_none_or(|until| now < until) {
            return;
        }
        let Some(listener) = &self.control.listener else {
            return;
        };
        let epoll = self.all.hands.kernel.epoll();
        let added = epoll.add(listener, CONTROL, Interest::Read);
        self.control.resting = added.is_err().then(|| now.saturating_add(REST));
    }

    /// Something happened to a client.
    pub(crate) fn serve(&mut self, number: u32, happening: Happening) {
        // Out of the table while we work on it: a panic closes the connection.
        let Some(mut client) = self.control.clients.remove(&number) else {
            return;
        };
        let mut stays = true;
        if happening.readable {
            stays = client.read(&mut self.all.hands.kernel);
        }
        if stays {
            self.answer(&mut client);
        }
        if stays && self.settle(number, &mut client) {
            self.control.clients.insert(number, client);
        } else {
            self.hang_up(client.stream);
        }
    }

    /// Ends a connection. A child that has not executed its program yet holds a copy of it: closing ours alone would neither
    /// end it for the peer nor for the loop, which would be woken by it for ever.
    fn hang_up(&mut self, stream: UnixStream) {
        let kernel = &mut self.all.hands.kernel;
        // It may be gone already, which is what is wanted.
        kernel.epoll().remove(&stream).ok();
        kernel.close(stream.into());
    }

    /// Answers requests in order; one that has to wait holds those behind it.
    fn answer(&mut self, client: &mut Client) {
        while client.waiting.is_none() {
            let Some(request) = client.requests.pop_front() else {
                return;
            };
            let oneway = request.oneway.unwrap_or_default();
            match self.call(client.trusted, &request) {
                Answer::Now(_) if oneway => {}
                Answer::Now(reply) => client.reply(reply),
                Answer::Later(until) => client.waiting = Some(Waiting { until, oneway }),
            }
        }
    }

    /// Sends what can be sent and watches for what cannot. False: to be closed.
    fn settle(&mut self, number: u32, client: &mut Client) -> bool {
        if !client.write() {
            return false;
        }
        let writing = !client.out.is_empty();
        if writing != client.writing {
            client.writing = writing;
            // A client that takes nothing is not read from either.
            let interest = if writing {
                Interest::Write
            } else {
                Interest::Read
            };
            let token = Control::token(number);
            let kernel = &self.all.hands.kernel;
            return kernel
                .epoll()
                .change(&client.stream, token, interest)
                .is_ok();
        }
        true
    }

    /// The answer to a request that waited, if it is there.
    fn go_on_waiting(&mut self, until: Until) -> Answer {
        match until {
            Until::Settled(verb, units) => self.outcome(verb, units),
            Until::Read => self.renewed().unwrap_or(Answer::Later(until)),
            Until::Succeeded => self.succeeded(),
        }
    }

    /// Answers those who wait for something that has come about.
    pub(crate) fn answer_waiting(&mut self) {
        let waits = |(number, client): (&u32, &Client)| client.waiting.as_ref().map(|_| *number);
        let waiting: Vec<u32> = self.control.clients.iter().filter_map(waits).collect();
        for number in waiting {
            let Some(mut client) = self.control.clients.remove(&number) else {
                continue;
            };
            if let Some(waiting) = client.waiting.take() {
                match self.go_on_waiting(waiting.until) {
                    Answer::Later(until) => client.waiting = Some(Waiting { until, ..waiting }),
                    Answer::Now(reply) => {
                        if !waiting.oneway {
                            client.reply(reply);
                        }
                        self.answer(&mut client);
                    }
                }
            }
            if self.settle(number, &mut client) {
                self.control.clients.insert(number, client);
            } else {
                self.hang_up(client.stream);
            }
        }
    }
}
