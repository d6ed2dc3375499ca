// Lines over a common axis, as SVG that says in words what it shows; the numbers stand in a table beside it.

const NS = "http://www.w3.org/2000/svg";
const W = 640, H = 260, LEFT = 46, BOTTOM = 34, TOP = 14, RIGHT = 12;

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

/** `lines`: [{name, points: [[x, y]]}] · `x`, `y`: what the axes show. */
export function curve(lines, { x, y, words, height = H }) {
  const all = lines.flatMap(line => line.points), xs = all.map(point => point[0]), ys = all.map(point => point[1]);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const pad = (y1 - y0 || 1) * 0.06, low = Math.max(0, y0 - pad), high = y1 + pad;
  const across = at => LEFT + (at - x0) / (x1 - x0 || 1) * (W - LEFT - RIGHT), up = at => height - BOTTOM - (at - low) / (high - low) * (height - BOTTOM - TOP);
  const host = part("svg", { viewBox: `0 0 ${W} ${height}`, role: "img", "aria-label": words, class: "curve" });
  for (const at of ticks(low, high, 4)) {
    host.append(part("line", { x1: LEFT, x2: W - RIGHT, y1: up(at), y2: up(at), class: "grid" }));
    host.append(part("text", { x: LEFT - 7, y: up(at) + 4, "text-anchor": "end" }, at.toLocaleString("en")));
  }
  for (const at of ticks(x0, x1, 5)) host.append(part("text", { x: across(at), y: height - BOTTOM + 17, "text-anchor": "middle" }, at.toLocaleString("en")));
  host.append(part("text", { x: W - RIGHT, y: height - 2, "text-anchor": "end" }, x), part("text", { x: 0, y: 10 }, y));
  lines.forEach((line, i) => {
    const points = line.points.map(([a, b]) => `${across(a).toFixed(1)},${up(b).toFixed(1)}`).join(" ");
    host.append(part("polyline", { points, class: `line line-${i}` }));
    if (line.points.length < 40) for (const [a, b] of line.points) host.append(part("circle", { cx: across(a), cy: up(b), r: 3, class: `dot-${i}` }));
  });
  return host;
}
