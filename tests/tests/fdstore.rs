//! Tier 2: descriptors that a service leaves with rinit for its next run. The test itself sends them, as a process that the
//! service's file allows to.

use anyhow::{Context, Result, ensure};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};
use tests::inside::{Inside, SOON};
use tests::ns::End;
use tests::run;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("what_was_left_comes_back_after_a_crash", back),
            test("what_was_left_outlives_rinit", outlives),
            test("a_stop_and_the_other_side_take_it_away", gone),
            test("what_may_not_be_left_is_closed", refused),
            test("what_takes_long_to_close_holds_nobody", lingering),
            test("what_is_kept_for_good_reaches_the_next_root", soft),
        ],
    )
}

/// A unit that stays, with this `[fdstore]`.
fn unit(store: &str) -> String {
    format!(
        "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n[ready]\nnotify_from = \"all\"\n\
         [restart]\ndelay = \"0s\"\n[fdstore]\n{store}\n"
    )
}

/// Sends a notification with descriptors to the unit `a`.
fn send(inside: &Inside, text: &str, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let socket = UnixDatagram::unbound().context("no socket")?;
    socket.connect(inside.path("/run/rinit/notify/a")?)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let rights = SendAncillaryMessage::ScmRights(fds);
        ensure!(control.push(rights), "no room");
    }
    let bytes = [IoSlice::new(text.as_bytes())];
    rustix::net::sendmsg(&socket, &bytes, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// How many descriptors the unit has left.
fn stored(inside: &Inside) -> Result<u64> {
    Ok(inside.unit("a")?["stored"].as_u64().unwrap_or_default())
}

fn until_stored(inside: &Inside, count: u64) -> Result<()> {
    inside.until(&format!("{count} are stored"), || {
        Ok(stored(inside)? == count)
    })
}

fn memory(text: &str) -> Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("left", rustix::fs::MemfdFlags::CLOEXEC)?;
    File::from(fd.try_clone()?).write_all(text.as_bytes())?;
    Ok(fd)
}

