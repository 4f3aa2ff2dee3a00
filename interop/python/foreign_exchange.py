"""The server's side of a key exchange, which the `mtproto` package lacks: written from the published protocol, in a
language and by means that share nothing with the client it is to test.

Source: https://core.telegram.org/mtproto/auth_key. Secrets are drawn from the system; speed is no aim.
"""

import hashlib
import secrets
import struct
import time

import rsa
from mtproto.crypto.aes import ige256_decrypt, ige256_encrypt

# The well-known group, which every client takes without a proof.
DH_PRIME = int(
    "C71CAEB9C6B1C9048E6C522F70F13F73980D40238E3E21C14934D037563D930F48198A0AA7C14058229493D22530F4DB"
    "FA336F6E0AC925139543AED44CCE7C3720FD51F69458705AC68CD4FE6B6B13ABDC9746512969328454F18FAF8C595F64"
    "2477FE96BB2A941D5BCD1D4AC8CC49880708FA9B378E3C4F3A9060BEE67CF9A4A4A695811051907E162753B56B0F6B41"
    "0DBA74D8A84B2A14B3144E0EF1284754FD17ED950D5965B4B9DD46582DB1178D169C6BC465B0D6FF9CA3928FEF5B9AE4"
    "E418FC15E83EBEA0F87FA9FF5EED70050DED2849F47BF959D956850CE929851F0D8115F635B105EE2E4E15D04B2454BF"
    "6F4FADF034B10403119CD8E3B92FCC5B",
    16,
)
DH_G = 3


class RsaKey:
    """The key that a server is known by."""

    def __init__(self):
        p, q = _prime(1024), _prime(1024)
        self.n, self.e = p * q, 65537
        self.d = pow(self.e, -1, (p - 1) * (q - 1))

    def pem(self):
        return rsa.PublicKey(self.n, self.e).save_pkcs1()

    def fingerprint(self):
        return sha1(tl_int(self.n) + tl_int(self.e))[-8:]

    def open_padded(self, encrypted):
        """Undoes RSA_PAD: returns the 192 bytes of data and padding."""
        number = pow(int.from_bytes(encrypted, "big"), self.d, self.n).to_bytes(256, "big")
        masked_key, sealed = number[:32], number[32:]
        temp_key = xor(masked_key, hashlib.sha256(sealed).digest())
        opened = ige256_decrypt(sealed, temp_key, bytes(32))
        data, digest = opened[:192][::-1], opened[192:]
        assert hashlib.sha256(temp_key + data).digest() == digest, "RSA_PAD: wrong hash"
        return data


