"""Calls whose answers tell whose they are."""

import struct

from telethon.tl import TLRequest


class UnknownMethod(TLRequest):
    """A method that no layer has. The server's error names its id: so an answer shows which call it belongs to."""

    SUBCLASS_OF_ID = 0

    def __init__(self, method_id):
        self.CONSTRUCTOR_ID = method_id

    def to_dict(self):
        return {"_": "UnknownMethod", "id": self.CONSTRUCTOR_ID}

    def _bytes(self):
        return struct.pack("<I", self.CONSTRUCTOR_ID)

    def is_named_by(self, error):
        return error.message == f"INPUT_METHOD_INVALID_{self.CONSTRUCTOR_ID}"
