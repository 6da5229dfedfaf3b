"""How Lorikeet's cost grows: one number changes, tokens/s and peak memory are taken."""
import json
import os
import subprocess
import tempfile

from common import model_folder, say
from training import LorikeetSide, Work, take_sample, write_rows

ROWS, LENGTH, STEPS = 4, 512, 3
KEEP_ALL = ("--gradient-checkpointing", "false")


def point(machine, binary, python, args, *, rows=ROWS, length=LENGTH, threads=None, options=KEEP_ALL, steps=STEPS, rank=16):
    work = Work("", "smollm2", "qlora", rows, length, steps=steps, rank=rank)
    model = model_folder("smollm2", python)
    side = LorikeetSide(binary, model, threads or args.threads, options=options)
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "rows.jsonl")
        write_rows(data, work, python, model)
        take_sample(machine, side, work, data, args)
    result = side.result(bool(side.quiet()))
    return {"tokens_per_second": result["rate"], "peak_bytes": result["peak_bytes"], "disturbed": not result["quiet_samples"]}


def planned(binary, python, args, options):
    """What `plan` says of the run with these options."""
    work, model = Work("", "smollm2", "qlora", ROWS, LENGTH, steps=STEPS), model_folder("smollm2", python)
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "rows.jsonl")
        write_rows(data, work, python, model)
        command = LorikeetSide(binary, model, args.threads, options=options).command(work, data, os.path.join(folder, "out"))
        command = [c for c in command if c not in ("--overwrite",)]
        command[1] = "plan"
        out = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def kept_blocks(machine, binary, python, args):
    """Memory limits between the least and the most that a run can use."""
    least = planned(binary, python, args, ("--gradient-checkpointing", "true"))["peak_bytes"]
    most = planned(binary, python, args, KEEP_ALL)["peak_bytes"]
    for part in range(5):
        limit = least + (most - least) * part // 4
        options = ("--gradient-checkpointing", "auto", "--memory-limit", str(limit))
        kept = planned(binary, python, args, options)["kept_blocks"]
        yield {"x": kept, **point(machine, binary, python, args, options=options)}


def along(values, make):
    """Points of one number that changes; make(x) says how."""
    def points(machine, binary, python, args):
        for x in values:
            say(f"  {x}")
            yield {"x": x, **point(machine, binary, python, args, **make(x))}
    return points


# name, label of x, points
SERIES = (
    ("Sequence length", "tokens of a row, at least 2,048 a step",
     along((256, 512, 1024, 2048, 4096, 8192, 16384),
           lambda n: {"rows": max(1, 2048 // n), "length": n, "steps": 3 if n <= 4096 else 2})),
    ("Rank", "r of every linear layer", along((4, 16, 64, 256), lambda r: {"rank": r})),
    ("Micro-batch", "rows of 512 tokens", along((1, 2, 4, 8, 16), lambda n: {"rows": n, "steps": 3 if n <= 4 else 2})),
    ("Threads", "threads", along((1, 2), lambda n: {"threads": n})),
    ("Kept blocks", "blocks whose activations are kept", kept_blocks),
)


def series(machine, binary, python, args):
    for name, label, points in SERIES:
        if args.series and name not in args.series:
            continue
        say(name)
        yield {"name": name, "label": label, "points": list(points(machine, binary, python, args))}
