#!/usr/bin/env python3
"""Compares `lorikeet template` with Jinja2 in transformers' settings, character for character.

Needs: pip install Jinja2==3.1.6
Run:   python tools/compare_templates.py --lorikeet build/release/lorikeet FILE.jinja...
Exits with 1 where a text differs, or only one of the two raises an error.
"""
import argparse
import datetime
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Get the weather. It's <b>nice</b>",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "The city", "enum": ["Paris", "Zürich"]},
            "days": {"type": "integer", "default": 3}, "items": {"type": "array", "items": {"type": "number"}},
            "opts": {"type": "object", "properties": {"unit": {"type": ["string", "null"]}}}}, "required": ["city"]},
        "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}},
]


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def call(arguments, content="", name="get_weather"):
    return assistant(content, tool_calls=[{"id": "abcdefgh1", "type": "function",
                                           "function": {"name": name, "arguments": arguments}}])


def result(text):
    return {"role": "tool", "content": text, "tool_call_id": "abcdefgh1", "name": "get_weather"}


def parts(role, text, image=False):
    return {"role": role, "content": [{"type": "image"}] * image + [{"type": "text", "text": text}]}


CONVERSATIONS = [
    [], [user("Hi")], [user("Hi"), assistant("Hello é 😀")], [system("You are Bob."), user("Hi")],
    [system("You are Bob."), user(" Hi \n"), assistant("  Hello\n"), user("Bye"), assistant("Ciao")],
    [user("")], [user("a"), assistant("")], [system(""), user("x")], [assistant("first")], [user("a"), user("b")],
    [system("x"), system("y"), user("z")], [user("q"), system("mid"), assistant("r")],
    [user("w?"), call({"city": "Paris", "days": 2}), result('{"t": 21.5}'), assistant("21.5°")],
    [system("S"), user("w?"), call({"city": "Zürich", "x": None, "f": 1.0, "l": [1, True, 'a"b']}), result("sunny"),
     result("rain"), assistant("ok"), user("again"), call('{"city": "Rome"}'), result("x"), assistant("done")],
    [user("w?"), call({}, content=None)], [user("w"), call({}, "text and call", "now"), result("r"), assistant("end")],
    [user("t"), assistant("<think>\nhmm\n</think>\n\nanswer"), user("more"), assistant("<think>\nh2\n</think>\n\na2")],
    [user("t"), assistant("answer", reasoning_content="because"), user("more"), assistant("a2", reasoning_content="b2")],
    [user("t"), assistant("answer", thinking="because")],
    [parts("user", "Hi"), parts("assistant", "Yo")], [parts("system", "S"), parts("user", "Hi"), assistant("Yo")],
    [parts("user", "see", True), assistant("nice")], [{"role": "developer", "content": "dev"}, user("x"), assistant("y")],
    [{"role": "weird", "content": "w"}], [{"role": "user"}], [{"content": "x"}], [user(None)], [user(5)],
    [user("<|im_end|> {{ x }} {% if %} '\"\\ \t <b>&amp;</b> \u2028")],
]

EXTRAS = [{}, {"enable_thinking": True}, {"enable_thinking": False}, {"documents": [{"title": "T", "text": "D"}]},
          {"functions": TOOLS}, {"thinking": True}, {"reasoning_effort": "high"}, {"date_string": "1 Jan 2020"},
          {"builtin_tools": ["code_interpreter"]}, {"tools_in_user_message": False}]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=lambda f: datetime.datetime.now().strftime(f))
    return env


def rows():
    base = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "documents": None}
    for messages, prompt, tools, extra in itertools.product(CONVERSATIONS, (False, True), (None, TOOLS), EXTRAS):
        yield {"messages": messages, "tools": tools, "add_generation_prompt": prompt, **base, **extra}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("templates", nargs="+")
    p.add_argument("--lorikeet", default="build/release/lorikeet")
    a = p.parse_args()
    env, variables, total, raised, wrong = environment(), list(rows()), 0, 0, 0
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.writelines(json.dumps(v) + "\n" for v in variables)
        f.flush()
        for path in a.templates:
            run = subprocess.run([a.lorikeet, "template", "--template", path, "--messages", f.name, "--json"],
                                 capture_output=True)
            lines = run.stdout.decode().split("\n")
            template = env.from_string(pathlib.Path(path).read_text(encoding="utf-8"))
            for v, line in itertools.zip_longest(variables, [x for x in lines if x]):
                try:
                    expected = template.render(**v)
                except Exception as e:
                    expected, raised = e, raised + 1
                got = json.loads(line) if line else {}
                same = "error" in got if isinstance(expected, Exception) else got.get("text") == expected
                if not same and not wrong:
                    print(f"{path}\n  input    {json.dumps(v)[:300]}\n  expected {expected!r}\n  got      {line}")
                total, wrong = total + 1, wrong + (not same)
    print(f"{len(a.templates)} templates, {total} renderings, {raised} raised by Jinja2, {wrong} mismatches")
    sys.exit(wrong != 0)


if __name__ == "__main__":
    main()
