#!/usr/bin/env python3
"""Writes tests/fixtures/quant and tests/fixtures/io: what bitsandbytes, gguf and safetensors produce on small inputs.

Pinned: Python 3.11, torch 2.15.0 (CPU, AVX2 or better, one thread), bitsandbytes 0.50.2, gguf 0.19.0, safetensors
0.8.0, numpy 2.4.6. Usage: python tools/make_quant_fixtures.py

A .bin file is a list of records: u32 length and text of the name, u64 length and bytes of the content, little-endian.
4-bit values are decoded here by definition (flat blocks), because bitsandbytes' CPU kernel decodes some row lengths
wrongly; codes and scales are its own.
"""
import os
import struct

import gguf
import numpy as np
import safetensors.torch
import torch

import bitsandbytes.functional as bnb

ROOT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "fixtures")
DTYPE_NAMES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


class Records:
    def __init__(self, name):
        self.path = os.path.join(ROOT, name)
        self.parts = []

    def add(self, name, content):
        if isinstance(content, torch.Tensor):
            content = content.contiguous().view(torch.uint8).numpy().tobytes() if content.numel() else b""
        elif isinstance(content, np.ndarray):
            content = np.ascontiguousarray(content).tobytes()
        self.parts += [struct.pack("<I", len(name)), name.encode(), struct.pack("<Q", len(content)), content]

    def save(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path, "wb") as f:
            f.write(b"".join(self.parts))
        print(self.path, os.path.getsize(self.path))


def midpoints(quant_type):
    code = torch.sort(bnb.get_4bit_type(quant_type, device="cpu")).values
    return (code[:-1] + code[1:]) / 2


