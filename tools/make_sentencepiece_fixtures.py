#!/usr/bin/env python3
"""Writes tests/fixtures/text/sentencepiece: small models trained by the official library, and its ids and text.

Needs: pip install sentencepiece==0.2.3
Run:   python tools/make_sentencepiece_fixtures.py
"""
import io
import json
import pathlib

import sentencepiece

from make_text_fixtures import CORPUS, strings

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "text" / "sentencepiece"
LLAMA = {"model_type": "bpe", "vocab_size": 560, "byte_fallback": True, "normalization_rule_name": "identity",
         "remove_extra_whitespaces": False, "split_digits": True, "character_coverage": 0.98, "num_threads": 1,
         "minloglevel": 2}
# Llama's rules; Gemma's (no space in front, user-defined symbols); a vocabulary without bytes.
MODELS = {"llama": {}, "gemma": {"add_dummy_prefix": False, "user_defined_symbols": ["▁▁", "▁▁▁▁", "\n\n", "<tool>"]},
          "unknowns": {"byte_fallback": False, "vocab_size": 300},
          "unigram": {"model_type": "unigram", "byte_fallback": False, "vocab_size": 150, "hard_vocab_limit": False}}


def train(options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=model, **{**LLAMA, **options})
    return model.getvalue()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    goldens = []
    for name, options in MODELS.items():
        model = train(options)
        (OUT / f"{name}.model").write_bytes(model)
        if name == "unigram":  # refused
            continue
        official = sentencepiece.SentencePieceProcessor(model_proto=model)
        samples = []
        for text in strings(5):
            # Special tokens in a text are Hugging Face's business; NUL ends a text for the library.
            if "\0" in text or any(token in text for token in ("<s>", "</s>", "<unk>")):
                continue
            ids = official.encode(text)
            samples.append({"text": text, "ids": ids, "decoded": official.decode(ids) if 0 not in ids else None})
        goldens.append({"name": name, "samples": samples})
    (OUT / "goldens.json").write_text(json.dumps(goldens, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
