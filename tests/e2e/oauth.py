#!/usr/bin/env python3
"""Access tokens: curl with OAUTHBEARER, signed tokens by a keys file that changes while we serve, tokens that only their issuer can
read (RFC 7662) by a small issuer of ours over HTTP and HTTPS, and an issuer that is slow, broken or gone."""
import base64
import http.server
import json
import os
import ssl
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import HOST, TOP, Server, check, equal, free_ports, main, run, scratch, wait_for
import oauth

SCOPE = "imap"
# RFC 7628 4.1
EXAMPLE = ("bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhi"
           "SFJoZG1semRHRXVZMjl0Q2c9PQEB")
EXAMPLE_TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


class Handler(http.server.BaseHTTPRequestHandler):
    """RFC 7662: what the issuer says about a token."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        token = form.get("token", [""])[0]
        self.server.asked.append((token, self.headers["Authorization"], self.path))
        if token == "slow":
            time.sleep(15)
        status, answer = self.server.answers.get(token, (200, {"active": False}))
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if token == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 7):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(body[at:at + 7]), body[at:at + 7]))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def issuer(answers, certificate=None):
    server = http.server.ThreadingHTTPServer((HOST, free_ports(1)), Handler)
    server.answers, server.asked = answers, []
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class OauthServer(Server):
    options = ()

    def program(self):
        program = super().program()
        return program[:1] + [word for o in self.options for word in ("-o", o)] + program[1:]


def serve(*options):
    s = OauthServer()
    s.options = ("throttle=no", "loops=1", f"oauth_scope={SCOPE}", *options)  # each front remembers answers for itself
    return s.start()


def bearer(s, token, user="u00001@localhost", mechanism="OAUTHBEARER"):
    """The state of the answer, and the JSON of a refusal."""
    wire = s.wire("imap")
    wire.line()
    wire.send(f"a AUTHENTICATE {mechanism} {oauth.initial(token, user, mechanism)}\r\n".encode())
    line, refusal = wire.line(), None
    if line.startswith(b"+ "):
        refusal = json.loads(base64.b64decode(line[2:]))
        wire.send(b"AQ==\r\n")
        line = wire.line()
    wire.close()
    return line.split()[1].decode(), refusal, line.decode(errors="replace")


def curl(s, token, *args):
    return run(["curl", "-sS", "--url", f"imap://{HOST}:{s.port('imap')}/INBOX", "--oauth2-bearer", token, "--user", "u00001@localhost",
                "-X", "NOOP", *args], 20)


def signed(s, keys, folder):
    """Tokens by a keys file."""
    done = curl(s, keys.token("es", oauth.GOOD))
    check("curl --oauth2-bearer", done.code == 0, done)
    done = curl(s, keys.token("rs", oauth.GOOD), "--login-options", "AUTH=XOAUTH2")
    check("curl, XOAUTH2", done.code == 0, done)
    done = curl(s, keys.token("es", {**oauth.GOOD, "exp": int(time.time()) - 1000}))
    check("curl, an old token", done.code not in (0, None), done)
    state, refusal, _ = bearer(s, keys.token("es", {**oauth.GOOD, "scope": "x"}))
    check("a refusal tells the scope", state == "NO" and refusal == {"status": "invalid_token", "scope": SCOPE}, refusal)

    other = oauth.Issuer()
    equal("a key nobody knows yet", bearer(s, other.token("ed", oauth.GOOD))[0], "NO")
    time.sleep(1.1)
    with open(os.path.join(folder, "new"), "w", encoding="ascii") as f:
        json.dump(other.jwks(), f)
    os.rename(os.path.join(folder, "new"), os.path.join(folder, "jwks.json"))
    check("the keys file is read again", wait_for(lambda: bearer(s, other.token("ed", oauth.GOOD))[0] == "OK", 25, 1))
    equal("the old key is no key any more", bearer(s, keys.token("ed", oauth.GOOD))[0], "NO")
    with open(os.path.join(folder, "jwks.json"), "w", encoding="ascii") as f:
        f.write("{ broken")
    time.sleep(11)
    equal("a broken file changes nothing", bearer(s, other.token("ed", oauth.GOOD))[0], "OK")


def answers():
    good = {"active": True, "email": "u00001@localhost", "scope": "openid imap", "exp": int(time.time()) + 3600}
    return {"good": (200, good), "chunked": (200, good), "forbidden": (200, {**good, "scope": "openid"}),
            "expired": (200, {**good, "exp": int(time.time()) - 1000}), "short": (200, {**good, "exp": int(time.time()) - 20}),
            "nobody": (200, {**good, "email": "nobody@localhost"}), "denied": (401, {"error": "invalid_client"}),
            "no json": (200, "not JSON"), "deep": (200, "[" * 100), "huge": (200, "x" * 100000), "empty": (200, ""),
            EXAMPLE_TOKEN: (200, {**good, "email": "user@example.com"})}


def introspected(s, server):
    rows = [("good", "OK"), ("chunked", "OK"), ("short", "OK"), ("unknown", "NO"), ("forbidden", "NO"), ("expired", "NO"), ("nobody", "NO"),
            ("denied", "NO"), ("no json", "NO"), ("deep", "NO"), ("huge", "NO"), ("empty", "NO")]
    for token, want in rows:
        equal(f"introspection: {token}", bearer(s, token)[0], want)
    check("asked as a client with a secret", server.asked[0] == ("good", "Basic " + base64.b64encode(b"posthouse:s3cret").decode(), "/introspect"),
          server.asked[0])
    count = len(server.asked)
    equal("again", bearer(s, "good")[0], "OK")
    equal("its answer is remembered", len(server.asked), count)
    equal("a refusal is not", (bearer(s, "unknown")[0], len(server.asked)), ("NO", count + 1))
    equal("who cannot be asked is told apart", bearer(s, "denied")[2].split()[2], "[UNAVAILABLE]")
    began = time.monotonic()
    equal("a slow issuer", bearer(s, "slow")[0], "NO")
    check("does not hold anybody for long", time.monotonic() - began < 13, time.monotonic() - began)
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(bearer(s, "good" if i % 2 else f"t{i}")[0])) for i in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal("many at once", sorted(results), ["NO"] * 20 + ["OK"] * 20)
    done = curl(s, "good")
    check("curl, a token that is not signed", done.code == 0, done)
    s.command("user", "add", "user@example.com", input="x\n")
    wire = s.wire("imap")
    wire.line()
    wire.send(f"t1 AUTHENTICATE OAUTHBEARER {EXAMPLE}\r\n".encode())
    check("RFC 7628 4.1", wire.line().startswith(b"t1 OK"))


def test():
    folder = scratch("issuer")
    keys = oauth.Issuer()
    with open(os.path.join(folder, "jwks.json"), "w", encoding="ascii") as f:
        json.dump(keys.jwks(), f)
    s = serve(f"oauth_keys={folder}/jwks.json", "oauth_issuer=https://issuer.example", "oauth_audience=mail")
    signed(s, keys, folder)
    s.check_end()

    certificate = os.path.join(folder, "issuer.pem")
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=issuer",
         "-addext", f"subjectAltName=IP:{HOST}", "-keyout", certificate + ".key", "-out", certificate + ".crt"])
    with open(certificate, "w", encoding="ascii") as out:
        for ending in (".key", ".crt"):
            with open(certificate + ending, encoding="ascii") as f:
                out.write(f.read())
    for scheme in ("http", "https"):
        server = issuer(answers(), certificate if scheme == "https" else None)
        s = serve(f"oauth_introspection={scheme}://{HOST}:{server.server_port}/introspect", "oauth_client=posthouse",
                  "oauth_client_secret=s3cret", f"oauth_introspection_authority={certificate}.crt")
        introspected(s, server)
        server.shutdown()
        server.server_close()
        equal("an issuer that is gone", bearer(s, "t1")[0], "NO")
        equal("what was remembered stays", bearer(s, "good")[0], "OK")
        s.check_end()


main(test, 150)
