#!/usr/bin/env python3
"""Compares Lorikeet with transformers + PEFT on a real model: the same adapter, the same tokens, the logits of both.

    python tools/check_peft.py --model M --adapter A     an adapter that Lorikeet (or PEFT) wrote
    python tools/check_peft.py --model M                 a random one that PEFT writes now
        [--method qlora] [--data tokenized.jsonl] [--gradients] [--lorikeet build/release/lorikeet]

A GGUF model is first converted by `lorikeet merge`. Both sides compute in float32; with method qlora both hold the base
in NF4 with double quantization, decoded by definition. Exits with 1 if a tensor differs by more than --tolerance (NMSE).
Versions: see hf_dump.py.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

import safetensors.torch
import torch

import hf_dump

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def write_random_rows(path, vocab):
    numbers = random.Random(3)
    with open(path, "w") as f:
        for length in (48, 7, 23):
            f.write(json.dumps({"input_ids": [numbers.randrange(vocab) for _ in range(length)]}) + "\n")


def write_random_adapter(model_folder, folder):
    import peft

    torch.manual_seed(3)
    model = hf_dump.load_model(model_folder)
    model = peft.get_peft_model(model, peft.LoraConfig(r=6, lora_alpha=9, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data = torch.randn(p.shape) * (0.05 if "lora_A" in name else 0.02)
    model.save_pretrained(folder)


def compare(ours, theirs):
    """(name, largest difference, NMSE) of every tensor of the reference."""
    for name, expected in sorted(theirs.items()):
        if name not in ours:
            yield name, float("inf"), float("inf")
            continue
        difference = (ours[name].double() - expected.double())
        yield name, difference.abs().max().item(), (difference.square().sum() / expected.double().square().sum()).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter")
    parser.add_argument("--method", default="lora", choices=["lora", "qlora"])
    parser.add_argument("--data")
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--tolerance", type=float, default=1e-8)
    parser.add_argument("--lorikeet", default=os.path.join(ROOT, "build", "release", "lorikeet"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        model, adapter = args.model, args.adapter
        if model.endswith(".gguf"):
            model = os.path.join(work, "base")
            subprocess.run([args.lorikeet, "merge", "--model", args.model, "--output", model], check=True)
        if not adapter:
            adapter = os.path.join(work, "adapter")
            write_random_adapter(model, adapter)
        data = args.data or os.path.join(work, "rows.jsonl")
        if not args.data:
            with open(os.path.join(model, "config.json")) as f:
                write_random_rows(data, json.load(f)["vocab_size"])
        dump = os.path.join(work, "dump.safetensors")
        quantization = ["--method", "qlora", "--base-format", "bnb_4bit"] if args.method == "qlora" else ["--method", "lora"]
        subprocess.run([args.lorikeet, "debug", "dump", "--model", model, "--adapter", adapter, *quantization,
                        "--allow-other-base", "--compute-dtype", "float32", "--data", data, "--output", dump,
                        *(["--gradients"] if args.gradients else [])], check=True)
        torch.set_num_threads(2)
        reference = hf_dump.load_model(model, adapter, {} if args.method == "qlora" else None)
        theirs = hf_dump.dump(reference, hf_dump.read_rows(data), args.gradients)
        ours = safetensors.torch.load_file(dump)
    worst = {}
    for name, largest, nmse in compare(ours, theirs):
        kind = name.split(".", 1)[0]
        if kind not in worst or nmse > worst[kind][2]:
            worst[kind] = (name, largest, nmse)
        if kind == "logits":
            print(f"{name}: largest difference {largest:.3g}, NMSE {nmse:.3g}")
    for kind, (name, largest, nmse) in worst.items():
        print(f"worst {kind}: {name}, largest difference {largest:.3g}, NMSE {nmse:.3g}")
    if not all(nmse <= args.tolerance for _, _, nmse in worst.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
