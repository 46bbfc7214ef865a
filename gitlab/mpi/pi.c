/* Pi as the integral of 4 / (1 + x^2) from 0 to 1, each process its share of the intervals. */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  int rank, size;
  double sum = 0, pi;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const long n = argc > 1 ? atol(argv[1]) : 1000000;
  const double start = MPI_Wtime();
  for (long i = rank; i < n; i += size) {
    const double x = (i + 0.5) / n;
    sum += 4 / (1 + x * x);
  }
  sum /= n;
  MPI_Reduce(&sum, &pi, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    const double seconds = MPI_Wtime() - start;
    printf("pi is about %.12f with %d processes, in %.3f s\n", pi, size, seconds);
    FILE *file = argc > 2 ? fopen(argv[2], "w") : NULL;
    if (file != NULL) {
      fprintf(file, "{\"error\": %.3e, \"seconds\": %.3f, \"processes\": %d}\n", fabs(pi - acos(-1.0)), seconds, size);
      fclose(file);
    }
  }
  MPI_Finalize();
  return 0;
}
