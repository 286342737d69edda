"""Reads the file in which W&B keeps a run that is not sent: LevelDB's log format, a protobuf message a record."""

import json
import struct
import time
from dataclasses import dataclass

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER = 32768, 7


def records(file):
    data, place, message, found = file.read_bytes(), HEADER, b"", []
    assert data.startswith(b":W&B")
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:  # no header fits: the rest of the block is empty
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        if place + HEADER + length > len(data):  # still being written
            break
        message += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            found.append(Record.FromString(message))
            message = b""
    return found


def put(into, item):
    """Sets a key, be it nested, to the value of an item of history, summary or config."""
    *above, last = item.nested_key or [item.key]
    for key in above:
        into = into.setdefault(key, {})
    into[last] = json.loads(item.value_json)


@dataclass
class Offline:
    """A run: a dict of each call of `log`, the last summary, the config, the records of each kind."""

    history: list
    summary: dict
    config: dict
    kinds: dict

    def scalars(self):
        """By name and step, each that was logged; a number that came twice is a mistake."""
        found = {}
        for row in self.history:
            for name, value in row.items():
                if "/" in name and isinstance(value, int | float) and name != "trainer/global_step":
                    assert (name, row["trainer/global_step"]) not in found
                    found[name, row["trainer/global_step"]] = value
        return found


def read(file):
    """A finished run; W&B's own process may write the last lines a moment later."""
    deadline = time.monotonic() + 10
    while not (found := records(file)) or found[-1].WhichOneof("record_type") != "exit":
        assert time.monotonic() < deadline, f"{file} does not end"
        time.sleep(0.05)
    history, summary, config, kinds = [], {}, {}, {}
    for record in found:
        kind = record.WhichOneof("record_type")
        kinds.setdefault(kind, []).append(getattr(record, kind))
        if kind == "history":
            history.append({})
            for item in record.history.item:
                put(history[-1], item)
        for into, part in ((summary, record.summary.update), (config, record.config.update)):
            for item in part:
                put(into, item)
    return Offline(history, summary, config, kinds)


def runs(folder):
    """The runs that were written into a run folder, in their order."""
    return [read(file) for file in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]
