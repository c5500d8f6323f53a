"""SEARCH, SORT and THREAD as the RFCs describe them, slowly and in so many words, on the mails of lib_corpus. Nothing here parses a
message: the corpus knows what each says."""
import re
import time

import lib_corpus
from lib_corpus import casemap

# ---- comparators, RFC 4790, RFC 5051 ----

COMPARATORS = {
    "i;unicode-casemap": lambda text: casemap(text).encode(),
    "i;ascii-casemap": lambda text: bytes(c - 32 if 97 <= c <= 122 else c for c in text.encode()),
    "i;octet": lambda text: text.encode(),
}


class Sorted:
    """A key for sorted() of a comparator; "-" turns it round; what has no charset comes behind (RFC 5255 4.6)."""

    def __init__(self, comparator):
        self.descending = comparator.startswith("-")
        self.fold = COMPARATORS[comparator.lstrip("+-")]

    def key(self, text):
        if text is None:
            text = lib_corpus.Text()
        if text.octets is not None and text.octets:
            return (1, text.octets)
        folded = self.fold(text.value)
        return (0, tuple(-c for c in folded) + (1,)) if self.descending else (0, tuple(folded))


# ---- base subject, RFC 5256 2.1 ----

BLOB = r"\[[^\[\]]*\] *"
REFWD = r"(?:re|fwd?) *(?:" + BLOB + r")?:"
LEADER = re.compile(r"(?:(?:" + BLOB + r")*" + REFWD + r"| )", re.I)
TRAILER = re.compile(r"(?:\(fwd\)| )$", re.I)
ONE_BLOB = re.compile(BLOB)


def base_subject(text):
    """(base subject, whether it is a reply or forward); text is str or octets (as latin-1 str)."""
    text, reply = re.sub(r"[\t\r\n ]+", " ", text), False
    while True:
        while (m := TRAILER.search(text)):  # (2)
            reply |= m.group() != " "
            text = text[:m.start()]
        while True:
            before = text
            while (m := LEADER.match(text)):  # (3)
                reply |= m.group() != " "
                text = text[m.end():]
            m = ONE_BLOB.match(text)  # (4)
            if m and m.end() < len(text):
                text = text[m.end():]
            if text == before:  # (5)
                break
        if not (text.lower().startswith("[fwd:") and text.endswith("]")):
            return text, reply
        text, reply = text[5:-1], True  # (6)


def subject_of(mail):
    """(Text of the base subject, reply)"""
    if mail.subject is None:
        return lib_corpus.Text(), False
    if mail.subject.octets is not None:
        base, reply = base_subject(mail.subject.octets.decode("latin-1"))
        return lib_corpus.Text("", base.encode("latin-1")), reply
    base, reply = base_subject(mail.subject.value)
    return lib_corpus.Text(base), reply


# ---- SORT, RFC 5256 3, RFC 5957 3 ----

def sent_date(mail):
    return mail.internal if mail.sent is None else mail.sent[0]


def mailbox_of(addresses):
    return lib_corpus.Text(addresses[0].mailbox if addresses else "")


def display_of(addresses):
    if not addresses:
        return lib_corpus.Text()
    a = addresses[0]
    if a.name is not None and (a.name.value or a.name.octets):
        return a.name
    return lib_corpus.Text(a.mailbox if a.group else f"{a.mailbox}@{a.host}")


SORT_KEYS = {
    "ARRIVAL": lambda m, c: m.internal,
    "DATE": lambda m, c: sent_date(m),
    "SIZE": lambda m, c: len(m.raw),
    "CC": lambda m, c: c.key(mailbox_of(m.cc)),
    "FROM": lambda m, c: c.key(mailbox_of(m.from_)),
    "TO": lambda m, c: c.key(mailbox_of(m.to)),
    "SUBJECT": lambda m, c: c.key(subject_of(m)[0]),
    "DISPLAYFROM": lambda m, c: c.key(display_of(m.from_)),
    "DISPLAYTO": lambda m, c: c.key(display_of(m.to)),
}


def sort(mails, numbers, criteria, comparator="i;unicode-casemap"):
    """criteria: [(key, reverse)]. sorted() is stable, in reverse too."""
    c = Sorted(comparator)
    for key, reverse in reversed(criteria):
        numbers = sorted(numbers, key=lambda n: SORT_KEYS[key](mails[n - 1], c), reverse=reverse)
    return numbers


# ---- THREAD, RFC 5256 3, draft-ietf-morg-inthread 4 ----

