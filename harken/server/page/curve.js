// Lines over a common axis, as SVG that says in words what it shows; the numbers stand in a table beside it.

const NS = "http://www.w3.org/2000/svg";
const LEFT = 44, BOTTOM = 38, RIGHT = 22; // pixels around the lines

function part(tag, attributes, text) {
  const it = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) it.setAttribute(name, value);
  if (text !== undefined) it.textContent = text;
  return it;
}

/** Round numbers between low and high, about `count` of them. */
function ticks(low, high, count) {
  const rough = (high - low || 1) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(+at.toPrecision(10));
  return found;
}

/** An element that draws `lines`, [{name, points: [[x, y]]}], as wide as it is. `x`, `y`: what the axes show · `words`: what the picture says ·
 * `span`: the ends of the x axis, else those of the lines · `least`: the end of the y axis at least, which then begins at 0. */
export function curve(lines, look) {
  const host = document.createElement("div");
  host.className = "curve";
  new ResizeObserver(() => host.clientWidth > 0 && draw(host, lines, look)).observe(host);
  return host;
}

function draw(host, lines, { x, y, words, span, least, height = 260 }) {
  const wide = host.clientWidth, all = lines.flatMap(line => line.points), ys = all.map(point => point[1]);
  const [x0, x1] = span ?? [Math.min(...all.map(point => point[0])), Math.max(...all.map(point => point[0]))];
  const [y0, y1] = [least ? 0 : Math.min(...ys), Math.max(least ?? -Infinity, ...ys)], pad = (y1 - y0 || 1) * 0.06;
  const low = Math.max(0, y0 - pad), high = y1 + pad, top = y ? 26 : 10;
  const across = at => LEFT + (at - x0) / (x1 - x0 || 1) * (wide - LEFT - RIGHT), up = at => height - BOTTOM - (at - low) / (high - low) * (height - BOTTOM - top);
  const svg = part("svg", { width: wide, height, viewBox: `0 0 ${wide} ${height}`, role: "img", "aria-label": words });
  for (const at of ticks(low, high, 4)) {
    svg.append(part("line", { x1: LEFT, x2: wide - RIGHT, y1: up(at), y2: up(at), class: "grid" }));
    svg.append(part("text", { x: LEFT - 8, y: up(at) + 4, "text-anchor": "end" }, at.toLocaleString("en")));
  }
  for (const at of ticks(x0, x1, wide < 500 ? 4 : 8)) svg.append(part("text", { x: across(at), y: height - BOTTOM + 17, "text-anchor": "middle" }, at.toLocaleString("en")));
  svg.append(part("text", { x: wide - RIGHT, y: height - 3, "text-anchor": "end" }, x), part("text", { x: 0, y: 12 }, y));
  lines.forEach((line, i) => {
    const points = line.points.map(([a, b]) => `${across(a).toFixed(1)},${up(b).toFixed(1)}`).join(" ");
    svg.append(part("polyline", { points, class: `line line-${i}` }));
    if (!span && line.points.length < 40) for (const [a, b] of line.points) svg.append(part("circle", { cx: across(a), cy: up(b), r: 3, class: `dot-${i}` }));
  });
  host.replaceChildren(svg);
}
