//! The small program that benchmarks run inside (`cargo xtask bench init` in namespaces, `bench race` in QEMU), in
//! eight roles:
//!
//! - `oneshot NAME`: a service that leaves its time stamps and ends;
//! - `daemon NAME FD`: a service that says on descriptor FD, with a newline, that it is ready, and stays;
//! - `exec PROGRAM [ARG]...`: leaves the stamp that all times are counted from and becomes the program;
//! - `limit CHAIN HUBS LEAVES`: process 1 that starts so many services in their order, each with one vfork and exec,
//!   and waits for what it must wait for. No state, no cgroups, nothing is started again: nobody is much faster;
//! - `time COUNT PROGRAM [ARG]...`: runs the program so often and leaves a stamp each time;
//! - `orphans COUNT`: leaves so many dead grandchildren to process 1;
//! - `bomb`: makes a copy of itself as fast as it can, and so does each copy;
//! - without a word: process 1 that says in the kernel's log that it has begun, and becomes a script.
//!
//! It has no C library: in a virtual machine the start of a static glibc program takes about 0.3 ms, most of it for
//! asking what the processor can do, which traps to the host. That is more than all that is to be compared. It is no
//! target of cargo either, which has no way to say so; `tests::programs` calls the compiler. It lies in this crate
//! because of its system calls.
#![no_std]
#![no_main]
// There is no library with `strlen` and `memcpy` that the compiler could call instead of our loops.
#![no_builtins]

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the benchmark's program knows the system calls of x86-64 only");

/// Where stamps go; `tests::bench::board` reads them.
const BOARD: &CStr = c"/bench/board";
/// This program, inside.
const DUMMY: &CStr = c"/bench/dummy";
/// What the last role says, as an alert (`tests::system::MARK_WORDS`), and the script it becomes.
const MARK: &[u8] = b"<1>the root is complete\n";
const SHELL: &CStr = c"/bin/sh";
const SCRIPT: &CStr = c"/usr/lib/rootctl-demo/mark.sh";
/// Before the first stamp: what setting up the namespace has left for later (an old root to take apart) is over.
const QUIET: Time = Time {
    seconds: 0,
    nanoseconds: 50_000_000,
};

// The kernel starts us with the number of words, the words and the environment on the stack.
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {begin}",
    "ud2",
    begin = sym begin,
);

extern "C" fn begin(stack: *const usize) -> ! {
    let begun = now();
    // SAFETY: it is the stack that the kernel gave us, untouched.
    let words = unsafe { Words::new(stack) };
    kernel::exit(i32::from(work(&words, begun).is_none()))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    kernel::exit(101)
}

/// `None`: something failed, or the words make no sense.
fn work(words: &Words, begun: u64) -> Option<()> {
    if words.count == 1 {
        return mark(words);
    }
    if words.get(1)?.to_bytes() == b"bomb" {
        loop {
            kernel::fork();
        }
    }
    let name = words.get(2)?.to_bytes();
    match words.get(1)?.to_bytes() {
        b"oneshot" => leave(name, begun, now()),
        b"daemon" => {
            let fd = number(words.get(3)?)?;
            let ready = now();
            kernel::write(fd, b"\n")?;
            kernel::close(fd);
            leave(name, begun, ready)?;
            kernel::stay()
        }
        b"exec" => {
            kernel::sleep(&QUIET);
            let time = now();
            leave(b"exec", time, time)?;
            kernel::exec(words.get(2)?, words.from(2)?, words.environment)
        }
        b"limit" => limit(words),
        b"time" => time(words),
        b"orphans" => orphans(words),
        _ => None,
    }
}

fn now() -> u64 {
    let time = kernel::monotonic();
    time.seconds
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.nanoseconds)
}

fn leave(name: &[u8], begun: u64, ready: u64) -> Option<()> {
    let mut line = Line::new();
    line.text(name);
    line.text(b" ");
    line.number(begun);
    line.text(b" ");
    line.number(ready);
    line.text(b"\n");
    kernel::write(kernel::open_to_append(BOARD)?, line.bytes())
}

fn mark(words: &Words) -> Option<()> {
    kernel::write(kernel::open_to_append(c"/dev/kmsg")?, MARK)?;
    let argv = [SHELL.as_ptr(), SCRIPT.as_ptr(), core::ptr::null()];
    kernel::exec(SHELL, argv.as_ptr(), words.environment)
}

/// Runs a program so often; a stamp each.
fn time(words: &Words) -> Option<()> {
    for _ in 0..number(words.get(2)?)? {
        let begun = now();
        let pid = kernel::start(words.get(3)?, words.from(3)?, words.environment)?;
        kernel::wait(pid);
        leave(b"time", begun, now())?;
    }
    Some(())
}

/// The grandchild is dead before anybody but process 1 could collect it.
fn orphans(words: &Words) -> Option<()> {
    for _ in 0..number(words.get(2)?)? {
        match kernel::fork()? {
            0 => {
                kernel::fork();
                kernel::exit(0)
            }
            child => kernel::wait(child),
        };
    }
    Some(())
}

