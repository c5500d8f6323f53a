#!/usr/bin/env python3
"""The command line: users, aliases, quota, mailboxes, status, check, scrub, the configuration file, and SIGHUP, while serving
and while not."""
import imaplib
import os
import re
import signal
import ssl

from lib import HOST, PASSWORD, PROGRAM, Served, any_certificate, check, equal, login, main, refuses, run, sample, scratch, wait_for


def config():
    folder = scratch("config")
    path = os.path.join(folder, "posthouse.conf")

    def write(text):
        with open(path, "w") as f:
            f.write(text)
        return path
    defaults = run([PROGRAM, "config", "--defaults"])
    check("config --defaults", defaults.code == 0 and "version = 1" in defaults.out, defaults)
    accepted = run([PROGRAM, "config", "--check", write(defaults.out)])
    check("config --check accepts them", accepted.code == 0, accepted)
    uncommented = re.sub(r"(?m)^#\s*(\w+ =)", r"\1", defaults.out)
    done = run([PROGRAM, "config", "--check", write(uncommented)])
    check("... and each of them set", done.code == 0 and uncommented.count(" = ") > 20, done)
    rows = [("version = 1\nlisten_imap = 127.0.0.1:1\n\nlisten_imsp = 127.0.0.1:2\n", "line 4", "listen_imap"),
            ("version = 1\nhostnam = x\n", "line 2", "hostname"), ("version = 1\nquota = many\n", "line 2", "quota"),
            ("version = 1\nnonsense\n", "line 2", ""), ("version = 7\n", "line 1", "version")]
    for text, line, word in rows:
        done = run([PROGRAM, "config", "--check", write(text)])
        check(f"config: {text.splitlines()[-1]!r} is an error with its line", done.code == 78 and line in done.err and word in done.err,
              done)
    done = run([PROGRAM, "-c", write(rows[0][0]), "serve"])
    check("serve does not start with it", done.code == 78 and "line 4" in done.err, done)
    done = run([PROGRAM, "-c", write("version = 1\nhostname = set.example.org\n"), "-o", "quota=5M", "config", "--show"])
    check("config --show", "hostname = set.example.org" in done.out and re.search(r"quota = 5(M|242880)", done.out), done)
    done = run([PROGRAM, "-c", "/nowhere/posthouse.conf", "config", "--show"])
    check("a configuration file that is missing", done.code not in (0, None), done)


def words():
    done = run([PROGRAM, "version"])
    check("version", done.code == 0 and re.match(r"posthouse \d+\.\d+", done.out), done)
    done = run([PROGRAM, "help"])
    listed = re.findall(r"(?m)^  (\w+) ", done.out)
    check("help lists the verbs", done.code == 0 and {"serve", "user", "import", "export", "status"} <= set(listed), done)
    for verb in listed:
        done = run([PROGRAM, "help", verb])
        check(f"help {verb}", done.code == 0 and done.out.startswith(f"usage: posthouse {verb}"), done)
    folder = scratch("store")
    for args in (["nonsense"], [], ["help", "nonsense"], ["-z"], ["config"], ["config", "--nonsense"], ["demo"], ["demo", folder], ["import"], ["export"],
                 ["backup"], ["restore"], ["backup", folder, "--full", "--list"]):
        done = run([PROGRAM, "-o", f"store={folder}", *args])
        check(f"{' '.join(args) or 'no verb'}: usage", done.code == 64 and "usage" in done.err, done)
    done = run([PROGRAM, "backup", folder, "--keep", "never"])
    check("backup --keep never", done.code == 64 and "not a number of days" in done.err, done)
    done = run([PROGRAM, "-o", f"store={folder}", "user", "list"])
    check("a question makes no store", done.code == 66 and "no store in" in done.err and not os.listdir(folder), done)
    for args in (["--base-port", "0"], ["--base-port", "65527"], ["--base-port", "x"], ["--base-port"], ["--accounts", "0"], ["--accounts", "100001"],
                 ["--accounts", "many"], ["--password", ""], ["--nonsense", "1"], [folder]):
        done = run([PROGRAM, "demo", folder, "--base-port", "20000", *args])
        check(f"demo {' '.join(args)}: not understood", done.code == 64 and "not understood" in done.err, done)
    done = run([PROGRAM, "-o", "hostnam=x", "demo", folder, "--base-port", "20000"])
    check("a setting that demo does not know", done.code == 78 and "hostname" in done.err, done)
    done = run([PROGRAM, "--version"])
    check("--version", done.code == 0 and done.out.startswith("posthouse "), done)
    done = run([PROGRAM, "--help"])
    check("--help", done.code == 0 and done.out.startswith("usage: posthouse "), done)
    done = run([PROGRAM, "demo", "--help"])
    check("demo --help", done.code == 0 and done.out.startswith("usage: posthouse demo "), done)
    for role in ("runner", "keeper", "house", "front"):
        done = run([PROGRAM, "-c", "/dev/null", role], 20)
        check(f"{role} is not for people", done.code not in (0, None) and done.code < 128 and done.err, done)


