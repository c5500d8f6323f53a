#!/usr/bin/env python3
"""posthouse restore of an account: all that it had comes back, folders, subscriptions, special uses, rights, annotations, limits,
preferences, and with the messages their flags, keywords, dates, annotations and who else has seen them. What is there stays, unless
--replace says otherwise; rights that were taken back since do not come back by themselves, and none goes to who merely has the same name.
"""
import os
import re
import signal
import subprocess
import time

from lib import PASSWORD, Served, check, end, equal, login, main, scratch, start, wait_for

USERS = ["anna", "bert", "cleo"]


class Client:
    def __init__(self, server, user):
        self.w = login(server, user)

    def say(self, command):
        state, text, lines = self.w.imap(command)
        if state != "OK":
            raise RuntimeError(f"{command}: {state} {text}")
        return lines

    def append(self, box, subject, how=""):
        text = f"From: a@example.org\r\nSubject: {subject}\r\n\r\n{subject}\r\n"
        self.say(f'APPEND "{box}" {how}{{{len(text)}+}}\r\n{text}')


def add_users(s, *users):
    for user in users:
        equal(f"user add {user}", s.command("user", "add", user, input=PASSWORD + "\n").code, 0)


def furnish(s):
    """An account with one of everything."""
    anna, bert = Client(s, "anna"), Client(s, "bert")
    for name in ("Work", "Work/Old", "Work/Empty", "Gesendet", "Short"):
        anna.say(f'CREATE "{name}"' + (r" (USE (\Sent))" if name == "Gesendet" else ""))
        anna.say(f'SUBSCRIBE "{name}"')
    anna.say("DELETE Junk"), anna.say("UNSUBSCRIBE Junk"), anna.say("UNSUBSCRIBE Short"), anna.say("SUBSCRIBE Elsewhere")
    anna.append("INBOX", "first", r'(\Seen) "01-Feb-2020 10:00:00 +0000" ')
    for n in range(5):
        anna.append("Work", f"work {n}", r'(\Flagged $Forwarded Late) "02-Mar-2021 11:00:0%d +0000" ' % n)
    for n in range(40):
        anna.append("Work/Old", f"one of many, {n}", r"(\Seen) ")
    anna.append("Work/Old", "old", r"(\Answered \Draft) ")
    anna.say("SETACL Work bert lrsn"), anna.say("SETACL Work -cleo r"), anna.say("SETACL Work anyone l"), anna.say("SETACL Work nosuch lr")
    anna.say('SETMETADATA Work (/private/comment "mine" /shared/comment "ours")')
    anna.say('SETMETADATA "" (/private/comment "of the server")')
    anna.say("SELECT Work")
    anna.say('STORE 2 ANNOTATION (/comment (value.priv "hers" value.shared "everybody\'s"))')
    bert.say('SETMETADATA Shared/anna/Work (/private/comment "what bert thinks")')
    bert.say("SELECT Shared/anna/Work")
    bert.say(r"STORE 1,4 +FLAGS (\Seen)"), bert.say('STORE 3 ANNOTATION (/comment (value.priv "his"))')
    for words in (("quota", "anna", "50M", "700", "70"), ("pop3", "anna", "leave=no"), ("deletion", "anna", "expunge=gone", "keep=9")):
        equal("user " + words[0], s.command("user", *words).code, 0)


def untagged(lines):
    """Without numbers and \\Recent."""
    lines = (re.sub(rb" ?\\Recent", b"", re.sub(rb"\* \d+ FETCH", b"* FETCH", line)) for line in lines)
    return sorted(line.replace(b"FLAGS ( ", b"FLAGS (") for line in lines)


def rights(lines):
    words = re.sub(rb"^\* ACL \S+ ", b"", lines[0]).split()
    return dict(zip(words[::2], words[1::2]))


def folder(anna, name):
    anna.say(f'EXAMINE "{name}"')
    mail = anna.say("FETCH 1:* (FLAGS INTERNALDATE ANNOTATION (/* (value.priv value.shared)) BODY.PEEK[])") if name != "Work/Empty" else []
    return (untagged(line for line in mail if b" FETCH " in line), rights(anna.say(f'GETACL "{name}"')), untagged(anna.say(f'GETMETADATA "{name}" (/private/comment /shared/comment)')))


def everything(s):
    anna = Client(s, "anna")
    got = {name: folder(anna, name) for name in ("INBOX", "Work", "Work/Old", "Work/Empty", "Gesendet", "Short")}
    names = anna.say('LIST "" * RETURN (SUBSCRIBED SPECIAL-USE)') + anna.say('LIST (SUBSCRIBED) "" *')
    got["names"] = untagged(line for line in names if not line.endswith(b"Deleted"))  # the view of what was expunged
    got["server"] = anna.say('GETMETADATA "" (/private/comment)')
    got["limits"] = [re.findall(rb"(\w+) \d+ (\d+)", line) for line in anna.say("GETQUOTAROOT INBOX")]
    for words in (("pop3", "anna"), ("deletion", "anna")):
        got[words[0]] = s.command("user", *words).out
    return got


def as_bert_sees(s):
    bert = Client(s, "bert")
    bert.say("EXAMINE Shared/anna/Work")
    return (untagged(bert.say("FETCH 1:* (FLAGS ANNOTATION (/* value.priv) BODY.PEEK[HEADER.FIELDS (SUBJECT)])")),
            bert.say("GETMETADATA Shared/anna/Work (/private/comment)"))


def same(name, got, wanted):
    wrong = {k: (got.get(k), v) for k, v in wanted.items() if got.get(k) != v}
    check(name, not wrong, "\n".join(f"{k}:\n  {g}\nnot\n  {w}" for k, (g, w) in wrong.items()))