class Node:
    def __init__(self, number=None):
        self.number, self.parent, self.children = number, None, []

    def is_below(self, other):
        node = self
        while node is not None and node is not other:
            node = node.parent
        return node is other


class Threader:
    def __init__(self, mails, numbers, comparator="i;unicode-casemap"):
        self.mails, self.numbers, self.collation = mails, numbers, Sorted(comparator)

    def date(self, node):
        """A dummy goes by its first child."""
        n = node.number if node.number else min((c.number for c in node.children), key=lambda n: (sent_date(self.mails[n - 1]), n))
        return sent_date(self.mails[n - 1]), n

    def subject(self, node):
        text, reply = subject_of(self.mails[self.date(node)[1] - 1])
        return self.collation.key(text), reply and bool(node.number), bool(text.value or text.octets)

    @staticmethod
    def link(parent, child):
        if parent.is_below(child):
            return
        child.parent = parent
        parent.children.append(child)

    def linked(self):
        """Step 1: every node."""
        by_id, nodes = {}, []
        for n in self.numbers:
            node, i = Node(n), self.mails[n - 1].message_id
            nodes.append(node)
            if i and i not in by_id:
                by_id[i] = node
        own = list(nodes)
        for node in own:
            refs = []
            for i in self.mails[node.number - 1].references:
                if i not in by_id:
                    by_id[i] = Node()
                    nodes.append(by_id[i])
                refs.append(by_id[i])
            for parent, child in zip(refs, refs[1:]):  # (A)
                if child.parent is None:
                    self.link(parent, child)
            if node.parent is not None:  # (B)
                node.parent.children.remove(node)
                node.parent = None
            if refs:
                self.link(refs[-1], node)
        return nodes

    def pruned(self, node, is_thread):
        """Step 3 of one node and all below it: what stands in its place."""
        node.children = [kept for c in node.children for kept in self.pruned(c, False)]
        if node.number or (is_thread and len(node.children) > 1):
            return [node]
        return node.children

    def gathered(self, threads):
        """Step 5."""
        table = {}
        for t in threads:
            subject, reply, has = self.subject(t)
            if not has:
                continue
            known = table.get(subject)
            if known is None or (known.number and (not t.number or (self.subject(known)[1] and not reply))):
                table[subject] = t
        subjects = [self.subject(t) for t in threads]
        for t, (subject, reply, has) in zip(list(threads), subjects):
            known = table.get(subject) if has else t
            if known is t:
                continue
            threads.remove(t)
            if not known.number and not t.number:
                known.children += t.children
            elif not known.number or (reply and not self.subject(known)[1]):
                known.children.append(t)
            else:
                dummy = Node()
                dummy.children = [known, t]
                threads[threads.index(known)] = dummy
                table[subject] = dummy
        return threads

    def sort_below(self, node):
        for c in node.children:
            self.sort_below(c)
        node.children.sort(key=self.date)

    def references(self):
        nodes = self.linked()
        threads = [kept for n in nodes if n.parent is None for kept in self.pruned(n, True)]
        threads.sort(key=self.date)
        threads = self.gathered(threads)
        for t in threads:
            self.sort_below(t)
        return sorted(threads, key=self.date)

    def members(self, node):
        return ([node.number] if node.number else []) + [n for c in node.children for n in self.members(c)]

    def refs(self):
        nodes = self.linked()
        threads = [kept for n in nodes if n.parent is None for kept in self.pruned(n, True)]
        for t in threads:
            self.sort_below(t)
        return sorted(threads, key=lambda t: max((self.mails[n - 1].internal, n) for n in self.members(t)))

    def ordered_subject(self):
        groups = {}
        for n in self.numbers:
            groups.setdefault(self.collation.key(subject_of(self.mails[n - 1])[0]), []).append(Node(n))
        threads = []
        for group in groups.values():
            group.sort(key=self.date)
            group[0].children = group[1:]
            threads.append(group[0])
        return sorted(threads, key=self.date)

    def threads(self, algorithm):
        return {"REFERENCES": self.references, "REFS": self.refs, "ORDEREDSUBJECT": self.ordered_subject}[algorithm]()


def written(threads, name=str):
    """thread-list as the server says it."""
    def inside(node):
        own = name(node.number) if node.number else ""
        if not node.children:
            return own
        if len(node.children) == 1:
            return f"{own} {inside(node.children[0])}"
        return own + (" " if own else "") + "".join(f"({inside(c)})" for c in node.children)
    return "".join(f"({inside(t)})" for t in threads)


# ---- SEARCH, RFC 9051 6.4.4 ----

