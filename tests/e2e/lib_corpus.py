"""Mail in many scripts and charsets, whole and broken, made from a seed; each message with what it says, so that nobody has to parse
it to know. What a server makes of the octets can then be compared with the truth (lib_reference.py).

    for mail in corpus(seed=7, count=300):
        mail.raw            the octets, CRLF
        mail.subject        Text: what the field says; .words for a search
        mail.from_, .to, .cc, .bcc    lists of Address
"""
import base64
import datetime
import random
import unicodedata

# Words that are in no header name, no MIME parameter and not in each other. Some are there composed and decomposed, in both cases.
WORDS = {
    "ascii": "Quince Walnut zebra XYLOPHONE jumping Fjordbank vexed okapi Quixote dwarf Gazpacho plinth".split(),
    "latin": "Grüße naïve Ærøskøbing Façade ÉCLAIR Señor fußgänger Øresund Ångström crème Überzug".split(),
    "eastern": "Žluťoučký kůň Łódź źdźbło ŠKODA čeština Ősz fűnyíró gżegżółka".split(),
    "cyrillic": "Привет ЗДРАВСТВУЙ съешь ёлка Объём щука ЦЫПЛЁНОК юность".split(),
    "greek": "Ξεσκεπάζω ΨΥΧΗ ὀδύνη κόσμος Ωμέγα".split(),
    "turkish": "Iğdır ISPARTA çiçek ŞEKER öğün".split(),
    "japanese": "日本語 カタカナ ひらがな 会議 東京都 おはよう".split(),
    "chinese": "中文 会议纪要 你好 北京市".split(),
    "korean": "한국어 안녕하세요 회의록 서울".split(),
    "arabic": "مرحبا بالعالم اجتماع القاهرة".split(),
    "hebrew": "שלום עולם פגישה".split(),
    "other": "ﬁnance ½pint ℃degree Ｆｕｌｌ 𝒜lpha 🦊fox ǅungla e\u0301toile".split(),
}
CHARSETS = {
    "ascii": ["us-ascii", "utf-8", "iso-8859-1"],
    "latin": ["utf-8", "iso-8859-1", "iso-8859-15", "windows-1252"],
    "eastern": ["utf-8", "iso-8859-2", "windows-1250"],
    "cyrillic": ["utf-8", "koi8-r", "windows-1251", "iso-8859-5"],
    "greek": ["utf-8"],
    "turkish": ["utf-8", "iso-8859-9", "windows-1254"],
    "japanese": ["utf-8", "iso-2022-jp", "shift_jis", "euc-jp"],
    "chinese": ["utf-8", "gb2312", "gb18030"],
    "korean": ["utf-8", "euc-kr"],
    "arabic": ["utf-8", "windows-1256", "iso-8859-6"],
    "hebrew": ["utf-8", "windows-1255"],
    "other": ["utf-8"],
}
KEYWORDS = ["$Forwarded", "$Junk", "Work", "later"]
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"]
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
NAMED_ZONES = {"EST": -300, "PDT": -420, "GMT": 0, "UT": 0, "CST": -360}


class Text:
    """value: as UTF-8 text. octets: None, or what is left when the charset cannot be had (RFC 5255 4.6): then value is a guess."""

    def __init__(self, value="", octets=None, words=()):
        self.value, self.octets, self.words = value, octets, list(words)


class Address:
    """group: mailbox is the name of a group that has no members."""

    def __init__(self, name, mailbox, host, group=False):
        self.name, self.mailbox, self.host, self.group = name, mailbox, host, group


