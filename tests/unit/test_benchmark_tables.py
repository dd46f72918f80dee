"""The tables of the benchmark on standard sets."""

from __future__ import annotations

import pandas as pd

from benchmarks.standard.tables import markdown


def test_a_level_that_was_not_measured_is_an_empty_cell():
    speed = pd.DataFrame({"engine": ["cpu, float32"], "threads": [2]})
    rest = {"ssim": 0.5, "mpx_per_s": 2.0, "parameters": None, "gmacs": None, "source": "measured"}
    rows = [
        {"set": "set12", "sigma": sigma, "method": method, "psnr": 20.0 + sigma, **rest}
        for method, sigmas in {"median": (15, 25), "bm3d": (15,)}.items()
        for sigma in sigmas
    ]
    table = markdown(pd.DataFrame(rows).astype({"parameters": float, "gmacs": float}), speed)
    assert "| median | 35.00 / 0.500 | 45.00 / 0.500 | 2 |" in table
    assert "| bm3d | 35.00 / 0.500 |  | 2 |" in table
