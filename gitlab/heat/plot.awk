# The two curves as one SVG.
BEGIN { FS = ","; w = 640; h = 320; m = 32 }
NR > 1 { x[n] = $1; u[n] = $2; e[n] = $3; n++ }
END {
  for (i = 0; i < n; i++) if (u[i] > top) top = u[i]
  if (top == 0) top = 1
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", w, h
  printf "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", w, h
  printf "<path d=\"M%d %dH%d\" stroke=\"#999\"/>\n", m, h - m, w - m
  line(e, "#999999", 6); line(u, "#0072B2", 2)
  printf "<text x=\"%d\" y=\"20\">temperature along the rod: computed (blue) over exact (grey), peak %.3f</text>\n</svg>\n", m, top
}
function line(v, colour, width,   i) {
  printf "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%d\" points=\"", colour, width
  for (i = 0; i < n; i++) printf "%.1f,%.1f ", m + x[i] * (w - 2 * m), h - m - v[i] / top * (h - 2 * m)
  print "\"/>"
}
