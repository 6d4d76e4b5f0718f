# SPDX-License-Identifier: Apache-2.0
"""guild.summary: event files by hand, so the bytes are compared with what the formats say."""
import glob
import os
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "engine", "python"))
# The package gives way to another one that is installed, unless it is what -m asked for.
argv, sys.argv = sys.argv, ["-m"]
from guild import summary

sys.argv = argv


def records(path):
    with open(path, "rb") as f:
        data = f.read()
    out = []
    while data:
        size, = struct.unpack_from("<Q", data)
        assert summary._masked_crc(data[:8]) == data[8:12], "checksum of a length"
        event = data[12:12 + size]
        assert summary._masked_crc(event) == data[12 + size:16 + size], "checksum of an event"
        out.append(event)
        data = data[16 + size:]
    return out


class Events(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.dir = os.path.join(self.tmp.name, "log", "dir")
        self.addCleanup(self.tmp.cleanup)

    def only_file(self, suffix=""):
        path, = glob.glob(os.path.join(self.dir, "events.out.tfevents.*" + suffix))
        return path

    def test_checksum(self):
        self.assertEqual(summary._crc32c(b"123456789"), 0xE3069283)  # the usual check value

    def test_nothing_is_made_before_the_first_event(self):
        with summary.SummaryWriter(self.dir):
            pass
        self.assertFalse(os.path.exists(self.dir))

    def test_scalar(self):
        with summary.SummaryWriter(self.dir) as out:
            out.add_scalar("loss", 0.5, step=3, walltime=1.0)
            out.add_scalar("loss", 1e300, step=-1, walltime=1.0)
            version, event, big = records(self.only_file())  # not held back until close
        self.assertEqual(version[9:], b"\x1a\x0dbrain.Event:2")
        head = b"\x09" + struct.pack("<d", 1.0) + b"\x10\x03"
        self.assertEqual(event, head + b"\x2a\x0d\x0a\x0b\x0a\x04loss\x15" + struct.pack("<f", 0.5))
        self.assertTrue(big.endswith(struct.pack("<f", float("inf"))))
        self.assertIn(b"\x10" + b"\xff" * 9 + b"\x01", big)

    def test_text_of_attributes(self):
        with summary.SummaryWriter(self.dir, filename_suffix=".attrs") as out:
            out.add_text("data", "v\u00e9")
        _version, event = records(self.only_file(".attrs"))
        tensor = b"\x08\x07\x12\x00\x42\x03v\xc3\xa9"
        self.assertIn(b"\x0a\x04data\x42" + bytes([len(tensor)]) + tensor, event)
        self.assertTrue(event.endswith(b"\x0a\x06\x0a\x04text\x20\x02"))

    def test_png(self):
        png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBB", 300, 2, 8, 6) + b"rest"
        path = os.path.join(self.tmp.name, "x.png")
        with open(path, "wb") as f:
            f.write(png)
        with summary.SummaryWriter(self.dir) as out:
            out.add_image("x", path)
            with open(path, "wb") as f:
                f.write(png[:20])
            with self.assertRaises(ValueError):
                out.add_image("x", path)
        _version, event = records(self.only_file())
        self.assertTrue(event.endswith(b"\x08\x02\x10\xac\x02\x18\x04\x22" + bytes([len(png)]) + png))


if __name__ == "__main__":
    unittest.main()
