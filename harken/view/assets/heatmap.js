// One large map: a canvas for the cells and their labels, one above it for what is pointed at. Long texts are seen whole or in part.

const CELL = 42; // pixels at most
const LETTERS = 14; // of a label at most, half of them on a narrow screen
const LEAST = 12; // tokens to a side, as near as one can go
const FONT = "12px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace";

/** A map as it comes: one byte a weight, as a share of the largest of its row. */
class Weights {
  constructor(buffer, rows, columns, causal) {
    Object.assign(this, { rows, columns, causal, tops: new Float32Array(buffer, 0, rows), shares: new Uint8Array(buffer, 4 * rows) });
  }

  at(row, column) { return this.tops[row] * this.shares[row * this.columns + column] / 255; }

  /** Whether the query of this row may see the key of this column. */
  visible(row, column) { return !this.causal || column <= row; }

  /** Pixels of a part of the map: a cell over many pixels, or the largest weight of all the cells under one, so that none gets lost. */
  image(width, height, top = 0, rows = this.rows, left = 0, columns = this.columns) {
    const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer), { rgba } = ramp("blue");
    const span = (at, size, count) => count <= size
      ? [Math.floor((at + 0.5) * count / size), Math.floor((at + 0.5) * count / size) + 1]
      : [Math.floor(at * count / size), Math.floor((at + 1) * count / size)];
    const across = Array.from({ length: width }, (_, x) => span(x, width, columns).map(n => n + left));
    for (let y = 0; y < height; y++) {
      const [above, below] = span(y, height, rows).map(n => n + top);
      for (let x = 0; x < width; x++) {
        let most = -1;
        for (let row = above; row < below; row++)
          for (let column = across[x][0]; column < across[x][1]; column++)
            if (this.visible(row, column)) most = Math.max(most, this.at(row, column));
        if (most >= 0) pixels[y * width + x] = rgba[shade(most)];
      }
    }
    return image;
  }
}

class HeatMap {
  /** `point(row or null)` and `choose(row)` are told which query is pointed at. */
  constructor(host, { point, choose }) {
    this.base = make("canvas", { role: "img" });
    this.over = make("canvas", { tabIndex: 0, role: "application" });
    host.replaceChildren(this.base, this.over);
    Object.assign(this, { host, point, choose, view: null, cell: null, row: null, marked: null, drag: null });
    this.over.addEventListener("pointermove", event => this.move(event));
    this.over.addEventListener("pointerleave", () => { this.cell = null; point(null); this.mark(); });
    this.over.addEventListener("pointerdown", event => { this.drag = { x: event.offsetX, y: event.offsetY, view: { ...this.view }, far: false }; });
    this.over.addEventListener("click", event => { const cell = this.under(event); if (cell && !this.drag?.far) choose(cell[0]); this.drag = null; });
    this.over.addEventListener("keydown", event => this.key(event));
    new ResizeObserver(() => host.clientWidth !== this.wide && this.draw()).observe(host);
  }

  show(weights, rows, columns, words) {
    if (weights.rows !== this.weights?.rows || weights.columns !== this.weights?.columns)
      this.view = { top: 0, left: 0, rows: weights.rows, columns: weights.columns };
    Object.assign(this, { weights, rows, columns });
    this.base.ariaLabel = words;
    this.over.ariaLabel = words + ": arrow keys move from cell to cell";
    this.draw();
  }

  /** Show `factor` times as many tokens, around the chosen row. */
  zoom(factor) {
    const { weights, view } = this;
    const size = (now, all) => Math.min(all, Math.max(Math.min(all, LEAST), Math.round(now * factor)));
    const rows = size(view.rows, weights.rows), columns = size(view.columns, weights.columns);
    const row = this.row ?? view.top + view.rows / 2;
    const column = this.row !== null && weights.causal ? this.row : view.left + view.columns / 2;
    this.place(row - rows / 2, column - columns / 2, rows, columns);
  }

