#!/usr/bin/env python3
"""Fine-tunes on the WikiSQL rows of mlx-examples with PEFT in bf16 and reports exact match, for comparison with

    lorikeet finetune --data train.jsonl --completion-separator $'\\nA: ' ... and lorikeet eval --exact-match

    wikisql_peft.py --model FOLDER --data FOLDER_OF_JSONL [--method qlora] [--epochs 2] [--limit ROWS] [--loss-only]

Two epochs of batches of 8, r 16, alpha 32, all linear layers, learning rate 2e-4 (cosine, 3 % warm-up), loss on the
completion and its end token. Exact match of greedy completions on the rows of valid.jsonl and test.jsonl. Nothing is
evaluated before the training: bitsandbytes' CPU kernels train wrongly after an evaluation.
"""
import argparse
import json
import math
import os
import random
import time

import torch

import train_peft

SEPARATOR = "\nA: "


def read_rows(path, limit):
    with open(path) as f:
        texts = [json.loads(line)["text"] for line in f][:limit]
    return [(text[: at + len(SEPARATOR)], text[at + len(SEPARATOR):]) for text in texts
            for at in [text.rindex(SEPARATOR)]]


def encode(tokenizer, prompt, completion):
    start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    end = tokenizer(completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    return start + end, [-100] * len(start) + end


def collate(rows):
    longest = max(len(ids) for ids, _ in rows)
    ids, mask, labels = (torch.full((len(rows), longest), v) for v in (0, 0, -100))
    for i, (row, target) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
        labels[i, : len(row)] = torch.tensor(target)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def train(model, rows, args):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=args.learning_rate, weight_decay=0.0)
    steps = args.epochs * math.ceil(len(rows) / args.batch)
    warmup = math.ceil(0.03 * steps)
    order, step, tokens, begin = random.Random(args.seed), 0, 0, time.perf_counter()
    for _ in range(args.epochs):
        order.shuffle(rows)
        for first in range(0, len(rows), args.batch):
            rate = step / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
            batch = collate(rows[first:first + args.batch])
            loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in optimizer.param_groups:
                group["lr"] = args.learning_rate * rate
            optimizer.step()
            optimizer.zero_grad()
            tokens += int(batch["attention_mask"].sum())
            step += 1
            if step % 10 == 0:
                print(f"step {step}/{steps} loss {loss.item():.3f}", flush=True)
    return tokens, time.perf_counter() - begin


@torch.no_grad()
def eval_loss(model, rows, batch):
    """Mean over the target tokens of all rows."""
    model.eval()
    total, targets = 0.0, 0
    for first in range(0, len(rows), batch):
        inputs = collate(rows[first:first + batch])
        count = int((inputs["labels"][:, 1:] != -100).sum())
        total += float(model(**inputs).loss) * count
        targets += count
    return total / targets


@torch.no_grad()
def exact_match(model, tokenizer, rows):
    model.eval()
    model.config.use_cache = True
    hits = 0
    for prompt, completion in rows:
        ids = torch.tensor([tokenizer(prompt, add_special_tokens=False)["input_ids"]])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=128)
        hits += tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True).strip() == completion.strip()
    return hits / len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--method", default="lora", choices=["lora", "qlora"])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--limit", type=int, help="rows of each file")
    parser.add_argument("--loss-only", action="store_true", help="the loss on test.jsonl in place of exact match")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    import transformers

    args.gradient_checkpointing = False
    torch.set_num_threads(args.threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    model = train_peft.load(args)
    rows = [encode(tokenizer, *row) for row in read_rows(os.path.join(args.data, "train.jsonl"), args.limit)]
    tokens, seconds = train(model, rows, args)
    result = {"method": args.method, "seed": args.seed, "tokens": tokens, "seconds": seconds, "tokens_per_second": tokens / seconds}
    if args.loss_only:
        test = [encode(tokenizer, *row) for row in read_rows(os.path.join(args.data, "test.jsonl"), args.limit)]
        print(json.dumps({**result, "eval_loss": eval_loss(model, test, args.batch), "rows": len(test)}))
        return
    held_out = [row for name in ("valid", "test") for row in read_rows(os.path.join(args.data, name + ".jsonl"), args.limit)]
    print(json.dumps({**result, "exact_match": exact_match(model, tokenizer, held_out), "rows": len(held_out)}))


if __name__ == "__main__":
    main()
