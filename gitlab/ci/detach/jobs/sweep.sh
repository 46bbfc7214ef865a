#!/bin/sh
#SBATCH --mem=200M
# An existing batch script, as it was before: its own #SBATCH lines count.
mkdir -p sums
for n in 10 100 1000; do
  seq "$n" | awk '{ sum += $1 } END { print sum }' > "sums/$n"
done
echo "computed at $CI_COMMIT_SHORT_SHA"
