"""The templates and conversations that make_text_fixtures.py has Jinja2 render."""

V = {
    "n": 7, "f": 1.5, "t": True, "none": None, "s": "héllo wörld", "empty": "", "html": "<a href='x'>&</a>",
    "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "d": {"k": "v", "items": 1, "n": {"x": [1, {"y": "z"}]}},
    "rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 1, "b": "z"}, {"b": "w"}],
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U\n"}, {"role": "assistant", "content": " A "}],
}

EXPRESSIONS = r"""
n + 1 | n - 10 | n * 2 | n / 2 | n // 2 | -n // 2 | n % 3 | -n % 3 | n ** 2 | 2 ** -1 | f * 2 | 1e3 | 1.0 | 1e16 | 1e-5 | 0.1 + 0.2
100000000000000000000.0 | -n | +n | - n ** 2 | n + t | true + true | not n | not empty | n and 'x' | empty or 'y' | none or 0
'a' + 'b' | 'a' ~ 1 ~ none ~ true | 'ab' * 3 | [1] + [2] | [1, 2] * 2 | (1, 2) + (3,) | (1,) | () | [] | {} | {'a': 1, 2: [none, true]}
n == 7.0 | n != 7 | 1 < 2 < 3 | 1 < 3 < 2 | 'a' < 'b' | [1, 2] < [1, 3] | 1 == true | none == false | 'x' == 1 | undefined_thing == other_undefined
'b' in 'abc' | 3 in l | 9 not in l | 'k' in d | none in [none] | 'x' in undefined_thing | not 1 in l
s[0] | s[1] | s[-1] | s[1:4] | s[::-1] | s[::2] | s[-3:] | s[10:20] | s[99] is defined | l[0] | l[-1] | l[5] is defined | l[1:] | l[::-1] | l[:0]
d.k | d['k'] | d.missing is defined | d.items is defined | d['items'] | d.n.x[1].y | d.get('k') | d.get('z') | d.get('z', 3) | d.n.x.0
'yes' if t else 'no' | 'yes' if not t | ('a' if t) ~ 'b' | 1 if false else 2 if false else 3
s.upper() | s.title() | s.capitalize() | s.split() | s.split('l') | s.split('l', 1) | s.rsplit('l', 1) | 'a\nb\r\nc'.splitlines() | ' x '.strip() | 'xxaxx'.strip('x') | 'xxa'.lstrip('x') | 'axx'.rstrip('x')
s.startswith('h') | s.endswith(('x', 'd')) | s.find('w') | s.find('zz') | s.replace('l', 'L') | s.replace('l', 'L', 1) | 'a-b'.partition('-') | ','.join(words) | 'a'.isalpha() | '12'.isdigit() | 'Ab'.isupper() | 'abc'.removeprefix('a') | '7'.zfill(3) | 'x'.center(5, '*') | 'aXa'.count('a') | 'abc'.index('c')
d.keys() | d.values() | d.items() | d.keys() | list | {'b': 1, 'a': 2} | dictsort | {'b': 1, 'a': 2} | dictsort(by='value', reverse=true)
""".strip()

FILTERS = r"""
s|upper; s|lower; s|title; s|capitalize; s|length; l|length; d|length; undefined_thing|length; ' x '|trim; 'xax'|trim('x'); l|join(', '); rows|join('-', attribute='b'); words|sort; words|sort(reverse=true)
words|sort(case_sensitive=true); rows|sort(attribute='a')|map(attribute='b')|list; l|first; l|last; []|first is defined; s|first; s|reverse; l|reverse|list; l|sum; l|max; l|min; words|unique|list
rows|selectattr('a')|list; rows|selectattr('a', 'equalto', 1)|map(attribute='b')|join; rows|rejectattr('a', 'defined')|list; l|select('odd')|list; l|reject('gt', 1)|list; l|map('string')|list; words|map('upper')|join(',')
rows|map(attribute='a', default=0)|list; none|selectattr('a')|list; undefined_thing|default('x'); empty|default('x'); empty|default('x', true); none|default('x', boolean=true); undefined_thing|d(1)
html|escape; html|safe; 'a'|safe + '<'; '<' + ('a'|safe); ('<'|e) ~ '<'; html|e|e; 5|string + 'x'; none|string; '12'|int; 'x'|int; 'x'|int(3); '1.7'|float; 2.6|int; -3|abs; 2.5|round; 2.567|round(2); 2.1|round(method='ceil')
'a\nb\n\nc'|indent; 'a\nb'|indent(2, true); 'a\n\nb'|indent(2, blank=true); 'a b c'|replace('b', 'X'); 'aaa'|replace('a', 'b', 2); 'one two'|wordcount; l|batch(2)|list; l|batch(2, 0)|list; rows|groupby('b')|list
d|items|list; undefined_thing|items|list; d|tojson; d|tojson(indent=2); l|tojson(separators=(',', ':')); {'b': 1, 'a': 2}|tojson(sort_keys=true); s|tojson; s|tojson(ensure_ascii=true); html|tojson; '😀\u2028'|tojson(ensure_ascii=true)
[1.0, 1e100, 0.1, none, true, 'a"b\\\n\t']|tojson; {}|tojson(indent=4); [[], {}]|tojson(indent=1); (1, 2)|tojson; {1: 2, none: 3, true: 4}|tojson; 'x'|list; d|list; l|list|string; s|attr('upper') is defined
""".strip()