fn limit(words: &Words) -> Option<()> {
    let (said, say) = kernel::pipe()?;
    let mut fd = Line::new();
    fd.number(u64::try_from(say).ok()?);
    let [chain, hubs, leaves] = [2, 3, 4].map(|place| words.get(place).and_then(number));
    let (chain, hubs, leaves) = (chain?, hubs?, leaves?);
    for which in 0..chain {
        let pid = start(words, c"oneshot", b"o", which, &fd)?;
        kernel::wait(pid);
    }
    for numbers in [0..hubs, hubs..hubs.checked_add(leaves)?] {
        for which in numbers.clone() {
            start(words, c"daemon", b"d", which, &fd)?;
        }
        for _ in numbers {
            kernel::read_byte(said)?;
        }
    }
    while kernel::wait(-1) > 0 {}
    kernel::stay()
}

/// Starts one service.
fn start(words: &Words, role: &CStr, letter: &[u8], which: i32, fd: &Line) -> Option<i32> {
    let mut name = Line::new();
    name.text(letter);
    name.number(u64::try_from(which).ok()?);
    let argv = [
        DUMMY.as_ptr(),
        role.as_ptr(),
        name.as_ptr(),
        fd.as_ptr(),
        core::ptr::null(),
    ];
    kernel::start(DUMMY, argv.as_ptr(), words.environment)
}

fn number(text: &CStr) -> Option<i32> {
    text.to_str().ok()?.parse().ok()
}

/// What we were started with.
struct Words {
    count: usize,
    first: *const *const c_char,
    environment: *const *const c_char,
}

impl Words {
    /// # Safety
    /// `stack` must be what the kernel gave to the program: count, words, null, environment, null.
    unsafe fn new(stack: *const usize) -> Self {
        // SAFETY: as above.
        let count = unsafe { stack.read() };
        let first = stack.wrapping_add(1).cast();
        Self {
            count,
            first,
            environment: stack.wrapping_add(count.wrapping_add(2)).cast(),
        }
    }

    fn get(&self, place: usize) -> Option<&'static CStr> {
        let word = self.from(place)?;
        // SAFETY: there is a word at every place below the count.
        let word = unsafe { word.read() };
        let mut length: usize = 0;
        // SAFETY: the kernel ends each word with a NUL, and we do not look behind it.
        while unsafe { word.wrapping_add(length).read() } != 0 {
            length = length.wrapping_add(1);
        }
        let length = length.wrapping_add(1);
        // SAFETY: so long is the word with its NUL, and the stack lives as long as we do.
        let bytes = unsafe { core::slice::from_raw_parts(word.cast(), length) };
        CStr::from_bytes_with_nul(bytes).ok()
    }

    /// All words from this one on, with the null at their end.
    fn from(&self, place: usize) -> Option<*const *const c_char> {
        (place < self.count).then(|| self.first.wrapping_add(place))
    }
}

/// A short text, with NULs behind it; what does not fit is left out.
struct Line {
    bytes: [u8; 80],
    length: usize,
}

impl Line {
    const fn new() -> Self {
        Self {
            bytes: [0; 80],
            length: 0,
        }
    }

    fn text(&mut self, text: &[u8]) {
        // The last byte stays NUL.
        let room = self.bytes.len().wrapping_sub(1);
        let free = self.bytes.get_mut(self.length..room).unwrap_or_default();
        for (to, from) in free.iter_mut().zip(text) {
            *to = *from;
            self.length = self.length.wrapping_add(1);
        }
    }

