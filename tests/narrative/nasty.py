"""Answers as no model should give them, and what is to become of each: rows, or a reason."""

import json

POST = {"text_content": "Hi", "content_type": "tip", "tags": ["a"]}
OTHER = {**POST, "text_content": "Ho"}
BARE, BARE_OTHER = json.dumps(POST), json.dumps(OTHER)
BIG = 1_000_000

# Name -> (answer, rows).
READ = {
    "in a fence": (f"```json\n{BARE}\n```", [POST]),
    "in a fence without line breaks": (f"```json{BARE}```", [POST]),
    "in a fence within a fence": (f"````\n```json\n{BARE}\n```\n````", [POST]),
    "after a remark": (f"Sure! Here is the JSON you asked for:\n{BARE}", [POST]),
    "before a remark": (f"{BARE}\n\nLet me know if {{anything}} is missing.", [POST]),
    "among braces in prose": (f"I used {{braces}} and [brackets]: {BARE} {{done}}", [POST]),
    "after thoughts with braces": (f"<think>{{maybe [x]}}</think>\n{BARE}", [POST]),
    "in a tag": (f"<answer>{BARE}</answer>", [POST]),
    "two fences": (f"```json\n{BARE}\n```\nand\n```json\n{BARE_OTHER}\n```", [POST, OTHER]),
    "two objects in a row": (BARE + BARE_OTHER, [POST, OTHER]),
    "JSON lines": (f"{BARE}\n{BARE_OTHER}\n", [POST, OTHER]),
    "JSON lines with commas": (f"{BARE},\n{BARE_OTHER}", [POST, OTHER]),
    "trailing commas": ('{"text_content": "Hi", "content_type": "tip", "tags": ["a",],}', [POST]),
    "a list with a trailing comma": (f"[{BARE}, {BARE_OTHER},]", [POST, OTHER]),
    "a broken object among good ones": (
        f'[{BARE}, {{"text_content": "Ho" "content_type": "tip", "tags": ["a"]}}, {BARE}]',
        [POST, OTHER, POST],
    ),
    "comments": (
        '{"text_content": "Hi", // the text\n "content_type": "tip", /* kind */ "tags": ["a"]}',
        [POST],
    ),
    "single quotes": ("{'text_content': 'Hi', 'content_type': 'tip', 'tags': ['a']}", [POST]),
    "an apostrophe in single quotes": (
        "{'text_content': 'it's fine', 'content_type': 'tip'}",
        [{"text_content": "it's fine", "content_type": "tip"}],
    ),
    "Python": (
        "{'text_content': \"It's\", 'nsfw': False, 'draft': True, 'parent': None}",
        [{"text_content": "It's", "nsfw": False, "draft": True, "parent": None}],
    ),
    "three quotes": (
        '{"text_content": """one\ntwo""", "x": 1}',
        [{"text_content": "one\ntwo", "x": 1}],
    ),
    "a text in two pieces": ('{"text_content": "Hi " + "you"}', [{"text_content": "Hi you"}]),
    "keys without quotes": ('{text_content: "Hi", content_type: "tip", tags: ["a"]}', [POST]),
    "curly quotes": (
        "{\u201ctext_content\u201d: \u201cHi\u201d, \u201ctags\u201d: [\u201ca\u201d]}",
        [{"text_content": "Hi", "tags": ["a"]}],
    ),
    "quotes inside a text": (
        '{"text_content": "He said "hello" to me", "content_type": "tip"}',
        [{"text_content": 'He said "hello" to me', "content_type": "tip"}],
    ),
    "line breaks and tabs in a text": (
        '{"text_content": "one\ntwo\tthree"}',
        [{"text_content": "one\ntwo\tthree"}],
    ),
    "wrong escapes": (
        '{"text_content": "C:\\path\\q"}',
        [{"text_content": "C:\\path\\q"}],
    ),
    "a byte order mark": ("\ufeff" + BARE, [POST]),
    "a missing comma": (
        '{"text_content": "Hi" "content_type": "tip", "tags": ["a"]}',
        [POST],
    ),
    "without its last brace": (BARE[:-1], [POST]),
    "with a brace too many": (BARE + "}", [POST]),
    "without its first brace": (BARE[1:], [POST]),
    "the same key twice": (
        '{"text_content": "first", "text_content": "second"}',
        [{"text_content": "second"}],
    ),
    "NaN and Infinity": (
        '{"text_content": "Hi", "a": NaN, "b": -Infinity}',
        [{"text_content": "Hi", "a": None, "b": None}],
    ),
    "a number too large for a float": (
        '{"text_content": "Hi", "n": 1e999}',
        [{"text_content": "Hi", "n": "1e999"}],
    ),
    "a number of 400 digits": (
        '{"text_content": "Hi", "n": ' + "9" * 400 + "}",
        [{"text_content": "Hi", "n": int("9" * 400)}],
    ),
    "a number of 5000 digits": (
        '{"text_content": "Hi", "n": ' + "9" * 5000 + "}",
        [{"text_content": "Hi", "n": "9" * 5000}],
    ),
    "escaped characters": (
        '{"text_content": "\\u0048i \\ud83d\\ude00"}',
        [{"text_content": "Hi \U0001f600"}],
    ),
    "half of a surrogate pair": ('{"text_content": "Hi \\ud83d"}', [{"text_content": "Hi ?"}]),
    "NUL": (
        '{"text_content": "a\\u0000b", "x": ["\\u0000"]}',
        [{"text_content": "a\ufffdb", "x": ["\ufffd"]}],
    ),
    "escaped for HTML": (
        "{&quot;text_content&quot;: &quot;Fish &amp;amp; chips&quot;}",
        [{"text_content": "Fish &amp; chips"}],
    ),
    "as a JSON string": (json.dumps(BARE), [POST]),
    "escaped, without its quotes": (json.dumps(BARE)[1:-1], [POST]),
    "a code fence in a text": (
        json.dumps({"text_content": "use ```python\n{1: [2]}\n``` so"}),
        [{"text_content": "use ```python\n{1: [2]}\n``` so"}],
    ),
    "a megabyte of text": (json.dumps({"text_content": "x" * BIG}), [{"text_content": "x" * BIG}]),
    "a megabyte of prose with braces": ("{ word } " * (BIG // 9) + BARE, [POST]),
}

# Name -> (answer, part of the reason).
REFUSED = {
    "nothing": (" \n", "empty"),
    "prose": ("I'm sorry, I can't help with that.", "no JSON"),
    "YAML": ("text_content: Hi\ntags:\n  - a", "no JSON"),
    "cut in a text": (BARE[:20], "cut off"),
    "a list cut in its second object": (f"[{BARE}, {BARE_OTHER[:30]}", "cut off"),
    "a fence cut in a text": (f"```json\n{BARE[:20]}", "cut off"),
    "a number": ("42", "a number"),
    "null": ("null", "null"),
    "a list of texts": ('["a", "b"]', "a list of other things"),
    "a list with other things in it": (f'[{BARE}, "and", 3]', "a list of other things"),
    "lists 10,000 levels deep": ("[" * 10_000 + "]" * 10_000, "200 levels"),
    "objects 10,000 levels deep": ('{"a":' * 10_000 + "1" + "}" * 10_000, "200 levels"),
    "depth inside a post": (
        '{"text_content": "Hi", "x": ' + "[" * 600 + "]" * 600 + "}",
        "200 levels",
    ),
    "a megabyte of braces": ("{" * BIG, "200 levels"),
    "a megabyte of quotes": ('"' * BIG, "no JSON"),
    "a megabyte that is cut": ('{"text_content": "' + "x" * BIG, "cut off"),
}
