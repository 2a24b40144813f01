"""The official Python client against a running cluster: `suite.py work|after-restart UFS`."""

import os
import sys

from goosefs import Config, Goosefs, WriteType
from goosefs import exceptions as errors

DATA = bytes((i * 31 + (i >> 12)) % 256 for i in range((2 << 20) + 12345))
TYPES = {
    "must": WriteType.MustCache,
    "try": WriteType.TryCache,
    "cache-through": WriteType.CacheThrough,
    "through": WriteType.Through,
    "async": WriteType.AsyncThrough,
}


def connect():
    properties = {
        "goosefs.user.file.replication.durable": "1",
        "goosefs.user.file.replication.durable.min": "1",
        "goosefs.security.login.username": "tester",
    }
    return Goosefs(Config(os.environ["GOOSEFS_MASTER_ADDR"], properties=properties))


def refuses(error, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except error:
        return
    raise AssertionError(f"{call} {arguments} was not refused with {error}")


def work(fs, ufs):
    fs.mkdir("/py/dir", recursive=True)
    refuses(errors.NotFound, fs.mkdir, "/none/dir", recursive=False)
    refuses(errors.NotFound, fs.get_status, "/py/none")
    for name, write_type in TYPES.items():
        path = f"/py/{name}"
        with fs.create_file(path, write_type=write_type, block_size_bytes=1 << 20) as writer:
            for start in range(0, len(DATA), 300_000):
                writer.write(DATA[start : start + 300_000])
        status = fs.get_status(path)
        assert status.length == len(DATA) and status.completed, path
        assert status.block_ids, path
        assert fs.read_file(path) == DATA, path
        assert fs.read_range(path, 1_048_570, 20) == DATA[1_048_570:1_048_590], path
        with fs.open_file(path) as reader:
            reader.seek(2_000_000)
            assert reader.read(1000) == DATA[2_000_000:2_001_000], path
            assert reader.read_at(5, 70_000) == DATA[5:70_005], path
    assert sorted(s.name for s in fs.list_status("/py")) == sorted([*TYPES, "dir"])
    with open(os.path.join(ufs, "py/cache-through"), "rb") as plain:
        assert plain.read() == DATA

    fs.write_file("/py/a", b"hello")
    refuses(errors.AlreadyExists, fs.write_file, "/py/a", b"again")
    fs.write_file("/py/b", b"other")
    refuses(errors.AlreadyExists, fs.rename, "/py/a", "/py/b")
    fs.rename("/py/a", "/py/dir/a")
    assert fs.read_file("/py/dir/a") == b"hello"
    assert not fs.exists("/py/a")
    refuses(errors.DirectoryNotEmpty, fs.delete, "/py/dir")
    refuses(errors.IsADirectory, fs.open_file, "/py/dir")
    fs.delete("/py/dir", recursive=True)
    assert not fs.exists("/py/dir/a")
    writer = fs.create_file("/py/half")
    writer.write(b"x" * 100_000)
    writer.cancel()
    assert not fs.exists("/py/half")


def after_restart(fs, ufs):
    for name in TYPES:
        assert fs.read_file(f"/py/{name}") == DATA, name
    fs.write_file("/py/later", b"still here")
    assert fs.read_file("/py/later") == b"still here"


if __name__ == "__main__":
    part, ufs = sys.argv[1:]
    fs = connect()
    {"work": work, "after-restart": after_restart}[part](fs, ufs)
    fs.close()
