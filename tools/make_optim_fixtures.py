#!/usr/bin/env python3
"""Writes tests/fixtures/optim: twenty steps of bitsandbytes' 8-bit AdamW and of torch's SGD.

Pinned: Python 3.11, torch 2.15.0 (CPU), bitsandbytes 0.50.2, numpy 2.4.6. Usage: python tools/make_optim_fixtures.py

torch runs with ATEN_CPU_CAPABILITY=default, one rounding per operation: its AVX2 paths fuse multiplications with
additions and differ from that in the last place. The maps are those that make_quant_fixtures.py recorded, because
linspace, of which bitsandbytes makes them, fuses too. Gradients and first values are made by `numbers`, which the test
computes too, so that they need no room here. Records are those of make_quant_fixtures.py.
"""
import os
import struct

os.environ["ATEN_CPU_CAPABILITY"] = "default"

import numpy as np
import torch

import bitsandbytes as bnb
from make_quant_fixtures import ROOT, Records

STEPS, WEIGHT_DECAY = 20, 0.1
SHAPES = {"large": (17, 257), "small": (31, 33)}  # 4369 elements end in a block of 17; 1023 keep f32 moments


def numbers(shape, step):
    """Exact in f32: rows of eight magnitudes, elements 512 to 1023 and every seventh zero."""
    i = np.arange(shape[0] * shape[1], dtype=np.uint64)
    x = (i * 2654435761 + step * 2246822519) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 2246822519) & 0xFFFFFFFF
    x ^= x >> 13
    value = (x >> 8).astype(np.float32) * np.float32(2**-24) - np.float32(0.5)
    value *= np.float32(2.0) ** -(i // shape[1] % 8).astype(np.float32)
    if step > 0:
        value[(i % 7 == 3) | ((i >= 512) & (i < 1024))] = 0
    return torch.from_numpy(value.reshape(shape))


def learning_rate(step):
    return 0.01 * (STEPS + 1 - step) / STEPS


def recorded_maps():
    with open(os.path.join(ROOT, "quant", "nested.bin"), "rb") as f:
        data = f.read()
    records, at = {}, 0
    while at < len(data):
        name_bytes = struct.unpack_from("<I", data, at)[0]
        name = data[at + 4:at + 4 + name_bytes].decode()
        size = struct.unpack_from("<Q", data, at + 4 + name_bytes)[0]
        at += 12 + name_bytes
        records[name] = data[at:at + size]
        at += size
    return [torch.frombuffer(bytearray(records[f"map/{kind}"]), dtype=torch.float32) for kind in ("signed", "unsigned")]


def fnv(*tensors):
    """FNV-1a over the bytes."""
    h = 0xCBF29CE484222325
    for t in tensors:
        for byte in t.contiguous().view(torch.uint8).numpy().tobytes():
            h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return np.array([h], dtype=np.uint64)


def main():
    torch.set_num_threads(1)
    out = Records("optim/steps.bin")
    for name, shape in SHAPES.items():
        p = torch.nn.Parameter(numbers(shape, 0))
        plain = torch.nn.Parameter(numbers(shape, 0))
        adamw = bnb.optim.AdamW8bit([p], betas=(0.9, 0.999), eps=1e-8, weight_decay=WEIGHT_DECAY)
        adamw.name2qmap["dynamic"], adamw.name2qmap["udynamic"] = recorded_maps()
        sgd = torch.optim.SGD([plain], weight_decay=WEIGHT_DECAY, foreach=False)
        for step in range(1, STEPS + 1):
            for parameter, optimizer in ((p, adamw), (plain, sgd)):
                parameter.grad = numbers(shape, step)
                optimizer.param_groups[0]["lr"] = learning_rate(step)
                optimizer.step()
            state = adamw.state[p]
            if name == "large":
                out.add(f"{name}/hash/{step}", fnv(state["state1"], state["state2"], state["absmax1"], state["absmax2"]))
                assert state["state1"].dtype == torch.uint8
            if step in (1, STEPS):
                out.add(f"{name}/p/{step}", p.data)
                out.add(f"{name}/m/{step}", state["state1"])
                out.add(f"{name}/v/{step}", state["state2"])
        out.add(f"{name}/sgd/{STEPS}", plain.data)
    out.save()


if __name__ == "__main__":
    main()
