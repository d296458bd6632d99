use super::*;
use std::time::{Duration, Instant};

fn job(argv: &[&str]) -> Job {
    Job {
        argv: argv.iter().map(ToString::to_string).collect(),
        umask: 0o022,
        ..Job::default()
    }
}

/// Waits for one child without disturbing those of other tests.
fn wait(pid: u32) -> Exit {
    let number = Pid::from_raw(i32::try_from(pid).unwrap());
    let found = rustix::process::waitpid(number, WaitOptions::empty());
    exit_of(found.unwrap().unwrap().1)
}

fn settle(flight: &mut Flight) -> Wait {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let found = flight.poll().unwrap();
        if found != Wait::Flying || Instant::now() > end {
            return found;
        }
        std::thread::yield_now();
    }
}

fn output_of(job: &Job) -> String {
    let (mut read, write) = std::io::pipe().unwrap();
    let mut spawned = spawn(job, &[(write.as_fd(), 1)], Place::default()).unwrap();
    drop(write);
    assert_eq!(settle(&mut spawned.flight), Wait::Executed);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    assert_eq!(wait(spawned.pid), Exit::Code(0));
    text
}

#[test]
fn a_program_runs_with_its_arguments_environment_and_descriptors() {
    let mut echo = job(&["sh", "-c", "echo $A $0; pwd; umask", "zero"]);
    echo.env = vec!["A=b c".into(), "PATH=/usr/bin:/bin".into()];
    echo.workdir = Some("/usr".into());
    echo.umask = 0o027;
    assert_eq!(output_of(&echo), "b c zero\n/usr\n0027\n");
}

#[test]
fn the_child_knows_its_own_id_and_takes_all_signals() {
    let mut show = job(&[
        "sh",
        "-c",
        "test $LISTEN_PID = $$; echo $?; grep ^SigBlk /proc/self/status",
    ]);
    show.env = vec!["PATH=/usr/bin:/bin".into()];
    show.own_id = vec!["LISTEN_PID"];
    let text = output_of(&show);
    assert_eq!(text, "0\nSigBlk:\t0000000000000000\n");
}

#[test]
fn a_limit_of_open_files_holds_for_the_child_and_not_for_us() {
    let before = descriptors::own();
    let mut show = job(&["sh", "-c", "ulimit -S -n; ulimit -H -n"]);
    show.descriptors = Some(Limit {
        soft: 100,
        hard: 200,
    });
    assert_eq!(output_of(&show), "100\n200\n");
    assert_eq!(descriptors::own(), before);
}

#[test]
fn a_descriptor_that_is_not_named_does_not_reach_the_child() {
    let (read, _write) = std::io::pipe().unwrap();
    let own = read.as_fd().as_raw_fd();
    let mut look = job(&["sh", "-c", &format!("test -e /proc/$$/fd/{own}; echo $?")]);
    look.env = vec!["PATH=/usr/bin:/bin".into()];
    assert_eq!(output_of(&look), "1\n");
}

#[test]
fn a_failed_exec_names_step_and_reason() {
    for (mut bad, stage, errno) in [
        (job(&["/nonexistent"]), Stage::Exec, libc::ENOENT),
        (
            job(&["no-such-program-anywhere"]),
            Stage::Exec,
            libc::ENOENT,
        ),
        (job(&["/etc/passwd"]), Stage::Exec, libc::EACCES),
    ] {
        bad.env = Vec::new();
        let mut spawned = spawn(&bad, &[], Place::default()).unwrap();
        assert_eq!(settle(&mut spawned.flight), Wait::Failed(stage, errno));
        assert_eq!(wait(spawned.pid), Exit::Code(127));
        assert_eq!(settle(&mut spawned.flight), Wait::Failed(stage, errno));
        spawned.flight.landed();
    }
    let mut nowhere = job(&["/bin/true"]);
    nowhere.workdir = Some("/nonexistent".into());
    let mut spawned = spawn(&nowhere, &[], Place::default()).unwrap();
    assert_eq!(
        settle(&mut spawned.flight),
        Wait::Failed(Stage::WorkDir, libc::ENOENT)
    );
    wait(spawned.pid);
}

#[test]
fn descriptors_that_stand_in_each_others_place_arrive_where_they_should() {
    let (mut read_a, write_a) = std::io::pipe().unwrap();
    let (mut read_b, write_b) = std::io::pipe().unwrap();
    let both = job(&["/bin/sh", "-c", "echo a >&3; echo b >&4"]);
    let (a, b) = (write_a.as_fd(), write_b.as_fd());
    let mut spawned = spawn(&both, &[(a, 3), (b, 4)], Place::default()).unwrap();
    assert_eq!(settle(&mut spawned.flight), Wait::Executed);
    drop((write_a, write_b));
    let (mut text_a, mut text_b) = (String::new(), String::new());
    read_a.read_to_string(&mut text_a).unwrap();
    read_b.read_to_string(&mut text_b).unwrap();
    assert_eq!((text_a.as_str(), text_b.as_str()), ("a\n", "b\n"));
    wait(spawned.pid);
}

fn with(helper: &Helper) -> Place<'_> {
    Place {
        helper: Some(helper),
        ..Place::default()
    }
}

