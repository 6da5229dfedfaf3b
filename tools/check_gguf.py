#!/usr/bin/env python3
"""Compares Lorikeet with llama.cpp on GGUF files that `lorikeet merge` writes: the same tokens, the logits of both.

    python tools/check_gguf.py --model M [--dtype float32] [--adapter A] [--tolerance 1e-6] [--original]

M (a folder or a .gguf file) is written as GGUF of --dtype, which both programs then load; with --adapter the adapter is
written for llama.cpp, which adds it to that file, while Lorikeet adds the PEFT folder. llama.cpp rounds activations to 8
bits before it multiplies quantized weights, so only the dense types say whether the two compute the same: --original also
compares a quantized M as it is, for information. Of its own accord llama.cpp takes gelu from a table in float16 of its
approximation by tanh, also where a model has the exact one (both an NMSE of 1e-8 to 1e-7), ignores the sliding windows of
Phi-3 and StarCoder 2, and takes the long factors of longrope where its context (here 256 tokens or more) is longer than
the original one, whatever the length of the text. Texts are tokenized by both where M has a tokenizer.

Needs: pip install llama-cpp-python==0.3.36 safetensors==0.8.0 numpy==2.4.6
Exits with 1 where token ids differ or the logits' squared error over their squared size exceeds --tolerance.
"""
import argparse
import ctypes
import json
import os
import random
import subprocess
import sys
import tempfile

import llama_cpp
import numpy as np
import safetensors.numpy

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEXTS = ["The capital of France is Paris, and the capital of Italy is",
         "def add(first, second):\n    return first + second\n\nprint(add(1, 2))\n",
         "Question: what is 12 times 7?\nAnswer: 84. Remind me to call Anna at 7:30 tomorrow.",
         "  Zürich,  São Paulo und Malmö grüßen: 你好，世界 😀 \n\n\tend",
         "Once upon a time there was a little parrot that lived in the mountains. " * 12]
F32 = 0  # GGML_TYPE_F32


@llama_cpp.llama_log_callback
def silent(level, text, data):
    if level >= 4:
        sys.stderr.write(text.decode(errors="replace"))


class LlamaCpp:
    """A model of llama.cpp that computes in float32 where its file allows it."""

    def __init__(self, path, adapter=None):
        options = llama_cpp.llama_model_default_params()
        options.use_extra_bufts = False  # no repacked weights
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), options)
        if not self.model:
            sys.exit(f"llama.cpp does not load {path}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.adapter = llama_cpp.llama_adapter_lora_init(self.model, adapter.encode()) if adapter else None
        if adapter and not self.adapter:
            sys.exit(f"llama.cpp does not load {adapter}")

    def tokenize(self, text):
        raw = text.encode()
        ids = (llama_cpp.llama_token * (len(raw) + 8))()
        n = llama_cpp.llama_tokenize(self.vocab, raw, len(raw), ids, len(ids), True, False)
        return list(ids[:n])

    def logits(self, ids):
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = options.n_batch = options.n_ubatch = len(ids)
        options.type_k = options.type_v = F32
        options.flash_attn_type = 0
        options.n_threads = options.n_threads_batch = 2
        context = llama_cpp.llama_init_from_model(self.model, options)
        if self.adapter:
            adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(self.adapter)
            llama_cpp.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0))
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        if llama_cpp.llama_decode(context, batch) != 0:
            sys.exit("llama_decode failed")
        vocab = llama_cpp.llama_vocab_n_tokens(self.vocab)
        out = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), (len(ids), vocab)).copy()
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)
        return out


def lorikeet_ids(lorikeet, model, work):
    """Ids of TEXTS with special tokens, or None where the model has no tokenizer."""
    path = os.path.join(work, "texts.jsonl")
    with open(path, "w") as f:
        f.writelines(json.dumps(t) + "\n" for t in TEXTS)
    run = subprocess.run([lorikeet, "tokenize", "--model", model, "--input", path, "--json", "--add-special-tokens"],
                         capture_output=True)
    return [json.loads(line)["ids"] for line in run.stdout.splitlines()] if run.returncode == 0 else None


