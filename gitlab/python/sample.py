"""Pi by random points. Parameters come from the file that the job is given; numbers go back as metrics."""

import json
import os
import pathlib

import numpy as np

with open(os.environ["COMPOPS_PARAMS_FILE"], encoding="utf-8") as file:
    params = json.load(file)

rng = np.random.default_rng(params["seed"])
inside = 0
rows = []
left = params["points"]
while left > 0:
    n = min(left, 100_000)
    inside += int(np.count_nonzero((rng.random((n, 2)) ** 2).sum(axis=1) < 1))
    left -= n
    done = params["points"] - left
    rows.append((done, 4 * inside / done))

results = pathlib.Path("results")
results.mkdir(exist_ok=True)
results.joinpath("points.csv").write_text(
    "points,pi\n" + "".join(f"{n},{value:.8f}\n" for n, value in rows), encoding="utf-8"
)
metrics = {"pi": rows[-1][1], "error": abs(rows[-1][1] - np.pi)}
results.joinpath("metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
print(f"pi is about {metrics['pi']:.6f}, off by {metrics['error']:.2e}")
