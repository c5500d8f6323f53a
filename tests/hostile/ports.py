"""Other protocols on our ports, TLS where there is none, none where it should be. The state is the port; the connection is half closed
behind what is sent."""
from .rows import CLOSES, EITHER, Row

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2
SENT = [
    ("nothing", b""), ("one octet", b"x"), ("NUL", b"\0"), ("a TLS hello", HELLO), ("half a TLS hello", HELLO[:30]), ("one octet of a TLS hello", b"\x16"),
    ("a TLS record of 64 KiB", b"\x16\x03\x01\xff\xff" + b"x" * 65535), ("a TLS record of nothing", b"\x16\x03\x01\x00\x00" * 1000), ("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x28"),
    ("TLS data before the hello", b"\x17\x03\x03\x00\x20" + b"x" * 32), ("an SSL 2 hello", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"x" * 40), ("SSL 3", b"\x16\x03\x00" + HELLO[3:]),
    ("TLS 0.0", b"\x16\x00\x00" + HELLO[3:]), ("HTTP GET", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ("HTTP POST", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nNOOP\r\n"), ("HTTP CONNECT", b"CONNECT x:25 HTTP/1.0\r\n\r\n"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"), ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"), ("a PROXY 1 header", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), ("a PROXY 2 header", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"x" * 12),
    ("RDP", b"\x03\x00\x00\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0"), ("SMB", b"\0\0\0\x54\xffSMBr" + b"\0" * 80), ("MySQL", b"\x4a\0\0\0\x0a5.5\0" + b"x" * 60), ("PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f"), ("Redis", b"*1\r\n$4\r\nPING\r\n"),
    ("a telnet negotiation", b"\xff\xfb\x01\xff\xfd\x03" * 100), ("1 MB of NUL", b"\0" * 1_000_000), ("1 MB of CR", b"\r" * 1_000_000), ("1 MB of LF", b"\n" * 1_000_000), ("1 MB of CRLF", b"\r\n" * 500_000), ("1 MB of 0xff", b"\xff" * 1_000_000),
    ("1 MB of {", b"{" * 1_000_000), ("every octet", bytes(range(256)) * 100), ("SIP", b"OPTIONS sip:x SIP/2.0\r\nVia: x\r\n\r\n"), ("a shell", b"() { :;}; /bin/sh\r\n"), ("DNS", b"\0\x1d\0\x06\1\0\0\1\0\0\0\0\0\0\7version\4bind\0\0\x10\0\3"),
]
ROWS = [Row(port, name, send, b"", CLOSES) for port in ("imap", "imaps", "pop3", "pop3s", "smtp", "lmtp") for name, send in SENT]