def can_log_in(s, user, password):
    m = imaplib.IMAP4(HOST, s.port("imap"))
    try:
        m.login(user, password)
        return True
    except imaplib.IMAP4.error:
        return False
    finally:
        m.logout()


def users(s, when):
    for name in ("anna", "Berta@example.com"):
        done = s.command("user", "add", name, input=PASSWORD + "\n")
        check(f"{when}: user add {name}", done.code == 0, done)
    done = s.command("user", "add", "anna", input="other\n")
    check(f"{when}: twice is an error", done.code == 73 and done.err, done)
    done = s.command("user", "add", "emil", input="\n")
    check(f"{when}: an empty password is an error", done.code not in (0, None), done)
    done = s.command("user", "list")
    check(f"{when}: user list", done.code == 0 and {"anna", "berta@example.com"} <= set(done.out.split()), done)
    done = s.command("user", "alias", "team@example.com", "anna", "berta@example.com")
    check(f"{when}: alias", done.code == 0, done)
    done = s.command("user", "aliases")
    check(f"{when}: aliases", done.code == 0 and "team@example.com anna berta@example.com" in done.out, done)
    done = s.command("mailbox", "create", "anna", "Work/Grüße")
    check(f"{when}: mailbox create", done.code == 0, done)
    done = s.command("mailbox", "rename", "anna", "Work/Grüße", "Work/Post")
    check(f"{when}: mailbox rename", done.code == 0, done)
    done = s.command("mailbox", "list", "anna")
    check(f"{when}: mailbox list", done.code == 0 and "Work/Post" in done.out and "INBOX" in done.out, done)
    for verb in (("set", "INBOX", "Anyone", "lrs"), ("set", "INBOX", "-bob", "r"), ("set", "INBOX", "anyone", "+wd"),
                 ("delete", "INBOX", "-bob")):
        done = s.command("mailbox", "acl", verb[0], "anna", *verb[1:])
        check(f"{when}: mailbox acl {' '.join(verb)}", done.code == 0, done)
    done = s.command("mailbox", "acl", "list", "anna", "INBOX")
    equal(f"{when}: mailbox acl list", done.out.split(), ["lrswipkxteancd", "anna", "lrswted", "anyone"])
    for verb in (("set", "anna", "INBOX", "bob", "lrz"), ("set", "anna", "INBOX", "", "lr"), ("list", "anna", "Nowhere"),
                 ("list", "nobody-here", "INBOX"), ("list", "anna"), ("set", "anna", "INBOX", "bob"), ("give", "anna", "INBOX")):
        done = s.command("mailbox", "acl", *verb)
        check(f"{when}: mailbox acl {' '.join(verb)} is refused", done.code != 0 and done.err, done)
    done = s.command("mailbox", "list", "nobody-here")
    check(f"{when}: of an unknown user", done.code not in (0, None) and done.err, done)
    for args in (["user", "nonsense"], ["user", "nonsense", "anna"], ["user", "quota"], ["user", "deletion"], ["user", "alias", "a@b"], ["mailbox"],
                 ["mailbox", "list"], ["mailbox", "create", "anna"], ["mailbox", "nonsense", "anna", "x"], ["undelete"]):
        done = s.command(*args)
        check(f"{when}: {' '.join(args)}: usage", done.code == 64 and "usage" in done.err, done)
    for args in (["user", "quota", "anna", "many"], ["user", "deletion", "anna", "keep=ever"], ["user", "pop3", "anna", "expire=0"]):
        done = s.command(*args)
        check(f"{when}: {' '.join(args)}: not understood", done.code == 64 and done.err, done)
    done = s.command("user", "deletion", "anna", "expunge=trash", "keep=3")
    check(f"{when}: user deletion", done.code == 0 and "expunge=trash keep=3" in done.out, done)
    for what in (("remove", "nobody"), ("unalias", "nobody@example.com"), ("quota", "nobody"), ("pop3", "nobody"), ("deletion", "nobody")):
        done = s.command("user", *what)
        check(f"{when}: user {' '.join(what)}", done.code == 67 and done.err, done)
    done = s.command("user", "quota", "anna", "2M", "50")
    check(f"{when}: quota", done.code == 0 and "of 2097152" in done.out and "of 50" in done.out, done)
    done = s.command("user", "pop3", "anna", "delete=trash", "expire=30")
    check(f"{when}: pop3 settings", done.code == 0 and "delete=trash" in done.out, done)
    done = s.command("user", "pop3", "anna", "delete=never")
    check(f"{when}: a pop3 setting nobody knows", done.code not in (0, None), done)


