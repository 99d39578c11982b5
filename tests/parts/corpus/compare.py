"""Judges edits by a parser that is not ours: a file read before, with the edit made on the value, must equal the file
read after. Reads one edit a line, prints one verdict a line: same, different ..., unread ..."""

import functools
import json
import sys

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text):
    return [value for value in yaml.load_all(text, LOADER) if value is not None]


@functools.lru_cache(maxsize=4)
def before(path):
    # Its line ends stay as they are.
    with open(path, encoding="utf-8", newline="") as file:
        return load(file.read())


def copied(value):
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [copied(inner) for inner in value]
    return value


def edited(value, steps, new):
    here = value
    for step in steps[:-1]:
        here = here[step]
    last = steps[-1]
    if new is None:
        del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(new)
    else:
        here[last] = new


def verdict(edit):
    try:
        documents = before(edit["file"])
    except yaml.YAMLError as error:
        return f"unread {str(error).splitlines()[0]}"
    expected = list(documents)
    expected[edit["document"]] = copied(expected[edit["document"]])
    edited(expected[edit["document"]], edit["steps"], edit["new"])
    try:
        after = load(edit["after"])
    except yaml.YAMLError as error:
        return f"different: it is no YAML any more ({str(error).splitlines()[0]})"
    return "same" if after == expected else "different: it means something else"


for line in sys.stdin:
    print(verdict(json.loads(line)))
