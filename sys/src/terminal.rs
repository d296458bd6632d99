//! Terminals: a pair of our own, raw mode, the size, and passing bytes between a person's terminal and another one.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcsetattr};

use crate::error::{Cannot, Result};

/// Bytes that are passed on at once.
const CHUNK: usize = 16 * 1024;

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// A new pseudo-terminal (pty(7)).
#[derive(Debug)]
pub struct Pair {
    /// The end for whoever shows the terminal. When the last copy of it is closed, the programs on the other end are told
    /// that the line hung up.
    pub master: OwnedFd,
    /// Path of the end for programs.
    pub slave: PathBuf,
}

/// Makes a pseudo-terminal in the devpts that `/dev/ptmx` belongs to.
///
/// # Errors
/// There is no devpts, or it holds as many terminals as it may (`ENOSPC`).
pub fn pair(size: Size) -> Result<Pair> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/ptmx", flags, Mode::empty()).cannot("open", "/dev/ptmx")?;
    rustix::pty::unlockpt(&master).cannot("unlock", "a pseudo-terminal")?;
    let name = rustix::pty::ptsname(&master, Vec::new()).cannot("name", "a pseudo-terminal")?;
    set_size(&master, size)?;
    let slave = PathBuf::from(name.to_string_lossy().into_owned());
    Ok(Pair { master, slave })
}

/// How large the terminal is; `None`: it is none, or does not know.
#[must_use]
pub fn size(terminal: impl AsFd) -> Option<Size> {
    let found = rustix::termios::tcgetwinsize(terminal).ok()?;
    (found.ws_row > 0 && found.ws_col > 0).then_some(Size {
        rows: found.ws_row,
        columns: found.ws_col,
    })
}

/// Tells a terminal its size; the programs on it get `SIGWINCH`.
///
/// # Errors
/// It is no terminal.
pub fn set_size(terminal: impl AsFd, size: Size) -> Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(terminal, size).cannot("set the size of", "a terminal")
}

/// A terminal that passes every key on as it is, until dropped.
#[derive(Debug)]
pub struct Raw {
    terminal: OwnedFd,
    before: Termios,
}

impl Raw {
    /// Switches the terminal over.
    ///
    /// # Errors
    /// It is no terminal, or is gone.
    pub fn enter(terminal: impl AsFd) -> Result<Self> {
        let what = "the terminal";
        let terminal = rustix::io::fcntl_dupfd_cloexec(terminal, 3).cannot("use", what)?;
        let before = tcgetattr(&terminal).cannot("read the settings of", what)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Drain, &raw).cannot("switch over", what)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        tcsetattr(&self.terminal, OptionalActions::Drain, &self.before).ok();
    }
}

/// Why passing bytes has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nobody uses the far end any more.
    Closed,
    /// Our own terminal is gone, or `on_wake` said so.
    Stopped,
}

/// What goes on after a wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Passing bytes.
    GoOn,
    /// Nothing.
    Stop,
}

/// Passes bytes from `input` to `far` and from `far` to `output`, until one side ends.
///
/// `far` is the master of a pseudo-terminal or a connected socket; it must not block. The end of an `input` that is no
/// terminal is passed on to a socket. When `wake` becomes readable, `on_wake` is called; it has to read it.
///
/// # Errors
/// What poll(2), reads and writes report for other reasons than an end.
pub fn relay(
    far: &OwnedFd,
    input: BorrowedFd<'_>,
    output: &mut dyn Write,
    wake: BorrowedFd<'_>,
    on_wake: &mut dyn FnMut() -> Then,
) -> Result<Ended> {
    let line = "the terminal of the other side";
    let mut buffer = vec![0; CHUNK];
    let mut pending: Vec<u8> = Vec::new();
    let mut input_open = true;
    loop {
        let far_flags = if pending.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        };
        let mut fds = vec![
            PollFd::new(far, far_flags),
            PollFd::from_borrowed_fd(wake, PollFlags::IN),
        ];
        if input_open && pending.is_empty() {
            fds.push(PollFd::from_borrowed_fd(input, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).cannot("wait for", line),
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let is_ready = |at: usize| ready.get(at).is_some_and(|found| !found.is_empty());
        if is_ready(1) && on_wake() == Then::Stop {
            return Ok(Ended::Stopped);
        }
        if is_ready(0) {
            match rustix::io::read(far, &mut buffer) {
                // EIO: nobody has the other end of the terminal open any more.
                Ok(0) | Err(Errno::IO | Errno::CONNRESET) => return Ok(Ended::Closed),
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    // An output that is gone does not stop the work on the far side.
                    output.write_all(bytes).and_then(|()| output.flush()).ok();
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error).cannot("read from", line),
            }
            if !pending.is_empty() {
                match rustix::io::write(far, &pending) {
                    Ok(count) => drop(pending.drain(..count)),
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(Errno::IO | Errno::PIPE) => return Ok(Ended::Closed),
                    Err(error) => return Err(error).cannot("write to", line),
                }
            }
        }
        if is_ready(2) {
            match rustix::io::read(input, &mut buffer) {
                Ok(0) | Err(Errno::IO) => {
                    input_open = false;
                    if rustix::net::shutdown(far, rustix::net::Shutdown::Write).is_err() {
                        // A terminal has no end of its own: ours is gone.
                        return Ok(Ended::Stopped);
                    }
                }
                Ok(count) => pending.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error).cannot("read from", "our terminal"),
            }
        }
    }
}