def whole(s, when):
    for verb, word in (("status", "version"), ("check", "0 findings"), ("scrub", "0 bad")):
        done = s.command(verb)
        check(f"{when}: {verb}", done.code == 0 and word in done.out, done)
    done = s.command("status")
    check(f"{when}: status says whether it serves", f"serving{' ' * 16}{'yes' if when == 'serving' else 'no'}" in done.out, done)
    done = s.command("check", "--repair")
    check(f"{when}: check --repair", done.code == 0, done)


def serving(s):
    check("anna logs in", can_log_in(s, "anna", PASSWORD))
    check("Berta logs in, whatever the case", can_log_in(s, "BERTA@example.com", PASSWORD))
    s.deliver(["team@example.com"], sample(1))
    for user in ("anna", "berta@example.com"):
        m = s.imap(user)
        equal(f"the alias delivers to {user}", m.select()[1], [b"1"])
        m.logout()
    answers = s.deliver(["anna@example.com"], b"Subject: x\r\n\r\n" + b"y" * 70 * 40_000)
    check("over quota is 552 or 452", answers[0][0] in (552, 452), answers)
    done = s.command("user", "password", "anna", input="changed\n")
    check("user password", done.code == 0, done)
    check("the new one", can_log_in(s, "anna", "changed"))
    check("not the old one", not can_log_in(s, "anna", PASSWORD))
    done = s.command("user", "unalias", "team@example.com")
    check("unalias", done.code == 0 and "team@" not in s.command("user", "aliases").out, done)
    done = s.command("user", "add", "carl", input=PASSWORD + "\n")
    m = s.imap("carl")
    done = s.command("user", "remove", "carl")
    check("user remove", done.code == 0 and "carl" not in s.command("user", "list").out.split(), done)
    check("... he cannot log in", not can_log_in(s, "carl", PASSWORD))

    def out():
        try:
            return m.select()[0] != "OK"
        except (imaplib.IMAP4.abort, OSError):
            return True
    check("... and his session ends", wait_for(out, 5))
    done = s.command("status", "--fibers")
    check("status --fibers", done.code == 0 and "loop 0" in done.out, done)
    other = run([PROGRAM, "-o", f"store={s.dir}", "-o", "listen_imap=", "serve"], 20)
    check("a second server on the store is refused", other.code not in (0, None) and other.err, other)


def certificate(s):
    context = any_certificate()
    import socket
    with socket.create_connection((HOST, s.port("imaps"))) as raw, context.wrap_socket(raw) as tls:
        return tls.getpeercert(binary_form=True)


def make_certificate(folder):
    made = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
                "-subj", "/CN=mail.example.org", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"])
    check("openssl makes a certificate", made.code == 0, made)


def reload(s, folder):
    session, idle = login(s, "berta@example.com"), login(s, "berta@example.com", tls=True)
    session.imap("SELECT INBOX")
    idle.imap("SELECT INBOX")
    idle.send(b"i IDLE\r\n")
    idle.line()
    before = certificate(s)
    make_certificate(folder)
    s.settings["plain_without_tls"] = "no"
    s.write_config()
    os.kill(s.process.pid, signal.SIGHUP)
    check("SIGHUP: a new certificate", wait_for(lambda: certificate(s) != before, 5))
    with open(f"{folder}/cert.pem") as f:
        equal("... the one in the file", certificate(s), ssl.PEM_cert_to_DER_cert(f.read()))
    equal("sessions stay", session.imap("NOOP")[0], "OK")
    s.deliver(["berta@example.com"], sample(3))
    check("... and hear of mail", (idle.line(5) or b"").endswith(b"EXISTS"))
    idle.send(b"DONE\r\n")
    m = imaplib.IMAP4(HOST, s.port("imap"))
    check("new sessions have the new settings", "LOGINDISABLED" in m.capabilities, m.capabilities)
    refuses("... which hold", imaplib.IMAP4.error, m.login, "berta@example.com", PASSWORD)
    m.logout()
    s.settings["plain_without_tls"] = "perhaps"
    s.write_config()
    os.kill(s.process.pid, signal.SIGHUP)
    check("SIGHUP with a broken file is logged", wait_for(lambda: "reload_failed" in s.log(), 5), s.tail())
    equal("... and nothing changes", session.imap("NOOP")[0], "OK")
    s.settings["plain_without_tls"] = "yes"
    s.write_config()
    os.kill(s.process.pid, signal.SIGHUP)
    check("SIGHUP with a good one again", wait_for(lambda: can_log_in(s, "berta@example.com", PASSWORD), 5))


def test():
    config()
    words()
    folder = scratch("tls")
    make_certificate(folder)
    s = Served(tls_certificate=f"{folder}/cert.pem", tls_key=f"{folder}/key.pem")
    users(s, "not serving")
    whole(s, "not serving")
    s.start()
    serving(s)
    whole(s, "serving")
    for user in ("anna", "berta@example.com"):
        check(f"user remove {user}", s.command("user", "remove", user).code == 0)
    users(s, "serving")
    reload(s, folder)
    s.check_end()


main(test, 120)