class Mail:
    pass


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.serial = 0
        self.ids, self.subjects = [], []
        self.chains = {}  # what the References of an id were

    def chance(self, p):
        return self.r.random() < p

    # ---- text ----

    def words(self, most=3):
        """Words of one script: (script, [words])."""
        script = self.r.choice(list(WORDS))
        return script, [self.r.choice(WORDS[script]) for _ in range(self.r.randint(1, most))]

    def charset_for(self, script, text):
        for charset in self.r.sample(CHARSETS[script], len(CHARSETS[script])):
            try:
                text.encode(charset)
                return charset
            except UnicodeEncodeError:
                pass
        return "utf-8"

    def encoded_word(self, octets, charset):
        if self.chance(0.5):
            coded, how = base64.b64encode(octets).decode(), self.r.choice("bB")
        else:
            coded = "".join(chr(c) if chr(c).isalnum() and c < 128 else "_" if c == 32 else f"={c:02X}" for c in octets)
            how = self.r.choice("qQ")
        return f"=?{charset}?{how}?{coded}?="

    def encoded(self, text, charset):
        """One or more encoded words; some mailers cut them in the middle of a character."""
        octets = text.encode(charset)
        if len(octets) > 3 and self.chance(0.3) and charset != "iso-2022-jp":
            cut = self.r.randint(1, len(octets) - 1)
            gap = self.r.choice([" ", "\r\n ", "\r\n\t", "   "])
            return self.encoded_word(octets[:cut], charset) + gap + self.encoded_word(octets[cut:], charset)
        return self.encoded_word(octets, charset)

    def phrase(self, most=3, alone=True):
        """(how it is written, Text): the words of a subject or a name. Raw octets that are no UTF-8 only alone: beside raw UTF-8
        nobody can tell what is what."""
        script, words = self.words(most)
        text = " ".join(words)
        how = self.r.random()
        if how < 0.08:
            return self.broken(script, text, words)
        if script == "ascii" and how < 0.7:
            return text.encode(), Text(text, words=words)
        if how < 0.3:
            return text.encode(), Text(text, words=words)  # RFC 6532
        if how < 0.35 and script == "latin" and alone:
            raw = (text + " .").encode("windows-1252")  # no UTF-8, whatever it is
            return raw, Text(text + " .", words=words)
        if how < 0.5:  # words of several charsets beside each other
            more_script, more = self.words(2)
            more_text = " ".join(more)
            written = (self.encoded(text, self.charset_for(script, text)) + self.r.choice([" ", "\r\n  "]) +
                       self.encoded(more_text, self.charset_for(more_script, more_text)))
            return written.encode(), Text(text + more_text, words=words + more)
        return self.encoded(text, self.charset_for(script, text)).encode(), Text(text, words=words)

    def broken(self, script, text, words):
        """In a charset nobody knows, or not what its charset allows."""
        if self.chance(0.5):
            octets = "plain ".encode() + text.encode()
            return self.encoded_word(octets, "x-unknown-9").encode(), Text(octets.decode(), octets, words)
        octets = b"bad \xff\xc0 " + text.encode()
        return self.encoded_word(octets, "utf-8").encode(), Text("bad \ufffd\ufffd " + text, octets, words)

    # ---- fields ----

    def subject(self):
        """(written, Text); often the same as before, with what replies and forwards add."""
        if self.subjects and self.chance(0.5):
            written, text = self.r.choice(self.subjects)
        else:
            written, text = self.phrase()
            self.subjects.append((written, text))
        for _ in range(self.r.choice([0, 0, 1, 1, 2, 3])):
            front, back = self.r.choice([("Re: ", ""), ("RE:", ""), ("Fwd: ", ""), ("fw: ", ""), ("Re[2]: ", ""), ("Re [x] : ", ""),
                                         ("[list] ", ""), ("[a][b] Re: ", ""), ("", " (fwd)"), ("", "(FWD)  "), ("[Fwd: ", "]"),
                                         ("   ", ""), ("AW: ", ""), ("re : ", ""), ("\t", ""), ("[", "]"), ("Ref: ", ""), ("", " ]"),
                                         ("Re: [fwd: ", "] (fwd)"), ("\r\n ", ""), ("fwd:fwd:", "")])
            if written.endswith(b"?=") and back and not back.startswith(" "):
                back = " " + back  # an encoded word has to end
            written = front.encode() + written + back.encode()
            unfolded = front.replace("\r\n", "").replace("\t", " ")
            octets = text.octets and unfolded.encode() + text.octets + back.encode()
            text = Text(unfolded + text.value + back, octets, text.words)
        return written, text

    def address(self, alone):
        """(written, Address)"""
        mailbox = self.r.choice("anna bert Carla DORA emil frida-7 g.hill h_1".split())
        host = self.r.choice(["example.org", "Example.COM", "mail.test"])
        shape = self.r.random()
        spec = f"{mailbox}@{host}".encode()
        if shape < 0.05:
            return b"undisclosed:;", Address(None, "undisclosed", None, group=True)
        if shape < 0.3:
            return spec, Address(None, mailbox, host)
        written, name = self.phrase(2, alone)
        if b"=?" not in written:
            written = b'"' + written.strip() + b'"'
            name.value = name.value.strip()
        return written + b" <" + spec + b">", Address(name, mailbox, host)

    def addresses(self, most):
        count = self.r.randint(1, most)
        made = [self.address(count == 1) for _ in range(count)]
        return self.r.choice([b", ", b",\r\n "]).join(w for w, _ in made), [a for _, a in made]

    def date(self, near):
        """(written, (seconds, zone in minutes) or None)"""
        moment = near + self.r.choice([0, 0, self.r.randint(-90000, 90000), self.r.randint(-10**7, 10**7)])
        zone = self.r.choice([0, 60, -480, 330, -210, 840])
        local = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=moment + zone * 60)
        day, clock = f"{local.day} {MONTHS[local.month - 1]} {local.year}", local.strftime("%H:%M:%S")
        sign = f"{'-' if zone < 0 else '+'}{abs(zone) // 60:02}{abs(zone) % 60:02}"
        midnight = moment + zone * 60 - (moment + zone * 60) % 86400
        shape = self.r.random()
        if shape < 0.6:
            return f"{local.strftime('%a')}, {day} {clock} {sign}", (moment, zone)
        if shape < 0.66:
            name = self.r.choice(list(NAMED_ZONES))
            return f"{day} {clock} {name}", (moment + zone * 60 - NAMED_ZONES[name] * 60, NAMED_ZONES[name])
        if shape < 0.72:
            return f"{day} (a comment) {clock[:5]} {sign}", (moment - local.second, zone)
        if shape < 0.77:
            return f"{local.strftime('%a')}, {day.replace(' ', '-')} {clock}", (moment + zone * 60, 0)
        if shape < 0.82:
            return f"{day} {clock} +9999", (moment + zone * 60, 0)  # RFC 5256 2.2: an invalid zone is UTC
        if shape < 0.87:
            return f"{day} {self.r.choice(['25:00:00', '10:61:00', '99:99:99'])} {sign}", (midnight, 0)
        if shape < 0.92:
            return self.r.choice(["yesterday", "", "31 Feb 2020 10:00:00 +0000", "32 Jan 2020 00:00:00 +0000", "@@@"]), None
        return None, None

    # ---- ids ----

    def new_id(self):
        self.serial += 1
        return f"<{self.serial}.{self.r.randrange(10**6)}@id.example>"

    def quoted(self, i):
        """The same id, written another way (RFC 5256 3)."""
        return '<"' + i[1:i.index("@")] + '"' + i[i.index("@"):] if self.chance(0.2) else i

    def some_ids(self, most):
        pick = lambda: self.r.choice(self.ids) if self.ids and self.chance(0.9) else self.new_id()
        return [pick() for _ in range(self.r.randint(1, most))]

    def references(self, mail, lines):
        """What it answers: often a chain as mailers write it, sometimes anything at all."""
        refs, shape = [], self.r.random()
        if shape < 0.35 or not self.ids:
            return refs
        if shape < 0.75:
            parent = self.r.choice(self.ids)
            refs = (self.chains.get(parent, []) + [parent])[-self.r.choice([2, 5, 20]):]
            lines.append(("References", self.r.choice([" ", "\r\n ", ""]).join(self.quoted(i) for i in refs).encode()))
        elif shape < 0.85:
            refs = self.some_ids(5)  # loops, and what never was
            lines.append(("References", " ".join(self.quoted(i) for i in refs).encode()))
        elif shape < 0.9:
            lines.append(("References", b"no id at all <> <noat>"))
        if not refs or self.chance(0.3):
            answers = self.some_ids(1)
            lines.append(("In-Reply-To", f"Your message of today {self.quoted(answers[0])} <someone@else.example>".encode()))
            refs = refs or answers
        return refs

    # ---- bodies ----

    def text_part(self):
        """(header lines, octets, words)"""
        script, words = self.words(6)
        text = " ".join(words) + "\r\n"
        charset = self.charset_for(script, text)
        octets, kind = text.encode(charset), self.r.random()
        lines = [("Content-Type", self.r.choice([f"text/plain; charset={charset}", f'TEXT/PLAIN; charset="{charset.upper()}"']))]
        if kind < 0.3:
            lines.append(("Content-Transfer-Encoding", "base64"))
            return lines, base64.encodebytes(octets).replace(b"\n", b"\r\n"), words
        if kind < 0.6:
            lines.append(("Content-Transfer-Encoding", "quoted-printable"))
            coded = "".join(chr(c) if 32 < c < 127 and c != 61 or c in (13, 10) else f"={c:02X}" for c in octets)
            return lines, coded.encode(), words
        lines.append(("Content-Transfer-Encoding", "8bit"))
        return lines, octets, words

    def file_name(self):
        """RFC 2231: (parameters of Content-Disposition, the name)."""
        script, words = self.words(1)
        name = words[0]
        quoted = lambda octets: "".join(chr(c) if c < 128 and chr(c).isalnum() else f"%{c:02X}" for c in octets)
        if self.chance(0.5):
            return f"filename*=utf-8''{quoted(name.encode())}", name
        half = len(name) // 2
        return f"filename*0*=utf-8''{quoted(name[:half].encode())};\r\n filename*1*={quoted(name[half:].encode())}", name

    def body(self, mail, lines):
        if self.chance(0.75):
            part_lines, octets, mail.body_words = self.text_part()
            lines += [(n, v.encode()) for n, v in part_lines]
            return octets
        boundary, parts = f"=_{self.r.randrange(10**9)}", []
        lines.append(("Content-Type", f'multipart/mixed; boundary="{boundary}"'.encode()))
        for _ in range(self.r.randint(1, 3)):
            part_lines, octets, words = self.text_part()
            if self.chance(0.4):
                parameters, name = self.file_name()
                part_lines.append(("Content-Disposition", f"attachment; {parameters}"))
                mail.file_names.append(name)
                mail.attached_words += words
            mail.body_words += words
            head = "".join(f"{n}: {v}\r\n" for n, v in part_lines).encode()
            parts.append(b"--" + boundary.encode() + b"\r\n" + head + b"\r\n" + octets)
        return b"\r\n".join(parts) + b"\r\n--" + boundary.encode() + b"--\r\n"

    # ---- a message ----

    def mail(self):
        m, lines = Mail(), []
        m.body_words, m.file_names, m.attached_words = [], [], []
        m.internal = 1_500_000_000 + self.r.randint(0, 10**8)
        m.flags = {f for f in FLAGS if self.chance(0.2)}
        m.keywords = {k for k in KEYWORDS if self.chance(0.15)}
        m.subject = m.sent = m.message_id = m.extra = None
        m.from_, m.to, m.cc, m.bcc = [], [], [], []
        if self.chance(0.95):
            written, m.subject = self.subject()
            lines.append(("Subject", written))
        for field, attribute, p, most in [("From", "from_", 0.96, 1), ("To", "to", 0.9, 3), ("Cc", "cc", 0.4, 2), ("Bcc", "bcc", 0.1, 1)]:
            if self.chance(p):
                written, made = self.addresses(most)
                setattr(m, attribute, made)
                lines.append((field, written))
        written, m.sent = self.date(m.internal)
        if written is not None:
            lines.append(("Date", written.encode()))
        if self.chance(0.95):
            m.message_id = self.r.choice(self.ids) if self.ids and self.chance(0.04) else self.new_id()
            lines.append(("Message-ID", self.quoted(m.message_id).encode()))
        m.references = self.references(m, lines)
        if m.message_id and m.message_id not in self.chains:
            self.chains[m.message_id] = m.references
            self.ids.append(m.message_id)
        if self.chance(0.3):
            written, m.extra = self.phrase()
            lines.append(("X-Extra", written))
        self.r.shuffle(lines)
        octets = self.body(m, lines)
        head = b"".join(n.encode() + b": " + v + b"\r\n" for n, v in lines)
        m.raw = head + b"\r\n" + octets
        m.fields = {n.lower() for n, _ in lines}
        return m


