"""Calls that leave an entry behind wherever they are run: so executions can be counted."""

import struct

from telethon.tl import TLRequest


class Append(TLRequest):
    """`ledger.append entry:long = ledger.Entry`, a method of the example server alone."""

    CONSTRUCTOR_ID = 0x7E570003
    SUBCLASS_OF_ID = 0
    ENTRY_ID = 0x7E570004

    def __init__(self, entry):
        self.entry = entry

    def to_dict(self):
        return {"_": "Append", "entry": self.entry}

    def _bytes(self):
        return struct.pack("<Iq", self.CONSTRUCTOR_ID, self.entry)

    @staticmethod
    def read_result(reader):
        kind = reader.read_int(signed=False)
        assert kind == Append.ENTRY_ID, f"{kind:08x}"
        return reader.read_long()