def contents(generator):
    """Name, quantization type, block size and tensor of every 4-bit case."""
    def normal(rows, cols, dtype):
        return torch.randn(rows, cols, generator=generator).to(dtype)

    dtypes = [torch.bfloat16, torch.float16, torch.float32]
    number = 0
    for blocksize in (32, 64, 128, 256, 512, 1024, 2048, 4096):
        for quant_type in ("nf4", "fp4"):
            rows, cols = (17, 33) if blocksize <= 256 else (5, blocksize // 4 + 11)
            yield f"block{blocksize}", quant_type, blocksize, normal(rows, cols, dtypes[number % 3])
            number += 1
    for quant_type in ("nf4", "fp4"):
        yield "one", quant_type, 64, normal(1, 1, torch.float32)
        yield "exact", quant_type, 64, normal(3, 128, torch.bfloat16)
        x = normal(5, 67, torch.float32)
        x.view(-1)[64:200] = 0  # one whole block, and parts of two
        yield "zeros", quant_type, 64, x
        yield "zero_tail", quant_type, 64, torch.cat([normal(1, 64, torch.float32), torch.zeros(1, 9)], 1)
        yield "denormals", quant_type, 32, normal(3, 45, torch.float32) * 1e-39
        yield "largest", quant_type, 32, torch.sign(normal(3, 45, torch.float32)) * torch.finfo(torch.float32).max
        # On and one step beside every mid-point, in blocks whose largest magnitude is 1.
        m = midpoints(quant_type)
        around = torch.stack([torch.nextafter(m, m - 1), m, torch.nextafter(m, m + 1)], 1).ravel()
        yield "midpoints", quant_type, 64, torch.cat([torch.ones(1), around, -around, torch.ones(1)]).reshape(2, -1)


def bnb_fixture():
    generator = torch.Generator().manual_seed(7)
    out = Records("quant/bnb4.bin")
    for name, quant_type, blocksize, x in contents(generator):
        codes, state = bnb.quantize_4bit(x, blocksize=blocksize, quant_type=quant_type)
        base = f"{name}/{quant_type}/{blocksize}/{x.shape[0]}/{x.shape[1]}/{DTYPE_NAMES[x.dtype]}/"
        out.add(base + "source", x)
        out.add(base + "codes", codes)
        out.add(base + "absmax", state.absmax)
    out.save()

    out = Records("quant/nested.bin")
    out.add("map/signed", bnb.create_dynamic_map(signed=True))
    out.add("map/unsigned", bnb.create_dynamic_map(signed=False))
    for name, blocks, spread in (("normal", 700, 0.1), ("wide", 256, 3.0), ("single", 1, 0.1), ("equal", 40, 0.0)):
        x = torch.randn(blocks * 32 - (5 if blocks > 1 else 0), generator=generator)
        scale = torch.exp(spread * torch.randn(blocks, generator=generator)).repeat_interleave(32)[: x.numel()]
        x = torch.ones_like(x) * 3 if name == "equal" else x * scale
        _, plain = bnb.quantize_4bit(x, blocksize=32, quant_type="nf4")
        _, state = bnb.quantize_4bit(x, blocksize=32, quant_type="nf4", compress_statistics=True)
        out.add(f"{name}/absmax", plain.absmax)
        out.add(f"{name}/offset", state.offset.reshape(1))
        out.add(f"{name}/codes", state.absmax)
        out.add(f"{name}/nested_absmax", state.state2.absmax)
        decoded = state.state2.code.numpy()[state.absmax.numpy()]
        decoded = decoded * np.repeat(state.state2.absmax.numpy(), 256)[: len(decoded)] + np.float32(state.offset.item())
        out.add(f"{name}/decoded", decoded)
    out.save()


def gguf_fixture():
    rng = np.random.default_rng(7)
    out = Records("quant/gguf.bin")
    scales = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2],
              "Q6_K": [208]}
    for name, places in scales.items():
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (6, size), dtype=np.uint8)
        for place in places:  # any finite f16, subnormal ones too
            blocks[:, place:place + 2] = rng.normal(0, 0.01, 6).astype(np.float16).view(np.uint8).reshape(6, 2)
        blocks[0, places[0]:places[0] + 2] = np.frombuffer(np.float16(3e-7).tobytes(), np.uint8)
        out.add(f"{name}/blocks", blocks)
        out.add(f"{name}/values", gguf.quants.dequantize(blocks, kind).astype(np.float32))
    # The converter's row order of q and k: 3 heads of 8 rows, numbered.
    heads, dim = 3, 8
    rows = np.arange(heads * dim, dtype=np.int32)
    out.add("rope/stored", rows.reshape(heads, 2, dim // 2).swapaxes(1, 2).reshape(-1))
    # Encoding: ordinary values, zeros, subnormal scales, equal sizes of both signs, halves between two codes.
    values = rng.normal(0, 1, (40, 32)).astype(np.float32)
    values[1] = 0
    values[2] *= np.float32(1e-6)
    values[3] = np.resize([2, -2, 0.125], 32)
    values[4] = np.resize([-2, 2, 0.125], 32)
    values[5] = np.arange(32, dtype=np.float32) * np.float32(0.5) - np.float32(8)
    values[6] = np.resize([127, 0.5, -0.5, 1.5, -1.5, 126.5, 2.5], 32)
    values[7] *= np.float32(3e4)
    out.add("encode/values", values)
    for name in ("Q8_0", "Q4_0"):
        out.add(f"encode/{name}", gguf.quants.quantize(values, gguf.GGMLQuantizationType[name]))
    out.save()


def io_fixture():
    os.makedirs(os.path.join(ROOT, "io"), exist_ok=True)
    tensors = {
        "model.layers.10.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
        "model.layers.9.weight": torch.arange(4, dtype=torch.float32).to(torch.bfloat16),
        "half": torch.full((1, 2), 0.5, dtype=torch.float16),
        "codes": torch.arange(5, dtype=torch.uint8),
        "index \"é\"": torch.arange(2, dtype=torch.int64),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
    }
    path = os.path.join(ROOT, "io", "official.safetensors")
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    print(path, os.path.getsize(path))

    path = os.path.join(ROOT, "io", "official.gguf")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(["<s>", "a", "é"])
    writer.add_token_scores([0.0, -1.0, -2.5])
    writer.add_token_types([3, 1, 1])
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ messages }}")
    writer.add_tensor("token_embd.weight", np.arange(6, dtype=np.float32).reshape(2, 3))
    values = np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 64)
    writer.add_tensor("blk.0.attn_q.weight", gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0),
                      raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("output_norm.weight", np.array([0.5, 2], dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(path, os.path.getsize(path))


if __name__ == "__main__":
    torch.set_num_threads(1)
    bnb_fixture()
    gguf_fixture()
    io_fixture()
