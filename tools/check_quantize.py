#!/usr/bin/env python3
"""Checks 4-bit checkpoints both ways with transformers and bitsandbytes.

    python tools/check_quantize.py [--lorikeet build/release/lorikeet]

Out: `lorikeet quantize` writes a model in every variant; transformers loads it, its codes and scales equal those that
bitsandbytes makes of the original weights, and its logits those of `lorikeet debug dump` on the same folder. Calibrated
(`--data`): transformers loads it with the same logits, and they are nearer to the original's. In: models
quantized and saved by transformers, with every quant_storage, give the same logits in `lorikeet debug dump`. Families:
for every dense model of tests/fixtures/models, transformers packs exactly the layers that `lorikeet quantize` packed, with
the file's codes; a family that it would not pack, or not wholly (experts), is refused. Exit code 1 if anything differs.

Pinned: torch 2.15.0 (CPU), transformers 5.23.0, bitsandbytes 0.50.2, safetensors 0.8.0. Rows are multiples of the block,
because bitsandbytes' CPU kernel decodes others wrongly.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import safetensors.torch
import torch
import transformers

import bitsandbytes.functional as bnb

CONFIG = {"vocab_size": 97, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": False}
VARIANTS = [(kind, nested, size) for kind in ("nf4", "fp4") for nested in (False, True) for size in (64, 128)]
# Codes are equal; transformers computes its float32 products from weights that were rounded to bfloat16 (quant_state.dtype).
LOGITS_NMSE = 1e-4


def nmse(found, wanted):
    return float(((found - wanted) ** 2).sum() / (wanted**2).sum())


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def logits(model, ids):
    """bitsandbytes repacks the weights in the first evaluation on a CPU: what is stored must be looked at before."""
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float()


def lorikeet_logits(binary, folder, work, ids):
    rows, out = os.path.join(work, "rows.jsonl"), os.path.join(work, "dump.safetensors")
    with open(rows, "w") as f:
        f.write(json.dumps({"input_ids": ids}) + "\n")
    subprocess.check_call([binary, "debug", "dump", "--model", folder, "--method", "qlora", "--base-format", "keep",
                           "--compute-dtype", "float32", "--data", rows, "--output", out, "--quiet"])
    return safetensors.torch.load_file(out)["logits.0"]


def check_state(weight, original, kind, nested, blocksize):
    """What differs between a loaded Params4bit and bitsandbytes' own result on the original weight."""
    codes, state = bnb.quantize_4bit(original, blocksize=blocksize, quant_type=kind, compress_statistics=nested)
    mine, problems = weight.quant_state, []
    if not torch.equal(weight.data.flatten(), codes.flatten()):
        problems.append("codes")
    if mine.blocksize != blocksize or mine.quant_type != kind or mine.dtype != original.dtype:
        problems.append("fields")
    if not torch.equal(mine.code, state.code):
        problems.append("map")
    if nested:
        ulp = torch.finfo(torch.float32).eps * state.offset.abs()
        if (mine.offset - state.offset).abs() > 4 * ulp:
            problems.append("offset")
        if not torch.equal(mine.state2.code, state.state2.code):
            problems.append("nested map")
        if not torch.allclose(mine.state2.absmax, state.state2.absmax, rtol=1e-5):
            problems.append("nested absmax")
        if (mine.absmax.int() - state.absmax.int()).abs().max() > 1:  # offsets differ in the last place
            problems.append("absmax codes")
    elif not torch.equal(mine.absmax, state.absmax):
        problems.append("absmax")
    return problems


def packed_layers(folder):
    """Name and codes of every Params4bit that transformers makes of a folder, and what it complains of."""
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    problems = [kind for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[kind]]
    return {name: p.data.flatten() for name, p in model.named_parameters() if type(p).__name__ == "Params4bit"}, problems


