"""Makes a directory of files of many sizes, modes and times, with links: tree.py DIRECTORY."""

import os, random, sys

top = sys.argv[1]
chosen = random.Random(7)
os.makedirs(top)
for n in range(400):
    parent = os.path.join(top, *(f"d{chosen.randrange(6)}" for _ in range(chosen.randrange(4))))
    os.makedirs(parent, exist_ok=True)
    size = chosen.choice([0, 1, 100, 4095, 4096, 4097, 20_000, 70_000])
    path = os.path.join(parent, f"f{n} " + "é" * chosen.randrange(20))
    with open(path, "wb") as file:
        file.write(chosen.randbytes(size))
    os.chmod(path, chosen.choice([0o644, 0o600, 0o755, 0o444]))
    os.utime(path, ns=(chosen.randrange(10**18), chosen.randrange(10**18)))
    if n % 40 == 0:
        os.symlink(os.path.basename(path), path + ".link")
for n in range(2):
    with open(os.path.join(top, f"large{n}"), "wb") as file:
        file.write(chosen.randbytes(5_000_000 + n))
with open(os.path.join(top, "sparse"), "wb") as file:
    file.seek(3_000_000)
    file.write(b"end")
os.makedirs(os.path.join(top, "empty", "emptier"))
os.symlink("../nowhere", os.path.join(top, "dangling"))
