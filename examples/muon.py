"""Why orthogonalise a gradient: a picture of plain descent that explodes where orthogonal steps walk home.

    python examples/muon.py [--out docs/muon.svg]

1,200 points of a closed outline go through a linear map W (2×2), and a hidden map says where they should land. The loss
squares one coordinate's error and raises the other's to the 20th power, so its gradient is either tiny or enormous.
Plain descent takes steps as long as the gradient. An orthogonalised step, U Vᵀ where the gradient is U S Vᵀ, keeps the
directions and drops the sizes: it is as long whatever the gradient is. `torch.optim.Muon` comes near U Vᵀ by five
Newton-Schulz iterations (Jordan et al. 2024, kellerjordan.github.io/posts/muon); for 2×2 the exact one is as cheap.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

POINTS, STEEP, RATE, SMALL = 1200, 20, 0.2, 0.015
HIDDEN = torch.tensor([[1.04, 0.16], [-0.12, 0.98]], dtype=torch.float64)
START = torch.tensor([[0.5, -0.6], [0.5, 0.3]], dtype=torch.float64)
# fmt: off
CAT = [
    (18, 72), (21, 81), (21, 97), (30, 89), (37, 89), (46, 97), (48, 82), (52, 73), (61, 59), (70, 42), (75, 25),
    (77, 12), (85, 7), (95, 9), (100, 18), (98, 31), (103, 33), (107, 18), (101, 3), (88, -3), (72, -1), (50, -1),
    (30, -1), (24, 2), (28, 6), (34, 10), (34, 25), (30, 42), (26, 55), (24, 63), (18, 67),
]
# fmt: on


def outline() -> Tensor:
    """(2, 1200) points at equal distances along a smooth closed curve, centred, of root mean square 1.25 a coordinate.

    The curve goes through the points of `CAT` (Catmull-Rom: each piece is a cubic fixed by four neighbours).
    """
    b = torch.tensor(CAT, dtype=torch.float64)
    a, c, d = b.roll(1, 0), b.roll(-1, 0), b.roll(-2, 0)
    t = torch.linspace(0, 1, 61, dtype=torch.float64)[:-1, None, None]
    fine = (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3) / 2
    fine = fine.transpose(0, 1).reshape(-1, 2)
    length = (fine.roll(-1, 0) - fine).norm(dim=1).cumsum(0)
    at = torch.arange(POINTS, dtype=torch.float64) / POINTS * length[-1]
    points = fine[torch.searchsorted(length, at)].T
    points = points - points.mean(dim=1, keepdim=True)
    return 1.25 * points / points.square().mean().sqrt()


def steep(error: Tensor) -> Tensor:
    """Mean of the one coordinate's squared error and the other's to the 20th power."""
    return (error[0] ** 2 + error[1] ** STEEP).mean()


def squared(error: Tensor) -> Tensor:
    """Mean squared error."""
    return (error**2).sum(dim=0).mean()


def plain(gradient: Tensor) -> Tensor:
    """The step of gradient descent."""
    return RATE * gradient


def orthogonal(gradient: Tensor) -> Tensor:
    """A step as long in every direction: a small multiple of U Vᵀ."""
    u, _, v = torch.linalg.svd(gradient)
    return SMALL * u @ v


def descend(loss: Callable[[Tensor], Tensor], update: Callable[[Tensor], Tensor], steps: int) -> list[Tensor]:
    """The map W (2, 2) before each of `steps` updates and after the last; it ends early where W is not finite."""
    points, w, maps = outline(), START.clone(), [START.clone()]
    for _ in range(steps):
        leaf = w.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf @ points - HIDDEN @ points), leaf)
        w = w - update(gradient)
        maps.append(w)
        if not w.isfinite().all():
            break
    return maps


def distance(w: Tensor) -> float:
    """Root mean square distance of the points from where they should be, as a share of the drawing's own size."""
    points = outline()
    return float(((w - HIDDEN) @ points).norm() / (HIDDEN @ points).norm())


# ---- the picture: every shape is the one outline under a matrix ------------------------------------------------------

CELL, GAP, LEFT, TOP, ROW, SCALE = 204, 14, 40, 120, 300, 38
INK, SOFT, PAPER, GHOST = "#26303a", "#6d7883", "#fbfaf6", "#e3e0d6"
Row = tuple[str, str, str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], list[int]]
ROWS: list[Row] = [
    ("#d1495b", "Plain gradient descent", "steps of 0.2 × gradient; error to the 20th power",
     steep, plain, [0, 1, 2, 3, 100]),
    ("#00798c", "Orthogonalised gradient", "steps of 0.015 × U Vᵀ; the same loss",
     steep, orthogonal, [0, 25, 50, 75, 100]),
    ("#8a6d3b", "Plain gradient descent, harmless loss", "steps of 0.2 × gradient; squared error",
     squared, plain, [0, 1, 5, 20, 500]),
]  # fmt: skip


