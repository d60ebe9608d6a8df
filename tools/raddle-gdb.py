"""raddle-gdb.py - gdb commands that look at parked coroutines.

    (gdb) source tools/raddle-gdb.py
    (gdb) raddle tasks                  every task: where it was spawned, what it waits for
    (gdb) raddle tasks NAME             with the frames of those whose name begins so
    (gdb) raddle frames ADDRESS         ADDRESS is of a struct rdl_coroutine

Nothing is written to the process, so core files work as well: an unwinder of our own tells gdb that the
frame below the innermost one is where the coroutine was parked, and the rest is the usual unwinding.
`raddle tasks` needs raddle's own debugging information (a build with -g). `raddle frames` needs it for
an EXPRESSION only; ADDRESS alone works without, since sp is its first member.
"""

import gdb
import gdb.unwinder

# Word offsets in a saved context: see sched/switch.h.
CONTEXTS = {
    "i386:x86-64": {"pc": 0, "fp": 1, "sp": 2, "registers": ("rip", "rbp", "rsp")},
    "aarch64": {"pc": 1, "fp": 0, "words": 20, "registers": ("pc", "x29", "sp")},
}


def word_at(address):
    data = gdb.selected_inferior().read_memory(address, 8)
    return int.from_bytes(bytes(data), "little")


def saved_registers(coroutine):
    """(pc, fp, sp) of the coroutine at this address, as rdl_coroutine_frames() has them."""
    name = gdb.selected_frame().architecture().name()
    if name not in CONTEXTS:
        raise gdb.GdbError("raddle: no coroutines on " + name)
    shape = CONTEXTS[name]
    saved = word_at(coroutine)
    if not saved:
        raise gdb.GdbError("raddle: the coroutine at %#x is not parked" % coroutine)
    pc = word_at(saved + 8 * shape["pc"])
    fp = word_at(saved + 8 * shape["fp"])
    if "sp" in shape:
        sp = word_at(saved + 8 * shape["sp"])
    else:
        sp = saved + 8 * shape["words"]
        pc &= (1 << 48) - 1  # without the signature
    return pc, fp, sp


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class ParkedUnwinder(gdb.unwinder.Unwinder):
    """While target is set, what called the innermost frame is the parked coroutine."""

    def __init__(self):
        super().__init__("raddle-parked")
        self.target = None

    def __call__(self, pending):
        if self.target is None or pending.level() != 0:
            return None
        name = pending.architecture().name()
        registers = CONTEXTS[name]["registers"]
        pc, fp, sp = self.target
        here = pending.read_register(registers[0])
        # gdb wants stacks to grow one way: the innermost frame pretends to be on the parked stack.
        below = gdb.Value(sp - 16).cast(pending.read_register(registers[2]).type)
        info = pending.create_unwind_info(FrameId(below, here))
        word = here.type if here.type.sizeof == 8 else gdb.lookup_type("unsigned long")
        long_type = pending.read_register(registers[1]).type
        info.add_saved_register(registers[0], gdb.Value(pc).cast(word))
        info.add_saved_register(registers[1], gdb.Value(fp).cast(long_type))
        info.add_saved_register(
            registers[2], gdb.Value(sp).cast(pending.read_register(registers[2]).type)
        )
        return info


UNWINDER = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


def print_frames(coroutine):
    """Prints the frames of the parked coroutine at this address, innermost first."""
    target = saved_registers(coroutine)
    # The switch was called by the first frame: it goes on at pc itself, which for gdb would be the
    # address after a call. One further looks up the same place.
    UNWINDER.target = (target[0] + 1, target[1], target[2])
    gdb.invalidate_cached_frames()
    try:
        frame = gdb.newest_frame().older()
        level = 0
        while frame is not None and frame.is_valid():
            pc = target[0] if level == 0 else frame.pc()
            name = frame.name() or "??"
            line = "#%-2d %#018x in %s" % (level, pc, name)
            place = frame.find_sal()
            if place.symtab:
                line += " at %s:%d" % (place.symtab.filename, place.line)
            print(line)
            level += 1
            frame = frame.older()
    finally:
        UNWINDER.target = None
        gdb.invalidate_cached_frames()