class Query:
    """text: how it is asked, octets; fits(number, mail): whether it fits."""

    def __init__(self, text, fits):
        self.text, self.fits = text, fits


def texts_of(mail, field):
    """The decoded texts of a field; every address by itself."""
    if field == "SUBJECT":
        return [mail.subject.value] if mail.subject else []
    if field == "EXTRA":
        return [mail.extra.value] if mail.extra else []
    made = {"FROM": mail.from_, "TO": mail.to, "CC": mail.cc, "BCC": mail.bcc}[field]
    texts = []
    for a in made:
        texts += [a.name.value] if a.name else []
        texts += [a.mailbox] if a.group else [f"{a.mailbox}@{a.host}"]
    return texts


def all_texts(mail):
    fields = ["SUBJECT", "EXTRA", "FROM", "TO", "CC", "BCC"]
    return [t for f in fields for t in texts_of(mail, f)] + mail.body_words + mail.file_names


def as_set(numbers):
    """In the order given, with ranges where they rise by one."""
    parts = []
    for n in numbers:
        if parts and n == parts[-1][1] + 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ",".join(f"{a}:{b}" if b > a else f"{a}" for a, b in parts)


class Asker:
    """Random queries about a corpus; one that asks for words the mails have, and a few that they have not."""

    def __init__(self, mails, r, comparator="i;unicode-casemap", charset="utf-8"):
        self.mails, self.r, self.charset, self.comparator = mails, r, charset, comparator
        self.facts = {}
        self.fold = COMPARATORS[comparator.lstrip("+-")]

    def literal(self, text):
        octets = text.encode(self.charset)
        return b"{%d+}\r\n" % len(octets) + octets

    def word(self):
        while True:
            word = self.r.choice(lib_corpus.WORDS[self.r.choice(list(lib_corpus.WORDS))])
            word = self.r.choice([word, word, word.upper(), word.lower(), word[1:], word[:-1]])
            try:
                word.encode(self.charset)
            except UnicodeEncodeError:
                continue
            if len(word) > 1:
                return word

    def has(self, texts, word):
        needle = self.fold(word)
        return any(needle in self.fold(t) for t in texts)

    def text_key(self):
        r, word = self.r, self.word()
        field = r.choice(["FROM", "TO", "CC", "BCC", "SUBJECT", "EXTRA", "BODY", "TEXT", "HEADER"])
        if field in ("FROM", "TO", "CC", "BCC") and r.random() < 0.3:
            word = r.choice("anna BERT carla @example.org mail.test dora@ undisclosed".split())
        literal = self.literal(word)
        if field == "BODY":
            return Query(b"BODY " + literal, lambda n, m: self.has(m.body_words, word))
        if field == "TEXT":
            return Query(b"TEXT " + literal, lambda n, m: self.has(all_texts(m), word))
        if field in ("EXTRA", "HEADER"):
            field = r.choice(["EXTRA", "SUBJECT", "TO"])
            name = {"EXTRA": "x-extra"}.get(field, field)
            if r.random() < 0.2:
                return Query(f'HEADER {name} ""'.encode(), lambda n, m: name.lower() in m.fields)
            return Query(f"HEADER {name} ".encode() + literal, lambda n, m: self.has(texts_of(m, field), word))
        return Query(field.encode() + b" " + literal, lambda n, m: self.has(texts_of(m, field), word))

    def attachment_key(self):
        """Always without case, whatever the comparator."""
        word, fold = self.word(), COMPARATORS["i;unicode-casemap"]
        has = lambda texts: any(fold(word) in fold(t) for t in texts)
        if self.r.random() < 0.5:
            return Query(b"XATTACHMENTNAME " + self.literal(word), lambda n, m: has(m.file_names))
        return Query(b"XATTACHMENTBODY " + self.literal(word), lambda n, m: has(m.attached_words))

    def age_key(self):
        """RFC 5032; nobody else's date is within these seconds of the limit."""
        age = int(time.time()) - self.r.choice(self.mails).internal + 17
        limit = int(time.time()) - age
        if any(abs(m.internal - limit) < 12 for m in self.mails):
            return Query(b"ALL", lambda n, m: True)
        if self.r.random() < 0.5:
            return Query(f"YOUNGER {age}".encode(), lambda n, m: m.internal >= limit)
        return Query(f"OLDER {age}".encode(), lambda n, m: m.internal <= limit)

    def date_key(self):
        m = self.r.choice(self.mails)
        seconds = m.internal + self.r.choice([0, 0, 86400, -86400])
        days, text = seconds // 86400, lib_corpus.day(seconds)
        how = self.r.choice(["BEFORE", "ON", "SINCE"])
        compare = {"BEFORE": lambda d: d < days, "ON": lambda d: d == days, "SINCE": lambda d: d >= days}[how]
        if self.r.random() < 0.5:
            return Query(f"{how} {text}".encode(), lambda n, m: compare(m.internal // 86400))
        return Query(f"SENT{how} {text}".encode(),
                     lambda n, m: m.sent is not None and compare((m.sent[0] + m.sent[1] * 60) // 86400))

    def flag_key(self):
        flag = self.r.choice(lib_corpus.FLAGS)
        word, keyword = flag[1:].upper(), self.r.choice(lib_corpus.KEYWORDS)
        return self.r.choice([
            Query(word.encode(), lambda n, m: flag in m.flags), Query(f"UN{word}".encode(), lambda n, m: flag not in m.flags),
            Query(f"KEYWORD {keyword}".encode(), lambda n, m: keyword in m.keywords),
            Query(f"UNKEYWORD {keyword}".encode(), lambda n, m: keyword not in m.keywords)])

    def other_key(self):
        r, count = self.r, len(self.mails)
        low = r.randint(1, count)
        high, size = r.randint(low, count), len(r.choice(self.mails).raw)
        return r.choice([
            Query(b"ALL", lambda n, m: True), Query(f"{low}:{high}".encode(), lambda n, m: low <= n <= high),
            Query(f"{low}:*".encode(), lambda n, m: n >= low), Query(f"{low},{high}".encode(), lambda n, m: n in (low, high)),
            Query(f"LARGER {size}".encode(), lambda n, m: len(m.raw) > size),
            Query(f"SMALLER {size}".encode(), lambda n, m: len(m.raw) < size),
            Query(b"SAVEDSINCE 1-Jan-2020", lambda n, m: True), Query(b"SAVEDBEFORE 1-Jan-2020", lambda n, m: False)])

    def thread_facts(self, algorithm):
        """Threads of all mails: {number: (thread, is a root, is a leaf)}"""
        if algorithm not in self.facts:
            facts = {}
            threader = Threader(self.mails, list(range(1, len(self.mails) + 1)), self.comparator)

            def visit(node, thread, parent):
                if node.number:
                    facts[node.number] = (thread, not parent, not node.children)
                for c in node.children:
                    visit(c, thread, node.number)
            for i, t in enumerate(threader.threads(algorithm)):
                visit(t, i, None)
            self.facts[algorithm] = facts
        return self.facts[algorithm]

    def thread_key(self, depth):
        """draft-ietf-morg-inthread 3"""
        r = self.r
        shape = r.random()
        if shape < 0.6:
            algorithm, sub = r.choice([None, "REFS", "REFERENCES", "ORDEREDSUBJECT"]), self.key(depth + 2)
            facts = self.thread_facts(algorithm or "REFS")
            hit = {facts[n][0] for n in self.found(sub)}
            text = b"INTHREAD " + (algorithm.encode() + b" " if algorithm else b"") + sub.text
            return Query(text, lambda n, m: facts[n][0] in hit)
        if shape < 0.8:
            facts, root = self.thread_facts("REFS"), r.random() < 0.5
            return Query(b"THREADROOT" if root else b"THREADLEAF", lambda n, m: facts[n][1 if root else 2])
        wanted = r.choice(self.mails).message_id or "<nobody@has.it>"
        return Query(b"MESSAGEID " + wanted.encode(), lambda n, m: m.message_id == wanted)

    def key(self, depth=0):
        shape = self.r.random()
        if shape > 0.93 and depth < 3:
            return self.thread_key(depth)
        if shape < 0.1 and depth < 4:
            a = self.key(depth + 1)
            return Query(b"NOT " + a.text, lambda n, m: not a.fits(n, m))
        if shape < 0.25 and depth < 4:
            a, b = self.key(depth + 1), self.key(depth + 1)
            return Query(b"OR " + a.text + b" " + b.text, lambda n, m: a.fits(n, m) or b.fits(n, m))
        if shape < 0.35 and depth < 4:
            a, b = self.key(depth + 1), self.key(depth + 1)
            return Query(b"(" + a.text + b" " + b.text + b")", lambda n, m: a.fits(n, m) and b.fits(n, m))
        return self.r.choice([self.text_key, self.text_key, self.date_key, self.flag_key, self.other_key, self.age_key,
                              self.attachment_key])()

    def found(self, query):
        return [n for n, m in enumerate(self.mails, 1) if query.fits(n, m)]