  place(top, left, rows = this.view.rows, columns = this.view.columns) {
    const inside = (at, count, all) => Math.round(Math.max(0, Math.min(all - count, at)));
    this.view = { top: inside(top, rows, this.weights.rows), left: inside(left, columns, this.weights.columns), rows, columns };
    this.draw();
  }

  get whole() { return this.view.rows === this.weights.rows && this.view.columns === this.weights.columns; }

  /** Where everything lies, in pixels of the page. How large a cell is and how much room the labels take depend on each other: twice is enough. */
  layout(context) {
    const { view } = this, square = view.rows === view.columns;
    this.wide = this.host.clientWidth;
    context.font = FONT;
    const short = label => shortened(label, this.wide < 520 ? LETTERS / 2 : LETTERS);
    const width = labels => Math.ceil(Math.max(...labels.map(([, label]) => context.measureText(label).width)));
    const most = Math.max(340, Math.min(860, innerHeight * 0.85));
    let across = Math.min(CELL, this.wide / view.columns), down = Math.min(CELL, most / view.rows);
    for (let pass = 0; pass < 2; pass++) {
      if (square) across = down = Math.min(across, down);
      this.rowLabels = grouped(this.rows.slice(view.top, view.top + view.rows), step(down, 15), short);
      this.columnLabels = grouped(this.columns.slice(view.left, view.left + view.columns), across < 19 ? step(across, 22) : 1, short);
      const wide = width(this.columnLabels);
      this.left = width(this.rowLabels) + 12;
      this.flat = this.columnLabels.length === view.columns && wide + 6 <= across; // labels fit side by side
      const slope = this.flat ? 0 : Math.ceil(wide * 0.71); // else they stand aslant, and lean over to the right
      this.top = this.flat ? 22 : slope + 16;
      across = Math.min(CELL, (this.wide - this.left - slope - 4) / view.columns);
      down = Math.min(CELL, most / view.rows);
    }
    if (square) across = down = Math.min(across, down);
    Object.assign(this, { across, down, width: across * view.columns, height: down * view.rows });
  }

