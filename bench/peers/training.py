"""Training steps: what is compared, and both sides' way of doing it."""
import dataclasses
import json
import os
import random
import statistics
import subprocess
import tempfile

from common import PEERS, environment, last_json, model_folder, say

VOCABULARY = {"smollm2": 49152, "tinyllama": 32000, "llama2-7b": 32000, "fixture": 97}


@dataclasses.dataclass
class Work:
    name: str
    model: str
    method: str
    rows: int
    length: int
    quick: bool = False
    recompute: bool = False  # gradient checkpointing of every block, on both sides
    compile: bool = True     # torch.compile as a second peer (full run only)
    within: bool = False     # Lorikeet once more, keeping what fits in the smallest peak of the peers
    peers: bool = True
    asked: bool = False      # only by --work
    data: str = ""           # JSON Lines of questions and answers; random tokens without
    steps: int = 4
    rank: int = 16           # of Lorikeet's side; the peers have 16

    def unit(self):
        return "rows" if self.data else "tokens"


WORKS = [
    Work("135M LoRA 4 x 512", "smollm2", "lora", 4, 512, quick=True),
    Work("135M QLoRA 4 x 512", "smollm2", "qlora", 4, 512, quick=True),
    Work("135M LoRA 4 x 512, recomputing", "smollm2", "lora", 4, 512, recompute=True, compile=False),
    Work("135M QLoRA 4 x 512, recomputing", "smollm2", "qlora", 4, 512, recompute=True, compile=False),
    Work("1.1B LoRA 1 x 512", "tinyllama", "lora", 1, 512),
    Work("1.1B QLoRA 1 x 512", "tinyllama", "qlora", 1, 512),
    Work("1.1B QLoRA 4 x 512, recomputing", "tinyllama", "qlora", 4, 512, recompute=True, compile=False, within=True, steps=3),
    Work("7B QLoRA 4 x 512", "llama2-7b", "qlora", 4, 512, peers=False, asked=True, steps=2),
    Work("7B QLoRA 4 x 512, recomputing", "llama2-7b", "qlora", 4, 512, recompute=True, peers=False, asked=True, steps=2),
]

SMOKE = [Work(f"fixture {m} 2 x 16", "fixture", m.lower(), 2, 16, compile=False, steps=3) for m in ("LoRA", "QLoRA")]


def row_works(data):
    """The works on real rows, in rows a second."""
    return [Work(f"135M {m}, rows of {os.path.basename(os.path.dirname(os.path.abspath(data)))}", "smollm2", m.lower(), 4, 512,
                 quick=True, compile=False, data=data, steps=9) for m in ("LoRA", "QLoRA")]


def write_rows(path, work, python, model):
    """Enough rows that no step repeats one: random tokens with every position labelled, or the data's own."""
    if work.data:
        subprocess.run([python, os.path.join(PEERS, "make_rows.py"), "--model", model, "--data", work.data, "--output", path,
                        "--rows", str(work.rows * work.steps), "--max-length", str(work.length)], check=True)
        return
    numbers = random.Random(5)
    with open(path, "w") as f:
        for _ in range(work.rows * work.steps):
            f.write(json.dumps({"input_ids": [numbers.randrange(VOCABULARY[work.model]) for _ in range(work.length)]}) + "\n")


class Side:
    """One way of doing a work."""

    warm = 1  # steps before the ones that count

    def __init__(self, name, model, threads):
        self.name, self.model, self.threads, self.samples = name, model, threads, []

    def add(self, sample):
        self.samples.append(sample)

    def quiet(self):
        return [s for s in self.samples if not s["disturbed"]]

    def peak_bytes(self):
        return max(s["peak_bytes"] for s in self.samples)

    def result(self, quiet_only):
        best = max(self.quiet() if quiet_only else self.samples, key=lambda s: s["rate"])
        return {"name": self.name, "rate": best["rate"], "peak_bytes": self.peak_bytes(),
                "quiet_samples": len(self.quiet()), "samples": self.samples}

    def rate(self, work, steps):
        """Of the steps after the warm ones: the median, or with rows of many lengths the mean."""
        steps = steps[self.warm:]
        if work.data:
            return work.rows * len(steps) / sum(seconds for _, seconds in steps)
        return statistics.median(tokens / seconds for tokens, seconds in steps)


