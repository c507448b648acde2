"""One check per reference file: CHECKS maps a file's name (without .npz) to a function of its arrays.

A check gets ``(vectors, compare)``: ``vectors`` is the opened .npz, ``compare(name, ours, expected,
rtol, atol)`` asserts and keeps the largest error for the report; ``compare.report(name, ours, expected)``
only reports. Shapes, variants and hyper-parameters are read from the file. A new method adds one module
here and one line below.
"""

from __future__ import annotations

from collections.abc import Callable

from reference_checks import (
    criteria,
    evaluation,
    idml,
    losses,
    lsd,
    miners,
    neighbours,
    networks,
    proxy_isa,
    samplers,
    stml,
    transfer,
)

CHECKS: dict[str, Callable] = {
    **networks.CHECKS,
    **losses.CHECKS,
    **proxy_isa.CHECKS,
    **transfer.CHECKS,
    **criteria.CHECKS,
    **stml.CHECKS,
    **idml.CHECKS,
    **samplers.CHECKS,
    **miners.CHECKS,
    **neighbours.CHECKS,
    **evaluation.CHECKS,
    **lsd.CHECKS,
}
