BEGIN {
  x = of
  for (n = 1; n <= 30; n++) {
    residual = x * x - of
    print residual > "results/residuals.txt"
    if (residual < 1e-12 && residual > -1e-12) break
    x = (x + of / x) / 2
  }
  printf "{\"root\": %.12f, \"steps\": %d}\n", x, n > "results/metrics.json"
}
