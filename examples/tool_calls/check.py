"""The checks behind `generate.py --check`: answers follow the schema, the splits share nothing they must
not share, and looking up the nearest training row does not solve the task."""
import collections
import json
import re
import sys

from generate import CLOSED, FUNCTIONS, HERE, NO_CALL, read_sections

PATTERNS = {"time": r"([01]\d|2[0-3]):[0-5]\d", "date": r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])",
            "currency": r"[A-Z]{3}", "string": r".+", "choice": r"\w+"}

POLITE = frozenset("please could can you i want need would like to me my the a thanks".split())


def load(path):
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        user, assistant = json.loads(line)["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        rows.append((user["content"], assistant["content"]))
    return rows


def fits(value, kind):
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else (int, float)) and not isinstance(value, bool)
    if kind in ("strings", "days"):
        return isinstance(value, list) and value and all(isinstance(item, str) for item in value)
    return isinstance(value, str) and re.fullmatch(PATTERNS[kind], value) is not None


def check_schema(rows):
    for request, answer in rows:
        call = json.loads(answer)
        if answer == NO_CALL:
            continue
        schema = {name: (kind, required) for name, kind, required in FUNCTIONS[call["name"]]}
        assert list(call["arguments"]) == [name for name in schema if name in call["arguments"]], answer
        for name, (kind, required) in schema.items():
            assert name in call["arguments"] or not required, (name, answer)
            assert name not in call["arguments"] or fits(call["arguments"][name], kind), (name, answer)


def open_values(rows):
    """Every argument value outside the closed sets, lists item by item."""
    found = set()
    for _, answer in rows:
        call = json.loads(answer)
        for name, value in call["arguments"].items():
            kind = next(kind for known, kind, _ in FUNCTIONS[call["name"]] if known == name)
            if kind not in CLOSED:
                found.update(value if isinstance(value, list) else [value])
    return found


def check_values(train, test):
    trained, held_out = open_values(train), open_values(test)
    shared = {str(v).lower() for v in trained} & {str(v).lower() for v in held_out}
    assert not shared, f"test values that training has: {sorted(shared)}"
    listed = read_sections(HERE / "values.txt")
    words = {v.strip() for (_, of), lines in listed.items() if of == "test" for v in ", ".join(lines).split(",")}
    text = "\n".join(request + "\n" + answer for request, answer in train).lower()
    leaked = sorted(v for v in words if re.search(rf"\b{re.escape(v.lower())}\b", text))
    assert not leaked, f"test words that occur in training rows: {leaked}"
    return len(trained), len(held_out)


def check_templates():
    """A test phrasing shares less than four fifths of its words and slots with any training phrasing of
    its function, whatever their order; words of politeness do not count."""
    sections = read_sections(HERE / "templates.txt")

    def shape(line):
        words = re.findall(r"[a-z']+|\{[a-z_:]+\}", line.partition(" => ")[0].lower())
        return frozenset(words) - POLITE

    close = []
    for (function, split), lines in sections.items():
        assert len(set(lines)) == len(lines), f"a template stands twice in [{function} {split}]"
        if split == "test":
            for line in lines:
                own = shape(line)
                for other in sections[function, "train"]:
                    overlap = len(own & shape(other)) / len(own | shape(other))
                    if overlap >= 0.8:
                        close.append(f"{line} / {other}")
    assert not close, "test templates too close to training templates:\n" + "\n".join(close)
    return [sum(len(lines) for (_, of), lines in sections.items() if of == split) for split in ("train", "test")]


def nearest_row_accuracy(train, test, features):
    """Exact match of answering with the answer of the training row whose features overlap most (Jaccard)."""
    known = [(features(request), answer) for request, answer in train]
    hits = 0
    for request, answer in test:
        own = features(request)
        best = max(known, key=lambda row: len(own & row[0]) / len(own | row[0]))
        hits += best[1] == answer
    return hits / len(test)


def words_of(text): return frozenset(re.findall(r"\w+", text.lower()))
def trigrams_of(text): return frozenset(text.lower()[i:i + 3] for i in range(len(text) - 2))


def run(folder):
    train, test = load(folder / "train.jsonl"), load(folder / "test.jsonl")
    check_schema(train + test)
    phrasings = check_templates()
    values = check_values(train, test)
    for name, rows, least in (("train", train, 1500), ("test", test, 200)):
        assert len(rows) >= least and len({request for request, _ in rows}) == len(rows)
        none = sum(answer == NO_CALL for _, answer in rows) / len(rows)
        assert 0.145 <= none <= 0.155, f"{name}: {none:.1%} of the rows need no function"
        functions = collections.Counter(json.loads(answer)["name"] for _, answer in rows)
        print(f"{name:5} {len(rows)} rows, {len(functions) - 1} functions, {none:.1%} need none")
    print(f"templates {phrasings[0]} train, {phrasings[1]} test, none shared")
    print(f"values {values[0]} train, {values[1]} test, none shared")
    for name, features in (("words", words_of), ("character trigrams", trigrams_of)):
        accuracy = nearest_row_accuracy(train, test, features)
        print(f"nearest training row by {name}: {accuracy:.1%} exact match")
        if accuracy >= 0.20:
            sys.exit("a look-up solves too much")