def restored(s, name, *args, code=0):
    done = s.command("restore", s.backup, *args)
    check(f"restore: {name}", done.code == code, done)
    return done


def validity(s, box):
    w = login(s, "anna")
    return int(re.search(rb"UIDVALIDITY (\d+)", b" ".join(w.imap(f"STATUS {box} (UIDVALIDITY)")[2])).group(1))


def nothing_is_missing(s, wanted):
    done = restored(s, "all is there", "--account", "anna")
    check("nothing came twice", done.out.startswith("0 messages restored, 47 were there; 0 settings restored, "), done)
    same("and nothing changed", everything(s), wanted)


def a_folder_that_was_deleted(s, wanted, bert_saw):
    before = validity(s, "Work")
    anna = Client(s, "anna")
    anna.say("DELETE Work"), anna.say("UNSUBSCRIBE Work")
    restored(s, "a folder", "--account", "anna", "--folder", "Work")
    same("all of the folder is back", everything(s), wanted)
    equal("and what bert has of it", as_bert_sees(s), bert_saw)
    check("under a new UIDVALIDITY", validity(s, "Work") > before, (validity(s, "Work"), before))


def what_is_there_stays(s, wanted):
    anna = Client(s, "anna")
    anna.say("SETACL Work bert l"), anna.say("DELETEACL Work anyone")
    anna.say('SETMETADATA Work (/private/comment "newer" /shared/comment NIL)')
    anna.say("UNSUBSCRIBE Work/Old"), anna.say("SELECT Work"), anna.say("STORE 1 FLAGS (Now)")
    equal("user quota", s.command("user", "quota", "anna", "60M").code, 0)
    anna.say('CREATE Later (USE (\\Sent))')
    restored(s, "into what is there", "--account", "anna")
    now = everything(s)
    check("a right that was taken back stays away", now["Work"][1].get(b"bert") == b"l" and b"anyone" not in now["Work"][1], now["Work"][1])
    check("a newer annotation stays, a missing one comes", b'"newer"' in now["Work"][2][0] and b'"ours"' in now["Work"][2][0], now["Work"][2])
    check("newer flags stay", any(b"FLAGS (Now" in m for m in now["Work"][0]), now["Work"][0])
    check("a subscription comes back", any(b"\\Subscribed" in line and b'Work/Old' in line for line in now["names"]), now["names"])
    check("newer limits stay", now["limits"] != wanted["limits"], now["limits"])
    restored(s, "--replace", "--account", "anna", "--replace")
    now = everything(s)
    check("a folder more stays", any(re.search(rb'[ "]Later"?$', line) for line in now["names"]), now["names"])
    Client(s, "anna").say("DELETE Later")
    same("with --replace all is as it was", everything(s), wanted)


def an_account_that_was_removed(s, wanted):
    equal("user remove", [s.command("user", "remove", u).code for u in ("anna", "cleo", "bert")], [0, 0, 0])
    add_users(s, "bert")
    done = restored(s, "an account that is gone", "--account", "anna")
    check("who only has the name gets nothing", "bert is somebody else now" in done.err, done)
    s.command("user", "password", "anna", input=PASSWORD + "\n")
    now = everything(s)
    check("nor in the list of rights", b"bert" not in now["Work"][1] and b"-cleo" in now["Work"][1], now["Work"][1])
    strip = lambda got: {**got, "Work": (got["Work"][0], got["Work"][2])}
    same("the rest is as it was", strip(now), strip(wanted))


def cut_off(s, wanted, bert_saw):
    """The house or the tool dies in the middle: done again, all is there, once."""
    for n in range(6):
        s.command("user", "remove", "anna")
        process = start(s.program()[:-1] + ["restore", s.backup, "--account", "anna"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.04 * (n + 1))
        if n % 2:
            end(process)
        else:
            os.kill(s.role("house")[0], signal.SIGKILL)
            process.wait(60)
        wait_for(lambda: s.command("status").code == 0)
        restored(s, f"again, {n}", "--account", "anna")
        s.command("user", "password", "anna", input=PASSWORD + "\n")
        same(f"cut off {n} and done again: all is there, once", everything(s), wanted)
        equal("and what bert has of it", as_bert_sees(s), bert_saw)


def only_mail(s, wanted):
    done = restored(s, "--into", "--account", "anna", "--folder", "Work", "--into", "Copy")
    check("--into brings mail alone", "settings" not in done.out, done)
    anna = Client(s, "anna")
    equal("with its annotations", folder(anna, "Copy")[0], wanted["Work"][0])
    check("and no rights", b"anyone" not in folder(anna, "Copy")[1], folder(anna, "Copy")[1])


def test():
    s = Served(quota="10M").start()
    add_users(s, *USERS)
    furnish(s)
    s.backup = os.path.join(scratch("backup"), "posthouse")
    check("a backup", s.command("backup", s.backup).code == 0)
    wanted, bert_saw = everything(s), as_bert_sees(s)
    check("bert has seen two of them", sum(b"\\Seen" in line for line in bert_saw[0]) == 2, bert_saw)
    nothing_is_missing(s, wanted)
    a_folder_that_was_deleted(s, wanted, bert_saw)
    what_is_there_stays(s, wanted)
    only_mail(s, wanted)
    Client(s, "anna").say("DELETE Copy"), Client(s, "anna").say("UNSUBSCRIBE Copy")
    cut_off(s, wanted, bert_saw)
    an_account_that_was_removed(s, wanted)
    for args in (("--store", "x", "--replace"), ("--account", "anna", "--replace", "yes")):
        restored(s, " ".join(args), *args, code=64)
    s.check_end()


main(test, 120)
