#!/usr/bin/env python3
"""Compares `lorikeet tokenize` on tokenizer.model files with the official library on adversarial strings.

Needs: pip install sentencepiece==0.2.3 tokenizers==0.23.3
Run:   python tools/compare_sentencepiece.py --lorikeet build/release/lorikeet [MODEL...] [--strings 20000] [--seed 1]
Each MODEL is a tokenizer.model. Without any, models of several sizes are trained on --corpus. Exits with 1 where any
string differs.
"""
import argparse
import io
import pathlib
import shutil
import sys
import tempfile

import sentencepiece

from compare_tokenizers import lorikeet_ids, strings
from make_sentencepiece_fixtures import LLAMA, MODELS


def train(corpus, folder):
    lines = pathlib.Path(corpus).read_text(encoding="utf-8").splitlines()[:20000]
    for size in (1000, 8000):
        for name in ("llama", "gemma"):
            model = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model,
                                                     **{**LLAMA, **MODELS[name], "vocab_size": size})
            path = pathlib.Path(folder) / f"{name}-{size}.model"
            path.write_bytes(model.getvalue())
            yield str(path)


def compare(lorikeet, model, count, seed):
    official = sentencepiece.SentencePieceProcessor(model_file=model)
    control = [official.id_to_piece(i) for i in range(len(official)) if official.is_control(i) or official.is_unknown(i)]
    user = [p for p in MODELS["gemma"]["user_defined_symbols"] if official.piece_to_id(p) != official.unk_id()]
    # Special tokens in a text are Hugging Face's business; NUL ends a text for the library.
    texts = [t for t in strings([u.replace("▁", " ") for u in user], count, seed)
             if "\0" not in t and not any(c in t for c in control)]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(model, pathlib.Path(folder) / "tokenizer.model")
        rows = lorikeet_ids(lorikeet, folder, texts, False)
    differ = {"ids": 0, "decoded": 0}
    for text, row in zip(texts, rows):
        ids = official.encode(text)
        wrong = {"ids": row["ids"] != ids,
                 "decoded": official.unk_id() not in ids and row["text"] != official.decode(ids)}
        for key, value in wrong.items():
            if value and not any(differ.values()):
                print(f"{model}: {key} differ for {text!r}: {row} {ids}")
            differ[key] += value
    print(f"{model}: {len(texts)} strings, mismatches: {differ}")
    return any(differ.values())


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("models", nargs="*")
    p.add_argument("--corpus", help="a text to train models on")
    p.add_argument("--lorikeet", default="build/release/lorikeet")
    p.add_argument("--strings", type=int, default=20000)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = a.models or list(train(a.corpus, folder))
        sys.exit(any([compare(a.lorikeet, m, a.strings, a.seed) for m in models]))


if __name__ == "__main__":
    main()
