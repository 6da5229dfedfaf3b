#!/usr/bin/env python3
"""Writes train.jsonl and test.jsonl: everyday requests, each answered with one JSON function call.

    python3 generate.py            writes both files; every run gives the same bytes
    python3 generate.py --check    checks the files: schema, split hygiene, nearest-row baseline

Phrasings come from templates.txt, names and titles from values.txt. Numbers, times and dates are drawn
here: a fixed residue class of each belongs to the test split, so that no test value is ever trained on.
Only the standard library, an own random generator and no hash order are used.
"""
import argparse
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROWS = {"train": {"call": 75, "none": 225}, "test": {"call": 10, "none": 30}}  # per function; 17 functions
SEED = 20260314

# Arguments of each function, in the order in which an answer lists them: "name type", "?" where optional.
SIGNATURES = {
    "set_alarm": "time time, label? string, days? days, sound? string, volume? integer",
    "set_timer": "minutes integer, label? string, sound? string, room? string",
    "create_event": "title string, date date, time? time, location? string, guests? strings",
    "send_message": "to string, text string, time? time, app? choice",
    "send_money": "to string, amount number, currency currency, purpose? string, date? date, account? string",
    "convert_currency": "amount number, from currency, to currency, digits? integer, date? date",
    "convert_units": "value number, from choice, to choice, digits? integer, formula? boolean",
    "get_weather": "city string, day? choice, scale? choice, wind? boolean",
    "book_table": "restaurant string, people integer, time time, outdoor? boolean, name? string, phone? string",
    "add_items": "list string, items strings, due? date, shop? string",
    "play_song": "title string, artist? string, volume? integer, room? string",
    "set_thermostat": "room string, degrees integer, scale? choice, until? time, days? days",
    "set_light": "room string, on? boolean, brightness? integer, time? time, minutes? integer",
    "get_directions": "from string, to string, mode choice, arrive? time, via? string",
    "book_flight": "from string, to string, date date, passengers? integer, class? choice, name? string",
    "log_expense": "amount number, currency currency, category string, date? date, shop? string, paid? choice",
    "translate": "text string, to choice, formal? boolean, speak? boolean",
}
FUNCTIONS = {name: [(argument.rstrip("?"), kind, not argument.endswith("?"))
                    for argument, kind in (entry.split() for entry in signature.split(", "))]
             for name, signature in SIGNATURES.items()}
NO_CALL = '{"name":"none","arguments":{}}'  # the one answer to every request that needs no function

# Slot of a template -> (list of values.txt, argument it fills). A template may name another argument:
# {place:via}. Slots that are not listed here fill the argument of their own name.
WORDS = {slot: (slot, slot) for slot in (
    "label title text purpose city restaurant list artist room scale category sound account shop app class"
    ).split()} | {
    "dish": ("dish", "label"), "person": ("person", "to"), "song": ("song", "title"),
    "place": ("place", "location"), "place_from": ("place", "from"), "place_to": ("place", "to"),
    "city_from": ("city", "from"), "city_to": ("city", "to"), "sentence": ("sentence", "text"),
    "language": ("language", "to"), "topic": ("topic", None), "topic_b": ("topic", None), "gadget": ("gadget", None),
}
NUMBERS = {  # slot -> (smallest, largest, argument)
    "minutes": (2, 95, "minutes"), "people": (2, 18, "people"), "passengers": (2, 12, "passengers"),
    "degrees": (14, 27, "degrees"), "percent": (5, 99, "brightness"),
    "digits": (2, 12, "digits"),
}
CURRENCIES = {
    "USD": ("dollars", "${}"), "EUR": ("euros", "€{}"), "GBP": ("pounds", "£{}"), "JPY": ("yen", "{} yen"),
    "CHF": ("Swiss francs", "{} francs"), "CAD": ("Canadian dollars", "{} Canadian dollars"),
    "INR": ("rupees", "{} rupees"),
}
MONTHS = ("January February March April May June July August September October November December").split()
HOURS = "zero one two three four five six seven eight nine ten eleven".split()
CLOSED = {"choice", "days", "currency", "boolean"}  # types whose values every split shares