def lorikeet_logits(lorikeet, model, rows, work, adapter=None, base_format="dense"):
    data, dump = os.path.join(work, "rows.jsonl"), os.path.join(work, "dump.safetensors")
    with open(data, "w") as f:
        f.writelines(json.dumps({"input_ids": ids}) + "\n" for ids in rows)
    more = ["--adapter", adapter, "--allow-other-base"] if adapter else []
    subprocess.run([lorikeet, "debug", "dump", "--model", model, "--method", "qlora" if base_format == "keep" else "lora",
                    "--base-format", base_format, "--compute-dtype", "float32", "--data", data, "--output", dump, *more],
                   check=True, stdout=subprocess.DEVNULL)
    tensors = safetensors.numpy.load_file(dump)
    return [tensors[f"logits.{i}"] for i in range(len(rows))]


def report(title, ours, theirs):
    error = sum(np.square(a.astype(np.float64) - b).sum() for a, b in zip(ours, theirs))
    nmse = error / sum(np.square(b.astype(np.float64)).sum() for b in theirs)
    same = sum((a.argmax(1) == b.argmax(1)).sum() for a, b in zip(ours, theirs))
    tokens = sum(len(b) for b in theirs)
    largest = max(np.abs(a - b).max() for a, b in zip(ours, theirs))
    print(f"{title}: {tokens} tokens, NMSE {nmse:.3g}, largest difference {largest:.3g}, "
          f"same most likely token {same} of {tokens}")
    return nmse


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True)
    p.add_argument("--adapter")
    p.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16", "q8_0", "q4_0"])
    p.add_argument("--tolerance", type=float, default=1e-6)
    p.add_argument("--original", action="store_true")
    p.add_argument("--lorikeet", default=os.path.join(ROOT, "build", "release", "lorikeet"))
    a = p.parse_args()
    llama_cpp.llama_log_set(silent, None)
    llama_cpp.llama_backend_init()
    with tempfile.TemporaryDirectory() as work:
        written, lora = os.path.join(work, "model.gguf"), None
        subprocess.run([a.lorikeet, "merge", "--model", a.model, "--format", "gguf", "--dtype", a.dtype, "--output", written],
                       check=True)
        if a.adapter:
            lora = os.path.join(work, "adapter.gguf")
            subprocess.run([a.lorikeet, "merge", "--model", a.model, "--adapter", a.adapter, "--allow-other-base",
                            "--format", "gguf_adapter", "--output", lora], check=True)
        theirs = LlamaCpp(written, lora)
        rows = lorikeet_ids(a.lorikeet, written, work)
        failed = False
        if rows:
            for text, ids in zip(TEXTS, rows):
                if theirs.tokenize(text) != ids:
                    print(f"token ids of {text!r} differ: {ids}, llama.cpp {theirs.tokenize(text)}")
                    failed = True
        else:
            numbers = random.Random(3)
            rows = [[numbers.randrange(llama_cpp.llama_vocab_n_tokens(theirs.vocab)) for _ in range(n)] for n in (24, 7, 13)]
        ours = lorikeet_logits(a.lorikeet, written, rows, work, a.adapter,
                               "keep" if a.dtype in ("q8_0", "q4_0") else "dense")
        nmse = report(f"{a.model} as {a.dtype}" + (" with adapter" if lora else ""), ours, [theirs.logits(r) for r in rows])
        if a.original:
            report("as it is", lorikeet_logits(a.lorikeet, a.model, rows, work, base_format="keep"),
                   [LlamaCpp(a.model).logits(r) for r in rows])
    sys.exit(failed or not nmse <= a.tolerance)


if __name__ == "__main__":
    main()
