#!/usr/bin/env python3
"""Trains some steps with PEFT and PyTorch on tokenized rows and prints one JSON line with the seconds of each step.

The settings are the usual ones: bf16 base, fp32 adapter, AdamW, all linear layers. Method qlora is bitsandbytes' NF4
with double quantization, prepared by PEFT's prepare_model_for_kbit_training. Rows of a batch are padded to the longest.
"""
import argparse
import json
import os
import resource
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, help="tokenized rows, one JSON object per line")
    parser.add_argument("--method", choices=["lora", "qlora"], default="lora")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    return parser.parse_args()


def load(args):
    import peft
    import torch
    import transformers

    options = {"dtype": torch.bfloat16}
    if args.method == "qlora":
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16)
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, **options)
    if args.method == "qlora":
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=args.gradient_checkpointing)
    elif args.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    model = peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear",
                                                       task_type="CAUSAL_LM"))
    model.config.use_cache = False
    model.train()
    return model


def batches(path, size):
    """(input_ids, attention_mask, labels) of consecutive rows, again from the start after the last."""
    import torch

    with open(path) as f:
        rows = [json.loads(line) for line in f]
    begin = 0
    while True:
        chosen = [rows[(begin + i) % len(rows)] for i in range(size)]
        begin += size
        longest = max(len(row["input_ids"]) for row in chosen)
        ids = torch.zeros(size, longest, dtype=torch.long)
        mask = torch.zeros(size, longest, dtype=torch.long)
        labels = torch.full((size, longest), -100)
        for i, row in enumerate(chosen):
            n = len(row["input_ids"])
            ids[i, :n] = torch.tensor(row["input_ids"])
            mask[i, :n] = 1
            labels[i, :n] = torch.tensor(row.get("labels") or row["input_ids"])
        yield ids, mask, labels


def main():
    args = arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch

    torch.set_num_threads(args.threads)
    model = load(args)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4, weight_decay=0.0)
    run = torch.compile(model) if args.compile else model
    seconds, tokens, losses = [], [], []
    source = batches(args.data, args.batch)
    for _ in range(args.steps):
        ids, mask, labels = next(source)
        begin = time.perf_counter()
        loss = run(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - begin)
        tokens.append(int(mask.sum()))
        losses.append(loss.item())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "tokens": tokens, "losses": losses, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