  draw() {
    if (!this.weights) return;
    const context = this.base.getContext("2d"), ratio = devicePixelRatio || 1, { view } = this;
    this.layout(context);
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.round(this.wide * ratio);
      canvas.height = Math.round((this.top + this.height + 4) * ratio);
      canvas.style.width = canvas.width / ratio + "px";
      canvas.style.height = canvas.height / ratio + "px";
    }
    this.over.style.touchAction = this.whole ? "auto" : "none";
    const image = this.weights.image(Math.max(1, Math.round(this.width * ratio)), Math.max(1, Math.round(this.height * ratio)), view.top, view.rows, view.left, view.columns);
    context.putImageData(image, Math.round(this.left * ratio), Math.round(this.top * ratio));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(this.host);
    if (Math.min(this.across, this.down) >= 12) this.gaps(context, style.getPropertyValue("--card"));
    context.font = FONT;
    context.fillStyle = style.getPropertyValue("--pale");
    context.textBaseline = "middle";
    this.labels(context);
    this.mark();
  }

  /** Thin lines between cells that are large enough. */
  gaps(context, colour) {
    context.fillStyle = colour;
    for (let i = 1; i < this.view.columns; i++) context.fillRect(this.left + i * this.across - 0.5, this.top, 1, this.height);
    for (let i = 1; i < this.view.rows; i++) context.fillRect(this.left, this.top + i * this.down - 0.5, this.width, 1);
  }

  /** As many labels as fit. */
  labels(context) {
    context.textAlign = "right";
    for (const [i, label] of this.rowLabels) context.fillText(label, this.left - 7, this.top + (i + 0.5) * this.down);
    context.textAlign = this.flat ? "center" : "left";
    for (const [i, label] of this.columnLabels) this.above(context, label, i);
  }

  above(context, label, i) {
    context.save();
    context.translate(this.left + (i + 0.5) * this.across, this.top - 9);
    if (!this.flat) context.rotate(-Math.PI / 4);
    context.fillText(label, 0, 0);
    context.restore();
  }

  /** Redraw what lies over the map: the chosen row, and the cell that is pointed at with its labels. */
  mark(row = this.row) {
    this.row = row;
    if (!this.weights) return;
    const context = this.over.getContext("2d"), ratio = devicePixelRatio || 1, { view } = this, style = getComputedStyle(this.host);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.over.width, this.over.height);
    const [at, column] = this.cell ?? [row, null];
    const frame = (i, j, rows, columns) => context.strokeRect(this.left + j * this.across, this.top + i * this.down, columns * this.across, rows * this.down);
    context.strokeStyle = style.getPropertyValue("--mark");
    context.lineWidth = 1.5;
    if (at !== null && at >= view.top && at < view.top + view.rows) {
      frame(at - view.top, 0, 1, Math.min(view.columns, this.weights.causal ? Math.max(0, at + 1 - view.left) : Infinity));
      this.tag(context, style, this.rows[at], at - view.top, true);
    }
    if (column === null) return;
    frame(0, column - view.left, view.rows, 1);
    this.tag(context, style, this.columns[column], column - view.left, false);
  }

  /** A label in full strength, over whatever labels lie there. */
  tag(context, style, label, i, row) {
    label = shortened(label, LETTERS);
    context.font = FONT;
    context.textBaseline = "middle";
    const width = context.measureText(label).width + 8;
    const x = row ? Math.max(0, this.left - 3 - width) : Math.min(Math.max(0, this.left + (i + 0.5) * this.across - width / 2), this.wide - width);
    const y = row ? this.top + (i + 0.5) * this.down : this.top - 10;
    context.fillStyle = style.getPropertyValue("--mark");
    context.beginPath();
    context.roundRect(x, y - 8.5, width, 17, 4);
    context.fill();
    context.fillStyle = style.getPropertyValue("--card");
    context.textAlign = "left";
    context.fillText(label, x + 4, y + 0.5);
  }

  /** [row, column] under the pointer, or null. */
  under(event) {
    const row = Math.floor((event.offsetY - this.top) / this.down), column = Math.floor((event.offsetX - this.left) / this.across);
    const inside = row >= 0 && row < this.view.rows && column < this.view.columns && event.offsetX >= 0;
    return inside ? [row + this.view.top, column >= 0 ? column + this.view.left : null] : null;
  }

  move(event) {
    if (this.drag && event.buttons && !this.whole) {
      const { x, y, view } = this.drag;
      this.drag.far ||= Math.hypot(event.offsetX - x, event.offsetY - y) > 4;
      this.place(view.top - (event.offsetY - y) / this.down, view.left - (event.offsetX - x) / this.across);
      return;
    }
    this.to(this.under(event));
  }

  to(cell) {
    this.cell = cell;
    this.point(cell);
    this.mark();
  }

  key(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Enter" && this.cell) this.choose(this.cell[0]);
    if (!step) return;
    event.preventDefault();
    const { view, weights } = this, [row, column] = this.cell ?? [this.row ?? view.top, view.left];
    const next = (now, move, all) => Math.max(0, Math.min(all - 1, (now ?? 0) + move));
    const cell = [next(row, step[0], weights.rows), next(column, step[1], weights.columns)];
    const inside = (at, from, count) => at < from ? at : at >= from + count ? at - count + 1 : from;
    const top = inside(cell[0], view.top, view.rows), left = inside(cell[1], view.left, view.columns);
    if (top !== view.top || left !== view.left) this.place(top, left);
    this.to(cell);
  }
}

/** How many cells a label of `room` pixels needs. */
const step = (cell, room) => Math.max(1, Math.ceil(room / cell));

/** As many labels as fit, [place, label]: where tokens stand too close, one label names all of the tokens it stands for. */
function grouped(labels, size, short) {
  const out = [];
  for (let i = 0; i < labels.length; i += size) out.push([i, short(labels.slice(i, i + size).join(""))]);
  return out;
}

function shortened(label, most) {
  const letters = Array.from(label);
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : label;
}