/// Lets reads and writes on `fd` return instead of waiting.
///
/// # Errors
/// What fcntl(2) reports.
pub fn never_wait(fd: impl AsFd) -> Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd).cannot("use", "a descriptor")?;
    rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK).cannot("use", "a descriptor")
}

/// Reads whatever is in a pipe or socket that never waits, so that it is readable no more.
pub fn drain(fd: impl AsFd) {
    let mut buffer = [0; 64];
    while matches!(rustix::io::read(&fd, &mut buffer), Ok(1..)) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    const SIZE: Size = Size {
        rows: 30,
        columns: 100,
    };

    #[test]
    fn a_pair_passes_bytes_and_knows_its_size() {
        let pair = pair(SIZE).unwrap();
        let mut slave = File::options()
            .read(true)
            .write(true)
            .open(&pair.slave)
            .unwrap();
        assert_eq!(size(&slave), Some(SIZE));
        let raw = Raw::enter(&slave).unwrap();
        slave.write_all(b"x\n").unwrap();
        let mut buffer = [0; 2];
        File::from(pair.master.try_clone().unwrap())
            .read_exact(&mut buffer)
            .unwrap();
        assert_eq!(&buffer, b"x\n", "raw: no carriage return is added");
        drop(raw);
        slave.write_all(b"\n").unwrap();
        File::from(pair.master.try_clone().unwrap())
            .read_exact(&mut buffer)
            .unwrap();
        assert_eq!(&buffer, b"\r\n");
    }

    #[test]
    fn bytes_go_both_ways_and_the_end_of_the_input_arrives() {
        let (far, other) = UnixStream::pair().unwrap();
        let (input, mut typed) = UnixStream::pair().unwrap();
        let (wake, _quiet) = UnixStream::pair().unwrap();
        let far = OwnedFd::from(far);
        never_wait(&far).unwrap();
        // What is typed is more than a socket takes at once.
        let long = vec![b'a'; 1 << 20];
        let sent = long.clone();
        let echo = std::thread::spawn(move || {
            let mut other = other;
            let mut all = Vec::new();
            other.read_to_end(&mut all).unwrap();
            other.write_all(b"done").unwrap();
            all
        });
        let typist = std::thread::spawn(move || typed.write_all(&sent).unwrap());
        let mut output = Vec::new();
        let ended = relay(&far, input.as_fd(), &mut output, wake.as_fd(), &mut || {
            Then::GoOn
        });
        assert_eq!(ended.unwrap(), Ended::Closed);
        typist.join().unwrap();
        assert!(echo.join().unwrap() == long);
        assert_eq!(output, b"done");
    }

    #[test]
    fn a_wake_up_may_end_it() {
        let (far, _other) = UnixStream::pair().unwrap();
        let (input, _typed) = UnixStream::pair().unwrap();
        let (wake, mut bell) = UnixStream::pair().unwrap();
        bell.write_all(b"!").unwrap();
        let ended = relay(
            &OwnedFd::from(far),
            input.as_fd(),
            &mut Vec::new(),
            wake.as_fd(),
            &mut || Then::Stop,
        );
        assert_eq!(ended.unwrap(), Ended::Stopped);
    }
}
