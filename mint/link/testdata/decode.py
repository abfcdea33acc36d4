"""Decodes Waypost links: written from the comments of packages link and urlcode, and held to vectors.json.

    python3 decode.py vectors.json ../internal/urlcode/model1.bin

It uses the AES-SIV of PyCA's cryptography where that is installed, and its own otherwise.
"""

import json
import struct
import sys
import zlib

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
MAX_CONTENTS, MAX_TOKEN, MIN_TOKEN = 8192, 10946, 31


class Refusal(Exception):
    """Its text is the name of the refusal."""


def require(condition, refusal="ErrContent"):
    if not condition:
        raise Refusal(refusal)


# Token


def open_token(token, keys, model):
    require(len(token) <= MAX_TOKEN, "ErrTooLong")
    require(len(token) >= MIN_TOKEN, "ErrTruncated")
    raw = decode_base64url(token)
    require(raw[0] >> 6 == 0, "ErrVersion")
    require(raw[0] & 63 in keys, "ErrKey")
    plain = open_siv(keys[raw[0] & 63], raw[:1], raw[1:])
    require(plain is not None, "ErrForged")
    return plain, decode_plain(plain, model)


def decode_base64url(token):
    bits = 0
    for c in token:
        require(c in ALPHABET, "ErrEncoding")
        bits = bits << 6 | ALPHABET.index(c)
    spare = len(token) * 6 % 8
    require(spare < 6 and bits & (1 << spare) - 1 == 0, "ErrEncoding")
    return (bits >> spare).to_bytes(len(token) * 6 // 8, "big")


# Plaintext


def take_uvarint(p):
    value = 0
    for i, c in enumerate(p[:10]):
        value |= (c & 0x7F) << 7 * i
        if c < 0x80:
            require((i == 0 or c != 0) and value < 1 << 64)
            return value, p[i + 1 :]
    raise Refusal("ErrContent")


def take_string(p):
    n, p = take_uvarint(p)
    require(n <= len(p))
    return p[:n], p[n:]


def decode_plain(p, model):
    require(len(p) >= 6)
    first, second, p = p[0], p[1], p[2:]
    kind_place, codec, tweak, shape = first >> 5, first >> 3 & 3, first >> 2 & 1, first & 3
    require(kind_place <= 3 and codec <= 1)
    link = {"kind": "open" if kind_place == 3 else "click", "place": ["", "html", "text", ""][kind_place]}

    link["number"] = second >> 3
    if link["number"] == 31:
        more, p = take_uvarint(p)
        link["number"] += more
        require(link["number"] < 1 << 32)
    extras = 0
    if second & 1:
        require(len(p) >= 2)
        extras, p = p[0], p[1:]
        require(extras & 0xF0 == 0 and extras != 8)
        require(tweak == 0 or extras not in (0, 9, 10, 11, 12, 13, 14, 15))
        if extras & 8:
            require(p[0] == 0)
            p = p[1:]
    require(len(p) >= 4)
    link["minted_minutes"] = int.from_bytes(p[:3], "big")
    link["tenant"], p = take_uvarint(p[3:])
    require(0 < link["tenant"] < 1 << 32)
    p = decode_ids(p, shape, link)

    names = ["destination"] if link["kind"] == "click" else []
    names += ["original"] if second & 4 else []
    names += ["recipient"] if second & 2 else []
    names += [name for bit, name in enumerate(["stream", "tag", "metadata"]) if extras >> bit & 1]
    decode_strings(p, names, codec, model, link)
    return link


def decode_ids(p, shape, link):
    if shape == 2:
        require(len(p) > 0)
        kinds = [p[0] & 3, p[0] >> 2 & 3, p[0] >> 4 & 3]
        require(p[0] >> 6 == 0 and kinds not in ([0, 0, 0], [1, 1, 0], [1, 1, 1]))
        p = p[1:]
    else:
        kinds = {0: [0, 0, 0], 1: [1, 1, 1], 3: [1, 1, 0]}[shape]
    for name, kind in zip(["message", "prospect", "user"], kinds):
        text = b""
        if kind == 1:
            number, p = take_uvarint(p)
            text = str(number).encode()
        elif kind == 2:
            require(len(p) >= 16)
            text, p = uuid_text(p[:16]), p[16:]
        elif kind == 3:
            text, p = take_string(p)
            require(text and not is_number(text) and not is_uuid(text))
        link[name] = text.decode("latin-1")
    return p


def is_number(text):
    digits = all(0x30 <= c <= 0x39 for c in text)
    return digits and (text == b"0" or text[:1] != b"0") and int(text) < 1 << 64


def is_uuid(text):
    bare = text.replace(b"-", b"")
    return len(bare) == 32 and all(c in b"0123456789abcdef" for c in bare) and text == uuid_text(bytes.fromhex(bare.decode()))


def uuid_text(raw):
    h = raw.hex()
    return "-".join([h[:8], h[8:12], h[12:16], h[16:20], h[20:]]).encode()


def decode_strings(p, names, codec, model, link):
    if not names:
        require(codec == 0 and not p)
        texts = []
    elif codec == 0:
        texts = []
        for _ in names[:-1]:
            text, p = take_string(p)
            texts.append(text)
        texts.append(p)
    else:
        texts = model.decode(p, [0 if name in ("destination", "original") else 1 for name in names])
    require(all(texts))
    found = dict(zip(names, texts))
    require("original" not in found or found["original"] != found.get("destination") and link["kind"] == "click")
    pairs, rest = [], found.pop("metadata", b"")
    while rest:
        key, rest = take_string(rest)
        value, rest = take_string(rest)
        pairs.append([key.decode("latin-1"), value.decode("latin-1")])
    require(not any(c <= 0x20 or c == 0x7F for c in found.get("destination", b"")), "ErrDestination")
    for name in ["destination", "original", "recipient", "stream", "tag"]:
        link[name] = found.get(name, b"").decode("latin-1")
    link["metadata"] = pairs


# Codec 1


class Model:
    def __init__(self, file):
        assert file[:5] == b"WPUM\x01" and zlib.crc32(file[:-4]) == struct.unpack(">I", file[-4:])[0]
        states, tokens, length = struct.unpack(">BHI", file[5:12])
        raw = zlib.decompress(file[12:-4], -15)
        assert len(raw) == length
        count = tokens - 10
        shared, follow, text = raw[:count], raw[count : 2 * count], raw[2 * count :]
        self.fragments, before = [None] * 10, b""
        for s, f in zip(shared, follow):
            before, text = before[:s] + text[:f], text[f:]
            self.fragments.append(before)
        self.classes, text = text[:tokens], text[tokens:]
        self.codes = [self.canonical(text[i * tokens : (i + 1) * tokens]) for i in range(states)]

    @staticmethod
    def canonical(lengths):
        """Tokens by (length, code)."""
        codes, code, before = {}, 0, 0
        for n in range(1, 19):
            for token in [t for t in range(1, len(lengths)) if lengths[t] == n] + ([0] if lengths[0] == n else []):
                code <<= n - before
                before = n
                codes[n, code] = token
                code += 1
        return codes

    def decode(self, stream, kinds):
        bits = Bits(stream)
        texts, text, state = [], b"", kinds[0]
        while not bits.at_end():
            token = bits.code(self.codes[state])
            state = self.classes[token]
            if token == 9:
                texts.append(text)
                require(len(texts) < len(kinds))
                text, state = b"", kinds[len(texts)]
            else:
                text += self.fragments[token] if token > 9 else bits.special(token)
        texts.append(text)
        require(len(texts) == len(kinds) and sum(map(len, texts)) <= MAX_CONTENTS)
        return texts


class Bits:
    def __init__(self, stream):
        self.text = "".join(f"{c:08b}" for c in stream)
        self.at = 0

    def at_end(self):
        left = self.text[self.at :]
        return len(left) < 8 and "0" not in left

    def take(self, n):
        require(self.at + n <= len(self.text))
        self.at += n
        return int(self.text[self.at - n : self.at], 2)

    def code(self, codes):
        value = 0
        for n in range(1, 19):
            value = value << 1 | self.take(1)
            if (n, value) in codes:
                return codes[n, value]
        raise Refusal("ErrContent")

    def special(self, token):
        if token == 1:
            return bytes([self.take(8)])
        if token in (2, 3):
            alphabet = b"0123456789abcdef" if token == 2 else b"0123456789ABCDEF"
            return bytes(alphabet[self.take(4)] for _ in range(self.take(5) + 6))
        if token == 4:
            return bytes(ord(ALPHABET[self.take(6)]) for _ in range(self.take(5) + 6))
        if token == 5:
            n, text = self.take(4) + 4, ""
            while n > 0:
                width = min(3, n)
                value = str(self.take({1: 4, 2: 7, 3: 10}[width]))
                require(len(value) <= width)
                text, n = text + value.zfill(width), n - width
            return text.encode()
        if token == 6:
            return uuid_text(self.take(128).to_bytes(16, "big"))
        if token == 7:
            return b"".join(b"%%%02X" % self.take(8) for _ in range(self.take(4) + 2))
        if token == 8:
            return bytes(self.take(8) for _ in range(self.take(5) + 3))
        raise Refusal("ErrContent")


# AES-SIV, RFC 5297


def open_siv(key, associated, sealed):
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    except ImportError:
        return open_siv_here(key, associated, sealed)
    try:
        return AESSIV(key).decrypt(sealed, [associated])
    except InvalidTag:
        return None


def open_siv_here(key, associated, sealed):
    mac, ctr = expand_key(key[:32]), expand_key(key[32:])
    iv, data = sealed[:16], sealed[16:]
    counter = int.from_bytes(iv, "big") & ~(1 << 63 | 1 << 31)
    plain = b""
    for i in range(0, len(data), 16):
        stream = encrypt_block(ctr, (counter + i // 16).to_bytes(16, "big"))
        plain += bytes(a ^ b for a, b in zip(data[i : i + 16], stream))
    d = double(cmac(mac, bytes(16))) ^ int.from_bytes(cmac(mac, associated), "big")
    if len(plain) >= 16:
        tail = int.from_bytes(plain[-16:], "big") ^ d
        last = plain[:-16] + tail.to_bytes(16, "big")
    else:
        padded = (plain + b"\x80").ljust(16, b"\0")
        last = (double(d.to_bytes(16, "big")) ^ int.from_bytes(padded, "big")).to_bytes(16, "big")
    return plain if cmac(mac, last) == iv else None


def double(block):
    value = int.from_bytes(block, "big") << 1
    return value ^ (1 << 128 | 0x87) if value >> 128 else value


def cmac(key, data):
    subkey = double(encrypt_block(key, bytes(16)))
    if not data or len(data) % 16:
        data = (data + b"\x80").ljust((len(data) // 16 + 1) * 16, b"\0")
        subkey = double(subkey.to_bytes(16, "big"))
    last = int.from_bytes(data[-16:], "big") ^ subkey
    data = data[:-16] + last.to_bytes(16, "big")
    state = bytes(16)
    for i in range(0, len(data), 16):
        state = encrypt_block(key, bytes(a ^ b for a, b in zip(state, data[i : i + 16])))
    return state


def times_two(a):
    return a << 1 ^ (0x11B if a & 0x80 else 0)


def make_sbox():
    box, p, q = [0x63] * 256, 1, 1
    while True:
        p ^= times_two(p)  # p times 3
        for shift in (1, 2, 4):  # q divided by 3
            q ^= q << shift & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        rotated = q
        for n in (1, 2, 3, 4):
            rotated ^= (q << n | q >> 8 - n) & 0xFF
        box[p] = rotated ^ 0x63
        if p == 1:
            return box


SBOX = make_sbox()


def expand_key(key):
    """The 15 round keys of AES-256."""
    words, constant = [key[i : i + 4] for i in range(0, 32, 4)], 1
    while len(words) < 60:
        word = words[-1]
        if len(words) % 8 == 0:
            word = bytes(SBOX[c] for c in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = times_two(constant)
        elif len(words) % 8 == 4:
            word = bytes(SBOX[c] for c in word)
        words.append(bytes(a ^ b for a, b in zip(words[-8], word)))
    return [b"".join(words[i : i + 4]) for i in range(0, 60, 4)]


def encrypt_block(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for key in keys[1:]:
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if key is not keys[-1]:
            mixed = []
            for column in (state[i : i + 4] for i in range(0, 16, 4)):
                for i in range(4):
                    a, b, c, d = (column[(i + j) % 4] for j in range(4))
                    mixed.append(times_two(a) ^ times_two(b) ^ b ^ c ^ d)
            state = mixed
        state = [a ^ b for a, b in zip(state, key)]
    return bytes(state)


def main(vector_file, model_file):
    with open(vector_file, encoding="utf-8") as f:
        vectors = json.load(f)
    with open(model_file, "rb") as f:
        model = Model(f.read())
    keys = {entry["slot"]: bytes.fromhex(entry["key"]) for entry in vectors["keys"]}
    faults = 0
    for vector in vectors["tokens"]:
        try:
            plain, link = open_token(vector["token"], keys, model)
            good = plain.hex() == vector["plaintext"] and link == vector["link"]
        except Refusal as refusal:
            good, link = False, refusal
        if open_siv_here(keys[decode_base64url(vector["token"])[0] & 63], decode_base64url(vector["token"])[:1], decode_base64url(vector["token"])[1:]) is None:
            good, link = False, "our own AES-SIV refuses"
        if not good:
            faults += 1
            print(f"{vector['name']}: {link}")
    for vector in vectors["refusals"]:
        try:
            open_token(vector["token"], keys, model)
            got = "opened"
        except Refusal as refusal:
            got = str(refusal)
        if got != vector["error"]:
            faults += 1
            print(f"{vector['name']}: {got}, want {vector['error']}")
    print(f"{len(vectors['tokens'])} tokens, {len(vectors['refusals'])} refusals, {faults} faults")
    return 1 if faults or not vectors["tokens"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
