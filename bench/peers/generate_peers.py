#!/usr/bin/env python3
"""Generates with llama.cpp or transformers and prints one JSON line.

    generate_peers.py llama FILE.gguf --text FILE --decode 128 --threads 2
    generate_peers.py transformers FOLDER --messages FILE.jsonl --batch 128 --max-new-tokens 64 --threads 2
"""
import argparse
import json
import time


def llama(args):
    import llama_cpp

    with open(args.text) as f:
        text = f.read()
    model = llama_cpp.Llama(args.model, n_ctx=4096, n_batch=512, n_threads=args.threads, n_threads_batch=args.threads,
                            verbose=False)
    tokens = model.tokenize(text.encode(), add_bos=False)
    model.eval(tokens[:64])  # warms up
    model.reset()
    begin = time.perf_counter()
    model.eval(tokens)
    prefill = time.perf_counter() - begin
    model.reset()
    model.eval(tokens[:8])
    begin = time.perf_counter()
    for _ in range(args.decode):
        model.eval([model.sample(temp=0.0)])
    decode = time.perf_counter() - begin
    return {"prefill": len(tokens) / prefill, "decode": args.decode / decode}


def with_transformers(args):
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).eval()
    with open(args.messages) as f:
        prompts = [tokenizer.apply_chat_template(json.loads(line)["messages"], add_generation_prompt=True, tokenize=False)
                   for line in f]
    prompts.sort(key=lambda p: -len(p))
    ends = model.generation_config.eos_token_id
    ends = torch.tensor(ends if isinstance(ends, list) else [ends])
    generated, begin = 0, time.perf_counter()
    with torch.no_grad():
        for first in range(0, len(prompts), args.batch):
            batch = tokenizer(prompts[first:first + args.batch], return_tensors="pt", padding=True, add_special_tokens=False)
            out = model.generate(**batch, do_sample=False, max_new_tokens=args.max_new_tokens)
            new = out[:, batch["input_ids"].shape[1]:]
            ended = torch.isin(new, ends).cumsum(1)
            generated += int(((ended - torch.isin(new, ends).int()) == 0).sum())  # up to the first end token
    return {"tokens": generated, "seconds": time.perf_counter() - begin}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["llama", "transformers"])
    parser.add_argument("model")
    parser.add_argument("--text")
    parser.add_argument("--messages")
    parser.add_argument("--decode", type=int, default=128)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print(json.dumps(llama(args) if args.peer == "llama" else with_transformers(args)))


if __name__ == "__main__":
    main()
