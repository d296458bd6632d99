//! Clients that wait for an answer get it from the program we become.

use std::collections::VecDeque;
use std::os::unix::net::{UnixListener, UnixStream};

use serde::{Deserialize, Serialize};
use sys::epoll::Interest;
use sys::kernel::Linux;
use sys::socket::Peer;
use varlink::sansio::Server;

use super::{Client, Control, Until, Waiting};
use crate::hands::hold::Fd;
use crate::init::CONTROL;

/// The socket and those of its clients that are between two messages.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HeldControl {
    listener: Option<Fd>,
    clients: Vec<HeldClient>,
    next: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeldClient {
    number: u32,
    stream: Fd,
    /// Process, user, group.
    peer: (i32, u32, u32),
    trusted: bool,
    waiting: Option<Waiting>,
    out: Vec<u8>,
    closing: bool,
}

impl HeldControl {
    /// All its descriptors.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = i32> + '_ {
        let clients = self.clients.iter().map(|client| client.stream);
        let all = self.listener.into_iter().chain(clients);
        all.map(|fd| fd.0)
    }
}

impl Control {
    /// What a client has sent in part only cannot be held: such a one is let go.
    pub(crate) fn hold(&self) -> HeldControl {
        let whole = |client: &Client| client.unfinished == 0 && client.requests.is_empty();
        let all = self.clients.iter().filter(|(_, client)| whole(client));
        HeldControl {
            listener: self.listener.as_ref().map(Fd::of),
            clients: all
                .map(|(number, client)| HeldClient {
                    number: *number,
                    stream: Fd::of(&client.stream),
                    peer: (client.peer.pid, client.peer.uid, client.peer.gid),
                    trusted: client.trusted,
                    waiting: client.waiting.clone(),
                    out: client.out.clone(),
                    closing: client.closing,
                })
                .collect(),
            next: self.next,
        }
    }

    /// Goes on with the socket; without it, opens another one. `whole`: with the clients too.
    ///
    /// # Errors
    /// The socket cannot be made or watched.
    pub(crate) fn resume(
        &mut self,
        held: HeldControl,
        kernel: &mut Linux,
        whole: bool,
    ) -> sys::error::Result<()> {
        self.next = held.next;
        match held.listener.and_then(Fd::take) {
            Some(fd) => {
                let listener = UnixListener::from(fd);
                kernel.epoll().add(&listener, CONTROL, Interest::Read)?;
                self.listener = Some(listener);
            }
            None => self.open(kernel)?,
        }
        for held in held.clients.into_iter().filter(|_| whole) {
            let number = held.number;
            if let Some(client) = held.take(kernel) {
                self.clients.insert(number, client);
            }
        }
        Ok(())
    }
}

impl HeldClient {
    /// `None`: its connection is gone, or what it waited for was lost.
    fn take(self, kernel: &Linux) -> Option<Client> {
        let stream = UnixStream::from(self.stream.take()?);
        if self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.until == Until::Read)
        {
            return None;
        }
        let writing = !self.out.is_empty();
        let interest = if writing {
            Interest::Write
        } else {
            Interest::Read
        };
        let token = Control::token(self.number);
        kernel.epoll().add(&stream, token, interest).ok()?;
        let (pid, uid, gid) = self.peer;
        Some(Client {
            stream,
            peer: Peer { pid, uid, gid },
            trusted: self.trusted,
            server: Server::new(),
            unfinished: 0,
            requests: VecDeque::new(),
            waiting: self.waiting,
            heard: 0,
            out: self.out,
            writing,
            closing: self.closing,
        })
    }
}