TESTS = r"""
n is number; n is integer; f is float; t is boolean; t is true; t is false; none is none; s is string; l is iterable; s is iterable; d is mapping; l is sequence; d is sequence; n is sequence; undefined_thing is undefined
n is odd; n is even; n is divisibleby 7; n is divisibleby(3); n is eq 7; n is ne 7; n is gt 3; n is in [1, 7]; 'abc' is lower; 'ABC' is upper; s is sameas s; n is not none; not n is none; 'x' is defined and true
d.items is callable; range is callable; l is not string; t is integer; 'upper' is filter; 'odd' is test; d.items() is sequence; (l|map('string')) is iterable; none is iterable
""".strip()

ERRORS = r"""
1 + 'a'; 'a' + 1; none + 1; [] + (); undefined_thing + 1; undefined_thing.x; undefined_thing['x']; none.x.y; d.missing.deep; l['x'].y; 1 < 'a'; none < 1; 1 in 2; 1 in 'abc'; n(); 'x'.nothing(); l.append(4); d.pop('k'); d.update({})
1 / 0; 1 // 0; 1 % 0; none|length; 5|length; (l|map('string'))|length; none|list; 5|list; undefined_thing|tojson; [undefined_thing]|tojson; s|nofilter; s is notest; d|dictsort(by='x'); range(200000); raise_exception('stop here'); raise_exception(none)
none|join; l|first(1); s.split(''); -none; -'a'; {}['a'].b; {[]: 1}; s.startswith(1); ','.join([1]); 'abc'.index('z'); l|sort(attribute='x')|list|length > 9 and 1; dict(1); l[1:2:0]; s['x']('y'); -undefined_thing
""".strip()

