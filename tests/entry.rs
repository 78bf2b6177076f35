//! Programs with and without an entry for their workers. A target of its own, whose `main` is its own: built without the
//! feature `auto-worker`, it is what a user's program is.
//!
//! Each case is this program again, told by its environment what to be.

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    cases::main()
}

#[cfg(unix)]
mod cases {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, ExitCode, Output, Stdio};
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use larder::{Backend, Error, Parallel, delayed};

    /// What this process is to be, if it is not the one that tests.
    const ROLE: &str = "LARDER_ENTRY_ROLE";
    /// Where each start of `main` is noted.
    const STARTS: &str = "LARDER_ENTRY_STARTS";
    /// What the library tells its workers by.
    const WORKER: &str = "LARDER_WORKER";
    /// Only what would never end meets it.
    const FOREVER: Duration = Duration::from_secs(60);
    /// With `auto-worker`, workers never come to `main`.
    const ENTERS_BY_ITSELF: bool = cfg!(feature = "auto-worker");

    #[larder::task]
    fn square(x: u64) -> (u64, u32) {
        (x * x, std::process::id())
    }

    /// What a process that came to `main` notes: itself, and whether it was started as a worker.
    fn note_start() {
        let Some(starts) = std::env::var_os(STARTS) else { return };
        let as_what = if std::env::var_os(WORKER).is_some() { "stray" } else { "program" };
        let mut log = OpenOptions::new().append(true).create(true).open(starts).expect("the log can be opened");
        log.write_all(format!("{as_what} {}\n", std::process::id()).as_bytes()).expect("the log can be written");
    }

    pub(super) fn main() -> ExitCode {
        let Ok(role) = std::env::var(ROLE) else { return tests() };
        match &*role {
            "none" => {}
            "init" => larder::init(),
            "attribute" => return with_attribute::main(),
            // A worker comes to the run below, as its program did.
            "only in the program" | "in a thread" => {
                if std::env::var_os(WORKER).is_none() {
                    larder::init();
                }
            }
            // A worker does something else, for as long as it likes.
            "busy elsewhere" => {
                if std::env::var_os(WORKER).is_none() {
                    larder::init();
                } else {
                    note_start();
                    loop {
                        thread::park();
                    }
                }
            }
            // Starts itself as the tool does.
            "blesses" => return blesses(),
            // A worker is at its end at once.
            "ends at once" => {
                if std::env::var_os(WORKER).is_some() {
                    note_start();
                    eprintln!("nothing to do here");
                    return ExitCode::from(5);
                }
                larder::init();
            }
            other => panic!("an unknown role `{other}`"),
        }
        note_start();
        // As the harness of tests does it.
        if role == "in a thread" { thread::spawn(run).join().expect("it does not panic") } else { run() }
    }

    /// Has a function of its own blessed, in a process that goes past the entry.
    fn blesses() -> ExitCode {
        if std::env::var_os(WORKER).is_some() {
            note_start();
            return ExitCode::from(5);
        }
        larder::init();
        note_start();
        let cache = tempfile::tempdir().expect("a temporary folder can be made");
        let memory = larder::Memory::open(cache.path()).expect("it is empty");
        let function = std::any::type_name::<square>();
        let program = std::env::current_exe().expect("the system knows");
        let error = memory.bless_in(Some(&program), function, &larder::Bless::new()).expect_err("there are no entries");
        println!("bless: {}, {}, {error}", error.is_program(), error.is_nothing());
        ExitCode::from(7)
    }

    /// As a program has it whose author writes the attribute.
    mod with_attribute {
        #[larder::main]
        pub(super) fn main() -> std::process::ExitCode {
            super::note_start();
            super::run()
        }
    }

    /// Runs, and tells what came of it.
    fn run() -> ExitCode {
        let start = Instant::now();
        let ran = Parallel::new().backend(Backend::Processes).n_jobs(4).run((0..100).map(|x| delayed!(square(x))));
        let seconds = start.elapsed().as_secs_f64();
        match ran {
            Ok(values) => {
                let right = values.iter().zip(0..).all(|((value, _), x)| *value == x * x);
                let elsewhere = values.iter().all(|(_, process)| *process != std::process::id());
                println!("right: {right}, elsewhere: {elsewhere}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                println!("entry: {}, {seconds}, {}", error.is_worker_entry(), one_line(&error));
                ExitCode::from(7)
            }
        }
    }

    fn one_line(error: &Error) -> String {
        error.to_string().replace('\n', " ")
    }

    fn tests() -> ExitCode {
        let cases: [(&str, fn()); 5] = [
            ("a_program_without_an_entry_is_told_so_and_starts_nothing", a_program_without_an_entry),
            ("a_program_with_an_entry_runs", a_program_with_an_entry),
            ("a_worker_that_goes_past_the_entry_is_one_and_is_found_out", past_the_entry),
            ("a_worker_that_never_comes_to_the_entry_is_one_and_is_found_out", never_at_the_entry),
            ("a_program_that_is_to_bless_is_entered_or_found_out", to_bless),
        ];
        // The words of cargo's own harness that matter here: a filter, and a wish for a list.
        let args: Vec<String> = std::env::args().skip(1).collect();
        if args.iter().any(|arg| arg == "--list") {
            cases.iter().for_each(|(name, _)| println!("{name}: test"));
            return ExitCode::SUCCESS;
        }
        let filters: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
        let mut code = ExitCode::SUCCESS;
        for (name, case) in cases {
            if filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())) {
                // Each is run, whatever becomes of the others.
                let ended = thread::spawn(case).join();
                println!("test {name} ... {}", if ended.is_ok() { "ok" } else { "FAILED" });
                if ended.is_err() {
                    code = ExitCode::FAILURE;
                }
            }
        }
        code
    }

    /// How a program ended, what it said on stdout, and which processes came to `main`.
    struct Ended {
        output: Output,
        said: String,
        programs: Vec<u32>,
        strays: Vec<u32>,
    }

    /// Runs this program in a role, to its end.
    #[track_caller]
    fn program(role: &str) -> Ended {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let starts = folder.path().join("starts");
        let mut command = Command::new(std::env::current_exe().expect("the system knows"));
        command.env(ROLE, role).env(STARTS, &starts).stdin(Stdio::null());
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(command.output()));
        let output = ended.recv_timeout(FOREVER).expect("it ends").expect("it starts");
        // What a stray prints before it is killed is passed on too.
        let lines = String::from_utf8_lossy(&output.stdout);
        let said = lines.lines().filter(|line| !line.starts_with("[worker ")).collect::<Vec<_>>().join("\n");
        let log = fs::read_to_string(&starts).unwrap_or_default();
        let of = |word: &str| -> Vec<u32> {
            let lines = log.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
            lines.collect()
        };
        Ended { output, said, programs: of("program"), strays: of("stray") }
    }

    impl Ended {
        #[track_caller]
        fn is_right(&self) {
            assert!(self.output.status.success(), "{}", self.all());
            assert_eq!(self.said, "right: true, elsewhere: true", "{}", self.all());
            assert_eq!((self.programs.len(), self.strays.len()), (1, 0), "{}", self.all());
        }

        /// The words of the error about the entry, and after how many seconds it came.
        #[track_caller]
        fn is_refused(&self) -> (f64, &str) {
            assert_eq!(self.output.status.code(), Some(7), "{}", self.all());
            let words = self.said.strip_prefix("entry: true, ");
            let (seconds, words) =
                words.and_then(|words| words.split_once(", ")).unwrap_or_else(|| panic!("{}", self.all()));
            assert!(words.contains("larder::init()") && words.contains("#[larder::main]"), "{words}");
            (seconds.parse().expect("a number of seconds"), words)
        }

        fn all(&self) -> String {
            format!(
                "{}: {}\n{}\n{:?} {:?}",
                self.output.status,
                self.said,
                String::from_utf8_lossy(&self.output.stderr),
                self.programs,
                self.strays
            )
        }

        /// Waits until nothing is left of what was started.
        #[track_caller]
        fn leaves_nothing(&self) {
            let start = Instant::now();
            for process in self.programs.iter().chain(&self.strays) {
                while is_alive(*process) {
                    assert!(start.elapsed() < FOREVER, "{process} is left: {}", self.all());
                    thread::park_timeout(Duration::from_millis(2));
                }
            }
        }
    }

    /// Whether it runs; what only waits to be reaped by whoever adopted it does not.
    fn is_alive(process: u32) -> bool {
        let stat = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
        stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z')))
    }

    fn a_program_without_an_entry() {
        let ended = program("none");
        if ENTERS_BY_ITSELF {
            return ended.is_right();
        }
        let (_, words) = ended.is_refused();
        assert!(words.contains("no entry for worker processes"), "{words}");
        assert_eq!((ended.programs.len(), ended.strays.len()), (1, 0), "nothing is started");
    }

    fn a_program_with_an_entry() {
        for role in ["init", "attribute"] {
            let ended = program(role);
            ended.is_right();
            ended.leaves_nothing();
        }
    }

    fn past_the_entry() {
        for role in ["only in the program", "in a thread"] {
            let ended = program(role);
            if ENTERS_BY_ITSELF {
                ended.is_right();
                continue;
            }
            let (seconds, words) = ended.is_refused();
            assert!(words.contains("without passing the entry"), "{words}");
            assert!(seconds < 3.5, "{seconds} s");
            assert_eq!((ended.programs.len(), ended.strays.len()), (1, 1), "{}", ended.all());
            ended.leaves_nothing();
        }
    }

    fn to_bless() {
        let ended = program("blesses");
        assert_eq!(ended.output.status.code(), Some(7), "{}", ended.all());
        if ENTERS_BY_ITSELF {
            assert!(ended.said.starts_with("bless: false, true, ") && ended.strays.is_empty(), "{}", ended.all());
        } else {
            let words = "ended (exit status: 5) before it had answered";
            assert!(ended.said.starts_with("bless: true, false, ") && ended.said.contains(words), "{}", ended.all());
            assert_eq!(ended.strays.len(), 1, "{}", ended.all());
        }
        ended.leaves_nothing();
    }

    fn never_at_the_entry() {
        for (role, said) in [("busy elsewhere", "did not come to the entry"), ("ends at once", "exited with code 5")] {
            let ended = program(role);
            if ENTERS_BY_ITSELF {
                ended.is_right();
                continue;
            }
            let (seconds, words) = ended.is_refused();
            assert!(words.contains(said), "{words}");
            assert_eq!(words.contains("nothing to do here"), role == "ends at once", "{words}");
            // It is given three seconds, and the machine a few to be busy with other things.
            assert!(seconds < 10.0, "{seconds} s");
            assert_eq!((ended.programs.len(), ended.strays.len()), (1, 1), "{}", ended.all());
            ended.leaves_nothing();
        }
    }
}
