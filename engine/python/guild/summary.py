# SPDX-License-Identifier: Apache-2.0
"""Event files from a script of a project: scalars, texts and images as TensorBoard reads them.

    from guild import summary

    with summary.SummaryWriter(".") as out:
        out.add_scalar("loss", 0.5, step=1)

Texts in a file with the suffix ".attrs" are attributes of the run:
SummaryWriter(".", filename_suffix=".attrs").add_text("data", "v2").

A record is the length of its data (8 bytes, little endian), a masked CRC-32C of that (4), the data, and a
masked CRC-32C of the data (4). The data is a protobuf message; the field numbers below are TensorFlow's.
"""

import itertools
import os
import socket
import struct
import time

_next_uid = itertools.count().__next__

_CRC_POLYNOMIAL = 0x82F63B78
_crc_table = []

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_TYPE_STRING = 7  # of a tensor
_CLASS_TENSOR = 2  # of a summary's data
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def _crc32c(data):
    if not _crc_table:
        for i in range(256):
            for _ in range(8):
                i = (i >> 1) ^ (_CRC_POLYNOMIAL if i & 1 else 0)
            _crc_table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _crc_table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _masked_crc(data):
    crc = _crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(n):
    n &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _int_field(number, n):
    return _varint(number << 3 | _VARINT) + _varint(n)


def _bytes_field(number, data):
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _double_field(number, x):
    return _varint(number << 3 | _FIXED64) + struct.pack("<d", x)


def _float_field(number, x):
    try:
        packed = struct.pack("<f", x)
    except OverflowError:
        packed = struct.pack("<f", float("inf") if x > 0 else float("-inf"))
    return _varint(number << 3 | _FIXED32) + packed


def _summary(tag, *fields):
    """A Summary of one Value."""
    return _bytes_field(1, _bytes_field(1, tag.encode()) + b"".join(fields))


def _text_value(text):
    data = text if isinstance(text, bytes) else str(text).encode()
    tensor = _int_field(1, _TYPE_STRING) + _bytes_field(2, b"") + _bytes_field(8, data)
    metadata = _bytes_field(1, _bytes_field(1, b"text")) + _int_field(4, _CLASS_TENSOR)
    return _bytes_field(8, tensor) + _bytes_field(9, metadata)


def _read(file):
    if hasattr(file, "read"):
        return file.read()
    with open(file, "rb") as f:
        return f.read()


def _image_value(image):
    """`image` is the path or the open file of an image. PNG goes in as it is; the package Pillow, if
    installed, makes PNG of others."""
    data = _read(image)
    if not data.startswith(_PNG_MAGIC):
        import io

        from PIL import Image

        png = io.BytesIO()
        Image.open(io.BytesIO(data)).save(png, format="PNG")
        data = png.getvalue()
    if len(data) < 26:
        raise ValueError(f"{image} is no PNG file: it ends within its header")
    width, height, _depth, colour = struct.unpack_from(">IIBB", data, 16)
    return _bytes_field(
        4,
        _int_field(1, height)
        + _int_field(2, width)
        + _int_field(3, _PNG_CHANNELS.get(colour, 0))
        + _bytes_field(4, data),
    )


class SummaryWriter:
    """Writes one event file in the directory `logdir`, which is made with the first event, as is the
    file. Every event is in the file when its call returns: nothing is lost when the script is killed.

    `logdir` (str) is a folder; `filename_base` (str or None) replaces what comes behind
    `events.out.tfevents.`, by default time, host, process and a number; `filename_suffix` (str) follows it.

    Of every event: `tag` (str) is its name, `step` (int or None) counts what the script counts, `walltime` is in
    seconds since 1970 (float; None: now). Errors: OSError where the file can't be written.
    """

    def __init__(self, logdir, filename_base=None, filename_suffix=""):
        self.logdir = logdir
        self._base = filename_base
        self._suffix = filename_suffix
        self._file = None

    def add_scalar(self, tag, val, step=None, walltime=None):
        """A number `val` (int or float; kept as a 32-bit float, infinite beyond its range). ValueError or TypeError
        if it is none."""
        self._add_summary(_summary(tag, _float_field(2, float(val))), step, walltime)

    def add_text(self, tag, val, step=None, walltime=None):
        """A text `val` (str, or bytes in UTF-8; other values by str())."""
        self._add_summary(_summary(tag, _text_value(val)), step, walltime)

    def add_image(self, tag, image, step=None, walltime=None):
        """An image, height x width x 1 to 4 channels: the path (str) or the open binary file `image`, PNG, or any
        format that the package Pillow reads where that is installed. ValueError if it is no whole image,
        ImportError where Pillow is needed and missing."""
        self._add_summary(_summary(tag, _image_value(image)), step, walltime)

    def flush(self):
        """Does nothing: events are not held back."""

    def close(self):
        """An event added later begins another file."""
        if self._file:
            self._file.close()
            self._file = None

    def _add_summary(self, summary, step, walltime):
        event = _double_field(1, time.time() if walltime is None else walltime)
        if step is not None:
            event += _int_field(2, int(step))
        self._write(event + _bytes_field(5, summary))

    def _write(self, event):
        if not self._file:
            self._file = self._open()
            self._write(_double_field(1, time.time()) + _bytes_field(3, b"brain.Event:2"))
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked_crc(length) + event + _masked_crc(event))

    def _open(self):
        os.makedirs(self.logdir, exist_ok=True)
        base = self._base or (
            f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{_next_uid()}"
        )
        name = f"events.out.tfevents.{base}{self._suffix}"
        return open(os.path.join(self.logdir, name), "wb", buffering=0)

    def __enter__(self):
        return self

    def __exit__(self, *_args):
        self.close()
