//! What a child does between `clone3` and `execve`. It shares PID 1's memory until then, so this file allocates
//! nothing, calls no C library and cannot panic: prepared values in, raw system calls out.

use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use super::arch::{call, call5};
use super::lent::{ASKED, AWAITED, LEFT};
use super::{MOVED, Stage, Wait};

/// Everything a child needs, in the kernel's form. Not changed by the parent while a child uses it.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Where a failure is reported; closed by a successful exec.
    pub(super) report: i32,
    /// Our table is the parent's: it is left with these numbers, in ascending order, and that is marked.
    pub(super) leaves: Option<(Vec<i32>, super::lent::Mark)>,
    /// Descriptors and the numbers they get. The child changes the former as it moves them.
    pub(super) moves: Vec<(AtomicI32, i32)>,
    /// First number above all that are given out.
    pub(super) above: i32,
    /// Terminal, and which of 0 to 2 it becomes.
    pub(super) tty: Option<(CString, [bool; 3])>,
    /// Directories to make; true: belongs to the user.
    pub(super) dirs: Vec<(CString, bool)>,
    pub(super) workdir: Option<CString>,
    pub(super) umask: u32,
    /// Text for `/proc/self/oom_score_adj`; empty: as it is.
    pub(super) oom: Vec<u8>,
    pub(super) ids: Option<(u32, u32, Vec<u32>)>,
    /// Limit of open files, soft and hard.
    pub(super) nofile: Option<[u64; 2]>,
    /// Only directories belong to that user: the executor changes to it.
    pub(super) stays_root: bool,
    /// Descriptor of the program to become.
    pub(super) helper: Option<i32>,
    /// Without that, paths to try in order.
    pub(super) programs: Vec<CString>,
    pub(super) argv: Vec<*const c_char>,
    pub(super) envp: Vec<*const c_char>,
    /// Rooms for the own process id as decimal text with a NUL, 11 bytes each.
    pub(super) pid_texts: Vec<*mut u8>,
    /// Keeps alive what `argv` and `envp` point at.
    pub(super) _strings: Vec<Vec<u8>>,
}

/// A file descriptor or `-errno`.
fn fd_of(answer: isize) -> Result<i32, i32> {
    match i32::try_from(answer) {
        Ok(answer) if answer >= 0 => Ok(answer),
        Ok(error) => Err(error.saturating_neg()),
        Err(_) => Err(libc::EOVERFLOW),
    }
}

/// Arguments of system calls are machine words; the kernel takes the low half of a negative number.
#[expect(
    clippy::cast_sign_loss,
    reason = "the kernel reads the low 32 bits as signed"
)]
fn word(number: i32) -> usize {
    number as usize
}

/// A 32-bit number always fits a machine word where we run.
fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Entry point of the child.
///
/// # Safety
/// `argument` points at a [`Prepared`] that lives until this process has executed a program or died.
pub(super) unsafe extern "C" fn start(argument: *const c_void) -> ! {
    // SAFETY: the caller's promise; the parent does not change it meanwhile.
    let prepared = unsafe { &*argument.cast::<Prepared>() };
    let (mut report, helper) = (prepared.report, prepared.helper);
    let (stage, errno) = match run(prepared, &mut report, helper) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    let record = [stage as i32, errno];
    let length = std::mem::size_of_val(&record);
    // SAFETY: the record lives on this stack while the kernel reads it.
    unsafe {
        call(
            libc::SYS_write,
            word(report),
            record.as_ptr() as usize,
            length,
            0,
        );
    }
    loop {
        // SAFETY: ends this process only.
        unsafe { call(libc::SYS_exit_group, 127, 0, 0, 0) };
    }
}

type Failure = (Stage, i32);

fn run(
    p: &Prepared,
    report: &mut i32,
    mut helper: Option<i32>,
) -> Result<std::convert::Infallible, Failure> {
    own_table(p).map_err(|errno| (Stage::Descriptors, errno))?;
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_setsid, 0, 0, 0, 0) };
    descriptors(p, report, &mut helper).map_err(|errno| (Stage::Descriptors, errno))?;
    terminal(p).map_err(|errno| (Stage::Terminal, errno))?;
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_umask, wide(p.umask), 0, 0, 0) };
    directories(p).map_err(|errno| (Stage::Directories, errno))?;
    oom(p).map_err(|errno| (Stage::OomScore, errno))?;
    identity(p).map_err(|errno| (Stage::Identity, errno))?;
    if let Some(dir) = &p.workdir {
        // SAFETY: a NUL-terminated string that outlives the call.
        let answer = unsafe { call(libc::SYS_chdir, dir.as_ptr() as usize, 0, 0, 0) };
        fd_of(answer).map_err(|errno| (Stage::WorkDir, errno))?;
    }
    write_pid(p);
    limits(p).map_err(|errno| (Stage::Limits, errno))?;
    execute(p, helper).map_err(|errno| (Stage::Exec, errno))
}

