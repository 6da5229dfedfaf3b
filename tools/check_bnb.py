#!/usr/bin/env python3
"""Compares the 4-bit encoder with an installed bitsandbytes, byte for byte, on many random tensors.

Versions it was run with: bitsandbytes 0.50.2, torch 2.15.0 (CPU, AVX2 or better). Usage:

    python tools/check_bnb.py [--tensors 300] [--seed 0] [--speed]

Compiles src/core and src/quant with tools/bnb_driver.cpp into a temporary library. Exit code 1 if anything differs.
"""
import argparse
import ctypes
import glob
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

import bitsandbytes.functional as bnb

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DTYPES = [(torch.float32, 0), (torch.bfloat16, 1), (torch.float16, 2)]
BLOCKSIZES = [32, 64, 128, 256, 512, 1024, 2048, 4096]


def load_driver(folder):
    library = os.path.join(folder, "bnb_driver.so")
    sources = [f"{ROOT}/tools/bnb_driver.cpp"]
    for layer in ("core", "quant"):
        sources += glob.glob(f"{ROOT}/src/{layer}/*.cpp")
    subprocess.check_call(["g++", "-std=c++20", "-O3", "-ffp-contract=off", "-fPIC", "-shared", "-DFMT_HEADER_ONLY=1",
                           f"-I{ROOT}/src", f"-I{ROOT}/include", *sources, "-o", library])
    driver = ctypes.CDLL(library)
    driver.driver_offset.restype = ctypes.c_float
    return driver


def address(a):
    return ctypes.c_void_p(a.data_ptr() if isinstance(a, torch.Tensor) else a.ctypes.data)


def i64(n):
    return ctypes.c_int64(n)


def bits(a):
    return a.view(np.uint32)


