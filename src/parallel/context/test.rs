use super::*;

/// What is said where, and where the run takes place: joblib's precedence. A contradiction is a part of its message.
#[test]
fn where_a_run_takes_place() {
    use Backend::{Processes as P, Sequential as S, Threads as T};
    let (threads, processes) = (Some(Prefer::Threads), Some(Prefer::Processes));
    let shared = Some(Require::SharedMemory);
    // The Parallel's backend, prefer, require; the scope's; whether the calls can cross.
    type Said = (Option<Backend>, Option<Prefer>, Option<Require>);
    const NOTHING: Said = (None, None, None);
    let table: &[(Said, Said, bool, std::result::Result<Backend, &str>)] = &[
        (NOTHING, NOTHING, true, Ok(T)),
        // A hint of the Parallel, of the scope, of both.
        ((None, processes, None), NOTHING, true, Ok(P)),
        ((None, processes, None), NOTHING, false, Ok(T)),
        ((None, threads, None), NOTHING, true, Ok(T)),
        (NOTHING, (None, processes, None), true, Ok(P)),
        (NOTHING, (None, processes, None), false, Ok(T)),
        ((None, threads, None), (None, processes, None), true, Ok(T)),
        ((None, processes, None), (None, threads, None), true, Ok(P)),
        // A backend, here or in the scope, leaves a hint nothing to say.
        ((Some(S), processes, None), NOTHING, true, Ok(S)),
        ((Some(P), threads, None), NOTHING, true, Ok(P)),
        ((None, threads, None), (Some(P), None, None), true, Ok(P)),
        ((None, processes, None), (Some(S), None, None), true, Ok(S)),
        ((Some(T), None, None), (Some(P), processes, None), true, Ok(T)),
        ((Some(P), None, None), (Some(T), None, None), true, Ok(P)),
        // What is named must be, whether it can or not: that is for the run to say.
        (NOTHING, (Some(P), None, None), false, Ok(P)),
        // A requirement is stronger than the scope's backend and than hints, unless they share memory.
        ((None, None, shared), NOTHING, true, Ok(T)),
        ((None, None, shared), (Some(P), None, None), true, Ok(T)),
        ((None, None, shared), (Some(S), None, None), true, Ok(S)),
        ((None, None, shared), (None, processes, None), true, Ok(T)),
        ((None, processes, None), (None, None, shared), true, Ok(T)),
        (NOTHING, (Some(P), None, shared), true, Ok(T)),
        (NOTHING, (None, processes, shared), true, Ok(T)),
        // A backend of the Parallel's own that fulfils it stays.
        ((Some(S), None, shared), NOTHING, true, Ok(S)),
        ((Some(T), None, None), (Some(P), None, shared), true, Ok(T)),
        // Contradictions.
        ((Some(P), None, shared), NOTHING, true, Err("`require` is `Require::SharedMemory`, which")),
        ((Some(P), None, None), (None, None, shared), true, Err("`Require::SharedMemory` in the scope around")),
        ((None, processes, shared), NOTHING, true, Err("`prefer` is `Prefer::Processes` and")),
        ((None, processes, shared), (Some(S), None, None), true, Err("`prefer` is `Prefer::Processes` and")),
    ];
    for (said, scope, can_cross, expected) in table {
        let hints = |said: &Said| Hints { prefer: said.1, require: said.2 };
        let settings = Settings { backend: scope.0, hints: hints(scope), ..Settings::default() };
        let found = backend(said.0, hints(said), &settings, || *can_cross);
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{said:?} in {scope:?}, {can_cross}"),
            (Err(error), Err(words)) => {
                assert!(error.is_invalid_option() && error.to_string().contains(words), "{error}");
                assert!(error.to_string().ends_with("leave out one of the two"), "{error}");
            }
            _ => panic!("{said:?} in {scope:?}, {can_cross}: {found:?}, and not {expected:?}"),
        }
    }
}

/// What a run takes here that says nothing itself: workers, backend, whether progress is shown, inner threads.
fn here(parallel: &Parallel) -> (Option<i32>, Option<Backend>, Option<String>, Option<usize>) {
    let begun = parallel.begin(|| false).unwrap();
    let options = &begun.options;
    let progress = options.progress.as_ref().map(|progress| format!("{progress:?}"));
    (options.n_jobs, options.backend, progress, options.isolation.inner_threads)
}

#[test]
fn inner_scopes_win_and_what_they_do_not_say_shines_through() {
    let plain = Parallel::new();
    let said = Parallel::new().n_jobs(5).backend(Backend::Threads).progress(Progress::Off).inner_threads(9);
    let own = (Some(5), Some(Backend::Threads), Some("Off".to_owned()), Some(9));
    let lines = Some("Lines".to_owned());
    assert_eq!(here(&plain), (None, None, None, None));
    config().n_jobs(2).backend(Backend::Sequential).verbose(1).inner_threads(3).scope(|| {
        let outer = (Some(2), Some(Backend::Sequential), lines.clone(), Some(3));
        assert_eq!((here(&plain), here(&said)), (outer.clone(), own.clone()));
        config().n_jobs(4).scope(|| {
            assert_eq!(here(&plain), (Some(4), Some(Backend::Sequential), lines.clone(), Some(3)));
            config().verbose(0).scope(|| assert_eq!(here(&plain).2, Some("Off".to_owned())));
            config().verbose(0).progress(Progress::Bar).scope(|| assert_eq!(here(&plain).2, Some("Bar".to_owned())));
        });
        assert_eq!(here(&plain), outer);
        // Another thread knows nothing of it, nor does what a run does.
        std::thread::scope(|scope| scope.spawn(|| assert_eq!(here(&plain), (None, None, None, None))).join().unwrap());
        let _run = plain.begin(|| false).unwrap();
        assert_eq!(here(&plain), (None, None, None, None));
    });
    assert_eq!((here(&plain), here(&said)), ((None, None, None, None), own));
}

#[test]
fn a_scope_ends_with_a_panic_too() {
    let caught = crate::panics::catch(|| config().n_jobs(3).scope(|| panic!("(this panic belongs to the test)")));
    assert!(caught.is_err());
    assert!(current().is_none());
}

#[test]
fn a_run_that_is_settled_shares_what_its_parallel_keeps() {
    let parallel = Parallel::new();
    config().n_jobs(2).scope(|| {
        let begun = parallel.begin(|| false).unwrap();
        assert!(Arc::ptr_eq(&begun.crew, &parallel.crew) && Arc::ptr_eq(&begun.cores, &parallel.cores));
    });
}