def check_family(binary, folder, out):
    """What differs between the layers packed in a folder that lorikeet quantized and those that transformers packs."""
    done = subprocess.run([binary, "quantize", "--model", folder, "--output", out], capture_output=True, text=True)
    config = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, quantization_config=config)
    wanted = {name for name, p in theirs.named_parameters() if type(p).__name__ == "Params4bit"}
    if done.returncode != 0:
        refused = done.returncode == 4 and (not wanted or hasattr(theirs.config, "num_experts_per_tok"))
        return [] if refused else [done.stderr]
    found, problems = packed_layers(out)
    if set(found) != wanted:
        problems.append(f"{len(found)} layers packed, {len(wanted)} wanted")
    stored = safetensors.torch.load_file(os.path.join(out, "model.safetensors"))
    packed = {name.split(".weight.quant_state")[0] + ".weight" for name in stored if ".quant_state." in name}
    if len(packed) != len(wanted):
        problems.append(f"{len(packed)} layers written, {len(wanted)} wanted")
    # transformers may call a layer otherwise than the file does: codes are compared in the order of their names.
    if any(not torch.equal(found[a], stored[b].flatten()) for a, b in zip(sorted(found), sorted(packed))):
        problems.append("codes")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lorikeet", default="build/release/lorikeet")
    binary = os.path.abspath(parser.parse_args().lorikeet)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    failed = 0
    ids = torch.randint(0, CONFIG["vocab_size"], (23,)).tolist()
    with tempfile.TemporaryDirectory() as work:
        dense = os.path.join(work, "dense")
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**CONFIG)).to(torch.bfloat16)
        model.save_pretrained(dense)
        original = dict(model.named_parameters())

        def report(name, problems, error):
            nonlocal failed
            problems = sorted(set(problems)) + ([] if error < LOGITS_NMSE else ["logits"])
            failed += bool(problems)
            print(f"{name}: logits NMSE {error:.2g}{', differs: ' + ', '.join(problems) if problems else ''}", flush=True)

        for kind, nested, blocksize in VARIANTS:
            out = os.path.join(work, f"{kind}-{nested}-{blocksize}")
            subprocess.check_call([binary, "quantize", "--model", dense, "--output", out, "--bnb-4bit-quant-type", kind,
                                   "--bnb-4bit-use-double-quant", str(nested).lower(), "--bnb-4bit-blocksize",
                                   str(blocksize)], stdout=subprocess.DEVNULL)
            loaded = load(out)
            problems, seen = [], 0
            for name, p in loaded.named_parameters():
                if type(p).__name__ == "Params4bit":
                    seen += 1
                    problems += check_state(p, original[name].data, kind, nested, blocksize)
            if seen != 7 * CONFIG["num_hidden_layers"]:
                problems.append(f"{seen} layers quantized")
            report(f"written {kind} nested={nested} block {blocksize}", problems,
                   nmse(lorikeet_logits(binary, out, work, ids), logits(loaded, ids)))

        rows, out = os.path.join(work, "calibration.jsonl"), os.path.join(work, "calibrated")
        with open(rows, "w") as f:
            for _ in range(200):
                f.write(json.dumps({"input_ids": torch.randint(0, CONFIG["vocab_size"], (31,)).tolist()}) + "\n")
        subprocess.check_call([binary, "quantize", "--model", dense, "--output", out, "--data", rows, "--calibration-rows",
                               "200", "--quiet"], stdout=subprocess.DEVNULL)
        exact, nearest = (logits(load(folder), ids) for folder in (dense, os.path.join(work, "nf4-True-64")))
        loaded = logits(load(out), ids)
        report("written calibrated", [] if nmse(loaded, exact) < 0.8 * nmse(nearest, exact) else ["not nearer"],
               nmse(lorikeet_logits(binary, out, work, ids), loaded))

        models = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "fixtures", "models")
        for family in sorted(os.listdir(models)):
            path = os.path.join(models, family, "config.json")
            if os.path.exists(path) and "quantization_config" not in json.load(open(path)):
                report(f"packed {family}", check_family(binary, os.path.dirname(path), os.path.join(work, family)), 0)

        for kind, nested, storage in [("nf4", True, "uint8"), ("nf4", False, "bfloat16"), ("fp4", True, "float16"),
                                      ("fp4", False, "float32")]:
            out = os.path.join(work, f"saved-{kind}-{storage}")
            config = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=kind,
                                                     bnb_4bit_use_double_quant=nested,
                                                     bnb_4bit_quant_storage=getattr(torch, storage))
            transformers.AutoModelForCausalLM.from_pretrained(dense, dtype=torch.bfloat16,
                                                              quantization_config=config).save_pretrained(out)
            loaded = load(out)
            report(f"saved {kind} nested={nested} storage {storage}", [],
                   nmse(lorikeet_logits(binary, out, work, ids), logits(loaded, ids)))
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
