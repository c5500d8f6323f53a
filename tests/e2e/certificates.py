#!/usr/bin/env python3
"""Client certificates (SASL EXTERNAL, RFC 4422 A): gsasl and openssl s_client with certificates of the configured authority, of
another one, expired, for another purpose, with several names; STARTTLS and TLS from the start; and UNAUTHENTICATE with them."""
import base64
import os
import shutil
import ssl

from lib import HOST, Server, Wire, check, equal, main, run, scratch


class Authority:
    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.key, self.certificate = (os.path.join(folder, name + e) for e in (".key", ".crt"))
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                     "-keyout", self.key, "-out", self.certificate)

    @staticmethod
    def openssl(*args):
        done = run(["openssl", *args], 20)
        if done.code != 0:
            raise RuntimeError(str(done))

    def issue(self, name, subject, extensions="", dates=("-days", "2")):
        """A PEM file with key and certificate."""
        path = os.path.join(self.folder, name)
        with open(path + ".ext", "w", encoding="ascii") as f:
            f.write(extensions + "\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout", path + ".key",
                     "-out", path + ".csr")
        self.openssl("x509", "-req", "-in", path + ".csr", "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", *dates,
                     "-extfile", path + ".ext", "-out", path + ".crt")
        with open(path + ".pem", "w", encoding="ascii") as out:
            for ending in (".key", ".crt"):
                with open(path + ending, encoding="ascii") as f:
                    out.write(f.read())
        return path + ".pem"


class CertificateServer(Server):
    options = ()

    def program(self):
        program = super().program()
        return program[:1] + [word for o in self.options for word in ("-o", o)] + program[1:]


def serve(*options):
    s = CertificateServer()
    s.options = options
    return s.start()


def context(certificate=None, version=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if certificate:
        c.load_cert_chain(certificate)
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def connect(s, certificate, service="imaps", version=None):
    wire = Wire(s.port(service))
    if service == "imap":
        wire.line()
        wire.imap("STARTTLS")
    wire.sock = context(certificate, version).wrap_socket(wire.sock)
    if service == "imaps":
        wire.line()
    return wire


def login(wire, authzid=""):
    """Whether it is offered, and what comes of it."""
    wire.send(b"c CAPABILITY\r\n")
    offered = b" AUTH=EXTERNAL" in wire.line()
    wire.line()
    wire.send(b"a AUTHENTICATE EXTERNAL " + (base64.b64encode(authzid.encode()) or b"=") + b"\r\n")
    return offered, wire.line().split()[1].decode()


def beside_the_store(authority):
    """Keys in the directory in which the store is: the keeper gets them, and not the mail."""
    s = CertificateServer()
    for inside in (False, True):
        where = s.dir if inside else os.path.dirname(s.dir)
        pem = shutil.copy(os.path.join(authority.folder, "server.pem"), where)
        s.options = (f"tls_certificate={pem}", f"tls_key={pem}")
        for start in ("the first", "the second"):
            s.start()
            wire = Wire(s.port("imaps"), tls=True)
            check(f"{start} start, key {'in' if inside else 'beside'} the store", wire.line().startswith(b"* OK"))
            s.check_end()
        check("the log tells of it", "event=sandbox_certificate" in s.log())


def test():
    folder = scratch("certificates")
    good, bad = Authority(folder, "good"), Authority(folder, "bad")
    anna = good.issue("anna", "/CN=u00001/emailAddress=nobody@localhost", "subjectAltName=email:u00001@localhost,email:u00002@localhost")
    rows = [("an address", anna, "", (True, "OK")), ("its own name", anna, "u00001", (True, "OK")),
            ("the second name", anna, "u00002@localhost", (True, "OK")), ("somebody else's", anna, "u00003", (True, "NO")),
            ("what no login can be", anna, "\1", (True, "NO")), ("no certificate", None, "", (False, "NO")),
            ("an address in the subject", good.issue("old", "/CN=x/emailAddress=u00002@localhost"), "", (True, "OK")),
            ("no name", good.issue("nameless", "/CN=u00001"), "", (False, "NO")),
            ("nobody here", good.issue("nobody", "/CN=x", "subjectAltName=email:nobody@localhost"), "", (True, "NO")),
            ("another authority", bad.issue("foreign", "/CN=x", "subjectAltName=email:u00001@localhost"), "", (False, "NO")),
            ("expired", good.issue("expired", "/CN=x", "subjectAltName=email:u00001@localhost", ("-days", "-1")), "", (False, "NO")),
            ("for servers", good.issue("server", "/CN=x", "subjectAltName=email:u00001@localhost\nextendedKeyUsage=serverAuth"), "", (False, "NO"))]
    s = serve("throttle=no", f"tls_client_authorities={good.certificate}")
    for name, certificate, authzid, want in rows:
        for service in ("imap", "imaps"):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                wire = connect(s, certificate, service, version)
                equal(f"{name}, {service}, {version.name}", login(wire, authzid), want)
                check(f"{name}: the session goes on", wire.imap("NOOP")[0] == "OK")
                wire.close()
    wire = connect(s, anna)
    for user in ("u00001", "u00002"):  # RFC 8437 4.2: the certificate stays, the user goes
        equal(f"{user} over one connection", login(wire, user), (True, "OK"))
        wire.imap("CREATE of-" + user)
        check(f"{user}: back to a stranger", wire.imap("UNAUTHENTICATE")[0] == "OK" and wire.imap("SELECT INBOX")[0] == "BAD")
    done = run(["gsasl", "--imap", f"--connect={HOST}:{s.port('imap')}", "--mechanism", "EXTERNAL", "-z", "", f"--x509-ca-file={s.dir}/tls/certificate.pem",
                f"--x509-cert-file={anna[:-4]}.crt", f"--x509-key-file={anna[:-4]}.key"], 20)
    check("gsasl, EXTERNAL", done.code == 0 and "OK LOGOUT" in done.out, done)
    done = run(["openssl", "s_client", "-quiet", "-connect", f"{HOST}:{s.port('imaps')}", "-cert", anna, "-key", anna], 20,
               input="a AUTHENTICATE EXTERNAL =\r\nb LIST \"\" of-*\r\nc LOGOUT\r\n")
    check("openssl s_client", "a OK" in done.out and "of-u00001" in done.out and "c OK" in done.out, done)
    done = run(["curl", "-sSk", "--url", f"imaps://{HOST}:{s.port('imaps')}/INBOX", "-E", anna, "--user", "u00001:", "--login-options", "AUTH=EXTERNAL",
                "-X", "NOOP"], 20)
    check("curl, EXTERNAL", done.code == 0, done)
    wire = Wire(s.port("pop3s"))
    wire.sock = context(anna).wrap_socket(wire.sock)
    wire.line()
    wire.send(b"AUTH EXTERNAL =\r\n")
    check("POP3 knows it, too", wire.line().startswith(b"+OK"))
    s.check_end()

    s = serve("throttle=no", f"tls_client_authorities={good.certificate}", "tls_client_subject=yes")
    equal("the common name", login(connect(s, anna)), (True, "OK"))
    equal("not an address", login(connect(s, anna), "u00002"), (True, "NO"))
    s.stop()
    beside_the_store(good)


main(test, 100)