class Random:
    """splitmix64; its results depend on the seed alone."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return (z ^ (z >> 31)) % n

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items


class Deck:
    """Deals every card once, in random order, before any card again."""

    def __init__(self, random, cards):
        self.random, self.cards, self.rest = random, list(cards), []

    def deal(self):
        if not self.rest:
            self.rest = self.random.shuffled(self.cards)
        return self.rest.pop()


def read_sections(path):
    """Lines of a file by the name and the split in their [section header]; comments and blanks are dropped."""
    sections, lines = {}, None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            name, _, split = line.strip("[]").rpartition(" ")
            lines = sections.setdefault((name, split), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return sections


# Which split a drawn value belongs to.
def number_split(n): return "test" if n % 7 == 3 else "train"
def time_split(hour, minute): return "test" if (hour * 12 + minute // 5) % 5 == 2 else "train"
def date_split(month, day): return "test" if (month * 31 + day) % 6 == 4 else "train"


class Values:
    """Draws slot values of one split: the words in the request and the arguments they stand for."""

    def __init__(self, random, split):
        self.random, self.split = random, split
        self.decks = {}
        for (name, of), lines in read_sections(HERE / "values.txt").items():
            if of in (split, "both"):
                self.decks[name] = Deck(random, [v.strip() for v in ", ".join(lines).split(",")])
        self.currencies = Deck(random, CURRENCIES)

    def integer(self, low, high):
        while True:
            n = low + self.random.below(high - low + 1)
            if number_split(n) == self.split:
                return n

    def number(self, high):
        """An integer, or in two of five draws a number with two decimals; written as in the request."""
        if self.random.below(5) < 3:
            return str(self.integer(2, high))
        while True:
            cents = 100 * (2 + self.random.below(high // 4)) + (25, 50, 75, 99, 20, 45)[self.random.below(6)]
            if number_split(cents) == self.split:
                return f"{cents // 100}.{cents % 100:02d}"

    def time(self, first, last):
        """first <= hour <= last; said as 24-hour time, before noon also with am or in words."""
        while True:
            hour, minute = first + self.random.below(last - first + 1), 5 * self.random.below(12)
            form = self.random.below(6) if hour < 12 else 0
            if form >= 4:
                minute = (0, 15, 30)[self.random.below(3)]
            if hour != 12 and time_split(hour, minute) == self.split:
                break
        value = f"{hour:02d}:{minute:02d}"
        if form < 2:
            return value, value
        if form < 4:
            return f"{hour}:{minute:02d} am", value
        name = HOURS[hour]
        return {0: f"{name} o'clock", 15: f"quarter past {name}", 30: f"half past {name}"}[minute], value

    def date(self):
        while True:
            year, month, day = 2026 + self.random.below(3), 1 + self.random.below(12), 10 + self.random.below(19)
            if date_split(month, day) == self.split:
                break
        value = f"{year}-{month:02d}-{day:02d}"
        name = MONTHS[month - 1]
        return (f"{name} {day}, {year}", f"{day} {name} {year}", value)[self.random.below(3)], value

    def money(self):
        """The words for a sum, its number as text and its currency code."""
        code = self.currencies.deal()
        number = str(self.integer(100, 9000)) if code in ("JPY", "INR") else self.number(900)
        plural, short = CURRENCIES[code]
        return (short.format(number) if self.random.below(2) else f"{number} {plural}"), number, code

    def several(self, name, count):
        chosen = []
        while len(chosen) < count:
            value = self.decks[name].deal()
            if value not in chosen:
                chosen.append(value)
        words = ", ".join(chosen[:-1]) + " and " + chosen[-1] if count > 1 else chosen[0]
        return words, chosen

    def phone(self):
        while True:
            n = self.random.below(10000)
            if number_split(n) == self.split:
                return f"555-{n:04d}"

    def draw(self, function, slot, taken, arguments):
        """Words for one slot and the [(argument, value as JSON text)] they stand for."""
        if slot in WORDS:
            deck, argument = WORDS[slot]
            text = self.decks[deck].deal()
            while text in taken:
                text = self.decks[deck].deal()
            return text, [(argument, as_json(text))] if argument else []
        if slot in NUMBERS:
            low, high, argument = NUMBERS[slot]
            n = str(self.integer(low, high))
            return n, [(argument, n)]
        if slot == "time":
            text, value = self.time(*{"set_alarm": (4, 11), "book_table": (17, 22)}.get(function, (6, 20)))
            return text, [("time", as_json(value))]
        if slot == "date":
            text, value = self.date()
            return text, [("date", as_json(value))]
        if slot == "phone":
            text = self.phone()
            return text, [("phone", as_json(text))]
        if slot == "money":
            text, number, code = self.money()
            currency = "from" if function == "convert_currency" else "currency"
            return text, [("amount", number), (currency, as_json(code))]
        if slot == "currency":
            code = self.currencies.deal()
            while as_json(code) == arguments.get("from"):
                code = self.currencies.deal()
            return CURRENCIES[code][0], [("to", as_json(code))]
        if slot in ("items", "persons", "days"):
            deck, most = {"items": ("item", 3), "persons": ("person", 2), "days": ("weekdays", 2)}[slot]
            text, chosen = self.several(deck, 1 + self.random.below(most))
            return text, [(slot, as_json(chosen))]
        if slot == "day":
            text = self.decks["day"].deal()
            return text, [("day", as_json(text.removeprefix("on ")))]
        if slot == "value":
            text = self.number(300)
            return text, [("value", text)]
        raise SystemExit(f"templates.txt: unknown slot {{{slot}}} in [{function}]")

    def fill(self, function, line, taken):
        """The text of a template line with its slots filled, and its arguments as JSON text."""
        template, _, constants = line.partition(" => ")
        arguments = dict(constant.split("=") for constant in constants.split())
        if "{unit_from}" in template:
            pair = self.decks["unit"].deal().split()
            template = template.replace("{unit_from}", pair[0]).replace("{unit_to}", pair[1])
            arguments |= {"from": as_json(pair[0]), "to": as_json(pair[1])}
        # A target currency is drawn after the sum, from which it must differ.
        for slot, override in sorted(SLOT.findall(template), key=lambda found: found[0] == "currency"):
            text, values = self.draw(function, slot, taken, arguments)
            taken.append(text)
            template = SLOT.sub(lambda found: text if found.groups("") == (slot, override) else found.group(), template)
            arguments |= {override or argument: value for argument, value in values}
        return template, arguments


SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")


def as_json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def by_argument(function, clauses):
    """Clause lines grouped by the argument they fill, in the order in which an answer lists the arguments."""
    groups = {}
    for line in clauses:
        slot = SLOT.search(line)
        argument = (slot.group(2) or slot.group(1)) if slot else line.partition(" => ")[2].partition("=")[0]
        groups.setdefault(argument, []).append(line)
    order = [name for name, _, _ in FUNCTIONS.get(function, [])]
    return [groups[name] for name in sorted(groups, key=lambda name: order.index(name) if name in order else 0)]


def call_row(values, function, line, clauses):
    """One (request, answer) pair: a template line, and each kind of clause in three of five rows."""
    taken = []
    request, arguments = values.fill(function, line, taken)
    for group in clauses:
        if values.random.below(5) < 3:
            text, more = values.fill(function, group[values.random.below(len(group))], taken)
            request, arguments = f"{request} {text}", arguments | more
    if function == "none":
        return request, NO_CALL
    listed = [f'"{name}":{arguments.pop(name)}' for name, _, _ in FUNCTIONS[function] if name in arguments]
    assert not arguments, (function, arguments)
    return request, f'{{"name":"{function}","arguments":{{{",".join(listed)}}}}}'


def make_split(split):
    random = Random(SEED + (split == "test"))
    values = Values(random, split)
    templates = read_sections(HERE / "templates.txt")
    rows, seen = [], set()
    for function in [*FUNCTIONS, "none"]:
        deck = Deck(random, templates[function, split])
        clauses = by_argument(function, templates[f"{function} clause", split])
        wanted = ROWS[split]["none" if function == "none" else "call"]
        while wanted:
            request, answer = call_row(values, function, deck.deal(), clauses)
            if request not in seen:
                seen.add(request)
                rows.append((request, answer))
                wanted -= 1
    return random.shuffled(rows)


def as_line(request, answer):
    messages = [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages}, ensure_ascii=False, separators=(",", ":")) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="check the written files")
    parser.add_argument("--output", type=pathlib.Path, default=HERE, help="folder of the two files")
    options = parser.parse_args()
    for split in ("train", "test"):
        text = "".join(as_line(*row) for row in make_split(split))
        path = options.output / f"{split}.jsonl"
        if options.check and path.read_bytes() != text.encode():
            sys.exit(f"{path} is not what this generator writes: run it again")
        if not options.check:
            path.write_bytes(text.encode())
    if options.check:
        import check
        check.run(options.output)


if __name__ == "__main__":
    main()
