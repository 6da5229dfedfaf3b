#!/usr/bin/env python3
"""Writes src/text/unicode_tables.inc by asking the official `tokenizers` library about every code point.

Needs: pip install tokenizers==0.23.3, Python 3.11 (its unicodedata is Unicode 14, like PCRE2 10.42).
Run:   python tools/make_unicode_tables.py > src/text/unicode_tables.inc
"""
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn".split()


def removed_by(pre_tokenizer):
    kept = set()
    for piece, _ in pre_tokenizer.pre_tokenize_str("".join(map(chr, POINTS))):
        kept.update(map(ord, piece))
    return set(POINTS) - kept


def isolated_by(pre_tokenizer, left="a"):
    """Code points that do not stay with the letter before them."""
    text = "".join(left + chr(c) for c in POINTS)
    return {ord(p) for p, _ in pre_tokenizer.pre_tokenize_str(text) if len(p) == 1} - {ord(left)}


def joined_to_words():
    text = " ".join("a" + chr(c) for c in POINTS)
    return {ord(p[1]) for p, _ in pre_tokenizers.Whitespace().pre_tokenize_str(text) if len(p) == 2 and p[0] == "a"}


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def print_ranges(name, meaning, points):
    print(f"// {meaning}")
    print(f"constexpr CodePointRange {name}[] = {{")
    cells = [f"{{0x{a:x}, 0x{b:x}}}" for a, b in ranges(points)]
    for i in range(0, len(cells), 6):
        print("    " + ", ".join(cells[i : i + 6]) + ",")
    print("};\n")


def main():
    category = {}
    for name in CATEGORIES:
        for c in removed_by(pre_tokenizers.Split(Regex(r"\p{%s}" % name), "removed")):
            category[c] = name
    changed = {}
    for c in POINTS:
        if unicodedata.category(chr(c)) != category[c]:
            changed.setdefault(category[c], set()).add(c)
    print("// Made by tools/make_unicode_tables.py from tokenizers 0.23.3; never edited by hand.\n")
    print("// Code points whose general category is newer than Unicode 14.")
    print("constexpr CategoryRange kNewerCategories[] = {")
    cells = sorted((a, b, n) for n, points in changed.items() for a, b in ranges(points))
    for i in range(0, len(cells), 4):
        print("    " + ", ".join(f"{{0x{a:x}, 0x{b:x}, Category::{n}}}" for a, b, n in cells[i : i + 4]) + ",")
    print("};\n")
    print("// Lower case newer than Unicode 14: {first, last, distance}.")
    print("constexpr LowerRange kNewerLower[] = {")
    lower = normalizers.Lowercase()
    runs = []
    for c in POINTS:
        to = lower.normalize_str(chr(c))
        if to == chr(c).lower():
            continue
        step = ord(to) - c
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == step:
            runs[-1][1] = c
        else:
            runs.append([c, c, step])
    print("    " + ", ".join(f"{{0x{a:x}, 0x{b:x}, {d}}}" for a, b, d in runs) + ",")
    print("};\n")
    print_ranges("kNumeric", "What the Digits pre-tokenizer isolates.",
                 isolated_by(pre_tokenizers.Digits(individual_digits=True)))
    print_ranges("kPunctuation", "What the Punctuation pre-tokenizer isolates.",
                 removed_by(pre_tokenizers.Punctuation("removed")))
    print_ranges("kWord", "Word characters of added tokens with single_word.", joined_to_words())
    print_ranges("kSpace", "White space.", removed_by(pre_tokenizers.WhitespaceSplit()))


main()
