# A rod of length 1 in `cells` cells, and its first temperature: one half wave of a sine. The ends are held at zero.
BEGIN {
  pi = atan2(0, -1)
  print "x,u"
  for (i = 0; i <= cells; i++) printf "%.6f,%.9f\n", i / cells, sin(pi * i / cells)
}