/// Environment of the unit's main process, as far as descriptors are concerned.
fn announced(inside: &Inside) -> Result<BTreeMap<String, String>> {
    let pid = &inside.unit("a")?["pid"];
    let text = inside.read(&format!("/proc/{pid}/environ"))?;
    let entries = text.split('\0').filter_map(|entry| entry.split_once('='));
    let about = entries.filter(|(key, _)| key.starts_with("LISTEN_") || *key == "FDSTORE");
    Ok(about
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}

/// What the unit's main process has open under this number.
fn open(inside: &Inside, number: i32) -> Result<String> {
    let pid = &inside.unit("a")?["pid"];
    inside.path(&format!("/proc/{pid}/fd/{number}"))
}

/// Ends the main process, and waits for the next one.
fn kill(inside: &Inside) -> Result<()> {
    let unit = inside.unit("a")?;
    let (pid, restarts) = (unit["pid"].to_string(), unit["restarts"].as_u64());
    run::quiet(&mut inside.ns.inside(&["/bin/busybox", "kill", "-9", &pid])?)?;
    inside.until("it was restarted", || {
        let unit = inside.unit("a")?;
        Ok(unit["state"] == "up" && unit["restarts"].as_u64() > restarts)
    })
}

/// What the process has got is what was left: a file in memory, the end of a pipe to write to, one end of a connection.
fn is_all_there(inside: &Inside, first: i32, pipe: &mut impl Read) -> Result<()> {
    let text = std::fs::read_to_string(open(inside, first)?)?;
    ensure!(text == "kept", "{text:?}");
    let mut end = File::options()
        .write(true)
        .open(open(inside, first + 1)?)
        .context("the pipe")?;
    end.write_all(b"x")?;
    pipe.read_exact(&mut [0])?;
    let link = std::fs::read_link(open(inside, first + 2)?)?;
    ensure!(link.to_string_lossy().starts_with("socket:"), "{link:?}");
    Ok(())
}

fn pipe() -> Result<(File, OwnedFd)> {
    let (reads, writes) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((reads.into(), writes))
}

/// Leaves these three.
fn leave_three(inside: &Inside) -> Result<(File, UnixStream)> {
    let (reads, writes) = pipe()?;
    let (client, server) = UnixStream::pair()?;
    let memory = memory("kept")?;
    send(inside, "FDSTORE=1\nFDNAME=memory", &[memory.as_fd()])?;
    // The same one again is no other one.
    send(inside, "FDSTORE=1\nFDNAME=again", &[memory.as_fd()])?;
    let both = [writes.as_fd(), server.as_fd()];
    send(inside, "FDSTORE=1\nFDNAME=two", &both)?;
    until_stored(inside, 3)?;
    Ok((reads, client))
}

fn back() -> Result<Outcome> {
    let text = unit("max = 3") + "[[socket]]\nlisten = \"stream:/run/a.sock\"\n";
    let inside = Inside::start(&[("a", &text)])?;
    ensure!(announced(&inside)?["FDSTORE"] == "3");
    let (mut reads, mut client) = leave_three(&inside)?;
    kill(&inside)?;
    let found = announced(&inside)?;
    ensure!(found["LISTEN_FDS"] == "4", "{found:?}");
    ensure!(found["LISTEN_FDNAMES"] == "a:memory:two:two", "{found:?}");
    ensure!(found["LISTEN_PID"] == inside.unit("a")?["pid"].to_string());
    is_all_there(&inside, 4, &mut reads)?;
    // A restart on request keeps them too. Nobody has hung up on the client meanwhile.
    inside.call("Restart", &json!({ "units": ["a"] }))?;
    is_all_there(&inside, 4, &mut reads)?;
    client.set_nonblocking(true)?;
    let answer = client.read(&mut [0]).map_err(|why| why.kind());
    ensure!(answer == Err(std::io::ErrorKind::WouldBlock), "{answer:?}");
    Ok(Outcome::Passed)
}

fn outlives() -> Result<Outcome> {
    let mut inside = Inside::start(&[("a", &unit("max = 8"))])?;
    let (mut reads, client) = leave_three(&inside)?;
    // It has no inode of its own to be known by.
    let event = rustix::event::eventfd(7, rustix::event::EventfdFlags::CLOEXEC)?;
    send(&inside, "FDSTORE=1\nFDNAME=event", &[event.as_fd()])?;
    until_stored(&inside, 4)?;
    inside.call("Reexec", &json!({}))?;
    ensure!(stored(&inside)? == 4);
    kill(&inside)?;
    is_all_there(&inside, 3, &mut reads)?;
    let link = std::fs::read_link(open(&inside, 6)?)?;
    ensure!(link.to_string_lossy() == "anon_inode:[eventfd]", "{link:?}");
    // What may be left, and whoever hangs up, is still noticed.
    let (_reads, writes) = pipe()?;
    send(&inside, "FDSTORE=1", &[writes.as_fd()])?;
    until_stored(&inside, 5)?;
    drop(client);
    until_stored(&inside, 4)?;
    // After a crash a descriptor without an inode of its own could be another one: it is let go of.
    let pid = inside.ns.pid()?.to_string();
    std::thread::sleep(Duration::from_millis(1500));
    run::quiet(&mut run::command("kill", ["-SEGV", &pid]))?;
    inside.ns.console.expect("crashed by signal 11", SOON)?;
    until_stored(&inside, 3)?;
    kill(&inside)?;
    let found = announced(&inside)?;
    ensure!(found["LISTEN_FDNAMES"] == "memory:two:stored", "{found:?}");
    Ok(Outcome::Passed)
}

fn gone() -> Result<Outcome> {
    let inside = Inside::start(&[("a", &unit("max = 8"))])?;
    let (reads, client) = leave_three(&inside)?;
    let (other, unwatched) = UnixStream::pair()?;
    send(
        &inside,
        "FDSTORE=1\nFDNAME=blind\nFDPOLL=0",
        &[unwatched.as_fd()],
    )?;
    until_stored(&inside, 4)?;
    drop((client, other));
    until_stored(&inside, 3)?;
    drop(reads);
    until_stored(&inside, 2)?;
    send(&inside, "FDSTOREREMOVE=1\nFDNAME=blind", &[])?;
    until_stored(&inside, 1)?;
    inside.call("Stop", &json!({ "units": ["a"] }))?;
    ensure!(stored(&inside)? == 0);
    inside.call("Start", &json!({ "units": ["a"] }))?;
    ensure!(!announced(&inside)?.contains_key("LISTEN_FDS"));
    Ok(Outcome::Passed)
}

/// Its other end sees that nobody has it any more.
fn is_closed(end: &mut UnixStream) -> Result<()> {
    end.set_read_timeout(Some(SOON))?;
    ensure!(end.read(&mut [0])? == 0, "somebody has it");
    Ok(())
}

fn refused() -> Result<Outcome> {
    let main = unit("max = 2").replace("\"all\"", "\"main\"");
    let mut inside = Inside::start(&[("a", &unit("max = 2")), ("main", &main)])?;
    let pair = || UnixStream::pair().context("no pair");
    // More than it may leave.
    let pairs = [pair()?, pair()?, pair()?];
    let mine: Vec<_> = pairs.iter().map(|(mine, _)| mine.as_fd()).collect();
    send(&inside, "FDSTORE=1\nFDNAME=bad:name", &mine)?;
    until_stored(&inside, 2)?;
    inside.ns.console.expect("[fdstore] max = 2", SOON)?;
    let mut ends = Vec::new();
    for (mine, other) in pairs {
        drop(mine);
        ends.push(other);
    }
    is_closed(&mut ends[2])?;
    kill(&inside)?;
    ensure!(announced(&inside)?["LISTEN_FDNAMES"] == "stored:stored");
    // Not to be stored at all.
    let (mine, mut other) = pair()?;
    send(&inside, "STATUS=look\nFDNAME=x", &[mine.as_fd()])?;
    drop(mine);
    is_closed(&mut other)?;
    // By somebody whose notifications do not count.
    let (mine, mut other) = pair()?;
    let socket = UnixDatagram::unbound()?;
    socket.connect(inside.path("/run/rinit/notify/main")?)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [mine.as_fd()];
    ensure!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    let bytes = [IoSlice::new(b"FDSTORE=1")];
    rustix::net::sendmsg(&socket, &bytes, &mut control, SendFlags::NOSIGNAL)?;
    drop(mine);
    is_closed(&mut other)?;
    ensure!(inside.unit("main")?.get("stored").is_none());
    // And another user cannot even send there.
    let path = inside.path("/run/rinit/notify/a")?;
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path)?);
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    Ok(Outcome::Passed)
}

