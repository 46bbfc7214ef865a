# A pendulum by the leapfrog method; the drift of its energy says how good the step is.
using JSON

params = JSON.parsefile(ENV["COMPOPS_PARAMS_FILE"])

function swing(angle, steps; h = 1e-3)
    energy(q, p) = p^2 / 2 - cos(q)
    q, p = float(angle), 0.0
    start = energy(q, p)
    drift = 0.0
    path = Vector{NTuple{2,Float64}}(undef, steps)
    for i in 1:steps
        p -= h / 2 * sin(q)
        q += h * p
        p -= h / 2 * sin(q)
        drift = max(drift, abs(energy(q, p) - start))
        path[i] = (i * h, q)
    end
    path, drift
end

path, drift = swing(params["angle"], params["steps"])
mkpath("results")
open("results/swing.csv", "w") do file
    println(file, "time,angle")
    for (t, q) in path[1:100:end]
        println(file, t, ',', q)
    end
end
open(file -> JSON.print(file, Dict("drift" => drift, "threads" => Threads.nthreads())), "results/metrics.json", "w")
println("energy drifts by ", drift)
