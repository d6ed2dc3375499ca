// The page: which view is shown, of which model, in light or dark.

import { ask } from "./ask.js";
import { attention } from "./attention.js";
import { chat } from "./chat.js";
import { completion } from "./completion.js";
import { make } from "./look.js";
import { model } from "./model.js";
import { server } from "./server.js";
import { card, find, shared, tell } from "./shared.js";
import { themed } from "./theme.js";

const VIEWS = { chat, completion, attention, model, server };
const shown = {}; // a view is made when it is first looked at
let now = null;

function open() {
  const name = location.hash.slice(1) in VIEWS ? location.hash.slice(1) : card()?.chat ? "chat" : "completion";
  if (now && now !== name) shown[now].hide?.();
  now = name;
  for (const view of Object.keys(VIEWS)) find("view-" + view).hidden = view !== name;
  for (const link of document.querySelectorAll("nav a"))
    link.hash === "#" + name ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  document.title = `${name.charAt(0).toUpperCase() + name.slice(1)} · ${shared.model} · harken`;
  shown[name] ??= VIEWS[name](find("view-" + name));
  shown[name].show?.();
}

async function begin() {
  themed(find("theme"));
  try {
    for (const each of (await ask("harken/models")).models) shared.models.set(each.name, each);
  } catch (error) {
    tell(find("wrong"), error);
    return;
  }
  const picker = find("model");
  picker.replaceChildren(...[...shared.models.keys()].map(name => make("option", { value: name }, name)));
  shared.model = picker.value;
  find("picker").hidden = shared.models.size === 0;
  picker.onchange = () => {
    shared.model = picker.value;
    shared.last = null;
    for (const view of Object.values(shown)) view.change?.();
    open();
  };
  addEventListener("hashchange", open);
  open();
}

begin();
