"""Runs the kernel benchmarks of bench/kernels: rate and percent of the same run's peak."""
import json
import os
import subprocess
import tempfile

from common import say

# What is added to the names, program, its LORIKEET_ISA, which of its benchmarks.
RUNS = (("", "linear", None, "."), ("AVX2: ", "linear", "avx2", "_f32/.*M2048"), ("", "attention", None, "."),
        ("", "elementwise", None, "."))


def run(binary, threads):
    """[{name, gflops, peak, percent}], empty where the benchmarks are not built."""
    folder = os.path.join(os.path.dirname(binary), "bench")
    found = []
    for prefix, program, isa, chosen in RUNS:
        path = os.path.join(folder, f"bench_{program}")
        if not os.path.exists(path):
            say(f"{path} is not built (cmake -DLORIKEET_BUILD_BENCH=ON): left out")
            continue
        say(f"{prefix}bench_{program}")
        env = {**os.environ, "LORIKEET_BENCH_THREADS": str(threads), **({"LORIKEET_ISA": isa} if isa else {})}
        with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
            subprocess.run([path, f"--benchmark_out={out.name}", "--benchmark_out_format=json", f"--benchmark_filter={chosen}"],
                           check=True, stdout=subprocess.DEVNULL, env=env)
            listed = json.load(out)["benchmarks"]
        found += [{"name": prefix + b["name"].split("/iterations")[0], "gflops": b["GF/s"], "peak": b["peak"],
                   "percent": b["percent"]} for b in listed if "percent" in b]
    return found
