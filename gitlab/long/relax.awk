# Relaxes a square of n x n cells, one side hot, until no cell moves by more than the tolerance. Every 50 sweeps the field is a checkpoint.
function save(file,   i, j) {
  for (i = 0; i <= n; i++) for (j = 0; j <= n; j++) printf "%d,%d,%.10g\n", i, j, u[i, j] > (file ".new")
  close(file ".new")
  # In one step: the time limit may come at any moment.
  system("mv '" file ".new' '" file "'")
}
BEGIN {
  for (i = 0; i <= n; i++) for (j = 0; j <= n; j++) u[i, j] = (i == 0)
  while ((getline line < checkpoint) > 0) { split(line, f, ","); u[f[1], f[2]] = f[3]; seen++ }
  print seen ? "goes on from its checkpoint" : "begins"
  do {
    most = 0
    for (i = 1; i < n; i++)
      for (j = 1; j < n; j++) {
        next_u = (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]) / 4
        d = next_u - u[i, j]
        if (d < 0) d = -d
        if (d > most) most = d
        u[i, j] = next_u
      }
    if (++sweeps % 50 == 0) { save(checkpoint); printf "after %d sweeps: %.3g\n", sweeps, most; fflush() }
  } while (most > tolerance)
  save("results/field.csv")
  printf "{\"middle\": %.6g, \"sweeps_of_last_segment\": %d}\n", u[int(n / 2), int(n / 2)], sweeps > "results/metrics.json"
  printf "" > "converged"
}