class PeerSide(Side):
    def __init__(self, python, model, threads, compiled):
        super().__init__("torch.compile" if compiled else "eager", model, threads)
        self.python, self.compiled = python, compiled
        self.warm = 2 if compiled else 1

    def command(self, work, data, _output):
        return [self.python, os.path.join(PEERS, "train_peft.py"), "--model", self.model, "--data", data,
                "--method", work.method, "--batch", str(work.rows), "--steps", str(work.steps),
                "--threads", str(self.threads), *(["--compile"] if self.compiled else []),
                *(["--gradient-checkpointing"] if work.recompute else [])]

    def steps(self, run, _output):
        printed = last_json(run["stdout"])
        return list(zip(printed["tokens"], printed["seconds"]))


class LorikeetSide(Side):
    def __init__(self, binary, model, threads, name="lorikeet", options=()):
        super().__init__(name, model, threads)
        self.binary, self.options = binary, options

    def command(self, work, data, output):
        return [self.binary, "finetune", "--model", self.model, "--data", data, "--output", output,
                "--method", work.method, "--per-device-train-batch-size", str(work.rows), "--max-steps", str(work.steps),
                "--max-length", str(work.length), "--lora-r", str(work.rank), "--lora-alpha", "32", "--logging-steps", "1",
                "--shuffle", "false", "--threads", str(self.threads), "--compute-dtype", "bfloat16",
                "--report-to", "none", "--overwrite", "--quiet",
                *(self.options or ("--gradient-checkpointing", "true" if work.recompute else "false"))]

    def steps(self, _run, output):
        with open(os.path.join(output, "metrics.jsonl")) as f:
            lines = [json.loads(line) for line in f]
        steps = [line for line in lines if "tokens_per_second" in line]
        starts = [{"tokens": 0, "seconds": 0}, *steps]
        return [(b["tokens"] - a["tokens"], b["seconds"] - a["seconds"]) for a, b in zip(starts, steps)]


def take_sample(machine, side, work, data, args):
    """One undisturbed run, or the last of the allowed tries."""
    for _ in range(args.retries + 1):
        machine.wait_until_quiet(args.wait)
        with tempfile.TemporaryDirectory() as folder:
            output = os.path.join(folder, "out")
            run = machine.run(side.command(work, data, output), environment(side.threads))
            run["rate"] = side.rate(work, side.steps(run, output))
        del run["stdout"]
        side.add(run)
        say(f"  {side.name}: {run['rate']:.4g} {work.unit()}/s, {run['peak_bytes'] / 2**30:.2f} GiB"
            f"{' (disturbed)' if run['disturbed'] else ''}")
        if not run["disturbed"]:
            return


def compare(machine, work, binary, python, args):
    """Rounds in which the sides take turns."""
    say(work.name)
    model = model_folder(work.model, python)
    sides = [LorikeetSide(binary, model, args.threads)]
    if work.peers:
        sides.append(PeerSide(python, model, args.threads, False))
    if work.peers and work.compile and not args.quick:
        sides.append(PeerSide(python, model, args.threads, True))
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "rows.jsonl")
        write_rows(data, work, python, model)
        for _ in range(args.rounds):
            for side in sides:
                take_sample(machine, side, work, data, args)
        if work.within:
            limit = min(s.peak_bytes() for s in sides if isinstance(s, PeerSide))
            sides.append(LorikeetSide(binary, model, args.threads, f"lorikeet within {limit / 2**30:.2f} GiB",
                                      ("--gradient-checkpointing", "auto", "--memory-limit", str(limit))))
            for _ in range(args.rounds):
                take_sample(machine, sides[-1], work, data, args)
    fair = all(side.quiet() for side in sides)  # else the best of every sample, on all sides alike
    return {"work": work.name, "unit": work.unit(), "sides": [side.result(fair) for side in sides]}
