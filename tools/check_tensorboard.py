#!/usr/bin/env python3
"""Reads the TensorBoard files of a run back with the tensorboard package and compares them with its metrics.jsonl.

    python tools/check_tensorboard.py OUTPUT_FOLDER     a run with --report-to tensorboard (pip install tensorboard==2.20.0)

Exits with 1 if a step, a tag or a value (to float32) is missing or differs.
"""
import json
import os
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

COMPARED = ("loss", "grad_norm", "learning_rate", "epoch", "tokens_per_second")


def as_float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def main():
    folder = sys.argv[1]
    events = EventAccumulator(os.path.join(folder, "runs"), size_guidance={"scalars": 0}).Reload()
    with open(os.path.join(folder, "metrics.jsonl")) as f:
        metrics = [json.loads(line) for line in f]
    differences = 0
    for name in COMPARED:
        shown = [(s.step, s.value) for s in events.Scalars(f"train/{name}")]
        written = [(m["step"], as_float32(m[name])) for m in metrics]
        differences += shown != written
        print(f"train/{name}: {len(shown)} values, {'equal' if shown == written else 'DIFFERENT'}")
    for tag in events.Tags()["scalars"]:
        if tag.startswith("eval/"):
            print(f"{tag}: {[(s.step, round(s.value, 6)) for s in events.Scalars(tag)]}")
    sys.exit(1 if differences or not metrics else 0)


if __name__ == "__main__":
    main()
