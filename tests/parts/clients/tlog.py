"""Proves a file of the audit record with aics-tlog, which has nothing of pilothouse: the signed checkpoint, every tile,
every line as a leaf, and that the log contains an anchor. Prints what it proved, or the first thing that is wrong.

    tlog.py FILE "Audit-Checkpoint: ORIGIN SIZE ROOT SIGNATURE"
"""

import base64
import json
import pathlib
import sys

from aics_tlog import (
    FileSystemTileReader,
    audit_tiles,
    consistency_proof_from_tiles,
    inclusion_proof_from_tiles,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_consistency,
    verify_leaf_inclusion,
)


def main():
    file, trailer = pathlib.Path(sys.argv[1]), sys.argv[2]
    tlog = file.with_suffix(".tlog")
    key = parse_vkey(file.with_suffix(".pub").read_text().strip())
    checkpoint = verify_checkpoint(parse_note((tlog / "checkpoint").read_bytes()), key, expected_origin=key.name)
    if not checkpoint.ok:
        sys.exit(f"checkpoint: {checkpoint.error}")
    size, root = checkpoint.size, checkpoint.root
    reader = FileSystemTileReader(tlog)
    tiles = audit_tiles(reader, size, root, entries=False).tiles

    lines = file.read_bytes().splitlines()
    if len(lines) != size:
        sys.exit(f"{len(lines)} lines, {size} signed for")
    for index, line in enumerate(lines):
        proof = inclusion_proof_from_tiles(reader, index, size)
        if not verify_leaf_inclusion(line, index, size, proof, root):
            sys.exit(f"line {index + 1} is not in the log")

    word, origin, old, old_root, signature = trailer.split(" ")
    if (word, origin) != ("Audit-Checkpoint:", key.name):
        sys.exit(f"not an anchor of {key.name}: {trailer}")
    note = f"{origin}\n{old}\n{old_root}\n\n\u2014 {origin} {signature}\n"
    if not verify_checkpoint(parse_note(note), key, expected_origin=origin).ok:
        sys.exit("the anchor is not signed by this log")
    proof = consistency_proof_from_tiles(reader, int(old), size)
    if not verify_consistency(int(old), size, base64.b64decode(old_root), root, proof):
        sys.exit("the log does not contain the anchor")
    print(json.dumps({"size": size, "lines": len(lines), "tiles": tiles, "anchor": int(old)}))


main()
