// Server: what is under way, what waits, how fast it goes; asked every second while it is looked at.

import { ask } from "./ask.js";
import { curve } from "./curve.js";
import { make } from "./look.js";
import { alarm, number, tell } from "./shared.js";

const EVERY = 1000; // milliseconds between two questions
const KEPT = 60; // seconds of the line
const size = bytes => bytes >= 2 ** 30 ? (bytes / 2 ** 30).toFixed(1) + " GiB" : (bytes / 2 ** 20).toFixed(1) + " MiB";
const lasted = s => s < 60 ? `${Math.round(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 86400 ? `${(s / 3600).toFixed(1)} h` : `${(s / 86400).toFixed(1)} days`;

export function server(host) {
  let round = 0, timer = 0, before = null; // round: one for each time it is looked at
  const speeds = []; // [seconds of the server, tokens a second]
  const wrong = alarm(), tiles = make("dl", { className: "tiles" }), line = make("div", {}), table = make("div", { className: "scroller", tabIndex: 0, role: "region", ariaLabel: "Texts under way" });
  host.replaceChildren(wrong, tiles, make("div", { className: "card" }, make("h2", {}, "Tokens a second"), line),
    make("div", { className: "card" }, make("h2", {}, "Texts under way"), table),
    make("p", { className: "small" }, "The same and more, for Prometheus, is at /metrics. No text that anybody sends is shown here or logged."));

  async function look(mine) {
    try {
      draw(await ask("harken/server"));
      tell(wrong, null);
    } catch (error) {
      tell(wrong, error);
    }
    if (mine === round) timer = setTimeout(look, EVERY, mine);
  }

  function draw(now) {
    if (before && now.seconds > before.seconds) speeds.push([now.seconds, Math.max(0, now.written - before.written) / (now.seconds - before.seconds)]);
    while (speeds.length && speeds[0][0] < now.seconds - KEPT) speeds.shift();
    before = now;
    const shown = {
      running: `${number(now.running)} of ${number(now.max_running)}`, waiting: `${number(now.waiting)} of ${number(now.max_waiting)}`,
      "tokens a second": speeds.length ? number(Math.round(speeds.at(-1)[1])) : "–", "tokens written": number(now.written), "tokens read": number(now.read),
      "requests answered": number(now.answered), "keys and values held": size(now.cache_bytes), "up for": lasted(now.seconds),
    };
    tiles.replaceChildren(...Object.entries(shown).map(([what, value]) => make("div", {}, make("dd", {}, value), make("dt", {}, what))));
    if (speeds.length > 1) {
      const points = speeds.map(([at, speed]) => [at - now.seconds, speed]), most = Math.max(...points.map(point => point[1]));
      const words = `Tokens a second over the last minute: ${number(Math.round(points.at(-1)[1]))} now, ${number(Math.round(most))} at most.`;
      line.replaceChildren(curve([{ name: "tokens a second", points }], { x: "seconds from now", y: "", span: [-KEPT, 0], least: 10, height: 150, words }));
    } else line.replaceChildren(make("p", { className: "small" }, "Measuring …"));
    rows(now.requests);
  }

  function rows(requests) {
    if (!requests.length) {
      table.replaceChildren(make("p", { className: "small" }, "Nothing is being written just now."));
      return;
    }
    const names = ["model", "key", "state", "tokens read", "tokens written", "seconds", "request"], n = i => (i > 2 && i < 6 ? "n" : "");
    table.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...names.map((name, i) => make("th", { scope: "col", className: n(i) }, name)))),
      make("tbody", {}, ...requests.map(each => make("tr", {}, ...[each.model, each.key, each.state, number(each.read), number(each.written), each.seconds.toFixed(1), each.id]
        .map((value, i) => make("td", { className: n(i) }, value)))))));
  }

  return {
    show() { clearTimeout(timer); look(++round); },
    hide() { clearTimeout(timer); round += 1; },
  };
}
