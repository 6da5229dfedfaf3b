#!/usr/bin/env python3
"""Writes tests/fixtures/text: small tokenizers and what the official libraries make of them.

Needs: pip install tokenizers==0.23.3 Jinja2==3.1.6
Run:   python tools/make_text_fixtures.py
"""
import copy
import datetime
import json
import pathlib
import random

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from text_fixture_templates import CONVERSATIONS, TEMPLATES

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "text"

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")

CORPUS = [
    "The parrot said that the weather in the mountains would be fine and that the lake was still cold.",
    "She sells sea shells; he's sure they'll sell 1234 shells for $56.78 (or 90% of that) by 2031-07-05.",
    "def add(first, second):\n    return first + second\n\nprint(add(1, 2))\n",
    "Zürich, São Paulo und Malmö grüßen: naïve café, déjà vu, ÅÄÖ, Œuvre.",
    "Привет, мир! 你好，世界。こんにちは世界。안녕하세요 세계. שלום עולם. مرحبا بالعالم.",
    '{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}',
    "   leading spaces\ttabs\t\tand\r\nline ends\r\n\r\n   ",
] * 4

STRINGS = [
    "", " ", "  ", "\n", "\r\n", "a", " a", "a ", " a ", "   three", "x\n\n\ny", "x \n y", "\t\tindent",
    "Hello world", "hello  world   !", "it's I'LL we'VE 'tis ſ'S", "1", "12", "123", "1234", "12345678901",
    "3.14159", "٣٤٥ 𝟘𝟙 ½ ² Ⅳ", "naïve café", "e\u0301 vs \u00e9", "a\u0327\u0301 a\u0301\u0327", "가 각 \u1100\u1161\u11a8",
    "日本語のテキスト", "漢字かな交じり文123", "안녕하세요", "مرحبا", "שלום", "हिन्दी", "😀", "👨\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈🇩🇪",
    "a\u00a0b\u3000c\u2009d", "a\u200bb\u180ec\ufeffd", "\u2028\u2029\u0085\x0b\x0c", "\x00\x01\x7f", "\U0001e900\U00010d50\u1c89",
    "<|im_start|>user\nHi<|im_end|>\n", " <|im_end|> ", "<|im_end|><|im_end|>", "x<|im_end|>y", "<|im_end", "<tool>  spaced  <tool>",
    "word <word> swordx <word>x", "  <left>  ", "  <right>  ", "norm é <norm\u00e9> <norme\u0301>", "<s>bos</s>", "<unk>", "▁▁x", "<0x41>",
    "f(x)=[1,2,{'a':\"b\"}]; // **", "https://example.org/a?b=c&d=%20#e", "...!!!???", "a" * 40, " " * 33, "\n" * 9, "-" * 17 + "=",
    "The quick brown fox's 123 jumps—over “lazy” dogs…", "\u0301\u0301", "Ġ Ċ ĉ", "ǅ ß ẞ İ ı ﬁ", "\ufffd", "x\U0010ffff",
]


def sample(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    special = tokenizer.encode(text).ids
    return {"text": text, "ids": ids, "ids_special": special,
            "decoded": tokenizer.decode(ids, skip_special_tokens=False),
            "visible": tokenizer.decode(special, skip_special_tokens=True)}


def strings(seed):
    r = random.Random(seed)
    out = list(STRINGS)
    for _ in range(30):
        out.append("".join(r.choice(STRINGS + [" ", "\n"]) for _ in range(r.randrange(2, 6))))
    return out


def added():
    special = [AddedToken(t, special=True, normalized=False) for t in ("<|im_start|>", "<|im_end|>", "<|end|>")]
    plain = [
        AddedToken("<tool>", normalized=False, rstrip=True),
        AddedToken("<left>", normalized=False, lstrip=True),
        AddedToken("<right>", normalized=False, lstrip=True, rstrip=True),
        AddedToken("<word>", normalized=False, single_word=True),
        AddedToken("<normé>", normalized=True),
    ]
    return special, plain


def byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=["<|endoftext|>"], show_progress=False)
    t.train_from_iterator(CORPUS, trainer)
    special, plain = added()
    t.add_special_tokens(special)
    t.add_tokens(plain)
    return json.loads(t.to_str())


