// Model: what it is, what it learned from, how its loss fell.

import { ask } from "./ask.js";
import { curve } from "./curve.js";
import { make } from "./look.js";
import { alarm, card, number, shared, tell } from "./shared.js";

const short = n => n >= 1e9 ? (n / 1e9).toFixed(1) + " B" : n >= 1e6 ? (n / 1e6).toFixed(1) + " M" : n >= 1e4 ? Math.round(n / 1e3) + " k" : number(n);
const time = s => s < 120 ? `${Math.round(s)} s` : s < 7200 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
const ROWS = 40; // of the table of a curve at most

export function model(host) {
  const wrong = alarm(), area = make("div", {});
  host.replaceChildren(wrong, area);
  let showing = null;

  async function show() {
    if (showing === shared.model) return;
    const name = showing = shared.model, about = card();
    area.replaceChildren(tiles(about), facts(about));
    try {
      const { lines } = await ask("harken/training?model=" + encodeURIComponent(name));
      if (name === shared.model) area.append(training(lines));
      tell(wrong, null);
    } catch (error) {
      showing = null;
      tell(wrong, error);
    }
  }
  return { show, change: () => { showing = null; } };
}

function tiles(about) {
  const shown = { parameters: short(about.parameters), layers: about.layers, heads: about.heads, width: about.width, "tokens read at once": about.context, "tokens known": about.vocabulary };
  const parts = Object.entries(shown).filter(([, value]) => value !== null);
  return make("dl", { className: "tiles" }, ...parts.map(([what, value]) => make("div", {}, make("dd", {}, typeof value === "number" ? number(value) : value), make("dt", {}, what))));
}

function facts(about) {
  const learned = about.learned, held = { float32: "32-bit numbers", bfloat16: "16-bit numbers", int8: "8-bit numbers", int4: "4-bit numbers" };
  const rows = {
    family: about.family, "built for": about.task.replaceAll("-", " "), tokenizer: about.tokenizer, weights: `${number(about.parameters)}, ${held[about.held] ?? about.held}`,
    adapter: about.adapter ? "yes, on a base it shares" : null, licence: about.licence ?? "not said in its folder",
    "learned from": learned.data, texts: learned.texts && number(learned.texts), "held out": learned["held out"] && number(learned["held out"]) + " texts",
    characters: learned.characters && number(learned.characters), "tokens learned from": learned.tokens && number(learned.tokens),
    steps: learned.steps && number(learned.steps), "time it took": learned.seconds && time(learned.seconds),
    "held-out loss": learned.loss && learned.loss.toFixed(3) + " nats per token", "test loss": learned.test_loss && learned.test_loss.toFixed(3) + " nats per token",
    "bits per byte": learned.bits_per_byte && learned.bits_per_byte.toFixed(3), run: learned.status,
  };
  const parts = Object.entries(rows).filter(([, value]) => value);
  const list = make("dl", { className: "facts-list" }, ...parts.flatMap(([what, value]) => [make("dt", {}, what), make("dd", { dir: "auto" }, value)]));
  const said = Object.keys(learned).length ? [] : [make("p", { className: "small" }, "How it was trained is not recorded in its folder: harken train writes that as harken.json.")];
  return make("div", { className: "card" }, make("h2", {}, "Facts"), list, ...said);
}

function training(lines) {
  const host = make("div", { className: "card" }, make("h2", {}, "Training"));
  if (!lines.length) {
    host.append(make("p", { className: "small" }, "There is no journal of its training in its folder: a run of harken train keeps one, metrics.jsonl."));
    return host;
  }
  const words = lines.map(({ name, points }) => `${name} from ${points[0][1].toFixed(3)} at step ${number(points[0][0])} to ${points.at(-1)[1].toFixed(3)} at step ${number(points.at(-1)[0])}`).join("; ");
  const names = make("p", { className: "keys" }, ...lines.map((line, i) => make("span", { className: `key key-${i}` }, line.name)));
  host.append(names, curve(lines, { x: "step", y: "nats per token", words: `A line chart: ${words}.` }));
  const table = lines.map(line => {
    const every = Math.ceil(line.points.length / ROWS), rows = line.points.filter((_, i) => i % every === 0 || i === line.points.length - 1);
    const said = rows.length < line.of ? `${line.name}, ${number(rows.length)} of ${number(line.of)} measurements` : line.name;
    return make("table", {}, make("caption", {}, said), make("thead", {}, make("tr", {}, head("step"), head("nats per token"))),
      make("tbody", {}, ...rows.map(([step, loss]) => make("tr", {}, make("td", { className: "n" }, number(step)), make("td", { className: "n" }, loss.toFixed(4))))));
  });
  host.append(make("details", {}, make("summary", {}, "The numbers, as tables"), make("div", { className: "tables" }, ...table)));
  return host;
}

const head = text => make("th", { scope: "col", className: "n" }, text);
