#!/usr/bin/env python3
"""A server of one process (single_process): every protocol, metrics over HTTP, tokens that their issuer is asked about, a certificate
that is replaced, reload, what it refuses. And, of one process as of several, what clients hear when it ends."""
import http.server
import json
import os
import poplib
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import HOST, PASSWORD, PROGRAM, Served, any_certificate, check, equal, login, main, run, sample, scratch, wait_for
import oauth


class Alone(Served):
    def __init__(self, **settings):
        super().__init__(**{"single_process": "yes", "user": "", **settings})
        for name, offset in (("listen_pop2", 6), ("listen_metrics", 7)):
            self.settings[name] = f"{HOST}:{self.base + offset}"
        self.write_config()


def has_said(s, text, count=1):
    return wait_for(lambda: s.log().count(text) >= count, 20)


# ---- the issuer of tokens (RFC 7662) ----


class Issuer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"active": True, "email": "anna@localhost"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def issuer():
    server = http.server.ThreadingHTTPServer((HOST, 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def token_login(s, token):
    w = s.wire("imap")
    w.line()
    answer = w.imap(f"AUTHENTICATE XOAUTH2 {oauth.initial(token, 'anna@localhost', 'XOAUTH2')}")
    w.close()
    return answer


def tokens(s):
    equal("a token is asked about", token_login(s, "good")[0], "OK")
    child = s.role("runner")
    equal("by a process of its own", len(child), 1)
    os.kill(child[0], signal.SIGKILL)
    wait_for(lambda: not s.role("runner"))
    state, text, _ = token_login(s, "another")
    check("when that is gone, tokens are refused for now", state == "NO" and b"[UNAVAILABLE]" in text, (state, text))


# ---- metrics ----


def http_answer(port, request, closes=False):
    """All that is answered."""
    with socket.create_connection((HOST, port), 20) as c:
        c.sendall(request)
        if closes:
            c.shutdown(socket.SHUT_WR)
        got = b""
        while more := c.recv(65536):
            got += more
    return got.decode()


def metrics(name, port):
    head, _, body = http_answer(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").partition("\r\n\r\n")
    check(f"{name}: metrics over HTTP", head.startswith("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4") and
          "posthouse_commits_total" in body and f"Content-Length: {len(body.encode())}\r\n" in head + "\r\n", head)
    for what, request, want in (
            ("POST", b"POST /metrics HTTP/1.1\r\n\r\n", "405"), ("another page", b"GET / HTTP/1.0\r\n\r\n", "404"),
            ("no version", b"GET /metrics\r\n\r\n", "400"), ("another version", b"GET /metrics HTTP/2.0\r\n\r\n", "400"),
            ("one word", b"metrics\r\n\r\n", "400"), ("nothing", b"\r\n\r\n", "400"),
            ("a long line", b"GET /metrics" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", "400"),
            ("a long field", b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", "400"),
            ("many fields", b"GET /metrics HTTP/1.1\r\n" + b"X: x\r\n" * 200, "400"),
            ("many long fields", b"GET /metrics HTTP/1.1\r\n" + (b"X: " + b"x" * 8000 + b"\r\n") * 90, "400"),
            ("half a request", b"GET /metrics HTTP/1.1\r\nHost", "400")):
        try:
            got = http_answer(port, request, closes=True)
        except OSError:  # a reset: not all of it was read
            got = "HTTP/1.1 400 " if len(request) > 8192 else "reset"
        check(f"{name}: metrics, {what}", got.startswith(f"HTTP/1.1 {want} "), got[:200])
    equal(f"{name}: metrics, no request", http_answer(port, b"GET", closes=True), "")


# ---- what a server says when it ends ----


def ending(s, name):
    """[(who, connection, what it hears)] of clients in the middle of things."""
    def at(service, *sent):
        w = s.wire(service)
        w.line()
        for octets in sent:
            w.send(octets)
            w.line()
        return w
    bye, pop3 = b"* BYE The server is shutting down", b"-ERR [SYS/TEMP] Shutting down"
    secret = PASSWORD.encode()
    known = (b"EHLO x\r\n", b"MAIL FROM:<a@b>\r\nRCPT TO:<anna@localhost>\r\n")
    clients = [("an IMAP client before the login", at("imap"), bye),
               ("an IMAP client at rest", at("imap", b"a LOGIN anna " + secret + b"\r\n"), bye),
               ("an IMAP client in IDLE", at("imap", b"a LOGIN anna " + secret + b"\r\n", b"b IDLE\r\n"), bye),
               ("a POP3 client before the login", at("pop3"), pop3),
               ("a POP3 client", at("pop3", b"USER bert\r\n", b"PASS " + secret + b"\r\n"), pop3),
               ("an SMTP client", at("smtp", *known), b"421 4.3.2 Shutting down"),
               ("an SMTP client within DATA", at("smtp", *known, b"DATA\r\n", b"Subject: half\r\n"), b"421 4.3.2 Shutting down"),
               ("an SMTP client within BDAT", at("smtp", *known, b"BDAT 100\r\nhalf\r\n"), b"421 4.3.2 Shutting down")]
    wait_for(lambda: False, 0.3)
    s.process.send_signal(signal.SIGTERM)
    for who, w, want in clients:
        lines, line = [], b""
        while line is not None:
            line = w.line(15)
            lines.append(line)
        w.close()
        equal(f"{name}: {who} hears why", lines[-2:], [want, None])
    equal(f"{name}: it ends", s.process.wait(20), 0)


# ---- the rest ----


def protocols(s):
    s.deliver(["anna@localhost"], sample(1))
    m = s.imap("anna", tls=True)
    equal("LMTP, and IMAPS", m.select()[1], [b"1"])
    m.logout()
    p = poplib.POP3(HOST, s.port("pop3"))
    p.user("anna"), p.pass_(PASSWORD)
    equal("POP3", p.stat()[0], 1)
    p.quit()
    with socket.create_connection((HOST, s.base + 6), 20) as c:
        c.sendall(f"HELO anna {PASSWORD}\r\nQUIT\r\n".encode())
        said = b""
        while more := c.recv(1000):
            said += more
    check("POP2", said.startswith(b"+ POP2") and b"\r\n#1 " in said, said)


def refused(s):
    done = s.command("upgrade")
    check("upgrade: there is one process only", done.code == 69 and "start it again" in done.err, done)
    for verb in ("upgrade", "metrics", "scrub", "check", "status"):
        done = s.command(verb, "nonsense")
        check(f"{verb} nonsense: usage", done.code == 64 and f"usage: posthouse {verb}" in done.err, done)
    same_port = Alone(listen_imap=s.settings["listen_imap"])
    done = run(same_port.program(), 30)
    check("a second server at the port is refused", done.code == 75 and "in use" in done.err, done)
    other = Alone(store=s.dir)
    done = run(other.program(), 30)
    check("... and on the store", done.code == 75 and "another process has the store" in done.err, done)
    for setting, words in (({"oauth_introspection": "http://issuer.example/x"}, "wants https"), ({"oauth_introspection": "what"}, "http"),
                           ({"tls_certificate": "/nowhere/cert.pem", "tls_key": "/nowhere/key.pem"}, "/nowhere/cert.pem"),
                           ({"tls_client_authorities": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
                           ({"oauth_introspection": f"https://{HOST}/", "oauth_introspection_authority": "/nowhere/ca.pem"}, "/nowhere/ca.pem")):
        for alone in ("yes", "no"):
            began = time.monotonic()
            done = run(Alone(single_process=alone, **setting).program(), 30)
            took = time.monotonic() - began
            last = (done.err.splitlines() or [""])[-1]
            check(f"{setting}, single_process = {alone}: it does not start, and says why",
                  done.code not in (0, None) and done.code < 128 and last.startswith("posthouse serve: ") and words in last, done)
            check("... and soon", took < 5, took)


def certificate_of(s):
    with socket.create_connection((HOST, s.port("imaps"))) as raw, any_certificate().wrap_socket(raw) as tls:
        return tls.getpeercert(binary_form=True)


def make_certificate(folder):
    made = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9", "-subj",
                "/CN=mail.example.org", "-keyout", f"{folder}/new.key", "-out", f"{folder}/new.cert"])
    check("openssl makes a certificate", made.code == 0, made)
    os.rename(f"{folder}/new.key", f"{folder}/key.pem")
    os.rename(f"{folder}/new.cert", f"{folder}/cert.pem")


def reloads(s, folder):
    before = certificate_of(s)
    make_certificate(folder)
    s.process.send_signal(signal.SIGUSR2)  # an upgrade is for several processes
    s.process.send_signal(signal.SIGHUP)
    check("a reload takes the new certificate", has_said(s, "event=reloaded") and certificate_of(s) != before, s.tail())
    with open(s.config, "a") as f:
        f.write("login_tim = 59\n")
    s.process.send_signal(signal.SIGHUP)
    check("a mistake is told, and changes nothing", has_said(s, "event=reload_failed"), s.tail())
    s.write_config()


def test():
    folder, asked = scratch("tls"), issuer()
    make_certificate(folder)
    s = Alone(oauth_introspection=f"http://{HOST}:{asked.server_port}/x", tls_certificate=f"{folder}/cert.pem", tls_key=f"{folder}/key.pem")
    for user in ("anna", "bert"):
        check(f"user add {user}", s.command("user", "add", user, input=PASSWORD + "\n").code == 0)
    s.start()
    equal("it is one process, and one that calls the issuer", len(s.pids()), 2)
    protocols(s)
    reloads(s, folder)
    before = certificate_of(s)
    with open(f"{folder}/cert.pem", "w") as f:
        f.write("no certificate\n")
    metrics("alone", s.base + 7)
    refused(s)
    check("a broken certificate is told", has_said(s, "event=certificate_not_loaded"), s.tail())
    equal("... and not taken", certificate_of(s), before)
    make_certificate(folder)
    tokens(s)
    check("a new one is seen without a reload", has_said(s, "event=certificate_loaded") and certificate_of(s) != before, s.tail())
    ending(s, "alone")
    done = s.command("check")
    check("the store is sound", done.code == 0 and "0 findings" in done.out, done)

    several = Alone(single_process="no", store=s.dir).start()
    metrics("several", several.base + 7)
    ending(several, "several")
    demo = run([PROGRAM, "-o", "single_process=yes", "-o", f"listen_pop2={s.settings['listen_imap']}", "demo", s.dir, "--base-port", str(s.base)], 30)
    check("a demo at a port twice is refused", demo.code == 75 and "in use" in demo.err, demo)


main(test, 120)
