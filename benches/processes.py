"""Rates of calls in the worker processes of Python, and of joblib if it is there, as one line of JSON.

benches/processes.rs runs it: with the number of workers and of calls.
"""

import json, platform, sys, time
from concurrent.futures import ProcessPoolExecutor

def inc(x):
    return x + 1

def rates(rounds, n, run):
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        results = run(n)
        found.append(n / (time.perf_counter() - start))
        assert len(results) == n and results[-1] == n
    return found

if __name__ == "__main__":
    workers, n = int(sys.argv[1]), int(sys.argv[2])
    said = {"version": platform.python_version()}
    with ProcessPoolExecutor(workers) as pool:
        run = lambda n: list(pool.map(inc, range(n), chunksize=1000))
        run(10_000)
        said["executor"] = rates(3, n, run)
    try:
        import joblib
    except ImportError:
        joblib = None
    if joblib:
        with joblib.Parallel(n_jobs=workers) as pool:
            run = lambda n: pool(joblib.delayed(inc)(x) for x in range(n))
            run(10_000)
            said["joblib"] = rates(2, n, run)
        said["joblib_version"] = joblib.__version__
    print(json.dumps(said))