#[test]
fn the_helper_is_the_one_that_was_opened_whatever_lies_at_its_path() {
    let dir = crate::testdir::TestDir::new("helper");
    let path = dir.path().join("helper");
    std::fs::copy("/bin/sh", &path).unwrap();
    let helper = Helper::open(path.to_str().unwrap());
    std::fs::remove_file(&path).unwrap();
    let number = helper.fd().unwrap().as_raw_fd();
    let mut asks = job(&[
        "helper",
        "-c",
        "echo $0 $# > /proc/self/fd/$1",
        "zero",
        &number.to_string(),
    ]);
    asks.by_helper = true;
    let (mut read, write) = std::io::pipe().unwrap();
    // Its own number is given to another descriptor.
    let fds = [(write.as_fd(), number)];
    let mut spawned = spawn(&asks, &fds, with(&helper)).unwrap();
    drop(write);
    assert_eq!(settle(&mut spawned.flight), Wait::Executed);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    assert_eq!(text, "zero 1\n");
    assert_eq!(wait(spawned.pid), Exit::Code(0));
}

#[test]
fn without_a_helper_it_is_said_where_it_should_be() {
    let mut asks = job(&["helper"]);
    asks.by_helper = true;
    let helper = Helper::open("/nowhere/helper");
    let error = spawn(&asks, &[], with(&helper)).unwrap_err();
    assert!(crate::chain(&error).contains("/nowhere/helper"), "{error}");
    assert!(spawn(&asks, &[], Place::default()).is_err());
}

#[test]
fn a_worker_sends_its_result_and_ends() {
    let worker = fork_worker(|mut out| {
        use std::io::Write;
        u8::from(out.write_all(b"done").is_err())
    })
    .unwrap();
    assert_eq!(wait(worker.pid), Exit::Code(0));
    let mut text = String::new();
    let mut output = worker.output;
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "done");
}

#[test]
fn a_text_with_a_nul_is_refused_before_anything_is_started() {
    assert!(spawn(&job(&["/bin/\0true"]), &[], Place::default()).is_err());
}

/// Starts it leaving our table.
fn leaving(job: &Job, fds: &[(BorrowedFd<'_>, i32)]) -> Spawned {
    let place = Place {
        table: Table::Left,
        ..Place::default()
    };
    spawn(job, fds, place).unwrap()
}

/// Waits until nothing is lent to it and it runs its program, as a loop of events does.
fn settle_all(flight: &mut Flight) -> Wait {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        super::settle();
        let mut fds = [PollFd::new(&flight.report, PollFlags::IN)];
        let timeout = crate::timer::span(10_000);
        // Whatever happens to the child must wake us.
        assert_eq!(rustix::event::poll(&mut fds, Some(&timeout)).unwrap(), 1);
        let found = flight.poll().unwrap();
        if found != Wait::Flying || Instant::now() > end {
            return found;
        }
    }
}

#[test]
fn a_child_that_leaves_our_table_has_its_descriptors_and_no_others() {
    let (mut read, write) = std::io::pipe().unwrap();
    let list = job(&["/bin/sh", "-c", "echo given >&7; ls /proc/self/fd >&7"]);
    let mut spawned = leaving(&list, &[(write.as_fd(), 7)]);
    drop(write);
    assert_eq!(settle_all(&mut spawned.flight), Wait::Executed);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    // 0 to 2 are those of the test, which are not closed on exec; ls opens the folder.
    let numbers: Vec<&str> = text
        .lines()
        .filter(|line| line.parse::<u32>().is_ok())
        .collect();
    assert!(text.starts_with("given\n"), "{text}");
    assert!(numbers.len() <= 6 && numbers.contains(&"7"), "{text}");
    assert_eq!(wait(spawned.pid), Exit::Code(0));
}

#[test]
fn a_child_that_leaves_our_table_tells_its_failure() {
    let mut spawned = leaving(&job(&["/nowhere/program"]), &[]);
    let found = settle_all(&mut spawned.flight);
    assert_eq!(found, Wait::Failed(Stage::Exec, libc::ENOENT));
    assert_eq!(wait(spawned.pid), Exit::Code(127));
    spawned.flight.landed();
}

#[test]
fn however_many_are_started_at_once_all_run() {
    let all: Vec<(Spawned, std::io::PipeReader)> = (0..300)
        .map(|_| {
            let (read, write) = std::io::pipe().unwrap();
            let spawned = leaving(&job(&["/bin/echo", "here"]), &[(write.as_fd(), 1)]);
            (spawned, read)
        })
        .collect();
    for (mut spawned, mut read) in all {
        assert_eq!(settle_all(&mut spawned.flight), Wait::Executed);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "here\n");
        assert_eq!(wait(spawned.pid), Exit::Code(0));
    }
}

#[test]
fn an_end_that_comes_together_with_the_word_before_it_is_not_overlooked() {
    use std::io::Write;
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (report, told) = rustix::pipe::pipe_with(flags).unwrap();
    File::from(told).write_all(&[MOVED]).unwrap();
    let mut flight = Flight {
        report: File::from(report),
        memory: None,
        failed: None,
        words: String::new(),
    };
    assert_eq!(flight.poll().unwrap(), Wait::Executed);
}
