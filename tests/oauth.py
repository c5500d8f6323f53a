#!/usr/bin/env python3
"""An issuer of access tokens for tests: keys by openssl, JWK sets (RFC 7517), signed tokens (RFC 7519).

usage: tests/oauth.py DIR     writes DIR/jwks.json and the tokens that the talks use, good until 2100, then forgets its keys
"""
import base64
import json
import os
import subprocess
import sys
import tempfile


def url(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def openssl(*arguments, octets=b""):
    return subprocess.run(["openssl", *arguments], input=octets, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


class Issuer:
    """Keys rs (RS256), es (ES256) and ed (EdDSA)."""

    OPTIONS = {"rs": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
               "es": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
               "ed": ("-algorithm", "ED25519")}
    NAMES = {"rs": "RS256", "es": "ES256", "ed": "EdDSA"}

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="posthouse-issuer-")
        for kind, options in self.OPTIONS.items():
            openssl("genpkey", *options, "-out", self.path(kind))

    def path(self, kind):
        return os.path.join(self.dir.name, kind + ".pem")

    def public(self, kind):
        return openssl("pkey", "-in", self.path(kind), "-pubout", "-outform", "DER")

    def jwks(self):
        modulus = openssl("rsa", "-in", self.path("rs"), "-noout", "-modulus").split(b"=")[1].strip()
        point = self.public("es")[-64:]
        return {"keys": [
            {"kty": "RSA", "kid": "rs", "use": "sig", "alg": "RS256", "n": url(bytes.fromhex(modulus.decode())), "e": "AQAB"},
            {"kty": "EC", "kid": "es", "crv": "P-256", "x": url(point[:32]), "y": url(point[32:])},
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": url(self.public("ed")[-32:])}]}

    def sign(self, kind, message):
        if kind == "ed":
            with tempfile.NamedTemporaryFile() as f:
                f.write(message)
                f.flush()
                return openssl("pkeyutl", "-sign", "-inkey", self.path(kind), "-rawin", "-in", f.name)
        signature = openssl("dgst", "-sha256", "-sign", self.path(kind), octets=message)
        if kind == "rs":
            return signature
        numbers, rest = [], signature[2:]
        for _ in range(2):
            numbers.append(rest[2:2 + rest[1]].lstrip(b"\0").rjust(32, b"\0"))
            rest = rest[2 + rest[1]:]
        return b"".join(numbers)

    def token(self, kind, claims, header=None):
        head = {"alg": self.NAMES[kind], "kid": kind, "typ": "at+jwt", **(header or {})}
        message = url(json.dumps(head).encode()) + "." + url(json.dumps(claims).encode())
        return message + "." + url(self.sign(kind, message.encode()))


GOOD = {"iss": "https://issuer.example", "aud": ["mail"], "exp": 4102444800, "scope": "openid imap", "email": "u00001@localhost"}


def initial(token, user="", mechanism="OAUTHBEARER"):
    text = (f"n,{'a=' + user if user else ''},\1host=server.example.com\1port=143\1auth=Bearer {token}\1\1" if mechanism == "OAUTHBEARER"
            else f"user={user}\1auth=Bearer {token}\1\1")
    return base64.b64encode(text.encode()).decode()


def main():
    issuer, out = Issuer(), sys.argv[1]
    with open(os.path.join(out, "jwks.json"), "w", encoding="ascii") as f:
        json.dump(issuer.jwks(), f, indent=1)
    rows = {"rs256": issuer.token("rs", GOOD), "es256": issuer.token("es", GOOD), "eddsa": issuer.token("ed", GOOD),
            "expired": issuer.token("es", {**GOOD, "exp": 1000}), "audience": issuer.token("es", {**GOOD, "aud": "web"}),
            "issuer": issuer.token("es", {**GOOD, "iss": "https://other.example"}), "scope": issuer.token("es", {**GOOD, "scope": "openid"}),
            "early": issuer.token("es", {**GOOD, "nbf": 4102444000}), "other": issuer.token("es", {**GOOD, "email": "nobody@localhost"}),
            "key": issuer.token("es", GOOD, {"kid": "rs"})}
    message = url(b'{"alg":"none"}') + "." + url(json.dumps(GOOD).encode())
    rows["none"] = message + "."
    for name, token in rows.items():
        print(name, token)


if __name__ == "__main__":
    main()
