#!/usr/bin/env python3
"""GNU SASL: SCRAM with and without channel binding, over TLS 1.3 (tls-exporter) and 1.2 (tls-unique); and what must not work: a
binding of another connection, a downgrade, an own nonce of the server changed."""
import base64
import hashlib
import hmac
import os
import ssl

from lib import PASSWORD, Server, Wire, any_certificate, check, main, run

TLS12 = ["--priority", "NORMAL:-VERS-TLS1.3"]


def gsasl(s, mechanism, *args, password=PASSWORD, user="u00001"):
    return run(["gsasl", "--imap", f"--connect=127.0.0.1:{s.port('imap')}", "-a", user, "-p", password, "--mechanism", mechanism,
                f"--x509-ca-file={s.dir}/tls/certificate.pem", *args], 20)


def logs_in(s):
    rows = [("SCRAM-SHA-256-PLUS", []), ("SCRAM-SHA-1-PLUS", []), ("SCRAM-SHA-256-PLUS", TLS12), ("SCRAM-SHA-1-PLUS", TLS12),
            ("SCRAM-SHA-256", ["--no-cb"]), ("SCRAM-SHA-1", ["--no-cb"]), ("SCRAM-SHA-256", ["--no-starttls"]),
            ("SCRAM-SHA-1", ["--no-starttls"]), ("PLAIN", []), ("LOGIN", []), ("PLAIN", ["--no-starttls"])]
    for mechanism, args in rows:
        name = " ".join([mechanism, *args])
        done = gsasl(s, mechanism, *args)
        check(name, done.code == 0 and "OK LOGOUT" in done.out, done)
        if "PLUS" in mechanism:
            binding = "p=tls-unique" if args else "p=tls-exporter"
            sent = [base64.b64decode(x) for x in done.out.split("\n") if x.startswith("cD")]
            check(f"{name}: bound by {binding}", sent and sent[0].decode().startswith(binding), done.out)
        if "SCRAM" in mechanism:
            done = gsasl(s, mechanism, *args, password="wrong")
            check(f"{name}, wrong password", done.code != 0 and "Logged in" not in done.out, done)
    done = gsasl(s, "SCRAM-SHA-256", "--no-cb", user="nobody-here")
    check("an unknown user", done.code != 0 and "Logged in" not in done.out, done)


class Scram:
    """A client of our own, to do what gsasl will not do."""

    def __init__(self, wire, gs2, binding):
        self.wire, self.gs2, self.binding = wire, gs2, binding

    def say(self, text):
        self.wire.send(base64.b64encode(text.encode()) + b"\r\n")
        line = self.wire.line()
        return base64.b64decode(line[2:]).decode() if line.startswith(b"+ ") else line.decode()

    def login(self, mechanism="SCRAM-SHA-256-PLUS", nonce=None):
        self.wire.send(b"s AUTHENTICATE " + mechanism.encode() + b"\r\n")
        line = self.wire.line()
        if not line.startswith(b"+"):
            return line.decode()
        bare = "n=u00001,r=" + base64.b64encode(os.urandom(18)).decode()
        first = self.say(self.gs2 + ",," + bare)
        if not first.startswith("r="):
            return first
        said = dict(x.split("=", 1) for x in first.split(","))
        final = ("c=" + base64.b64encode((self.gs2 + ",,").encode() + self.binding).decode() + ",r=" + (nonce or said["r"]))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(said["s"]), int(said["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), f"{bare},{first},{final}".encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        last = self.say(f"{final},p={proof}")
        if not last.startswith("v="):
            return last
        server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), f"{bare},{first},{final}".encode(), "sha256")
        if base64.b64decode(last[2:]) != server:
            return "the server's signature is wrong"
        self.wire.send(b"\r\n")
        return self.wire.line().decode()


def connect(s, version):
    wire = Wire(s.port("imap"))
    wire.line()
    wire.imap("STARTTLS")
    context = any_certificate()
    context.minimum_version = context.maximum_version = version
    wire.sock = context.wrap_socket(wire.sock)
    return wire


def end_point(wire):
    return hashlib.sha256(wire.sock.getpeercert(binary_form=True)).digest()


def forgiven(s):
    """Logins that work shorten the pause that failures make longer."""
    for _ in range(2):
        s.imap().logout()


def by_hand(s):
    v12, v13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    wire = connect(s, v12)
    unique = wire.sock.get_channel_binding("tls-unique")
    rows = [("tls-server-end-point, TLS 1.3", v13, "p=tls-server-end-point", end_point, True),
            ("tls-server-end-point, TLS 1.2", v12, "p=tls-server-end-point", end_point, True),
            ("tls-unique", v12, "p=tls-unique", lambda w: w.sock.get_channel_binding("tls-unique"), True),
            ("tls-unique of another connection", v12, "p=tls-unique", lambda w: unique, False),
            ("another certificate's tls-server-end-point", v13, "p=tls-server-end-point", lambda w: b"\x17" * 32, False),
            ("an empty binding", v13, "p=tls-exporter", lambda w: b"", False),
            ("a binding nobody knows", v13, "p=tls-nonsense", lambda w: b"", False),
            ("tls-unique, where TLS 1.3 has none", v13, "p=tls-unique", lambda w: unique, False)]
    for name, version, gs2, binding, works in rows:
        wire = connect(s, version)
        answer = Scram(wire, gs2, binding(wire)).login()
        check(f"{name}: {'works' if works else 'is refused'}", answer.startswith("s OK" if works else "s NO") or
              (not works and answer.startswith("s BAD")), answer)
        wire.close()
        forgiven(s)
    for name, mechanism, gs2, nonce in (("a downgrade: y", "SCRAM-SHA-256", "y", None),
                                        ("PLUS without a binding", "SCRAM-SHA-256-PLUS", "n", None),
                                        ("a binding without PLUS", "SCRAM-SHA-256", "p=tls-exporter", None),
                                        ("a nonce of one's own", "SCRAM-SHA-256", "n", "mine")):
        wire = connect(s, v13)
        answer = Scram(wire, gs2, b"").login(mechanism, nonce)
        check(f"{name} is refused", answer[:4] in ("s NO", "s BA"), answer)
        check(f"{name}: the session goes on", wire.imap("NOOP")[0] == "OK")
        wire.close()
        forgiven(s)
    wire = connect(s, v13)
    check("n is fine without PLUS", Scram(wire, "n", b"").login("SCRAM-SHA-256").startswith("s OK"))
    wire = Wire(s.port("imap"))
    wire.line()
    answer = Scram(wire, "p=tls-exporter", b"").login()
    check("PLUS without TLS is refused", answer[:4] in ("s NO", "s BA"), answer)


def test():
    s = Server().start()
    logs_in(s)
    by_hand(s)
    s.check_end()


main(test, 60)
