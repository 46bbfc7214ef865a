"""All-reduce over every GPU of the job: the first thing to try before a training that hangs."""

import json
import os
import pathlib
import time

import torch
import torch.distributed as dist

local = int(os.environ["LOCAL_RANK"])
torch.cuda.set_device(local)
dist.init_process_group("nccl")
size = int(os.environ["COMPOPS_PARAM_MEGABYTES"]) * 2**20
data = torch.ones(size // 4, device="cuda")
for _ in range(5):
    dist.all_reduce(data)
    data /= dist.get_world_size()
torch.cuda.synchronize()
start = time.perf_counter()
rounds = 20
for _ in range(rounds):
    dist.all_reduce(data)
    data /= dist.get_world_size()
torch.cuda.synchronize()
seconds = (time.perf_counter() - start) / rounds
if dist.get_rank() == 0:
    n = dist.get_world_size()
    metrics = {"processes": n, "bus_gb_per_s": 2 * (n - 1) / n * size / seconds / 1e9}
    pathlib.Path("results").mkdir(exist_ok=True)
    pathlib.Path("results/metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    print(metrics)
dist.destroy_process_group()