def byte_fallback():
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(vocab_size=600, limit_alphabet=60, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    words = [w for line in CORPUS for w in line.replace(" ", " ▁").split(" ")]
    t.train_from_iterator(words, trainer)
    # The bytes are tokens of the model, not added ones.
    j = json.loads(t.to_str())
    j["added_tokens"] = j["added_tokens"][:3]
    return j


def with_parts(base, parts):
    j = copy.deepcopy(base)
    for key, value in parts.items():
        if key == "model":
            j["model"].update(value)
        else:
            j[key] = value
    return j


BASE = byte_level()
START, END = (next(a["id"] for a in BASE["added_tokens"] if a["content"] == t) for t in ("<|im_start|>", "<|im_end|>"))
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BYTES_ONLY = dict(BYTE_LEVEL, use_regex=False)


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


VARIANTS = {
    "llama3": {},
    "gpt2": {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}},
    "prefix_space": {"pre_tokenizer": dict(BYTE_LEVEL, add_prefix_space=True)},
    "smollm": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, BYTE_LEVEL)},
    "qwen": {"normalizer": {"type": "NFC"}},
    "falcon": {"pre_tokenizer": sequence({"type": "Punctuation", "behavior": "Contiguous"}, BYTE_LEVEL,
                                         {"type": "Digits", "individual_digits": False},
                                         split({"Regex": "[0-9][0-9][0-9]"}, "Isolated"))},
    "deepseek": {"pre_tokenizer": sequence(
        split({"Regex": r"\p{N}{1,3}"}, "Isolated"), split({"Regex": "[一-龥぀-ゟ゠-ヿ]+"}, "Isolated"),
        split({"Regex": r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"}, "Isolated"),
        BYTES_ONLY)},
    "ignore_merges": {"model": {"ignore_merges": True}},
    "merged_with_previous": {"pre_tokenizer": sequence(split({"String": " "}, "MergedWithPrevious"), BYTES_ONLY)},
    "merged_with_next": {"pre_tokenizer": sequence(split({"String": " "}, "MergedWithNext"), BYTES_ONLY)},
    "contiguous": {"pre_tokenizer": sequence(split({"Regex": r"\s"}, "Contiguous"), BYTES_ONLY)},
    "removed": {"pre_tokenizer": sequence(split({"Regex": r"\w+|[^\w\s]+"}, "Removed", True), BYTES_ONLY)},
    "white_space": {"pre_tokenizer": sequence({"type": "WhitespaceSplit"}, {"type": "Punctuation"}, BYTES_ONLY)},
    "forms": {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "NFKD"}, {"type": "Lowercase"},
        {"type": "Replace", "pattern": {"Regex": r"\p{M}"}, "content": ""}]}},
    "template": {"post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "<|im_end|>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [START], "tokens": ["<|im_start|>"]},
                           "<|im_end|>": {"id": "<|im_end|>", "ids": [END], "tokens": ["<|im_end|>"]}}}},
    "roberta": {"post_processor": {"type": "RobertaProcessing", "sep": ["<|im_end|>", END], "cls": ["<|im_start|>", START],
                                   "trim_offsets": True, "add_prefix_space": False}},
}

FALLBACK_VARIANTS = {
    "llama": {},
    "gemma": {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
              "decoder": {"type": "Sequence", "decoders": [
                  {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                  {"type": "Fuse"}]}},
    "metaspace_first": {"normalizer": None,
                        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
                        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}},
    "metaspace_split": {"normalizer": None,
                        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
                        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}},
    "no_fallback": {"model": {"byte_fallback": False}},
    "no_fuse": {"model": {"byte_fallback": False, "fuse_unk": False}},
}


def write(name, value):
    (OUT / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def write_tokenizers():
    for file, base, variants in (("byte_level", BASE, VARIANTS), ("byte_fallback", byte_fallback(), FALLBACK_VARIANTS)):
        write(f"{file}.json", base)
        goldens = []
        for seed, (name, parts) in enumerate(variants.items()):
            t = Tokenizer.from_str(json.dumps(with_parts(base, parts)))
            goldens.append({"name": name, "parts": parts, "samples": [sample(t, s) for s in strings(seed)]})
        write(f"{file}_goldens.json", goldens)


class Generation(jinja2.ext.Extension):
    """{% generation %} ... {% endgeneration %}, noting what it wrote as transformers does."""
    tags = {"generation"}
    rendered, spans = [], []

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        text = caller()
        begin = len("".join(Generation.rendered))
        Generation.spans.append((begin, begin + len(text)))
        return text


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = tojson
    now = datetime.datetime(2024, 7, 26)
    env.globals.update(raise_exception=raise_exception, strftime_now=lambda f: now.strftime(f))
    return env


def write_templates():
    env = environment()
    out = []
    for source, variables in TEMPLATES:
        case = {"template": source, "variables": variables}
        Generation.rendered, Generation.spans = [], []
        try:
            for part in env.from_string(source).generate(**variables):
                Generation.rendered.append(part)
            text = "".join(Generation.rendered)
            case["text"] = text
            case["spans"] = [[len(text[:a].encode()), len(text[:b].encode())] for a, b in Generation.spans if b > a]
        except Exception as e:
            case["error"] = str(e)
        out.append(case)
    write("template_goldens.json", out)
    write("conversations.json", CONVERSATIONS)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write_tokenizers()
    write_templates()
