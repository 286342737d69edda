"""What the messages of an Arrow file unpack to, read from their heads: a batch is unpacked whole, and then it is too late.

A message is a flatbuffer, see format/Message.fbs and format/File.fbs of Apache Arrow, followed by the buffers of its batch. A
compressed buffer begins with its size.
"""

import struct
from typing import Any

from mla_train.data.packed import check_unpacked

MAGIC = b"ARROW1"
KIND, CONTENT = 1, 2  # fields of a message
DICTIONARY, BATCH = 2, 3  # kinds of contents
BATCH_OF_DICTIONARY = 1  # fields of these two
BUFFERS, COMPRESSION = 2, 3


def open_messages(stream: Any, size: int, name: str) -> Any:
    """A reader of the batches of an open Arrow file or stream, from first to last, whatever the list at the file's end says.

    Args:
        stream: Open file, at its begin.
        size: Bytes of the file.
        name: Name of the file, for messages.

    Raises:
        UserError: It unpacks to more than it may.
        ArrowInvalid: It is no Arrow file, or not whole.
    """
    import pyarrow.ipc

    first = 0
    if stream.read(len(MAGIC)) == MAGIC:
        first = 8
        stream.seek(size - len(MAGIC))
        if stream.read() != MAGIC:
            raise pyarrow.ArrowInvalid("its end is missing")
    stream.seek(first)
    total = 0
    for message in pyarrow.ipc.MessageReader.open_stream(stream):
        try:
            total += _unpacked(message.metadata, message.body)
        except struct.error as error:
            raise pyarrow.ArrowInvalid("a message is damaged") from error
        check_unpacked(total, size, name)
    stream.seek(first)
    return pyarrow.ipc.open_stream(stream)


def _unpacked(head: Any, body: Any) -> int:
    """Bytes that the buffers of a message unpack to."""
    content = memoryview(head)
    message = struct.unpack_from("<I", content)[0]
    kind, batch = _field(content, message, KIND), _table(content, message, CONTENT)
    kind = content[kind] if kind else 0
    if kind == DICTIONARY and batch:
        batch = _table(content, batch, BATCH_OF_DICTIONARY)
    elif kind != BATCH:
        return 0
    if not batch or not _field(content, batch, COMPRESSION):
        return len(body or b"")
    buffers = _table(content, batch, BUFFERS)
    count = struct.unpack_from("<I", content, buffers)[0] if buffers else 0
    places = (struct.unpack_from("<qq", content, buffers + 4 + 16 * number) for number in range(count))
    sizes = (struct.unpack_from("<q", memoryview(body), place)[0] for place, length in places if length)
    return sum(max(size, 0) for size in sizes)  # -1 of a buffer that is not compressed


def _field(content: memoryview, table: int, number: int) -> int:
    """Place of a field of a table; 0 where it has none."""
    fields = table - struct.unpack_from("<i", content, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", content, fields)[0]:
        return 0
    offset = struct.unpack_from("<H", content, fields + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _table(content: memoryview, table: int, number: int) -> int:
    """Place of the table or list that a field leads to; 0 where it has none."""
    place = _field(content, table, number)
    return place + struct.unpack_from("<I", content, place)[0] if place else 0
