"""Small file systems of our own, for tests that fill them, cut their power or damage them; root and loop devices are needed.

A Shelf holds the images of disks: an XFS, whose FICLONE copies an image as it is at one moment, in a millisecond. The loop
device of an image writes around the page cache (--direct-io), so the image is what has reached the disk: what the file system
on it has not written yet is not in the copy.
"""
import fcntl
import os
import subprocess

import lib

FICLONE = 0x40049409
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"], "btrfs": ["mkfs.btrfs", "-q", "-f"], "tmpfs": []}
_mounted, _loops = [], []


def _do(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def mount(*args, at):
    os.makedirs(at, exist_ok=True)
    _do("mount", *args, at)
    _mounted.append(at)


def unmount(at):
    _do("umount", at)
    _mounted.remove(at)


def remount(options, at):
    _do("mount", "-o", f"remount,{options}", at)


def attach(image):
    # A copied image can only be written around the cache in whole blocks; so it is from the start.
    loop = _do("losetup", "--direct-io=on", "--sector-size=4096", "-f", "--show", image)
    _loops.append(loop)
    return loop


def detach(loop):
    _do("losetup", "-d", loop)
    _loops.remove(loop)


def clean_up():
    """To be called before the test's directories are removed."""
    for at in reversed(_mounted):
        subprocess.run(["umount", "-l", at], capture_output=True)
    for loop in reversed(_loops):
        subprocess.run(["losetup", "-d", loop], capture_output=True)
    _mounted.clear()
    _loops.clear()


lib.at_the_end(clean_up)


def why_not(*kinds):
    """Why this machine cannot do it; None: it can."""
    if os.getuid() != 0:
        return "needs root to mount"
    for kind in kinds:
        make = MAKE[kind]
        if make and not any(os.path.exists(f"{d}/{make[0]}") for d in ("/usr/sbin", "/sbin", "/usr/bin")):
            return f"no {make[0]} here"
        with open("/proc/filesystems") as f:
            if kind not in f.read().split():
                return f"the kernel has no {kind}"
    try:
        at = os.path.join(lib.scratch("mount"), "try")
        mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", at=at)
        unmount(at)
        if kinds != ("tmpfs",):
            image = at + ".img"
            with open(image, "wb") as f:
                f.truncate(1 << 20)
            detach(attach(image))
    except (RuntimeError, OSError) as e:
        return str(e)
    return None


class Shelf:
    def __init__(self, size=6 << 30):
        self.dir = lib.scratch("shelf")
        image = os.path.join(self.dir, "shelf.img")
        with open(image, "wb") as f:
            f.truncate(size)
        _do("mkfs.xfs", "-q", "-m", "reflink=1", image)
        self.at = os.path.join(self.dir, "shelf")
        mount("-o", "loop", image, at=self.at)


class Image:
    """A file that is a disk, and where it is mounted."""

    def __init__(self, path, kind):
        self.path, self.at, self.loop = path, path + ".mounted", None
        loop = attach(path)  # made there, so that it fits the sectors of the loop device
        _do(*MAKE[kind], loop)
        detach(loop)

    def turn_on(self):
        self.loop = attach(self.path)
        mount(self.loop, at=self.at)

    def turn_off(self):
        unmount(self.at)
        detach(self.loop)


class Disk(Image):
    """An image on a shelf, whose power can be cut."""

    def __init__(self, shelf, kind, size=1 << 30):
        self.shelf, self.number = shelf, 0
        with open(self.numbered(), "wb") as f:
            f.truncate(size)
        super().__init__(self.numbered(), kind)
        self.at = os.path.join(shelf.dir, "disk")

    def numbered(self):
        return os.path.join(self.shelf.at, f"disk-{self.number}.img")

    def cut(self):
        """The image as it is now is what the next turn_on finds; what is mounted goes on until turn_off, in vain."""
        self.old = self.path
        self.number += 1
        self.path = self.numbered()
        with open(self.old, "rb") as old, open(self.path, "wb") as new:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())

    def forget(self):
        os.unlink(self.old)
