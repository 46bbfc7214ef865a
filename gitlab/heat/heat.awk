# The heat equation u_t = a u_xx, explicit in time. For a half sine the exact answer is known: exp(-pi^2 a t) sin(pi x).
BEGIN { FS = ","; pi = atan2(0, -1) }
NR > 1 { x[n] = $1; u[n] = $2; n++ }
END {
  n--                                   # cells; points are 0 … n
  dx = 1 / n
  dt = 0.4 * dx * dx / a                # stable below 0.5
  steps = int(until / dt + 0.999999)
  dt = until / steps
  r = a * dt / (dx * dx)
  for (s = 1; s <= steps; s++) {
    left = u[0]
    for (i = 1; i < n; i++) {
      here = u[i]
      u[i] = here + r * (left - 2 * here + u[i + 1])
      left = here
    }
    if (s % (int(steps / 5) + 1) == 0) printf "step %d of %d, peak %.4f\n", s, steps, u[int(n / 2)] > "/dev/stderr"
  }
  sum = 0
  print "x,u,exact"
  for (i = 0; i <= n; i++) {
    exact = exp(-pi * pi * a * until) * sin(pi * x[i])
    sum += (u[i] - exact) ^ 2
    printf "%.6f,%.9f,%.9f\n", x[i], u[i], exact
  }
  printf "{ \"rmse\": %.3e, \"peak\": %.6f, \"steps\": %d }\n", sqrt(sum / (n + 1)), u[int(n / 2)], steps > "results/metrics.json"
}