    fn number(&mut self, number: u64) {
        let mut power = 10_000_000_000_000_000_000;
        while power > 1 && number < power {
            power /= 10;
        }
        while power > 0 {
            let digit = u8::try_from(number / power % 10).unwrap_or_default();
            self.text(&[b'0'.wrapping_add(digit)]);
            power /= 10;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

/// `struct timespec`.
#[repr(C)]
struct Time {
    seconds: u64,
    nanoseconds: u64,
}

/// System calls, by their numbers on x86-64.
mod kernel {
    use super::{CStr, Time, asm, c_char};

    const READ: usize = 0;
    const WRITE: usize = 1;
    const OPEN: usize = 2;
    const CLOSE: usize = 3;
    const PAUSE: usize = 34;
    const NANOSLEEP: usize = 35;
    const FORK: usize = 57;
    const VFORK: usize = 58;
    const EXECVE: usize = 59;
    const WAIT4: usize = 61;
    const FCNTL: usize = 72;
    const CLOCK_GETTIME: usize = 228;
    const EXIT_GROUP: usize = 231;
    const PIPE2: usize = 293;

    const O_WRONLY: usize = 1;
    const O_APPEND: usize = 0o2000;
    const O_CLOEXEC: usize = 0o2_000_000;
    const F_SETFD: usize = 2;
    const CLOCK_MONOTONIC: usize = 1;

    /// # Safety
    /// Pointers must be valid for what the call does with them.
    unsafe fn call(number: usize, a: usize, b: usize, c: usize) -> isize {
        let answer;
        // SAFETY: the caller vouches for the arguments; the instruction clobbers rcx and r11 only. The fourth one
        // is given as 0, for wait4.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") number => answer,
                in("rdi") a, in("rsi") b, in("rdx") c, in("r10") 0,
                lateout("rcx") _, lateout("r11") _,
                options(nostack),
            );
        }
        answer
    }

    /// A descriptor as the kernel takes it; a negative one is nobody's.
    fn raw(fd: i32) -> usize {
        usize::try_from(fd).unwrap_or(usize::MAX)
    }

    fn descriptor(answer: isize) -> Option<i32> {
        i32::try_from(answer).ok().filter(|fd| *fd >= 0)
    }

    pub fn exit(status: i32) -> ! {
        loop {
            // SAFETY: no pointers.
            unsafe { call(EXIT_GROUP, raw(status), 0, 0) };
        }
    }

    pub fn stay() -> ! {
        loop {
            // SAFETY: no pointers.
            unsafe { call(PAUSE, 0, 0, 0) };
        }
    }

    pub fn monotonic() -> Time {
        let mut time = Time {
            seconds: 0,
            nanoseconds: 0,
        };
        // SAFETY: the kernel writes one timespec there.
        unsafe { call(CLOCK_GETTIME, CLOCK_MONOTONIC, (&raw mut time).addr(), 0) };
        time
    }

    pub fn sleep(time: &Time) {
        // SAFETY: the kernel reads one timespec.
        unsafe { call(NANOSLEEP, core::ptr::from_ref(time).addr(), 0, 0) };
    }

    pub fn open_to_append(path: &CStr) -> Option<i32> {
        let flags = O_WRONLY | O_APPEND | O_CLOEXEC;
        // SAFETY: the kernel reads the path up to its NUL.
        descriptor(unsafe { call(OPEN, path.as_ptr().addr(), flags, 0) })
    }

    pub fn close(fd: i32) {
        // SAFETY: no pointers.
        unsafe { call(CLOSE, raw(fd), 0, 0) };
    }

    pub fn write(fd: i32, bytes: &[u8]) -> Option<()> {
        // SAFETY: the kernel reads as many bytes as there are.
        let written = unsafe { call(WRITE, raw(fd), bytes.as_ptr().addr(), bytes.len()) };
        (usize::try_from(written) == Ok(bytes.len())).then_some(())
    }

    pub fn read_byte(fd: i32) -> Option<()> {
        let mut byte = 0_u8;
        // SAFETY: the kernel writes one byte there.
        let read = unsafe { call(READ, raw(fd), (&raw mut byte).addr(), 1) };
        (read == 1).then_some(())
    }

    /// The end to read from, closed by exec, and the end to write to, which children inherit.
    pub fn pipe() -> Option<(i32, i32)> {
        let mut ends = [-1_i32; 2];
        // SAFETY: the kernel writes two descriptors there.
        let answer = unsafe { call(PIPE2, (&raw mut ends).addr(), O_CLOEXEC, 0) };
        let [from, to] = ends;
        // SAFETY: no pointers.
        let inherited = unsafe { call(FCNTL, raw(to), F_SETFD, 0) };
        (answer == 0 && inherited == 0).then_some((from, to))
    }

    /// Waits for this child, or for any (-1); its id, or an error.
    pub fn wait(pid: i32) -> isize {
        let pid = isize::try_from(pid).unwrap_or(-1).cast_unsigned();
        // SAFETY: a null pointer: the status is not wanted.
        unsafe { call(WAIT4, pid, 0, 0) }
    }

    /// Becomes another program; comes back only with an error.
    pub fn exec(
        path: &CStr,
        argv: *const *const c_char,
        environment: *const *const c_char,
    ) -> Option<()> {
        let (path, argv) = (path.as_ptr().addr(), argv.addr());
        // SAFETY: texts and lists end as the kernel wants them: made by it, or by `start`.
        unsafe { call(EXECVE, path, argv, environment.addr()) };
        None
    }

    /// 0 in the copy, its id in the original.
    pub fn fork() -> Option<i32> {
        // SAFETY: no pointers; there is one thread.
        descriptor(unsafe { call(FORK, 0, 0, 0) })
    }

    /// Starts a program in a child; its id.
    pub fn start(
        path: &CStr,
        argv: *const *const c_char,
        environment: *const *const c_char,
    ) -> Option<i32> {
        let answer: isize;
        // SAFETY: the child of vfork runs on our memory while we stand still. It executes nothing but the
        // instructions below, which use registers only, and never leaves them.
        unsafe {
            asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "mov eax, {execve}",
                "syscall",
                "mov edi, 127",
                "mov eax, {exit}",
                "syscall",
                "ud2",
                "2:",
                execve = const EXECVE,
                exit = const EXIT_GROUP,
                inlateout("rax") VFORK => answer,
                in("rdi") path.as_ptr(), in("rsi") argv, in("rdx") environment,
                lateout("rcx") _, lateout("r11") _,
                options(nostack),
            );
        }
        descriptor(answer)
    }
}
