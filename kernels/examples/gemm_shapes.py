"""The other side of gemm_shapes.rs: for each line "m n k" on stdin, the best seconds of a float32 x @ w.T with numpy."""

import sys
import time

import numpy as np

operands = {}
for line in sys.stdin:
    m, n, k = shape = tuple(map(int, line.split()))
    if shape not in operands:
        operands.clear()
        random = np.random.default_rng(1)
        x = random.uniform(-1, 1, (m, k)).astype(np.float32)
        w = random.uniform(-1, 1, (n, k)).astype(np.float32)
        operands[shape] = x, w, np.empty((m, n), np.float32)
    x, w, y = operands[shape]
    best, end = float("inf"), time.perf_counter() + 0.15
    while time.perf_counter() < end:
        start = time.perf_counter()
        np.matmul(x, w.T, out=y)
        best = min(best, time.perf_counter() - start)
    print(best, flush=True)