class Exchange:
    """One exchange. `handle` takes a query and returns the answer; at the end there is `made`."""

    def __init__(self, rsa_key, server_ahead_s):
        self.rsa_key = rsa_key
        self.server_ahead_s = server_ahead_s
        self.made = None

    def handle(self, query):
        reader = Reader(query)
        step = {0xBE7E8EF1: self._req_pq, 0xD712E4BE: self._req_dh, 0xF5045F1F: self._set_dh}
        return step[reader.u32()](reader)

    def _req_pq(self, reader):
        self.nonce = reader.raw(16)
        self.server_nonce = secrets.token_bytes(16)
        self.p, self.q = sorted((_prime(31), _prime(31)))
        pq = tl_int(self.p * self.q)
        vector = struct.pack("<Ii", 0x1CB5C415, 1) + self.rsa_key.fingerprint()
        return struct.pack("<I", 0x05162463) + self.nonce + self.server_nonce + pq + vector

    def _req_dh(self, reader):
        self._check_nonces(reader)
        assert (reader.number(), reader.number()) == (self.p, self.q), "p and q are wrong"
        assert reader.raw(8) == self.rsa_key.fingerprint()
        inner = Reader(self.rsa_key.open_padded(reader.tl_bytes()))
        kind = inner.u32()
        # p_q_inner_data_dc, p_q_inner_data_temp_dc
        assert kind in (0xA9F55F95, 0x56FDDF88), f"{kind:08x}"
        assert inner.number() == self.p * self.q
        assert (inner.number(), inner.number()) == (self.p, self.q)
        self._check_nonces(inner)
        self.new_nonce = inner.raw(32)
        self.dc = inner.i32()
        self.expires_in_s = inner.i32() if kind == 0x56FDDF88 else None

        self.a = secrets.randbits(2048)
        answer = (
            struct.pack("<I", 0xB5890DBA)
            + self.nonce
            + self.server_nonce
            + struct.pack("<i", DH_G)
            + tl_int(DH_PRIME)
            + tl_int(pow(DH_G, self.a, DH_PRIME))
            + struct.pack("<i", int(time.time()) + self.server_ahead_s)
        )
        sealed = sha1(answer) + answer
        sealed += secrets.token_bytes(-len(sealed) % 16)
        encrypted = ige256_encrypt(sealed, *self._tmp_aes())
        return struct.pack("<I", 0xD0E8075C) + self.nonce + self.server_nonce + tl_bytes(encrypted)

    def _set_dh(self, reader):
        self._check_nonces(reader)
        opened = ige256_decrypt(reader.tl_bytes(), *self._tmp_aes())
        inner = Reader(opened[20:])
        assert inner.u32() == 0x6643B654
        self._check_nonces(inner)
        assert inner.raw(8) == bytes(8), "the first try has no retry_id"
        g_b = inner.number()
        assert sha1(opened[20 : 20 + inner.position]) == opened[:20], "client_DH_inner_data: wrong hash"
        assert 1 << 1984 <= g_b <= DH_PRIME - (1 << 1984), "g_b is out of range"
        key = pow(g_b, self.a, DH_PRIME).to_bytes(256, "big")
        salt = xor(self.new_nonce[:8], self.server_nonce[:8])
        self.made = (key, salt, self.expires_in_s)
        digest = sha1(self.new_nonce + b"\x01" + sha1(key)[:8])[-16:]
        return struct.pack("<I", 0x3BCBF734) + self.nonce + self.server_nonce + digest

    def _check_nonces(self, reader):
        assert reader.raw(16) == self.nonce and reader.raw(16) == self.server_nonce, "a nonce is wrong"

    def _tmp_aes(self):
        new, server = self.new_nonce, self.server_nonce
        key = sha1(new + server) + sha1(server + new)[:12]
        iv = sha1(server + new)[12:] + sha1(new + new) + new[:4]
        return key, iv


class Reader:
    """Reads TL values from bytes."""

    def __init__(self, data):
        self.data = bytes(data)
        self.position = 0

    def raw(self, count):
        taken = self.data[self.position : self.position + count]
        assert len(taken) == count, "cut short"
        self.position += count
        return taken

    def rest(self):
        return self.data[self.position :]

    def u32(self):
        return struct.unpack("<I", self.raw(4))[0]

    def i32(self):
        return struct.unpack("<i", self.raw(4))[0]

    def i64(self):
        return struct.unpack("<q", self.raw(8))[0]

    def tl_bytes(self):
        length = self.raw(1)[0]
        header = 1
        if length == 254:
            length, header = int.from_bytes(self.raw(3), "little"), 4
        data = self.raw(length)
        self.raw(-(header + length) % 4)
        return data

    def number(self):
        return int.from_bytes(self.tl_bytes(), "big")


def tl_bytes(data):
    header = bytes([len(data)]) if len(data) < 254 else b"\xfe" + len(data).to_bytes(3, "little")
    return header + data + bytes(-(len(header) + len(data)) % 4)


def tl_int(number):
    return tl_bytes(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def sha1(data):
    return hashlib.sha1(data).digest()


def xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _prime(bits):
    while True:
        # The two highest bits are set: the product of two has twice as many bits.
        candidate = secrets.randbits(bits) | 0b11 << (bits - 2) | 1
        if all(candidate % small for small in _SMALL) and pow(2, candidate - 1, candidate) == 1:
            if rsa.prime.is_prime(candidate):
                return candidate


_SMALL = [number for number in range(3, 1000, 2) if all(number % d for d in range(3, 32, 2) if d < number)]
