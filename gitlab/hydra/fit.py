"""A polynomial through noisy points, configured by Hydra."""

import json
import math
import pathlib
import random

import hydra


def solve(matrix, right):
    """Gaussian elimination with pivoting; both arguments are changed."""
    n = len(right)
    for i in range(n):
        best = max(range(i, n), key=lambda k: abs(matrix[k][i]))
        matrix[i], matrix[best] = matrix[best], matrix[i]
        right[i], right[best] = right[best], right[i]
        for k in range(i + 1, n):
            factor = matrix[k][i] / matrix[i][i]
            right[k] -= factor * right[i]
            for j in range(i, n):
                matrix[k][j] -= factor * matrix[i][j]
    for i in reversed(range(n)):
        right[i] = (right[i] - sum(matrix[i][j] * right[j] for j in range(i + 1, n))) / matrix[i][i]
    return right


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    rng = random.Random(config.seed)
    xs = [2 * i / config.model.points - 1 for i in range(config.model.points)]
    ys = [math.sin(3 * x) + rng.gauss(0, 0.05) for x in xs]
    n = config.model.degree + 1
    coefficients = solve(
        [[sum(x ** (i + j) for x in xs) for j in range(n)] for i in range(n)],
        [sum(y * x**i for x, y in zip(xs, ys)) for i in range(n)],
    )
    fitted = [sum(c * x**i for i, c in enumerate(coefficients)) for x in xs]
    rmse = math.sqrt(sum((f - y) ** 2 for f, y in zip(fitted, ys)) / len(xs))
    results = pathlib.Path(hydra.utils.get_original_cwd(), "results")
    results.mkdir(exist_ok=True)
    results.joinpath("fit.csv").write_text(
        "x,y,fit\n" + "".join(f"{x:.4f},{y:.5f},{f:.5f}\n" for x, y, f in zip(xs, ys, fitted)), encoding="utf-8"
    )
    results.joinpath("metrics.json").write_text(json.dumps({"rmse": rmse}), encoding="utf-8")
    print(f"degree {config.model.degree}: rmse {rmse:.4f}")


if __name__ == "__main__":
    main()