/// A connection that takes ten minutes to close, and its other end.
fn slow() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let mut slow = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    slow.set_nonblocking(true)?;
    while slow.write(&[0; 65_536]).is_ok() {}
    let long = Some(Duration::from_secs(600));
    rustix::net::sockopt::set_socket_linger(&slow, long)?;
    slow.set_nonblocking(false)?;
    Ok((slow, other))
}

fn lingering() -> Result<Outcome> {
    let inside = Inside::start(&[("a", &unit("max = 3"))])?;
    let mut others = Vec::new();
    for _ in 0..3 {
        let (slow, other) = slow()?;
        send(&inside, "FDSTORE=1", &[slow.as_fd()])?;
        others.push(other);
        // Ours is not the last one that is closed.
        until_stored(&inside, others.len() as u64)?;
    }
    let begun = Instant::now();
    send(&inside, "FDSTOREREMOVE=1\nFDNAME=stored", &[])?;
    until_stored(&inside, 0)?;
    let (slow, other) = slow()?;
    send(&inside, "FDSTORE=1", &[slow.as_fd()])?;
    drop(slow);
    until_stored(&inside, 1)?;
    inside.call("Stop", &json!({ "units": ["a"] }))?;
    ensure!(stored(&inside)? == 0);
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(60), "it answers after {took:?}");
    drop(other);
    Ok(Outcome::Passed)
}

fn soft() -> Result<Outcome> {
    let gate = "[gate]\nrequired = true\nstable = \"0s\"\n";
    let text = unit("max = 8\nkeep = \"always\"") + gate;
    let mut inside = Inside::start(&[("a", &text)])?;
    let (mut reads, mut client) = leave_three(&inside)?;
    inside.until("it is judged", || {
        Ok(inside.call("Overview", &json!({}))?["verdict"] == "good")
    })?;
    let script = "set -e; next=/run/nextroot; busybox mkdir $next; busybox mount -t tmpfs next $next; cd $next; \
         busybox mkdir proc sys dev run tmp var; busybox cp -a /bin /etc /usr .; echo next > etc/which";
    run::quiet(&mut inside.ns.inside(&["/bin/sh", "-c", script])?)?;
    inside.call("Power", &json!({ "action": "soft-reboot" }))?;
    inside.until("the next root runs", || {
        Ok(inside.read("/etc/which")? == "next\n" && inside.unit("a")?["state"] == "up")
    })?;
    let found = announced(&inside)?;
    ensure!(found["LISTEN_FDNAMES"] == "memory:two:two", "{found:?}");
    is_all_there(&inside, 3, &mut reads)?;
    inside.call("Power", &json!({ "action": "reboot" }))?;
    ensure!(inside.ns.wait_end(SOON)? == End::Restart);
    is_closed(&mut client)?;
    Ok(Outcome::Passed)
}
