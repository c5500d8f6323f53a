#!/usr/bin/env python3
"""Thunderbird, headless, two profiles on one account at once: one reads, flags, moves and deletes, the other sees it, and
mail that is delivered arrives in both. Driven over Marionette (length:json over TCP), as a user who is not root."""
import json
import os
import socket
import subprocess
import time

from lib import HOST, PASSWORD, Server, check, end, equal, fill, free_ports, give, main, sample, scratch, start, wait_for

USER = "nobody"
COUNT = 200
PREFS = {
    "app.update.enabled": False, "datareporting.policy.dataSubmissionEnabled": False, "mail.shell.checkDefaultClient": False,
    "mail.provider.suppress_dialog_on_startup": True, "mail.rights.version": 1, "mail.spotlight.firstRunDone": True,
    "mailnews.start_page.enabled": False, "mailnews.start_page_override.mstone": "ignore", "toolkit.telemetry.enabled": False,
    "app.donation.eoy.version.viewed": 999, "browser.safebrowsing.enabled": False, "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False, "mail.biff.use_system_alert": False,
    "mail.biff.show_alert": False, "mail.biff.play_sound": False, "mail.warn_on_send": False, "security.ssl.enable_ocsp_stapling": False,
    "mail.accountmanager.accounts": "account1", "mail.accountmanager.defaultaccount": "account1",
    "mail.account.account1.identities": "id1", "mail.account.account1.server": "server1",
    "mail.identity.id1.fullName": "One", "mail.identity.id1.useremail": "u00001@example.com", "mail.identity.id1.valid": True,
    "mail.identity.id1.fcc": False,
    "mail.server.server1.type": "imap", "mail.server.server1.hostname": HOST, "mail.server.server1.userName": "u00001",
    "mail.server.server1.name": "posthouse", "mail.server.server1.socketType": 0, "mail.server.server1.authMethod": 3,
    "mail.server.server1.login_at_startup": False, "mail.server.server1.check_new_mail": False,
    "mail.server.server1.offline_download": False, "mail.server.server1.autosync_offline_stores": False,
    "mail.server.server1.use_idle": True, "mail.server.server1.delete_model": 1, "mail.server.server1.is_gmail": False,
    "mail.server.server1.max_cached_connections": 3,
}

# What the scripts below share. Every script ends with done(value).
PRELUDE = """
const done = arguments[arguments.length - 1], given = arguments;
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const server = () => MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap").incomingServer;
const root = () => server().rootFolder;
const folder = name => name == "INBOX" ? root().getFolderWithFlags(0x1000)
                                       : root().descendants.find(f => f.name == name || f.onlineName == name);
const messages = name => { const f = folder(name); return f ? [...f.msgDatabase.enumerateMessages()] : []; };
const heads = (name, subjects) => messages(name).filter(m => subjects.includes(m.mime2DecodedSubject));
const listen = end => ({QueryInterface: ChromeUtils.generateQI(["nsIUrlListener", "nsIMsgCopyServiceListener"]),
    OnStartRunningUrl() {}, OnStopRunningUrl(url, code) { end(code); }, onStartCopy() {}, onProgress() {}, setMessageKey() {},
    getMessageId() { return null; }, onStopCopy(code) { end(code); }});
const failed = e => done("error: " + e + " " + (e.stack || ""));
try {
"""