class Raddle(gdb.Command):
    """Looks at what a raddle program is doing."""

    def __init__(self):
        super().__init__("raddle", gdb.COMMAND_STATUS, prefix=True)


class RaddleFrames(gdb.Command):
    """raddle frames ADDRESS: the frames of the parked struct rdl_coroutine at ADDRESS."""

    def __init__(self):
        super().__init__("raddle frames", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("raddle frames ADDRESS")
        print_frames(int(gdb.parse_and_eval(argument).cast(gdb.lookup_type("unsigned long"))))


STACKS_OF_SLAB = 64
MOBILITY = ("?", "fresh", "migratable", "pinned")


def static_of(file, name):
    """The value of a file's static variable."""
    for candidate in gdb.lookup_static_symbols(name):
        if candidate.symtab.filename.endswith(file):
            return candidate.value()
    raise gdb.GdbError("raddle: no debugging information of raddle's in this program (%s)" % file)


def records():
    """Every struct rdl_stack of a mapped slab: see sched/slab.c."""
    tables = static_of("sched/slab.c", "tables")
    for t in range(int(static_of("sched/slab.c", "tables_used"))):
        memory = tables[t]["memory"]
        if not int(memory):
            continue
        table = memory.dereference()
        for s in range(int(tables[t]["used"])):
            slab = table["slabs"][s]
            for i in range(int(slab["count"]) if int(slab["base"]) else 0):
                yield table["records"][s][i]


def running_fibers():
    """What the loops run at this moment: address of the fiber -> index of the loop."""
    found = {}
    loop = static_of("runtime/loop.c", "registry")
    while int(loop):
        current = int(loop["base"]["current"])
        if current:
            found[current] = int(loop["base"]["index"])
        loop = loop["next"]
    return found


def text_of(pointer):
    return pointer.string(errors="replace") if int(pointer) else ""


def describe(task, running):
    """One line about a struct rdl_task."""
    fiber = task["fiber"]
    line = '%#x "%s" [%s]' % (
        int(task.address),
        text_of(task["name"]),
        MOBILITY[int(fiber["mobility"]) & 3],
    )
    if int(fiber.address) in running:
        line += " runs on loop %d" % running[int(fiber.address)]
    elif int(fiber["waiting_for"]):
        line += " waits for %s" % text_of(fiber["waiting_for"])
        waiting_object = int(fiber["waiting_object"])  # of an operation: the descriptor
        if waiting_object:
            line += ("(%d)" if waiting_object < 1 << 20 else "(%#x)") % waiting_object
        line += " on loop %d" % int(fiber["home"]["index"])
    else:
        line += " is runnable" if int(fiber["started"]) else " has not started"
    site = task["site"]
    if int(site) and int(site["line"]):
        line += ", spawned at %s:%d" % (text_of(site["file"]), int(site["line"]))
    return line


class RaddleTasks(gdb.Command):
    """raddle tasks [NAME]: all tasks; with NAME, the frames of those whose name begins so."""

    def __init__(self):
        super().__init__("raddle tasks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        running = running_fibers()
        kind = gdb.lookup_type("struct rdl_task").pointer()
        count = 0
        for record in records():
            if not int(record["owner"]):
                continue
            task = record["owner"].cast(kind).dereference()
            named = bool(argument) and text_of(task["name"]).startswith(argument)
            if argument and not named:
                continue
            print(describe(task, running))
            count += 1
            paging = task["fiber"]["paging"]
            if named and int(paging) and int(paging["saved"]):
                print("its stack is paged out")
            elif named and int(task.address) not in running:
                print_frames(int(task["fiber"]["co"].address))
                generator = task["gen"]
                while int(generator):
                    print("which is generator %s, asked by" % text_of(generator["name"]))
                    print_frames(int(generator["caller"].address))
                    generator = generator["outer"]
        print("%d tasks" % count)


Raddle()
RaddleFrames()
RaddleTasks()