def corpus(seed, count):
    """Mails in the order in which they are to be stored."""
    maker = Maker(seed)
    return [maker.mail() for _ in range(count)]


def date_time(seconds):
    d = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    return f"{d.day:02}-{MONTHS[d.month - 1]}-{d.year} {d:%H:%M:%S} +0000"


def day(seconds):
    d = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    return f"{d.day}-{MONTHS[d.month - 1]}-{d.year}"


def append_all(wire, mailbox, mails):
    """Over a lib.Wire that is logged in, many at a time; UIDs rise in that order."""
    for start in range(0, len(mails), 50):
        some = mails[start:start + 50]
        for m in some:
            flags = " ".join(sorted(m.flags | m.keywords))
            wire.tags += 1
            wire.send(b'w%d APPEND %s (%s) "%s" {%d+}\r\n' % (wire.tags, mailbox.encode(), flags.encode(),
                                                              date_time(m.internal).encode(), len(m.raw)) + m.raw + b"\r\n")
        for i in range(len(some)):
            state, text, _ = wire.imap_answer(b"w%d" % (wire.tags - len(some) + 1 + i))
            if state != "OK":
                raise RuntimeError(f"APPEND: {state} {text}")


def casemap(text):
    """RFC 5051 2: title case of one character for one, then decomposed as far as it goes."""
    title = "".join(t if len(t := c.title()) == 1 else c for c in text)
    return "".join(unicodedata.normalize("NFKD", c) for c in title)