def random_tensor(rng, generator):
    rows, cols = int(rng.integers(1, 60)), int(rng.integers(1, 400))
    dtype, number = DTYPES[rng.integers(3)]
    x = torch.randn(rows, cols, generator=generator)
    kind = rng.integers(8)
    if kind == 1:
        x = x * torch.exp2(torch.randint(-30, 12, x.shape, generator=generator).float())
    elif kind == 2:  # runs of zeros longer than a block
        x.view(-1)[: x.numel() // 2] = 0
    elif kind == 3:  # denormals of f32
        x = x * 1e-40
    elif kind == 4:  # values on and next to the code book's mid-points
        code = bnb.get_4bit_type("nf4", device="cpu")
        mids = torch.cat([(code[1:] + code[:-1]) / 2, code])
        pick = mids[torch.randint(0, len(mids), x.shape, generator=generator)]
        x = torch.nextafter(pick, pick + torch.randint(-1, 2, x.shape, generator=generator))
    elif kind == 5:
        x = torch.full_like(x, float(rng.normal()))
    elif kind == 6:  # the largest finite values
        x = torch.sign(x) * torch.finfo(dtype).max
    elif kind == 7:
        x = torch.zeros_like(x)
        x.view(-1)[-1] = -1e-30
    return x.to(dtype).contiguous(), number


def check_one(driver, x, number, quant_type, blocksize):
    rows, cols = x.shape
    n = x.numel()
    blocks = -(-n // blocksize)
    want, state = bnb.quantize_4bit(x, blocksize=blocksize, quant_type=quant_type)
    codes, absmax = np.zeros((n + 1) // 2, np.uint8), np.zeros(blocks, np.float32)
    fp4 = int(quant_type == "fp4")
    for first, last in ((0, blocks // 2), (blocks // 2, blocks)):  # as two threads would
        driver.driver_encode(address(x), number, i64(rows), i64(cols), fp4, blocksize, i64(first), i64(last),
                             address(codes), address(absmax))
    problems = []
    want_absmax = state.absmax.numpy()
    if not np.array_equal(codes, want.numpy().ravel()):
        problems.append(f"{(codes != want.numpy().ravel()).sum()} code bytes")
    if not np.array_equal(bits(absmax), bits(want_absmax)):
        problems.append(f"{(bits(absmax) != bits(want_absmax)).sum()} absmax")

    _, nested = bnb.quantize_4bit(x, blocksize=blocksize, quant_type=quant_type, compress_statistics=True)
    offset = np.float32(nested.offset.item())
    mine = np.float32(driver.driver_offset(address(absmax), i64(blocks)))
    if not np.isfinite(offset):  # its f32 sum overflows where ours does not; nothing is left to compare
        return problems, 0
    ulps = abs(int(bits(mine[None])[0]) - int(bits(offset[None])[0]))
    if ulps > 4:
        problems.append(f"offset {ulps} ulp")
    ncodes, nabsmax = np.zeros(blocks, np.uint8), np.zeros(-(-blocks // 256), np.float32)
    driver.driver_nested(address(absmax), i64(blocks), ctypes.c_float(offset), address(ncodes), address(nabsmax))
    if not np.array_equal(ncodes, nested.absmax.numpy()):
        problems.append(f"{(ncodes != nested.absmax.numpy()).sum()} nested codes")
    if not np.array_equal(bits(nabsmax), bits(nested.state2.absmax.numpy())):
        problems.append("nested absmax")

    # Decoding by the definition; bitsandbytes' own CPU kernel is wrong for some row lengths.
    code = bnb.get_4bit_type(quant_type, device="cpu").numpy()
    nibbles = np.stack([codes >> 4, codes & 15], 1).ravel()[:n]
    scales = nested.state2.code.numpy()[ncodes] * nabsmax[np.arange(blocks) // 256] + offset
    index = np.arange(n) // blocksize
    out = np.zeros(n, np.float32)
    for have, args in ((absmax, (address(absmax), None, ctypes.c_float(0))),
                       (scales, (address(ncodes), address(nabsmax), ctypes.c_float(offset)))):
        driver.driver_decode(address(codes), *args, fp4, blocksize, i64(rows), i64(cols), address(out))
        if not np.array_equal(bits(out), bits(code[nibbles] * have[index])):
            problems.append("decoded values")
    return problems, ulps


def speed(driver):
    for dtype, number in DTYPES:
        for quant_type in ("nf4", "fp4"):
            x = torch.randn(4096, 4096).to(dtype)
            n, blocks = x.numel(), x.numel() // 64
            codes, absmax = np.zeros(n // 2, np.uint8), np.zeros(blocks, np.float32)
            best = 1e9
            for _ in range(5):
                start = time.perf_counter()
                driver.driver_encode(address(x), number, i64(4096), i64(4096), int(quant_type == "fp4"), 64, i64(0),
                                     i64(blocks), address(codes), address(absmax))
                best = min(best, time.perf_counter() - start)
            source = n * x.element_size()
            print(f"{dtype} -> {quant_type}: {source / best / 1e9:.2f} GB/s of source, one thread")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tensors", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        driver = load_driver(folder)
        failed = 0
        for is_signed in (True, False):
            mine = np.zeros(256, np.float32)
            driver.driver_map(int(is_signed), address(mine))
            if not np.array_equal(bits(mine), bits(bnb.create_dynamic_map(signed=is_signed).numpy())):
                print(f"dynamic map (signed={is_signed}) differs")
                failed += 1
        rng, generator = np.random.default_rng(args.seed), torch.Generator().manual_seed(args.seed)
        worst = 0
        for i in range(args.tensors):
            x, number = random_tensor(rng, generator)
            quant_type, blocksize = ("nf4", "fp4")[rng.integers(2)], BLOCKSIZES[rng.integers(8)]
            problems, ulps = check_one(driver, x, number, quant_type, blocksize)
            worst = max(worst, ulps)
            if problems:
                failed += 1
                print(f"tensor {i} {tuple(x.shape)} {x.dtype} {quant_type} block {blocksize}: {', '.join(problems)}")
        print(f"{args.tensors} tensors, {failed} differences, nested offset within {worst} ulp")
        if args.speed:
            speed(driver)
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