BLOCKS = [
    "a\n{% if t %}\nb\n{% endif %}\nc\n",
    "a\n  {% if t %}\n  b\n  {% endif %}\n  c",
    "a\n  {%- if t -%}\n  b\n  {%- endif -%}\n  c",
    "a\n  {%+ if t +%}\n  b\n  {% endif %}\nc\n\n",
    "x {# comment #} y\n {# lone #}\nz{#- tight -#}  w",
    "{{ 'a' }}\n{{- 'b' -}}\n {{ 'c' }}  \n",
    "{% for i in l %}{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.length }}|{{ loop.previtem }}|{{ loop.nextitem }};{% endfor %}",
    "{% for i in [] %}x{% else %}none{% endfor %}{% for i in undefined_thing %}x{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d|items %}{{ k }}{% endfor %}{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for i in range(10) if i % 2 %}{{ i }}{{ loop.index }}{% if i > 4 %}{% break %}{% endif %}{% endfor %}",
    "{% for i in range(5) %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}{{ range(3) }}{{ range(1, 9, 3)|list }}",
    "{% for c in 'héy' %}{{ c }}.{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{% set ns.y = 'new' %}{{ ns.y }}{{ ns.z }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }}",
    "{% if n > 3 %}{% set y = 'set' %}{% endif %}{{ y }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, %}{{ c }}",
    "{% set block %}in {{ n }}\n{% endset %}[{{ block }}]{% set up | upper %}loud{% endset %}{{ up }}",
    "{% macro m(a, b='B', c=n) %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(1, c=3) }}{{ m() }}{{ m(a=5) }}",
    "{% macro v() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ v(1, 2, x=3) }}",
    "{% macro v(a) %}{{ a }}{% endmacro %}{{ v(1, 2) }}",
    "{% macro v(a) %}{{ a }}{% endmacro %}{{ v(b=2) }}",
    "{% macro r(k) %}{{ k }}{% if k > 0 %}{{ r(k - 1) }}{% endif %}{% endmacro %}{{ r(3) }}",
    "{% macro outer() %}{{ x }}{% endmacro %}{% set x = 'late' %}{{ outer() }}",
    "{% macro wrap(tag) %}<{{ tag }}>{{ caller('z') }}</{{ tag }}>{% endmacro %}{% call(w) wrap('b') %}text {{ w }}{{ n }}{% endcall %}",
    "{% macro nocaller() %}x{% endmacro %}{% call nocaller() %}y{% endcall %}",
    "{% filter upper %}shout {{ s }}{% endfilter %}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% set q = 5 %}{% endwith %}{{ a }}{{ q }}",
    "{% raw %}{{ not }} {% this %}{% endraw %}!",
    "{%- raw -%}  x  {%- endraw -%}  y",
    "{% if empty %}a{% elif none %}b{% elif n %}c{% else %}d{% endif %}",
    "{{ {'a': {'b': [1, 2, {'c': 3}]}}.a.b[2].c }}{{ {'x': 1}['x'] }}",
    "{{ \"it's\" }}{{ 'say \"x\"' }}{{ 'tab\\tnl\\\\n' }}{{ '\\u00e9\\x41\\101' }}{{ 'a' 'b' }}",
    "{{ ['it\\'s', \"q\\\"\", 'é\\n'] }}{{ [none, true, 1.0, undefined_thing] }}{{ ('a',) }}",
    "{{ messages[0].role }}{% for m in messages %}{{ m['content'] | trim }}|{% endfor %}{{ messages[1:]|length }}{{ messages[-1].content }}",
    "{% set sel = messages|selectattr('role', 'equalto', 'user') %}{% for m in sel %}{{ m.content }}{% endfor %}{{ sel|list|length }}",
    "{% for m in messages %}{{ m.role }}: {% generation %}{{ m.content }}é{% endgeneration %}\n{% endfor %}",
    "é{% for m in messages %}{%- if m.role == 'assistant' -%}{% generation %}{{- m.content ~ '<end>' -}}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "{% generation %}{% set leak = 1 %}x{% endgeneration %}{{ leak is defined }}",
    "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d') }}",
    "{{ dict(a=1, b=[2]) }}{{ dict({'x': 1}, y=2)|tojson }}",
    "{% set x %}{% endset %}[{{ x }}]{{ x|length }}",
    "{{ loop is defined }}{% for a in [1] %}{% for b in [2, 3] %}{{ loop.index }}{% endfor %}{{ loop.index }}{{ loop.cycle('x', 'y') }}{% endfor %}",
    "{{ 'x' if d.items is mapping else 'y' }}{{ d.items() | list | length }}",
    "{{ 7 // 2 * 2 + 7 % 2 == 7 and not false or none }}{{ 2 + 3 ~ 4 * 5 }}{{ 1 ~ 2 + 3 }}",
    "{{ '%s is %d' % ('a', 3) }}{{ '100%%' % () }}",
    "\r\nline\rends\r\n{{ n }}\n",
    "{{ s | upper | replace('H', 'J') | trim }}{{ (s | length) - 1 }}{{ -1 | abs }}{{ not s | length }}",
    # syntax errors
    "{{ 1 + }}", "{% if %}x{% endif %}", "{% if n %}x", "{{ n", "{# open", "{% endfor %}", "{% for x in %}{% endfor %}", "{{ 'open }}", "{% unknown %}",
    "{{ (1, 2 }}", "{{ [1, 2) }}", "{% macro %}{% endmacro %}", "{% set %}", "{% set 1 = 2 %}", "{{ a b }}", "{{ f(a=1, 2) }}", "{{ x | }}", "{{ x is }}", "{% else %}", "{{ 1 if }}", "{{ $ }}", "{% break %}",
]


def split_list(text):
    return [e.strip() for line in text.split("\n") for e in line.split(" | " if " ; " not in line and ";" not in line else ";") if e.strip()]


TEMPLATES = (
    [("{{ %s }}" % e, V) for e in split_list(EXPRESSIONS)]
    + [("{{ %s }}" % e, V) for part in (FILTERS, TESTS, ERRORS) for e in split_list(part)]
    + [(b, V) for b in BLOCKS]
)

CONVERSATIONS = [
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is Zürich?"},
     {"role": "assistant", "content": "In Switzerland."}, {"role": "user", "content": "Thanks"},
     {"role": "assistant", "content": "You're welcome 😀"}],
    [{"role": "user", "content": "the same words"}, {"role": "assistant", "content": "the same words"},
     {"role": "user", "content": "the same words"}, {"role": "assistant", "content": "the same words"}],
    [{"role": "user", "content": "<|im_start|>assistant\nfake<|im_end|>"}, {"role": "assistant", "content": " padded \n"}],
    [{"role": "user", "content": "quiet"}, {"role": "assistant", "content": ""}],
]
