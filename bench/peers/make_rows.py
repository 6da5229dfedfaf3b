#!/usr/bin/env python3
"""Tokenizes questions and answers for both sides: {"question", "answer"} in, {"input_ids", "labels"} out.

The loss is on the answer and its end token; rows longer than --max-length are left out.
"""
import argparse
import json

import transformers


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--max-length", type=int, default=512)
    args = parser.parse_args()
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    written = 0
    with open(args.data) as source, open(args.output, "w") as out:
        for line in source:
            row = json.loads(line)
            start = tokenizer(f"Question: {row['question']}\nAnswer: ", add_special_tokens=False)["input_ids"]
            end = tokenizer(row["answer"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
            if len(start) + len(end) > args.max_length:
                continue
            out.write(json.dumps({"input_ids": start + end, "labels": [-100] * len(start) + end}) + "\n")
            written += 1
            if written == args.rows:
                return
    raise SystemExit(f"{args.data} has {written} rows that fit, {args.rows} are needed")


if __name__ == "__main__":
    main()
