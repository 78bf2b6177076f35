"""Rates of a bare loop and of one with tqdm's bar, in steps per second, as one line of JSON.

benches/progress.rs runs it: with the number of steps and of rounds.
"""

import json, platform, sys, time

def rates(rounds, n, steps):
    found = []
    for _ in range(rounds):
        items = steps(n)
        start = time.perf_counter()
        for x in items:
            pass
        found.append(n / (time.perf_counter() - start))
    return found

if __name__ == "__main__":
    n, rounds = int(sys.argv[1]), int(sys.argv[2])
    said = {"version": platform.python_version(), "loop": rates(rounds, n, range)}
    try:
        import tqdm
    except ImportError:
        tqdm = None
    if tqdm:
        said["tqdm"] = rates(rounds, n, lambda n: tqdm.tqdm(range(n)))
        said["tqdm_version"] = tqdm.__version__
    print(json.dumps(said))
