"""Holds OCSF events, one a line, to the published schema of the version that they name. Prints how many there were, or the
first thing that is wrong.

    ocsf.py FILE
"""

import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema


def main():
    validators = {}
    count = 0
    for number, line in enumerate(open(sys.argv[1]), 1):
        event = json.loads(line)
        kind = (event["metadata"]["version"], event["class_uid"])
        if kind not in validators:
            schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=kind[0]))
            name = schema.lookup_class_name_from_uid(class_uid=kind[1])
            validators[kind] = Draft202012Validator(schema.get_class_schema(class_name=name, profiles=[]))
        for error in validators[kind].iter_errors(event):
            sys.exit(f"line {number}: {error.json_path}: {error.message}")
        count += 1
    print(json.dumps({"events": count, "kinds": sorted(f"{uid} of {version}" for version, uid in validators)}))


main()
