"""Tables, plots and docs/benchmarks.md from the JSON that a comparison wrote."""
import html
import math
import os

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360, 240, 56, 28, 44


def peers(result):
    return [s for s in result["sides"] if not s["name"].startswith("lorikeet")]


def shown(side):
    memory = f" · {side['peak_bytes'] / 2**30:.2f} GiB" if "peak_bytes" in side else ""
    rate = f"{side['rate']:,.0f}" if side["rate"] >= 100 else f"{side['rate']:.3g}"
    return rate + memory


def table(results):
    lines = ["| work | unit | peers | Lorikeet | speed ratio | memory ratio |", "| --- | --- | --- | --- | ---: | ---: |"]
    for r in results:
        others = peers(r)
        mark = "" if all(s["quiet_samples"] for s in r["sides"]) else " (disturbed)"
        for side in r["sides"]:
            if not side["name"].startswith("lorikeet"):
                continue
            name = f" {side['name'].removeprefix('lorikeet').strip(', ')}:" if side["name"] != "lorikeet" else ""
            speed = f"{side['rate'] / max(s['rate'] for s in others):.2f}" if others else ""
            memory = ""
            if others and "peak_bytes" in side:
                memory = f"{side['peak_bytes'] / min(s['peak_bytes'] for s in others):.3f}"
            listed = ", ".join(s["name"] + " " + shown(s) for s in others)
            lines.append(f"| {r['work']}{mark} | {r['unit']}/s | {listed} |{name} {shown(side)} | {speed} | {memory} |")
    return "\n".join(lines)


def kernel_table(kernels):
    lines = ["| kernel | GF/s | percent of the peak |", "| --- | ---: | ---: |"]
    lines += [f"| {k['name']} | {k['gflops']:.0f} | {k['percent']:.0f} |" for k in kernels]
    return "\n".join(lines)


def scale(values):
    """A function to 0..1, logarithmic where values span more than a factor of 8, and the ticks."""
    low, high = min(values), max(values)
    if low > 0 and high / low > 8:
        return lambda v: math.log(v / low) / math.log(high / low), sorted(set(values))
    return lambda v: (v - low) / ((high - low) or 1), sorted(set(values))


def panel(x0, title, label, xs, ys, unit):
    place_x, ticks = scale(xs)
    top = max(ys) * 1.1
    inner = WIDTH - LEFT - 16, HEIGHT - TOP - BOTTOM

    def at(x, y):
        return x0 + LEFT + place_x(x) * inner[0], TOP + (1 - y / top) * inner[1]

    parts = [f'<text x="{x0 + LEFT}" y="16" class="title">{html.escape(title)}</text>',
             f'<text x="{x0 + LEFT + inner[0] / 2}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(label)}</text>']
    for i in range(5):
        y = at(xs[0], top * i / 4)[1]
        parts.append(f'<path class="grid" d="M{x0 + LEFT} {y:.1f}h{inner[0]}"/>'
                     f'<text x="{x0 + LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * i / 4:.3g}</text>')
    for x in ticks:
        parts.append(f'<text x="{at(x, 0)[0]:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x}</text>')
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in (at(x, y) for x, y in zip(xs, ys)))
    parts.append(f'<polyline points="{points}"/>')
    parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3"><title>{x}: {y:.4g} {unit}</title></circle>'
              for x, y in zip(xs, ys) for a, b in [at(x, y)]]
    return "".join(parts)


def plot(series):
    points = sorted(series["points"], key=lambda p: p["x"])
    xs = [p["x"] for p in points]
    style = ("text{font:11px sans-serif;fill:#333}.title{font-weight:bold}.grid{stroke:#ddd}"
             "polyline{fill:none;stroke:#1664b0;stroke-width:2}circle{fill:#1664b0}")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" width="{2 * WIDTH}" height="{HEIGHT}">'
            f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>'
            + panel(0, f"{series['name']}: tokens/s", series["label"], xs, [p["tokens_per_second"] for p in points], "tokens/s")
            + panel(WIDTH, f"{series['name']}: peak GiB", series["label"], xs, [p["peak_bytes"] / 2**30 for p in points], "GiB")
            + "</svg>\n")


def document(report, folder):
    """Writes benchmarks.md and the plots beside it; returns the paths."""
    machine, written = report["machine"], []
    versions = ", ".join(f"{name} {version}" for name, version in machine["peers"].items())
    text = ["# Benchmarks", "",
            "Written by `bench/compare_peers --document`; do not edit. Both sides took turns on one machine. A rate is the best of "
            f"{'1 run' if report['rounds'] == 1 else 'up to %d runs' % report['rounds']} that nothing disturbed, memory the largest peak of a whole "
            "process, libraries included; a row in which a side had no undisturbed run says so and takes the best of all. Ratios compare with the best of the peers.", "",
            f"{machine['cpu']}, {machine['cpus']} CPUs, {report['threads']} threads, Linux {machine['kernel']}, "
            f"{machine['date']}.", "", "; ".join(" ".join(line.split()) for line in machine["lorikeet"].splitlines()) + f". {versions}."]
    sections = (("Training", report.get("results"), table), ("Generation", report.get("generation"), table),
                ("Kernels", report.get("kernels"), kernel_table))
    for title, rows, make in sections:
        if rows:
            text += ["", f"## {title}", "", make(rows)]
    if report.get("growth"):
        text += ["", "## How cost grows", "", "SmolLM2-135M, QLoRA, r = 16, 4 rows of 512 tokens where not said otherwise."]
        os.makedirs(os.path.join(folder, "benchmarks"), exist_ok=True)
    for series in report.get("growth", []):
        name = series["name"].lower().replace(" ", "_") + ".svg"
        written.append(os.path.join(folder, "benchmarks", name))
        with open(written[-1], "w") as f:
            f.write(plot(series))
        text += ["", f"![{series['name']}](benchmarks/{name})"]
    written.append(os.path.join(folder, "benchmarks.md"))
    with open(written[-1], "w") as f:
        f.write("\n".join(text) + "\n")
    return written
