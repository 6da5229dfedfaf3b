#!/usr/bin/env python3
"""Compares `lorikeet tokenize` with the official library on adversarial strings.

Needs: pip install tokenizers==0.23.3
Run:   python tools/compare_tokenizers.py --lorikeet build/release/lorikeet FOLDER... [--strings 20000] [--seed 1]
           [--texts /usr/share/common-licenses/* /usr/share/dict/american-english]
Each FOLDER holds a tokenizer.json. --texts are compared instead, whole and line by line. Exits with 1 where any string
differs.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

WORDS = ("the quick Brown fox's don't I'LL we'VE they'd 'S 'RE ſ K naïve café Ünïcödé hello123 3.14159 1234567 x=1; "
         "if(a&&b){return;} https://a.b/c?d=e_f#g snake_case CamelCase HTTPServer").split()
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2009", "\u200b", "\u180e", "\u2028",
          "\x0b", "\x0c", "\u0085", " \n ", " \t\n"]
OTHER = ["中文测试", "日本語テキスト", "カタカナ", "한국어", "العربية", "עברית", "हिन्दी", "ไทย", "Ελληνικά", "Русский", "😀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪",
         "e\u0301", "é", "ộ", "ﬁ", "Ⅳ", "½", "²³", "①", "٣٤", "𝟘𝟙", "ᾳ", "İi̇ıI", "ß", "ǅ", "\u0301\u0301\u0327", "a\u0327\u0301",
         "\u1100\u1161\u11a8", "각", "\ufeff", "\ufffd", "\u0000", "\x7f", "\u200d", "▁", "▁▁a", "<0x0A>", "Ġ", "ĊĠ", "<unk>"]
MARKS = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "--", "—", "“q”", "''", "```", "<|", "|>", "<s>", "</s>"]


def character(r):
    k = r.random()
    if k < .3:
        return chr(r.randrange(32, 127))
    if k < .5:
        return chr(r.randrange(0x80, 0x800))
    while True:
        c = r.randrange(0x800, 0x30000 if k < .9 else 0x110000)
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


def piece(r, added):
    k = r.random()
    if k < .25:
        return r.choice(WORDS)
    if k < .45:
        return r.choice(SPACES)
    if k < .6:
        return r.choice(OTHER)
    if k < .7:
        return r.choice(MARKS)
    if k < .8:
        return "".join(r.choice("0123456789") for _ in range(r.randrange(1, 12)))
    if k < .88:
        return "".join(character(r) for _ in range(r.randrange(1, 8)))
    if k < .94 and added:
        around = SPACES[:5] + [""]
        return r.choice(around) + r.choice(added) + r.choice(around)
    if k < .97:
        return r.choice(["a", " ", "\n", "é", "ب", "1", "!", "\u0301", "好"]) * r.randrange(2, 40)
    return " ".join(r.choice(WORDS) for _ in range(r.randrange(2, 12)))


def strings(added, count, seed):
    r = random.Random(seed)
    out = ["", " ", "  ", "\n", "a", " a", "a "]
    for a in added[:50]:
        out += [a, f" {a} ", a + a, f"x{a}y"]
    points = [c for c in range(0x30000) if not 0xD800 <= c <= 0xDFFF and (c < 0x3400 or c % 7 == 0)]
    r.shuffle(points)
    out += ["".join(map(chr, points[i:i + 12])) for i in range(0, len(points), 12)]
    while len(out) < count:
        out.append("".join(piece(r, added) for _ in range(r.randrange(1, 14))))
    return out[:count]


def texts_of(paths):
    out = []
    for path in paths:
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
        out += [text, *text.splitlines(keepends=True)]
    return list(dict.fromkeys(out))


def lorikeet_ids(binary, folder, texts, special):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.writelines(json.dumps(t) + "\n" for t in texts)
        f.flush()
        command = [binary, "tokenize", "--model", folder, "--input", f.name, "--json"]
        run = subprocess.run(command + ["--add-special-tokens"] * special, capture_output=True, check=True)
    return [json.loads(line) for line in run.stdout.decode().split("\n") if line]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("folders", nargs="+")
    p.add_argument("--lorikeet", default="build/release/lorikeet")
    p.add_argument("--strings", type=int, default=20000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--texts", nargs="*")
    a = p.parse_args()
    failed = False
    for folder in a.folders:
        file = pathlib.Path(folder) / "tokenizer.json"
        official = Tokenizer.from_file(str(file))
        added = [t["content"] for t in json.loads(file.read_text(encoding="utf-8"))["added_tokens"]]
        texts = texts_of(a.texts) if a.texts else strings(added, a.strings, a.seed)
        differ = {"ids": 0, "ids with special tokens": 0, "decoded": 0}
        rows = zip(texts, lorikeet_ids(a.lorikeet, folder, texts, False), lorikeet_ids(a.lorikeet, folder, texts, True))
        for text, plain, special in rows:
            ids = official.encode(text, add_special_tokens=False).ids
            wrong = {"ids": plain["ids"] != ids, "ids with special tokens": special["ids"] != official.encode(text).ids,
                     "decoded": plain["text"] != official.decode(ids, skip_special_tokens=False)}
            for key, value in wrong.items():
                if value and not failed:
                    print(f"{folder}: {key} differ for {text!r}")
                differ[key] += value
                failed |= value
        print(f"{folder}: {len(texts)} strings, mismatches: {differ}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