/// Before that every descriptor is the parent's too: nothing may be changed.
fn own_table(p: &Prepared) -> Result<(), i32> {
    let Some((own, mark)) = &p.leaves else {
        return Ok(());
    };
    let last = wide(u32::MAX);
    let end = own.last().map_or(3, |number| word(*number).wrapping_add(1));
    let leave = wide(libc::CLOSE_RANGE_UNSHARE);
    // SAFETY: no pointers.
    fd_of(unsafe { call(libc::SYS_close_range, end, last, leave, 0) })?;
    let before = mark.swap(LEFT, AcqRel);
    if before == ASKED {
        let told = [MOVED];
        // SAFETY: the byte lives on this stack while the kernel reads it.
        unsafe {
            call(
                libc::SYS_write,
                word(p.report),
                told.as_ptr() as usize,
                1,
                0,
            )
        };
    }
    if before == AWAITED {
        let (place, how) = (
            mark.as_ptr() as usize,
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
        );
        // SAFETY: the mark is kept alive by `Prepared`.
        unsafe { call(libc::SYS_futex, place, word(how), 1, 0) };
    }
    // What is lent to others must not stay open while we are held up by a slow disk. It never was ours: no error matters.
    let mut first = 3;
    for number in own {
        let number = word(*number);
        if number > first {
            // SAFETY: no pointers.
            unsafe { call(libc::SYS_close_range, first, number.wrapping_sub(1), 0, 0) };
        }
        first = number.wrapping_add(1);
    }
    Ok(())
}

/// Gives every descriptor its number: first all out of the way of the numbers given out, then each down.
fn descriptors(p: &Prepared, report: &mut i32, helper: &mut Option<i32>) -> Result<(), i32> {
    *report = out_of_the_way(*report, p.above)?;
    if let Some(fd) = helper {
        *fd = out_of_the_way(*fd, p.above)?;
    }
    for (from, _) in &p.moves {
        from.store(out_of_the_way(from.load(Relaxed), p.above)?, Relaxed);
    }
    for (from, to) in &p.moves {
        // SAFETY: no pointers.
        fd_of(unsafe { call(libc::SYS_dup3, word(from.load(Relaxed)), word(*to), 0, 0) })?;
    }
    Ok(())
}

fn out_of_the_way(fd: i32, above: i32) -> Result<i32, i32> {
    if fd >= above {
        return Ok(fd);
    }
    let how = word(libc::F_DUPFD_CLOEXEC);
    // SAFETY: no pointers.
    fd_of(unsafe { call(libc::SYS_fcntl, word(fd), how, word(above), 0) })
}

fn terminal(p: &Prepared) -> Result<(), i32> {
    let Some((path, becomes)) = &p.tty else {
        return Ok(());
    };
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let at = word(libc::AT_FDCWD);
    // O_NONBLOCK: a serial line without carrier must not hold the open up.
    // SAFETY: a NUL-terminated string that outlives the call.
    let opened = unsafe { call(libc::SYS_openat, at, path.as_ptr() as usize, word(flags), 0) };
    let fd = fd_of(opened)?;
    // SAFETY: no pointers.
    unsafe {
        call(
            libc::SYS_fcntl,
            word(fd),
            word(libc::F_SETFL),
            word(libc::O_RDWR),
            0,
        )
    };
    // 1: take it from whoever has it. A terminal that is none (a file in a test) still serves as input.
    let request = usize::try_from(libc::TIOCSCTTY).unwrap_or_default();
    // SAFETY: the argument is a number.
    unsafe { call(libc::SYS_ioctl, word(fd), request, 1, 0) };
    for (number, wanted) in becomes.iter().enumerate() {
        if *wanted {
            // SAFETY: no pointers.
            fd_of(unsafe { call(libc::SYS_dup3, word(fd), number, 0, 0) })?;
        }
    }
    Ok(())
}

