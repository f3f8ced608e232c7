#!/usr/bin/env python3
"""Black-box conformance runner for a comet server (WebSocket side + CometQL side).

Replays recorded cases against any server and compares what a client sees on the wire.
Only the standard library is needed; PyMySQL and `websockets` are used by the few cases that
exercise those client libraries, and `php` by the php cases (skipped when not installed).

    conformance.py --host 127.0.0.1 --ws-port 8087 --cometql-port 3307 --password SECRET

See README.md for the case format.
"""
import argparse
import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import random
import re
import shutil
import socket
import string
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from xml.sax.saxutils import escape, quoteattr

HERE = os.path.dirname(os.path.abspath(__file__))


class CaseFail(Exception):
    pass


class CaseSkip(Exception):
    pass


# ---------------------------------------------------------------------------- helpers

def b64u(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


def make_jwt(payload, secret, alg="HS256", typ="JWT"):
    head = b64u(json.dumps({"alg": alg, "typ": typ}, separators=(",", ":")).encode())
    body = b64u(json.dumps(payload, separators=(",", ":")).encode())
    msg = (head + "." + body).encode()
    if alg == "none":
        return head + "." + body + "."
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    return head + "." + body + "." + b64u(hmac.new(secret.encode(), msg, digest).digest())


class Tail:
    """A buffered socket reader with deadlines."""

    def __init__(self, sock):
        self.sock = sock
        self.buf = b""
        self.eof = False

    def more(self, deadline):
        """Read once. False on timeout, True otherwise (also sets eof)."""
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        self.sock.settimeout(left)
        try:
            d = self.sock.recv(65536)
        except socket.timeout:
            return False
        except OSError:
            d = b""
        if not d:
            self.eof = True
        self.buf += d
        return True

    def need(self, n, deadline):
        """See to it that so many bytes are there, and take none of them."""
        while len(self.buf) < n and not self.eof:
            if not self.more(deadline):
                raise TimeoutError("timed out waiting for %d bytes, have %d" % (n, len(self.buf)))
        if len(self.buf) < n:
            raise EOFError("connection closed by the server")

    def take(self, n, deadline):
        self.need(n, deadline)
        d, self.buf = self.buf[:n], self.buf[n:]
        return d

    def await_end(self, deadline):
        """Tell the server that nothing more comes, and wait until it closes too."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return
        while not self.eof and self.more(deadline):
            self.buf = b""


# ---------------------------------------------------------------------------- WebSocket client

WS_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WsClient:
    def __init__(self, host, port, path, headers=None, drop=(), timeout=5.0):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.r = Tail(self.sock)
        key = base64.b64encode(os.urandom(16)).decode()
        h = {"Host": "%s:%d" % (host, port), "Upgrade": "websocket", "Connection": "Upgrade",
             "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
        for k, v in (headers or {}).items():
            h[k] = v
        for k in drop:
            h.pop(k, None)
        key = h.get("Sec-WebSocket-Key", "")
        req = "GET %s HTTP/1.1\r\n" % path + "".join("%s: %s\r\n" % kv for kv in h.items()) + "\r\n"
        self.sock.sendall(req.encode("utf-8", "surrogateescape"))
        deadline = time.monotonic() + timeout
        while b"\r\n\r\n" not in self.r.buf and not self.r.eof:
            if not self.r.more(deadline):
                break
        head, sep, rest = self.r.buf.partition(b"\r\n\r\n")
        self.status, self.headers, self.accept_ok = None, {}, None
        if sep:
            lines = head.decode("latin1").split("\r\n")
            m = re.match(r"HTTP/1\.[01] (\d+)", lines[0])
            self.status = int(m.group(1)) if m else None
            for ln in lines[1:]:
                k, _, v = ln.partition(":")
                self.headers[k.strip().lower()] = v.strip()
            want = base64.b64encode(hashlib.sha1(key.encode() + WS_GUID).digest()).decode()
            self.accept_ok = self.headers.get("sec-websocket-accept") == want
        if self.status == 101:
            self.r.buf = rest
        self.frag = None
        self.pending = []  # frames that came while a fence was waited for

    def fence(self, deadline):
        """Wait until the server has taken everything sent so far: a ping is answered after what stands before it."""
        mark = os.urandom(8)
        try:
            self.send_raw(self.send_frame(9, mark))
        except OSError:
            return
        while True:
            f = self.read_frame(deadline)
            if f is None or f == ("pong", mark):
                return
            self.pending.append(f)
            if f[0] == "eof":
                return

    def send_frame(self, opcode, data, fin=True, mask=True, raw_len=None):
        b = bytes([(0x80 if fin else 0) | opcode])
        n = len(data)
        mb = 0x80 if mask else 0
        if n < 126:
            b += bytes([mb | n])
        elif n < 65536:
            b += bytes([mb | 126]) + struct.pack(">H", n)
        else:
            b += bytes([mb | 127]) + struct.pack(">Q", n)
        if mask:
            m = os.urandom(4)
            b += m + bytes(c ^ m[i & 3] for i, c in enumerate(data))
        else:
            b += data
        return b

    def send_raw(self, data):
        self.sock.sendall(data)

    def recv_frame(self, deadline):
        """Next message as (kind, payload). kind: text binary close ping pong eof. None on timeout."""
        return self.pending.pop(0) if self.pending else self.read_frame(deadline)

    def read_frame(self, deadline):
        while True:
            try:
                # Nothing is taken before all of the frame is there: it may go on after a timeout.
                self.r.need(2, deadline)
                h = self.r.buf[:2]
                n = h[1] & 127
                at = 2 + {126: 2, 127: 8}.get(n, 0)
                self.r.need(at, deadline)
                if n >= 126:
                    n = int.from_bytes(self.r.buf[2:at], "big")
                masked = 4 if h[1] & 0x80 else 0
                self.r.need(at + masked + n, deadline)
                mask = self.r.buf[at:at + 4] if masked else None
                data = self.r.take(at + masked + n, deadline)[at + masked:]
            except TimeoutError:
                return None
            except EOFError:
                return ("eof", b"")
            if mask:
                data = bytes(c ^ mask[i & 3] for i, c in enumerate(data))
            op, fin = h[0] & 15, h[0] & 0x80
            if op == 0 and self.frag:
                self.frag = (self.frag[0], self.frag[1] + data)
                if fin:
                    k, d = self.frag
                    self.frag = None
                    return (k, d)
                continue
            kind = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}.get(op, "op%d" % op)
            if op in (1, 2) and not fin:
                self.frag = (kind, data)
                continue
            return (kind, data)

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


# ---------------------------------------------------------------------------- MySQL client (minimal)

class MyClient:
    """Just enough of the MySQL client protocol to see every packet the server sends."""
    FLAGS = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000

    def __init__(self, host, port, user, password, db, timeout=5.0, flags=None, auth=None):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.r = Tail(self.sock)
        self.timeout = timeout
        self.greeting = {}
        self.seq_ok = True
        p = self.packet()
        if p[:1] == b"\xff":
            self.connect_result = self.decode_err(p)
            return
        ver, _, rest = p[1:].partition(b"\0")
        salt = rest[4:12]
        cap = struct.unpack("<H", rest[13:15])[0]
        more = rest[15:]
        charset = more[0] if more else None
        if len(more) > 5:
            cap |= struct.unpack("<H", more[3:5])[0] << 16
        tail = more[16:] if len(more) > 16 else b""
        salt += tail[:12]
        salt = salt[:20]
        plug = tail[13:].split(b"\0")[0].decode("latin1") if len(tail) > 13 else ""
        self.greeting = {"protocol": p[0], "version": ver.decode("latin1"), "capabilities": cap,
                         "charset": charset, "plugin": plug}
        fl = self.FLAGS if flags is None else flags
        if db is not None:
            fl |= 0x8
        if cap & 0x80000:
            fl |= 0x80000
        if auth is not None:
            token = auth
        elif password:
            s1 = hashlib.sha1(password.encode()).digest()
            s2 = hashlib.sha1(s1).digest()
            s3 = hashlib.sha1(salt + s2).digest()
            token = bytes(a ^ b for a, b in zip(s1, s3))
        else:
            token = b""
        b = struct.pack("<IIB23x", fl, 0x1000000, 33) + user.encode() + b"\0" + bytes([len(token)]) + token
        if db is not None:
            b += db.encode() + b"\0"
        if fl & 0x80000:
            b += b"mysql_native_password\0"
        self.write(b, 1)
        try:
            p = self.packet()
            if p[:1] == b"\xfe" and len(p) > 5:
                # auth switch request
                name, _, data = p[1:].partition(b"\0")
                salt = data[:20]
                s1 = hashlib.sha1(password.encode()).digest()
                s3 = hashlib.sha1(salt + hashlib.sha1(s1).digest()).digest()
                self.write(bytes(a ^ b for a, b in zip(s1, s3)), self.last_seq + 1)
                p = self.packet()
            self.connect_result = self.decode_simple(p)
        except EOFError:
            self.connect_result = {"closed": True}

    def packet(self, deadline=None):
        deadline = deadline or time.monotonic() + self.timeout
        out = b""
        while True:
            h = self.r.take(4, deadline)
            n = h[0] | h[1] << 8 | h[2] << 16
            self.last_seq = h[3]
            out += self.r.take(n, deadline)
            if n < 0xffffff:
                return out

    def write(self, body, seq=0):
        self.sock.sendall(struct.pack("<I", len(body))[:3] + bytes([seq & 255]) + body)

    @staticmethod
    def lenenc(b, i):
        c = b[i]
        if c < 251:
            return c, i + 1
        if c == 251:
            return None, i + 1
        if c == 252:
            return struct.unpack_from("<H", b, i + 1)[0], i + 3
        if c == 253:
            return b[i + 1] | b[i + 2] << 8 | b[i + 3] << 16, i + 4
        return struct.unpack_from("<Q", b, i + 1)[0], i + 9

    def decode_err(self, p):
        code = struct.unpack_from("<H", p, 1)[0]
        msg = p[3:]
        out = {"error": code}
        if msg[:1] == b"#":
            out["sqlstate"] = msg[1:6].decode("latin1")
            msg = msg[6:]
        out["message"] = msg.decode("utf-8", "replace")
        return out

    def decode_simple(self, p):
        if p[:1] == b"\xff":
            return self.decode_err(p)
        if p[:1] == b"\xfe" and len(p) < 9:
            return {"eof": True}
        if p[:1] == b"\0":
            aff, i = self.lenenc(p, 1)
            ins, i = self.lenenc(p, i)
            self.last_status = struct.unpack_from("<H", p, i)[0] if len(p) >= i + 2 else None
            return {"ok": {"affected": aff, "insert_id": ins}}
        return {"packet": p.hex()}

    def read_result(self, deadline=None, meta=False):
        p = self.packet(deadline)
        if p[:1] in (b"\xff", b"\0") or (p[:1] == b"\xfe" and len(p) < 9):
            return self.decode_simple(p)
        n, i = self.lenenc(p, 0)
        cols, defs = [], []
        for _ in range(n):
            p = self.packet(deadline)
            i = 0
            parts = []
            for _ in range(6):
                ln, i = self.lenenc(p, i)
                parts.append(p[i:i + ln])
                i += ln
            cols.append(parts[4].decode("utf-8", "replace"))
            defs.append({"name": parts[4].decode("utf-8", "replace"), "type": p[i + 7],
                         "charset": struct.unpack_from("<H", p, i + 1)[0],
                         "table": parts[2].decode("utf-8", "replace")})
        p = self.packet(deadline)
        if not (p[:1] == b"\xfe" and len(p) < 9):
            raise CaseFail("no EOF packet after the column definitions")
        rows = []
        while True:
            p = self.packet(deadline)
            if p[:1] == b"\xfe" and len(p) < 9:
                break
            if p[:1] == b"\xff":
                return self.decode_err(p)
            i, row = 0, []
            while i < len(p):
                ln, i = self.lenenc(p, i)
                if ln is None:
                    row.append(None)
                else:
                    row.append(p[i:i + ln].decode("utf-8", "backslashreplace"))
                    i += ln
            rows.append(row)
        out = {"columns": cols, "rows": rows}
        if meta:
            out["types"] = [d["type"] for d in defs]
        return out

    def query(self, sql, meta=False):
        self.write(b"\x03" + (sql if isinstance(sql, bytes) else sql.encode("utf-8", "surrogateescape")))
        return self.read_result(meta=meta)

    def close(self):
        try:
            self.write(b"\x01")
        except OSError:
            pass
        try:
            self.sock.close()
        except OSError:
            pass


# ---------------------------------------------------------------------------- matching

PLACE = re.compile(r"^<(uuid|int|time|any|str|float|nonempty|numstr|ago|re:.*)>$", re.S)


# keys that a server may add to any message: classic clients ignore them
ADDITIVE = {"history", "recovered", "position", "offset", "epoch", "marker", "error", "id"}


def match_place(kind, v):
    if kind == "any":
        return True
    if kind == "uuid":
        return isinstance(v, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", v) is not None
    if kind == "int":
        return isinstance(v, int) and not isinstance(v, bool)
    if kind == "time":
        try:
            return abs(int(v) - time.time()) < 600
        except (TypeError, ValueError):
            return False
    if kind == "ago":  # a small number of seconds
        try:
            return 0 <= int(v) < 600
        except (TypeError, ValueError):
            return False
    if kind == "str":
        return isinstance(v, str)
    if kind == "nonempty":
        return isinstance(v, str) and v != ""
    if kind == "numstr":
        return isinstance(v, str) and re.fullmatch(r"-?\d+", v) is not None
    if kind == "float":
        try:
            float(v)
            return True
        except (TypeError, ValueError):
            return False
    if kind.startswith("re:"):
        return isinstance(v, str) and re.fullmatch(kind[3:], v, re.S) is not None
    return False


STRICT_TEXT = False


def diff(want, got, path="$"):
    """None when equal, else a text telling where they differ."""
    if isinstance(want, str):
        m = PLACE.match(want)
        if m:
            return None if match_place(m.group(1), got) else "%s: want %s, got %r" % (path, want, got)
    if isinstance(want, dict) and set(want) == {"jsontext"}:
        try:
            return diff(want["jsontext"], json.loads(got), path + "(json text)")
        except (ValueError, TypeError):
            return "%s: want json text, got %r" % (path, got)
    if isinstance(want, dict) and set(want) in ({"set"}, {"contains"}):
        kind = "set" if "set" in want else "contains"
        if not isinstance(got, list):
            return "%s: want a list, got %r" % (path, got)
        left = list(got)
        for w in want[kind]:
            for g in left:
                if diff(w, g) is None:
                    left.remove(g)
                    break
            else:
                return "%s: no item like %s in %s" % (path, short(w), short(got))
        if left and kind == "set":
            return "%s: unexpected items %s" % (path, short(left))
        return None
    if isinstance(want, dict) and set(want) == {"any_of"}:
        ds = [diff(w, got, path) for w in want["any_of"]]
        return None if None in ds else "%s: none of the alternatives: %s" % (path, " | ".join(ds))
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return "%s: want an object, got %r" % (path, got)
        for k in want:
            if k not in got:
                return "%s: no key %r in %s" % (path, k, short(got))
            w = want[k]
            if not STRICT_TEXT and isinstance(w, str) and not PLACE.match(w) and (k == "error" or (k == "message" and "error" in want)):
                w = "<nonempty>"  # the wording of errors is not part of the contract
            d = diff(w, got[k], path + "." + k)
            if d:
                return d
        extra = [k for k in got if k not in want and k not in ADDITIVE]
        if extra:
            return "%s: unexpected keys %r in %s" % (path, extra, short(got))
        return None
    if isinstance(want, list):
        if not isinstance(got, list):
            return "%s: want a list, got %r" % (path, got)
        if len(want) != len(got):
            return "%s: want %d items, got %d: %s" % (path, len(want), len(got), short(got))
        for i, (w, g) in enumerate(zip(want, got)):
            d = diff(w, g, "%s[%d]" % (path, i))
            if d:
                return d
        return None
    if type(want) is not type(got) or want != got:
        return "%s: want %s, got %s" % (path, short(want), short(got))
    return None


def short(v, n=300):
    s = json.dumps(v, ensure_ascii=False, default=repr)
    return s if len(s) <= n else s[:n] + "...(%d)" % len(s)


def frame_view(kind, data):
    """How a received frame is written in a case file."""
    if kind == "text":
        t = data.decode("utf-8", "backslashreplace")
        try:
            return {"json": json.loads(t)}
        except ValueError:
            return {"text": t}
    if kind == "close":
        return {"close": struct.unpack(">H", data[:2])[0] if len(data) >= 2 else None}
    if kind == "eof":
        return {"eof": True}
    return {kind: data.hex()}


def unpack_hello(h):
    """The first frame in short: "anonymous", "authorized HASH", or the whole frame."""
    if not isinstance(h, str):
        return h
    word, _, data = h.partition(" ")
    return {"json": {"authorized": word == "authorized", "data": data, "event": "serverInfo",
                     "message_send_time": "<time>", "pipe": "sys", "server": "<nonempty>"}}


def pack_hello(v):
    data = v.get("json", {}).get("data") if isinstance(v.get("json"), dict) else None
    if isinstance(data, str):
        for h in ("anonymous", "authorized " + data):
            if unpack_hello(h) == v:
                return h
    return v


# ---------------------------------------------------------------------------- the case engine

class Run:
    def __init__(self, case, opt):
        self.case, self.opt = case, opt
        self.ws, self.my, self.vars = {}, {}, {}
        alnum = string.ascii_lowercase + string.digits
        rnd = random.SystemRandom()
        self.vars["uniq"] = "z" + "".join(rnd.choice(alnum) for _ in range(9))
        base = rnd.randrange(10000000, 17000000) * 100
        for i in range(1, 10):
            self.vars["user%d" % i] = str(base + i)
        for i in range(1, 10):
            self.vars["uuid%d" % i] = "".join(rnd.choice(alnum) for _ in range(32))
        self.vars["password"] = opt.password
        self.vars["host"] = opt.host
        self.vars["wsport"] = str(opt.ws_port)
        self.vars["qlport"] = str(opt.cometql_port)
        for k, v in case.get("vars", {}).items():
            self.vars[k] = self.sub(v)
        self.recorded = []

    # -- placeholders in steps: ${name}
    def sub(self, v):
        if isinstance(v, str):
            def one(m):
                name = m.group(1)
                if "*" in name:
                    n, _, c = name.partition("*")
                    return self.vars.get(c, c) * int(n)
                if name not in self.vars:
                    raise CaseFail("unknown variable ${%s}" % name)
                return self.vars[name]
            return re.sub(r"\$\{([^}]+)\}", one, v)
        if isinstance(v, list):
            return [self.sub(x) for x in v]
        if isinstance(v, dict):
            return {self.sub(k): self.sub(x) for k, x in v.items()}
        return v

    def sub_expect(self, v):
        """Variables in expectations; a string that is exactly "${int:name}" becomes a number."""
        if isinstance(v, str):
            m = re.fullmatch(r"\$\{int:(\w+)\}", v)
            if m:
                return int(self.vars[m.group(1)])
            return self.sub(v)
        if isinstance(v, list):
            return [self.sub_expect(x) for x in v]
        if isinstance(v, dict):
            return {self.sub(k): self.sub_expect(x) for k, x in v.items()}
        return v

    # -- the reverse, for --record
    def unsub(self, v, key=None, colname=None):
        if isinstance(v, bool) or v is None:
            return v
        if isinstance(v, (int, float)):
            s = str(v)
            for name, val in self.vars.items():
                if name.startswith("user") and val == s:
                    return "${int:%s}" % name
            if isinstance(v, int) and abs(v - time.time()) < 600:
                return "<time>"
            return v
        if isinstance(v, str):
            if key in ("server",):
                return "<nonempty>"
            if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", v):
                return "<uuid>"
            if re.fullmatch(r"\d{10}", v) and abs(int(v) - time.time()) < 600:
                return "<time>"
            for name, val in sorted(self.vars.items(), key=lambda kv: -len(kv[1])):
                if len(val) >= 6 and name not in ("host",):
                    v = v.replace(val, "${%s}" % name)
            m = re.match(r"^(.)\1{99,}$", v, re.S)
            if m and m.group(1) not in "${}*":
                v = "${%d*%s}" % (len(v), m.group(1))
            return v
        if isinstance(v, list):
            return [self.unsub(x) for x in v]
        if isinstance(v, dict):
            if "api_data" in v and isinstance(v.get("data"), str) and v["data"][:1] in "{[":
                try:
                    return {self.unsub(k): ({"jsontext": self.unsub(json.loads(x))} if k == "data" else self.unsub(x, k))
                            for k, x in v.items()}
                except ValueError:
                    pass
            return {self.unsub(k): self.unsub(x, k) for k, x in v.items()}
        return v

    # -- connections
    def get_ws(self, name):
        if name not in self.ws:
            raise CaseFail("no websocket client %r in this case" % name)
        return self.ws[name]

    def get_my(self, name, dev="1"):
        if name not in self.my:
            c = MyClient(self.opt.host, self.opt.cometql_port, dev, self.opt.password, "CometQL_v1", self.opt.timeout)
            if "ok" not in c.connect_result:
                raise CaseFail("CometQL login failed: %r" % (c.connect_result,))
            self.my[name] = c
        return self.my[name]

    def settle(self, step, fenced=None):
        """What a server does behind an answer has no answer of its own, so it gets a pause; which begins when the server
        has taken what was sent, and not before."""
        if fenced:
            fenced.fence(time.monotonic() + self.opt.timeout)
        time.sleep(step.get("settle_ms", self.opt.settle) / 1000)

    def check(self, step, got, what):
        if self.opt.record and "expect" not in step.get("keep", []):
            if "expect" in step and step.get("fixed"):
                pass
            else:
                step["expect"] = self.unsub(got)
                return
        if "expect" not in step:
            return
        want = self.sub_expect(step["expect"])
        d = diff(want, got)
        if d and step.get("or_ok") and ("ok" in got or "rows" in got):
            return  # a server that supports more than the reference
        if d:
            raise CaseFail("%s: %s" % (what, d))

    # -- steps
    def step_ws(self, s, raw):
        p = s.get("path")
        if p is None:
            p = "/ws/sesion=%s&myid=%s&devid=%s&v=%s&uuid=%s&api=js" % (
                s.get("key", "0"), s.get("user", "0"), s.get("dev", "1"), s.get("v", "4.08"),
                s.get("uuid", self.vars["uuid9"] if s.get("as", "a") == "z" else self.new_uuid()))
        c = WsClient(self.opt.host, self.opt.ws_port, p, s.get("headers"), s.get("drop", ()), self.opt.timeout)
        self.ws[s.get("as", "a")] = c
        got = {"status": c.status}
        if c.status == 101:
            got["accept_ok"] = c.accept_ok
        for h in s.get("show", ()):
            got[h.lower()] = c.headers.get(h.lower())
        if c.status != 101:
            # not a websocket: is the connection closed?
            if c.status is None:
                got["closed"] = c.r.eof
        self.check_or_default(raw, got, {"status": 101, "accept_ok": True}, "handshake")
        if s.get("hello", c.status == 101 and "hello" not in s):
            f = c.recv_frame(time.monotonic() + self.opt.timeout)
            if f is None:
                raise CaseFail("no serverInfo frame after the handshake")
            v = frame_view(*f)
            if self.opt.record:
                raw["hello"] = pack_hello(self.unsub(v))
                if raw["hello"] == "anonymous":
                    del raw["hello"]
            else:
                d = diff(self.sub_expect(unpack_hello(raw.get("hello", "anonymous"))), v)
                if d:
                    raise CaseFail("first frame: " + d)
            if v.get("json", {}).get("authorized"):
                self.settle(s, c)  # the server may still be registering the user

    def check_or_default(self, raw, got, default, what):
        if self.opt.record:
            if got != default:
                raw["expect"] = self.unsub(got)
            else:
                raw.pop("expect", None)
            return
        d = diff(self.sub_expect(raw.get("expect", default)), got)
        if d:
            raise CaseFail("%s: %s" % (what, d))

    def new_uuid(self):
        return "".join(random.choice(string.ascii_letters + string.digits) for _ in range(32))

    def step_send(self, s, raw):
        c = self.get_ws(s["on"])
        if "hex" in s:
            c.send_raw(bytes.fromhex(s["hex"].replace(" ", "")))
        else:
            texts = s["text"] if isinstance(s["text"], list) else [s["text"]]
            op = {"text": 1, "binary": 2, "ping": 9, "pong": 10, "close": 8, "continuation": 0}[s.get("kind", "text")]
            out = b"".join(c.send_frame(op, t.encode("utf-8", "surrogateescape"), fin=s.get("fin", True),
                                        mask=s.get("mask", True)) for t in texts)
            try:
                if "split" in s:  # several TCP segments
                    cut = s["split"]
                    for i in range(0, len(out), cut):
                        c.send_raw(out[i:i + cut])
                        time.sleep(0.03)
                else:
                    c.send_raw(out)
            except OSError as e:
                raise CaseFail("send: %s" % e)
        # A ping may not stand inside a frame, and behind a broken one it says nothing.
        whole = "hex" not in s and s.get("kind", "text") == "text" and s.get("fin", True) and s.get("mask", True)
        self.settle(s, c if whole else None)

    def step_recv(self, s, raw):
        c = self.get_ws(s["on"])
        got = []
        if self.opt.record:
            quiet = s.get("record_quiet_ms", 450) / 1000
            while True:
                f = c.recv_frame(time.monotonic() + quiet)
                if f is None:
                    break
                got.append(frame_view(*f))
                if f[0] == "eof":
                    break
            raw["expect"] = self.unsub(got)
            return
        want = self.sub_expect(s["expect"])
        end = time.monotonic() + s.get("within_ms", self.opt.timeout * 1000) / 1000
        while len(got) < len(want):
            f = c.recv_frame(end)
            if f is None:
                raise CaseFail("%s: want %d frames, got %d: %s; missing e.g. %s" % (
                    s["on"], len(want), len(got), short(got), short(want[len(got)])))
            if f[0] == "close" and want[-1] == {"eof": True}:
                continue  # a close frame before the end of the connection is fine
            got.append(frame_view(*f))
            if f[0] == "eof":
                break
        if not (got and got[-1] == {"eof": True}):
            f = c.recv_frame(time.monotonic() + s.get("quiet_ms", self.opt.quiet) / 1000)
            if f is not None:
                got.append(frame_view(*f))
        if s.get("any_order"):
            left = list(got)
            for w in want:
                for g in left:
                    if diff(w, g) is None:
                        left.remove(g)
                        break
                else:
                    raise CaseFail("%s: no frame like %s among %s" % (s["on"], short(w), short(got)))
            if left:
                raise CaseFail("%s: unexpected frames %s" % (s["on"], short(left)))
            return
        d = diff(want, got)
        if d:
            raise CaseFail("frames on %s: %s" % (s["on"], d))

    def step_quiet(self, s, raw):
        c = self.get_ws(s["on"])
        f = c.recv_frame(time.monotonic() + s.get("ms", 400) / 1000)
        if f is not None:
            raise CaseFail("%s: nothing should arrive, got %s" % (s["on"], short(frame_view(*f))))

    def step_alive(self, s, raw):
        """The connection still answers."""
        c = self.get_ws(s["on"])
        marker = "alive%d" % random.randrange(10**8)
        c.send_raw(c.send_frame(1, ("user_data\n%s\n999999999" % marker).encode()))
        end = time.monotonic() + self.opt.timeout
        while True:
            f = c.recv_frame(end)
            if f is None or f[0] == "eof":
                raise CaseFail("%s: the connection no longer answers" % s["on"])
            v = frame_view(*f)
            if v.get("json", {}).get("marker") == marker:
                return

    def step_close(self, s, raw):
        n = s["on"]
        if n in self.ws:
            c = self.ws.pop(n)
            if s.get("frame"):
                try:
                    c.send_raw(c.send_frame(8, struct.pack(">H", 1000)))
                except OSError:
                    pass
            c.r.await_end(time.monotonic() + self.opt.timeout)
            c.close()
        elif n in self.my:
            self.my.pop(n).close()
        self.settle(s)

    def step_sleep(self, s, raw):
        time.sleep(s["ms"] / 1000)

    def step_sql(self, s, raw):
        c = self.get_my(s.get("on", "q"), str(s.get("dev", "1")))
        try:
            got = c.query(s["q"].encode("latin1") if s.get("latin1") else s["q"], meta=s.get("meta", False))
        except EOFError:
            got = {"closed": True}
        except TimeoutError:
            got = {"timeout": True}
        if s.get("status_flags") and "ok" in got:
            got["ok"]["status"] = c.last_status
        if s.get("sort") and "rows" in got:
            got["rows"].sort(key=lambda r: [x or "" for x in r])
        if s.get("only_columns") and "rows" in got:
            idx = [got["columns"].index(c2) for c2 in s["only_columns"] if c2 in got["columns"]]
            got["columns"] = [got["columns"][i] for i in idx]
            got["rows"] = [[r[i] for i in idx] for r in got["rows"]]
        if s.get("save") and "rows" in got and got["rows"]:
            for col, name in s["save"].items():
                self.vars[name] = got["rows"][0][got["columns"].index(col)]
        self.check(raw, got, "sql %s" % short(s["q"], 120))

    def step_mysql_connect(self, s, raw):
        try:
            auth = bytes.fromhex(s["auth_hex"]) if "auth_hex" in s else None
            c = MyClient(self.opt.host, self.opt.cometql_port, str(s.get("user", "1")),
                         s.get("password", self.opt.password), s.get("db", "CometQL_v1"), self.opt.timeout,
                         flags=s.get("flags"), auth=auth)
        except (EOFError, TimeoutError) as e:
            self.check(raw, {"no_greeting": str(e)}, "CometQL connect")
            return
        got = c.connect_result
        if s.get("greeting"):
            got = {"result": got, "protocol": c.greeting["protocol"],
                   "protocol_41": bool(c.greeting["capabilities"] & 0x200),
                   "secure_connection": bool(c.greeting["capabilities"] & 0x8000),
                   "connect_with_db": bool(c.greeting["capabilities"] & 0x8)}
        if s.get("version"):
            got["version"] = c.greeting["version"]
        if s.get("closed_after"):
            c.r.more(time.monotonic() + 2)
            got = dict(got, closed=c.r.eof)
        self.my[s.get("as", "q")] = c
        self.check(raw, got, "CometQL connect")

    def step_mysql_cmd(self, s, raw):
        c = self.get_my(s.get("on", "q"), str(s.get("dev", "1")))
        if "packets_hex" in s:  # raw bytes including headers, possibly several packets
            c.sock.sendall(bytes.fromhex(s["packets_hex"].replace(" ", "")))
        else:
            body = bytes([s["cmd"]]) + (bytes.fromhex(s["hex"]) if "hex" in s else s.get("data", "").encode())
            if "split" in s:
                out = struct.pack("<I", len(body))[:3] + b"\0" + body
                for i in range(0, len(out), s["split"]):
                    c.sock.sendall(out[i:i + s["split"]])
                    time.sleep(0.05)
            else:
                c.write(body)
        got = []
        for _ in range(s.get("answers", 1)):
            try:
                got.append(c.read_result())
            except EOFError:
                got.append({"closed": True})
                break
            except TimeoutError:
                got.append({"timeout": True})
                break
        self.check(raw, got[0] if s.get("answers", 1) == 1 else got, "command %s" % s.get("cmd", "raw"))

    def step_pipeline(self, s, raw):
        """Several COM_QUERY packets in one TCP segment."""
        c = self.get_my(s.get("on", "q"), str(s.get("dev", "1")))
        out = b""
        for q in s["queries"]:
            body = b"\x03" + q.encode()
            out += struct.pack("<I", len(body))[:3] + b"\0" + body
        c.sock.sendall(out)
        got = []
        for _ in s["queries"]:
            try:
                got.append(c.read_result())
            except EOFError:
                got.append({"closed": True})
                break
            except TimeoutError:
                got.append({"timeout": True})
                break
        self.check(raw, got, "pipelined queries")

    def step_http(self, s, raw):
        sock = socket.create_connection((self.opt.host, self.opt.ws_port), timeout=self.opt.timeout)
        t = Tail(sock)
        req = s["request"].encode("utf-8", "surrogateescape")
        if "split" in s:
            for i in range(0, len(req), s["split"]):
                sock.sendall(req[i:i + s["split"]])
                time.sleep(0.03)
        else:
            sock.sendall(req)
        ends = isinstance(s.get("expect"), dict) and s["expect"].get("closed") is True
        within = self.opt.timeout if ends else 2.0
        end = time.monotonic() + (s["within_ms"] / 1000 if "within_ms" in s else within)
        while not t.eof and t.more(end):
            pass
        sock.close()
        head, sep, body = t.buf.partition(b"\r\n\r\n")
        lines = head.decode("latin1").split("\r\n")
        m = re.match(r"HTTP/1\.[01] (\d+)", lines[0])
        hdr = {}
        for ln in lines[1:]:
            k, _, v = ln.partition(":")
            hdr[k.strip().lower()] = v.strip()
        got = {"status": int(m.group(1)) if m else None, "closed": t.eof}
        for h in s.get("show", ()):
            got[h.lower()] = hdr.get(h.lower())
        want_body = s.get("body")
        if want_body == "json":
            try:
                got["json"] = json.loads(body.decode("utf-8", "replace"))
            except ValueError:
                got["text"] = body.decode("utf-8", "replace")
        elif want_body == "text":
            got["text"] = body.decode("utf-8", "replace")
        elif want_body == "has_html":
            got["has_html"] = b"<html" in body.lower()
        elif want_body == "sha1":
            got["length"] = len(body)
            got["sha1"] = hashlib.sha1(body).hexdigest()
        self.check(raw, got, "http")

    def step_static(self, s, raw):
        if not self.opt.static_dir:
            raise CaseSkip("needs --static-dir")
        p = os.path.join(self.opt.static_dir, s["name"])
        os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(p, "wb") as f:
            f.write(s["content"].encode() * s.get("times", 1))

    def step_jwt(self, s, raw):
        p = {k: (int(v) if isinstance(v, str) and re.fullmatch(r"\d+", v) and k in ("user_id", "exp") and
                 not s.get("strings") else v) for k, v in s["payload"].items()}
        for k in ("exp", "iat", "nbf"):
            if isinstance(p.get(k), str) and p[k][:1] in "+-":
                p[k] = int(time.time()) + int(p[k])
        self.vars[s["as"]] = make_jwt(p, s.get("secret", self.opt.password + "1"), s.get("alg", "HS256"))

    def step_set(self, s, raw):
        for k, v in s["vars"].items():
            self.vars[k] = v

    def step_php(self, s, raw):
        php = shutil.which(self.opt.php)
        if not php:
            raise CaseSkip("no php")
        d = tempfile.mkdtemp(prefix="conf")
        try:
            f = os.path.join(d, "t.php")
            with open(f, "w") as h:
                h.write(s["code"] if isinstance(s["code"], str) else "\n".join(s["code"]))
            env = dict(os.environ, COMET_HOST=self.opt.host, COMET_PORT=str(self.opt.cometql_port),
                       COMET_PASSWORD=self.opt.password, COMET_UNIQ=self.vars["uniq"],
                       **{"COMET_USER%d" % i: self.vars["user%d" % i] for i in range(1, 4)})
            p = subprocess.run([php, "-d", "display_errors=stdout", "-d", "html_errors=0", f], capture_output=True,
                               timeout=30 + self.opt.timeout, env=env)
            out = p.stdout.decode("utf-8", "replace").replace(f, "t.php")
        finally:
            shutil.rmtree(d, ignore_errors=True)
        got = {"stdout": out.strip().split("\n")}
        self.check(raw, got, "php")

    def step_pymysql(self, s, raw):
        try:
            import pymysql
        except ImportError:
            raise CaseSkip("no PyMySQL")
        try:
            kw = {"autocommit": None}
            kw.update(s.get("options", {}))
            c = pymysql.connect(host=self.opt.host, port=self.opt.cometql_port, user=str(s.get("user", "1")),
                                password=s.get("password", self.opt.password), database=s.get("db", "CometQL_v1"),
                                connect_timeout=int(self.opt.timeout), read_timeout=int(self.opt.timeout), **kw)
            got = []
            for q in s["queries"]:
                try:
                    cur = c.cursor()
                    if isinstance(q, list):
                        n = cur.execute(q[0], tuple(q[1:]))
                    else:
                        n = cur.execute(q)
                    if cur.description:
                        got.append({"columns": [x[0] for x in cur.description],
                                    "rows": [list(r) for r in cur.fetchall()]})
                    else:
                        got.append({"affected": n, "insert_id": cur.lastrowid})
                except pymysql.err.Error as e:
                    got.append({"error": list(e.args)})
            if s.get("ping"):
                c.ping(reconnect=False)
                got.append("ping ok")
            c.close()
        except pymysql.err.Error as e:
            got = {"connect_error": list(e.args)}
        self.check(raw, got, "pymysql")

    def step_websockets(self, s, raw):
        """One exchange through the `websockets` library."""
        try:
            from websockets.sync.client import connect
        except ImportError:
            raise CaseSkip("no websockets library")
        url = "ws://%s:%d%s" % (self.opt.host, self.opt.ws_port, s["path"])
        got = []
        with connect(url, open_timeout=self.opt.timeout, close_timeout=1, **s.get("options", {})) as w:
            for t in [None] + s.get("send", []):
                if t is not None:
                    w.send(t)
                m = w.recv(timeout=self.opt.timeout)
                try:
                    got.append({"json": json.loads(m)})
                except ValueError:
                    got.append({"text": m})
        self.check(raw, got, "websockets library")

    def run(self):
        needs = self.case.get("needs", [])
        if "static" in needs and not self.opt.static_dir:
            raise CaseSkip("needs --static-dir")
        if "php" in needs and not shutil.which(self.opt.php):
            raise CaseSkip("no php")
        try:
            for i, raw in enumerate(self.case["steps"]):
                # values are substituted for the step, expectations when they are compared
                s = {k: (v if k in ("expect", "hello") else self.sub(v)) for k, v in raw.items()}
                fn = getattr(self, "step_" + s["do"], None)
                if fn is None:
                    raise CaseFail("unknown step %r" % s["do"])
                try:
                    fn(s, raw)
                except (CaseFail, CaseSkip):
                    raise
                except Exception as e:
                    if self.opt.verbose:
                        traceback.print_exc()
                    raise CaseFail("%s: %s" % (type(e).__name__, e))
        except CaseFail as e:
            raise CaseFail("step %d (%s): %s" % (i + 1, raw.get("do"), e))
        finally:
            for c in list(self.ws.values()) + list(self.my.values()):
                c.close()


# ---------------------------------------------------------------------------- case files

def load_cases(path):
    """[(file, case)] from a folder of *.json (each file: one case or a list of cases) or one file."""
    files = []
    if os.path.isfile(path):
        files = [path]
    else:
        for root, _, names in os.walk(path):
            files += [os.path.join(root, n) for n in sorted(names) if n.endswith(".json")]
    out = []
    for f in sorted(files):
        with open(f, encoding="utf-8") as h:
            d = json.load(h)
        for c in (d if isinstance(d, list) else [d]):
            out.append((f, c))
    return out


def dump_case(case, indent=""):
    """One step per line: short enough to review, stable in diffs."""
    lines = [indent + "{"]
    for k, v in case.items():
        if k != "steps":
            lines.append(indent + " %s: %s," % (json.dumps(k), json.dumps(v, ensure_ascii=False)))
    lines.append(indent + ' "steps": [')
    n = len(case["steps"])
    for i, s in enumerate(case["steps"]):
        lines.append(indent + "  " + json.dumps(s, ensure_ascii=False) + ("," if i < n - 1 else ""))
    lines.append(indent + " ]")
    lines.append(indent + "}")
    return "\n".join(lines)


def write_cases(path, cases):
    with open(path, "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(dump_case(c) for c in cases) + "\n]\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--host", default="127.0.0.1")
    ap.add_argument("--ws-port", type=int, default=8087)
    ap.add_argument("--cometql-port", type=int, default=3307)
    ap.add_argument("--password", default="CometQLPassword")
    ap.add_argument("--cases", default=os.path.join(HERE, "cases"), help="folder or file with cases")
    ap.add_argument("--only", action="append", help="run cases whose name contains this, or is =this (repeatable)")
    ap.add_argument("--junit", metavar="FILE", help="write a JUnit XML report")
    ap.add_argument("--jobs", type=int, default=4, help="cases run at the same time")
    ap.add_argument("--static-dir", help="the folder the server serves static files from (writable); "
                                         "without it the static-file cases are skipped")
    ap.add_argument("--php", default="php")
    ap.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for an expected answer")
    ap.add_argument("--settle", type=float, default=150, help="ms to wait after each websocket send")
    ap.add_argument("--quiet", type=float, default=150, help="ms in which nothing more may arrive")
    ap.add_argument("--strict-text", action="store_true", help="compare the wording of error messages too")
    ap.add_argument("--known", metavar="FILE", help="JSON object {case name: reason}: cases in which the server differs on purpose; "
                                                  "a failure there is reported as 'known', and passing there is a failure")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--record", action="store_true", help="fill the expectations from the answers of this server")
    ap.add_argument("-v", "--verbose", action="store_true")
    opt = ap.parse_args()
    global STRICT_TEXT
    STRICT_TEXT = opt.strict_text

    cases = load_cases(opt.cases)
    names = [c["name"] for _, c in cases]
    dup = {n for n in names if names.count(n) > 1}
    if dup:
        sys.exit("duplicate case names: %s" % ", ".join(sorted(dup)))
    sel = [(f, c) for f, c in cases if not opt.only or
           any(o[1:] == c["name"] if o[:1] == "=" else o in c["name"] for o in opt.only)]
    if opt.list:
        for f, c in sel:
            print("%-44s %s" % (c["name"], c.get("about", "")))
        return 0

    lock = threading.Lock()
    results = {}
    known = {}
    if opt.known:
        with open(opt.known, encoding="utf-8") as h:
            known = json.load(h)

    def one(fc):
        f, c = fc
        t0 = time.monotonic()
        try:
            Run(c, opt).run()
            res = ("pass", "")
        except CaseSkip as e:
            res = ("skip", str(e))
        except CaseFail as e:
            res = ("fail", str(e))
        except Exception as e:  # the server went away, ...
            res = ("fail", "%s: %s" % (type(e).__name__, e))
        if c["name"] in known and res[0] == "fail":
            res = ("known", known[c["name"]])
        elif c["name"] in known and res[0] == "pass":
            res = ("fail", "passes, but is listed as known: take it off the list")
        dt = time.monotonic() - t0
        with lock:
            results[c["name"]] = (res[0], res[1], dt, f)
            if res[0] != "pass" or opt.verbose:
                print("%-4s %-44s %.2fs %s" % (res[0].upper(), c["name"], dt, res[1]), flush=True)

    serial = [x for x in sel if x[1].get("serial")]
    par = [x for x in sel if not x[1].get("serial")]
    t0 = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, opt.jobs)) as ex:
        list(ex.map(one, par))
    for x in serial:
        one(x)
    dt = time.monotonic() - t0

    if opt.record:
        for f in sorted({f for f, _ in sel}):
            write_cases(f, [c for ff, c in cases if ff == f])

    n = {k: sum(1 for r in results.values() if r[0] == k) for k in ("pass", "fail", "skip", "known")}
    print("%d cases: %d passed, %d failed, %d skipped, %d known in %.1fs" % (
        len(results), n["pass"], n["fail"], n["skip"], n["known"], dt))
    if opt.junit:
        with open(opt.junit, "w", encoding="utf-8") as h:
            h.write('<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="conformance" tests="%d" failures="%d" '
                    'skipped="%d" time="%.3f">\n' % (len(results), n["fail"], n["skip"], dt))
            for f, c in sel:
                st, msg, d, _ = results[c["name"]]
                h.write('  <testcase classname=%s name=%s time="%.3f">' % (
                    quoteattr(os.path.splitext(os.path.basename(f))[0]), quoteattr(c["name"]), d))
                if st == "fail":
                    h.write("<failure message=%s>%s</failure>" % (quoteattr(msg[:200]), escape(re.sub(
                        r"[^\t\n\r\x20-\ud7ff\ue000-\U0010ffff]", "?", msg))))
                elif st in ("skip", "known"):
                    h.write("<skipped message=%s/>" % quoteattr(msg))
                h.write("</testcase>\n")
            h.write("</testsuite>\n")
    return 1 if n["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