class Thunderbird:
    def __init__(self, s, name):
        self.name = name
        self.dir = scratch("thunderbird")
        self.port = free_ports(1)
        prefs = {**PREFS, "mail.server.server1.port": s.port("imap"), "marionette.port": self.port}
        with open(os.path.join(self.dir, "user.js"), "w") as f:
            f.writelines(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in prefs.items())
        give(self.dir, USER)
        self.log = open(os.path.join(scratch("thunderbird-log"), "log"), "wb")
        self.sock, self.buffer, self.number = None, b"", 0

    def start(self):
        env = {**os.environ, "HOME": self.dir, "MOZ_HEADLESS": "1", "TMPDIR": self.dir, "XDG_RUNTIME_DIR": self.dir}
        env.pop("DISPLAY", None)
        self.process = start(["thunderbird", "--headless", "--no-remote", "--marionette", "--remote-allow-system-access",
                              "--profile", self.dir], USER, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env, cwd=self.dir)

    def connect(self, seconds=60):
        def opened():
            if self.process.poll() is not None:
                raise RuntimeError(f"Thunderbird ended with {self.process.returncode}: {self.tail()}")
            try:
                return socket.create_connection((HOST, self.port), 5)
            except OSError:
                return None
        self.sock = wait_for(opened, seconds, 0.3)
        if not self.sock:
            raise RuntimeError(f"no Marionette: {self.tail()}")
        self.sock.settimeout(60)
        self.receive()
        self.ask("WebDriver:NewSession", {"strictFileInteractability": False, "unhandledPromptBehavior": "ignore"})
        self.ask("WebDriver:SetTimeouts", {"script": 50000})
        self.ask("Marionette:SetContext", {"value": "chrome"})
        self.do("""const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
                   login.init("imap://127.0.0.1", null, "imap://127.0.0.1", given[0], given[1], "", "");
                   Services.logins.addLoginAsync(login).then(() => done(true), failed);""", "u00001", PASSWORD)

    def tail(self):
        with open(self.log.name, errors="replace") as f:
            return "".join(f.readlines()[-30:])

    def receive(self):
        while b":" not in self.buffer:
            self.more()
        length, _, self.buffer = self.buffer.partition(b":")
        while len(self.buffer) < int(length):
            self.more()
        text, self.buffer = self.buffer[:int(length)], self.buffer[int(length):]
        return json.loads(text)

    def more(self):
        got = self.sock.recv(65536)
        if not got:
            raise ConnectionError(f"Thunderbird closed: {self.tail()}")
        self.buffer += got

    def ask(self, command, parameters):
        self.number += 1
        text = json.dumps([0, self.number, command, parameters]).encode()
        self.sock.sendall(b"%d:%s" % (len(text), text))
        _, number, error, value = self.receive()
        if error:
            raise RuntimeError(f"{self.name}: {command}: {error}")
        return value

    def do(self, script, *args):
        """Runs a script that calls done(value)."""
        value = self.ask("WebDriver:ExecuteAsyncScript", {"script": PRELUDE + script + "\n} catch (e) { failed(e); }",
                                                          "args": list(args), "sandbox": "system", "newSandbox": True})["value"]
        if isinstance(value, str) and value.startswith("error: "):
            raise RuntimeError(f"{self.name}: {value}")
        return value

    def quit(self):
        try:
            self.ask("Marionette:Quit", {"flags": ["eForceQuit"]})
        except (OSError, RuntimeError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass  # end() does not ask
        end(self.process)

    # ---- what a user does ----

    def discover(self):
        """Logs in and learns of all folders."""
        self.do("server().performExpand(null); done(true);")
        self.update("INBOX")

        def names():
            return self.do("done(root().descendants.map(f => f.name));")
        return wait_for(lambda: "Work" in names(), 20, 0.2) and names()

    def update(self, name):
        """Opens a folder, as a click on it does; 0 is success."""
        return self.do("""folder(given[0]).QueryInterface(Ci.nsIMsgImapMailFolder)
                              .updateFolderWithListener(null, listen(done));""", name)

    def state(self, name):
        """{subject: [read, flagged]} of what it knows, without asking the server"""
        return self.do("""done(Object.fromEntries(messages(given[0]).map(
                              m => [m.mime2DecodedSubject, [m.isRead, m.isFlagged]])));""", name)

    def mark_read(self, name, subjects):
        self.do("folder(given[0]).markMessagesRead(heads(given[0], given[1]), true); done(true);", name, subjects)

    def flag(self, name, subjects):
        self.do("folder(given[0]).markMessagesFlagged(heads(given[0], given[1]), true); done(true);", name, subjects)

    def move(self, name, subjects, target):
        return self.do("""MailServices.copy.copyMessages(folder(given[0]), heads(given[0], given[1]), folder(given[2]), true,
                              listen(done), null, false);""", name, subjects, target)

    def delete(self, name, subjects):
        return self.do("""folder(given[0]).deleteMessages(heads(given[0], given[1]), null, false, false, listen(done), false);""",
                       name, subjects)

    def body(self, name, subject):
        """The source of a message, fetched from the server."""
        return self.do("""const head = heads(given[0], [given[1]])[0], uri = folder(given[0]).getUriForMsg(head);
            const service = MailServices.messageServiceFromURI(uri);
            let text = "";
            const stream = {QueryInterface: ChromeUtils.generateQI(["nsIStreamListener", "nsIRequestObserver"]),
                onStartRequest() {}, onStopRequest(request, code) { done(text); },
                onDataAvailable(request, input, offset, count) {
                    const reader = Cc["@mozilla.org/scriptableinputstream;1"].createInstance(Ci.nsIScriptableInputStream);
                    reader.init(input); text += reader.readBytes(count); }};
            service.streamMessage(uri, stream, null, null, false, "", false);""", name, subject)

    def create_folder(self, name):
        self.do("""root().createSubfolder(given[0], null); done(true);""", name)


def subject(n):
    return f"sample number {n}"


def sees(t, name, expected, seconds=15):
    """Until what it knows is as expected, without being asked to look."""
    return wait_for(lambda: expected(t.state(name)), seconds, 0.2)


def both_start(s):
    pair = [Thunderbird(s, "one"), Thunderbird(s, "two")]
    for t in pair:
        t.start()
    for t in pair:
        t.connect()
        check(f"{t.name}: Thunderbird starts", True)
    for t in pair:
        names = t.discover()
        check(f"{t.name}: it sees the folders", names and len(names) > 1, names)
        equal(f"{t.name}: opens INBOX", t.update("INBOX"), 0)
        check(f"{t.name}: all messages", sees(t, "INBOX", lambda st: len(st) == COUNT), len(t.state("INBOX")))
    return pair


def one_acts(s, one, two):
    one.mark_read("INBOX", [subject(n) for n in range(5)])
    check("two sees what one has read", sees(two, "INBOX", lambda st: all(st[subject(n)][0] for n in range(5))
                                            and not st[subject(9)][0]))
    two.flag("INBOX", [subject(n) for n in range(3, 8)])
    check("one sees what two has flagged", sees(one, "INBOX", lambda st: all(st[subject(n)][1] for n in range(3, 8))
                                               and not st[subject(2)][1]))
    equal("one moves to a folder", one.move("INBOX", [subject(n) for n in range(10, 20)], "Work"), 0)
    check("two sees them go", sees(two, "INBOX", lambda st: len(st) == COUNT - 10 and subject(10) not in st))
    two.update("Work")
    check("two sees them come", sees(two, "Work", lambda st: len(st) == 10 and subject(10) in st))
    equal("two deletes", two.delete("INBOX", [subject(n) for n in range(20, 25)]), 0)
    check("one sees it", sees(one, "INBOX", lambda st: len(st) == COUNT - 15 and subject(20) not in st))
    m = s.imap()
    equal("they are in Trash", m.select("Trash", readonly=True)[1], [b"5"])
    m.logout()


def mail_arrives(s, one, two):
    began = time.monotonic()
    s.deliver(["u00001@example.com"], sample(1000))
    for t in (one, two):
        check(f"{t.name} hears of new mail by itself", sees(t, "INBOX", lambda st: subject(1000) in st))
    took = time.monotonic() - began
    check("... soon", took < 10, f"{took:.1f} s")
    for n, t in ((2, one), (3, two), (1000, one)):
        text = t.body("INBOX", subject(n)).encode("latin-1").replace(b"\r\n", b"\n")
        want = sample(n).replace(b"\r\n", b"\n")
        check(f"{t.name} reads sample {n}, octet by octet", text.endswith(want) or want in text, text[-300:])


def test():
    s = Server().start()
    fill(s, "u00001", "INBOX", (sample(n) for n in range(COUNT)))
    m = s.imap()
    m.create("Work")
    m.subscribe("Work")  # Thunderbird shows what is subscribed
    m.logout()
    one, two = both_start(s)
    one_acts(s, one, two)
    mail_arrives(s, one, two)
    one.create_folder("Made")

    def made():
        m = s.imap()
        names = b"".join(m.list()[1])
        m.logout()
        return b"Made" in names
    check("one makes a folder", wait_for(made, 10))
    m = s.imap()
    m.select(readonly=True)
    equal("the server has what both show", len(m.search(None, "ALL")[1][0].split()), COUNT - 14)
    equal("... the flags too", (len(m.search(None, "FLAGGED")[1][0].split()),
                                all(n in m.search(None, "SEEN")[1][0].split() for n in (b"1", b"5"))), (5, True))
    m.logout()
    for t in (one, two):
        t.quit()
    s.check_end()


main(test, 175)
