"""gdb: list the fibers of posthouse, with backtraces.

    (gdb) source tools/gdb/fibers.py
    (gdb) fibers                 one line for each
    (gdb) fibers imap            only those whose name contains "imap"
    (gdb) fibers -b [name]       with the stack of each

Works on a live process and on a core file: the stacks are walked by their frame pointers
(-fno-omit-frame-pointer), no register is changed."""
import gdb

STATES = {0: "ready", 1: "running", 2: "parked", 3: "ended"}


def text(value):
    return value.string() if int(value) else "?"


def container(link, type_name, member):
    """The struct that has `member` at this address."""
    kind = gdb.lookup_type(type_name)
    offset = next(f.bitpos // 8 for f in kind.fields() if f.name == member)
    pointer = kind.pointer()
    return gdb.Value(int(link) - offset).cast(pointer).dereference()


def loops():
    run = gdb.parse_and_eval("run_latest")
    if not int(run):
        raise gdb.GdbError("no loop is running")
    count = int(run["count"])
    if text(run["world"]["name"]) == "simulated":
        count += 1  # the last one stands for the helper threads
    for i in range(count):
        yield (run["loops"] + i).dereference()


def fibers_of(loop):
    head = loop["fibers"].address
    link = loop["fibers"]["next"]
    while int(link) and int(link) != int(head):
        fiber = container(link, "struct Fiber", "of_loop")
        yield fiber
        link = fiber["of_loop"]["next"]


def word(address):
    pointer = gdb.lookup_type("unsigned long").pointer()
    return int(gdb.Value(address).cast(pointer).dereference())


def saved_frame(fiber):
    """Program counter and frame pointer where it stopped: context.c says what the switch pushes."""
    sp = int(fiber["context"]["sp"])
    if int(fiber["context"]["other"]):
        raise gdb.GdbError("ucontext: the registers are not on the stack")
    machine = gdb.selected_inferior().architecture().name()
    if "aarch64" in machine:
        return word(sp + 8), word(sp)
    return word(sp + 48), word(sp + 40)


def describe(pc):
    # A return address may lie behind the last instruction of a function that does not return.
    place = gdb.find_pc_line(pc - 1)
    block = gdb.block_for_pc(pc - 1)
    while block and not block.function:
        block = block.superblock
    name = block.function.name if block else "?"
    where = "%s:%d" % (place.symtab.filename, place.line) if place.symtab else hex(pc)
    return "%s at %s" % (name, where)


def backtrace(fiber):
    bottom = int(fiber["stack"])
    top = int(fiber.address)
    pc, frame = saved_frame(fiber)
    for depth in range(64):
        if not pc:
            return
        gdb.write("    #%-2d %s\n" % (depth, describe(pc)))
        if not bottom < frame < top:
            return
        pc, frame = word(frame + 8), word(frame)


class Fibers(gdb.Command):
    """fibers [-b] [name]: list fibers, -b with backtraces."""

    def __init__(self):
        super().__init__("fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split()
        stacks = "-b" in words
        wanted = [w for w in words if w != "-b"]
        count = 0
        for loop in loops():
            for fiber in fibers_of(loop):
                name = text(fiber["name"])
                if wanted and not any(w in name for w in wanted):
                    continue
                count += 1
                self.show(loop, fiber, name, stacks)
        gdb.write("%d fibers\n" % count)

    @staticmethod
    def show(loop, fiber, name, stacks):
        state = STATES.get(int(fiber["state"]), "?")
        if state == "parked":
            state = "waits for %s" % text(fiber["waits_for"])
        since = int(loop["now_ms"]) - int(fiber["parked_at_ms"])
        gdb.write("loop %d  %s  %-24s %s, %d ms\n" % (int(loop["index"]), fiber.address, name, state, since))
        if stacks and state != "running":
            try:
                backtrace(fiber)
            except gdb.error as e:
                gdb.write("    %s\n" % e)


Fibers()