fn directories(p: &Prepared) -> Result<(), i32> {
    let at = word(libc::AT_FDCWD);
    for (path, owned) in &p.dirs {
        let text = path.as_ptr() as usize;
        // SAFETY: a NUL-terminated string that outlives the call.
        match fd_of(unsafe { call(libc::SYS_mkdirat, at, text, 0o755, 0) }) {
            Ok(_) | Err(libc::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
        if let (true, Some((uid, gid, _))) = (*owned, &p.ids) {
            // SAFETY: a NUL-terminated string that outlives the call.
            fd_of(unsafe { lchown(text, *uid, *gid) })?;
        }
    }
    Ok(())
}

/// # Safety
/// `path` is the address of a NUL-terminated string.
unsafe fn lchown(path: usize, uid: u32, gid: u32) -> isize {
    let (at, not_through) = (word(libc::AT_FDCWD), word(libc::AT_SYMLINK_NOFOLLOW));
    let arguments = [at, path, wide(uid), wide(gid), not_through];
    // SAFETY: the caller's promise.
    unsafe { call5(libc::SYS_fchownat, arguments) }
}

fn oom(p: &Prepared) -> Result<(), i32> {
    if p.oom.is_empty() {
        return Ok(());
    }
    let path = c"/proc/self/oom_score_adj".as_ptr() as usize;
    let flags = word(libc::O_WRONLY | libc::O_CLOEXEC);
    // SAFETY: a NUL-terminated string that outlives the call.
    let opened = unsafe { call(libc::SYS_openat, word(libc::AT_FDCWD), path, flags, 0) };
    let fd = fd_of(opened)?;
    let (text, length) = (p.oom.as_ptr() as usize, p.oom.len());
    // SAFETY: pointer and length of one vector.
    match fd_of(unsafe { call(libc::SYS_write, word(fd), text, length, 0) }) {
        // Without CAP_SYS_RESOURCE (a container) scores cannot be lowered: no reason not to run.
        Ok(_) | Err(libc::EACCES | libc::EPERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn identity(p: &Prepared) -> Result<(), i32> {
    let (Some((uid, gid, groups)), false) = (&p.ids, p.stays_root) else {
        return Ok(());
    };
    let (list, length) = (groups.as_ptr() as usize, groups.len());
    // SAFETY: pointer and length of one vector. Raw calls change this process only, unlike the C library's.
    fd_of(unsafe { call(libc::SYS_setgroups, length, list, 0, 0) })?;
    let (uid, gid) = (wide(*uid), wide(*gid));
    // SAFETY: no pointers.
    fd_of(unsafe { call(libc::SYS_setresgid, gid, gid, gid, 0) })?;
    // SAFETY: no pointers.
    fd_of(unsafe { call(libc::SYS_setresuid, uid, uid, uid, 0) })?;
    Ok(())
}

/// The last step but one: our table still holds copies of all of PID 1's descriptors, so that under a lower limit nothing
/// could be opened any more.
fn limits(p: &Prepared) -> Result<(), i32> {
    let Some(limit) = &p.nofile else {
        return Ok(());
    };
    let resource = usize::try_from(libc::RLIMIT_NOFILE).unwrap_or_default();
    let new = limit.as_ptr() as usize;
    // SAFETY: two 64-bit numbers, as struct rlimit64 has; nothing is written.
    fd_of(unsafe { call(libc::SYS_prlimit64, 0, resource, new, 0) })?;
    Ok(())
}

/// Writes the own process id into the environment (`LISTEN_PID` and its like).
fn write_pid(p: &Prepared) {
    if p.pid_texts.is_empty() {
        return;
    }
    // SAFETY: no pointers.
    let pid = unsafe { call(libc::SYS_getpid, 0, 0, 0, 0) };
    let mut rest = u32::try_from(pid).unwrap_or_default();
    let mut digits = [0_u8; 10];
    let mut count: usize = 0;
    for digit in &mut digits {
        let low = u8::try_from(rest.checked_rem(10).unwrap_or_default()).unwrap_or_default();
        *digit = low.saturating_add(b'0');
        count = count.saturating_add(1);
        rest = rest.checked_div(10).unwrap_or_default();
        if rest == 0 {
            break;
        }
    }
    for text in &p.pid_texts {
        for (place, digit) in digits.iter().take(count).rev().enumerate() {
            // SAFETY: the buffer has 11 bytes, `place` is below 10, and the parent does not look at it.
            unsafe { text.wrapping_add(place).write(*digit) };
        }
        // SAFETY: at most the eleventh byte.
        unsafe { text.wrapping_add(count).write(0) };
    }
}

/// Takes all signals again and becomes the program: the helper, or the first path of the list that is there.
fn execute(p: &Prepared, helper: Option<i32>) -> Result<std::convert::Infallible, i32> {
    let none = 0_u64;
    let (how, set, size) = (word(libc::SIG_SETMASK), &raw const none as usize, 8);
    // SAFETY: the kernel's signal set has 8 bytes.
    unsafe { call(libc::SYS_rt_sigprocmask, how, set, 0, size) };
    let (argv, envp) = (p.argv.as_ptr() as usize, p.envp.as_ptr() as usize);
    if let Some(fd) = helper {
        let (no_path, by_fd) = (c"".as_ptr() as usize, word(libc::AT_EMPTY_PATH));
        // SAFETY: as below.
        let answer = unsafe { call5(libc::SYS_execveat, [word(fd), no_path, argv, envp, by_fd]) };
        return Err(fd_of(answer).err().unwrap_or(libc::EIO));
    }
    let mut why = libc::ENOENT;
    for program in &p.programs {
        let path = program.as_ptr() as usize;
        // SAFETY: NULL-terminated arrays of NUL-terminated strings, kept alive by `Prepared`.
        let answer = unsafe { call(libc::SYS_execve, path, argv, envp, 0) };
        match fd_of(answer) {
            Ok(_) | Err(libc::ENOENT | libc::ENOTDIR) => {}
            Err(errno) => why = errno,
        }
    }
    Err(why)
}

impl Wait {
    /// Reads the record that [`start`] wrote.
    pub(super) fn from_record(record: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = record;
        let stage = Stage::from_number(i32::from_ne_bytes([a, b, c, d]));
        Self::Failed(stage, i32::from_ne_bytes([e, f, g, h]))
    }
}