def picture() -> str:
    """The SVG: a row an experiment, a cell a step; in grey where the points should be."""
    path = "M" + "L".join(f"{x:.3f},{y:.3f}" for x, y in outline().T[::3].tolist()) + "Z"
    width, height = 2 * LEFT + 5 * CELL + 4 * GAP, TOP + len(ROWS) * ROW + 10
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, '
        f'sans-serif" fill="{INK}">',
        f'<title>{ROWS[0][1]} explodes; the orthogonalised gradient does not</title>',
        f'<defs><path id="cat" d="{path}" vector-effect="non-scaling-stroke"/></defs>',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        text(LEFT, 56, "One cat, one loss, two ways to take a step", 30, weight=700),
        text(LEFT, 84, "1,200 points, one 2×2 map to find. Grey: where the points belong.", 16, SOFT),
        *(row(TOP + at * ROW, *one) for at, one in enumerate(ROWS)),
        "</svg>\n",
    ])  # fmt: skip


def row(top: int, colour: str, name: str, how: str, loss: Callable[[Tensor], Tensor],
        update: Callable[[Tensor], Tensor], steps: list[int]) -> str:  # fmt: skip
    """One experiment: its name and a cell for each of `steps`."""
    maps = descend(loss, update, steps[-1])
    cells = [cell(LEFT + at * (CELL + GAP), top + 46, colour, step, maps[min(step, len(maps) - 1)], loss)
             for at, step in enumerate(steps)]  # fmt: skip
    title = f'<tspan fill="{colour}" font-weight="700">{name}</tspan><tspan dx="10" fill="{SOFT}">{how}</tspan>'
    return "\n".join([text(LEFT, top + 30, title, 17), *cells])


def cell(x: int, y: int, colour: str, step: int, w: Tensor, loss: Callable[[Tensor], Tensor]) -> str:
    """One step: target in grey, the shape in colour; a shape beyond the frame is drawn smaller, and by how much."""
    points = outline()
    error = float(loss(w @ points - HIDDEN @ points))
    size = float((w @ points).abs().max())
    beyond = max(1.0, size / 2.45) if math.isfinite(size) else math.inf
    parts = [f'<svg x="{x}" y="{y}" width="{CELL}" height="{CELL}"><rect x=".5" y=".5" width="{CELL - 1}" '
             f'height="{CELL - 1}" rx="8" fill="#fff" stroke="{GHOST}"/>']  # fmt: skip
    if beyond < 100:
        parts.append(shape(HIDDEN / beyond, f'fill="{GHOST}"'))
        parts.append(shape(w / beyond, f'fill="{colour}" fill-opacity=".12" stroke="{colour}" stroke-width="2"'))
    elif math.isfinite(beyond):
        parts.append(streak(w / beyond, colour))
        parts.append(f'<text x="{CELL / 2}" y="{CELL - 10}" font-size="13" fill="{colour}" text-anchor="middle">'
                     f"drawn {number(beyond)} times smaller</text>")  # fmt: skip
    else:
        parts.append(f'<text x="{CELL / 2}" y="{CELL / 2 + 16}" font-size="46" font-weight="700" fill="{colour}" '
                     'text-anchor="middle">NaN</text>')  # fmt: skip
    parts += ["</svg>", text(x + 2, y + CELL + 20, f"step {step}", 14, weight=700)]
    parts.append(text(x + CELL - 2, y + CELL + 20, f"loss {number(error)}", 14, SOFT, anchor="end"))
    return "".join(parts)


def shape(w: Tensor, style: str) -> str:
    """The outline under `w`, y upwards, in the middle of a cell."""
    (a, b), (c, d) = (SCALE * w).tolist()
    move = f"matrix({a:.4g} {-c:.4g} {b:.4g} {-d:.4g} {CELL / 2 - 6} {CELL / 2 + 10})"
    return f'<use href="#cat" transform="{move}" {style}/>'


def streak(w: Tensor, colour: str) -> str:
    """The outline under a `w` of which all but one direction has vanished beside it: a line that crosses the cell."""
    points = w @ outline()
    x, y = (0.75 * SCALE * points[:, points.norm(dim=0).argmax()]).tolist()
    ends = f'x1="{CELL / 2 - x:.1f}" y1="{CELL / 2 + y:.1f}" x2="{CELL / 2 + x:.1f}" y2="{CELL / 2 - y:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="3" stroke-linecap="round"/>'


def text(x: float, y: float, said: str, size: int, colour: str = INK, weight: int = 400, anchor: str = "start") -> str:
    """A line of text."""
    return (f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
            f'text-anchor="{anchor}">{said}</text>')  # fmt: skip


def number(value: float) -> str:
    """Two figures, with a power of ten where it is far from 1."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞"
    if value == 0 or 1e-3 <= value < 1e4:
        return f"{value:.2g}" if value < 100 else f"{value:,.0f}"
    power = math.floor(math.log10(value))
    digits = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{value / 10.0**power:.1f}·10{digits}"


def main() -> None:
    """Draw, and say what happened."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "muon.svg")
    given = parser.parse_args()
    given.out.write_text(picture(), encoding="utf-8")
    for _, name, how, loss, update, steps in ROWS:
        maps = descend(loss, update, steps[-1])
        end = f"{distance(maps[-1]):.1%} from the target" if maps[-1].isfinite().all() else "not a number"
        print(f"{name} ({how}): after {len(maps) - 1} steps {end}")
    print(f"drawn in {given.out}")


if __name__ == "__main__":
    main()
