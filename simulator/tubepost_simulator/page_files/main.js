// What the views share: which one is shown, and what is known of the simulator.

import { $, ask, el, toast } from "./dom.js";
import * as inbox from "./inbox.js";
import * as reference from "./reference.js";
import * as trouble from "./trouble.js";

const VIEWS = { inbox: "Inbox", trouble: "Trouble", api: "API" };
let asked = 0;

function route(event) {
  const wanted = location.hash.slice(1);
  if (event && wanted === "main") return; // the link that skips the head: the view stays, and so does the focus
  const name = Object.hasOwn(VIEWS, wanted) ? wanted : "inbox";
  for (const view of Object.keys(VIEWS)) {
    $(`view-${view}`).hidden = view !== name;
    const link = document.querySelector(`nav [data-view=${view}]`);
    if (view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${VIEWS[name]} · Tubepost simulator`;
  if (event) {
    window.scrollTo(0, 0);
    $("main").focus({ preventScroll: true });
  }
}

async function refresh() {
  try {
    const [stats, switches] = await Promise.all([ask("stats"), ask("chaos")]);
    const rejected = stats.requests - stats.accepted;
    const figure = (value, word, tone = "") => el("span", { class: `figure ${tone}` }, el("b", {}, value.toLocaleString()), ` ${word}`);
    $("counts").replaceChildren(figure(stats.requests, "received"), figure(stats.accepted, "accepted", "good"), figure(rejected, "rejected", rejected ? "bad" : ""), figure(stats.connectionsOpen, stats.connectionsOpen === 1 ? "connection" : "connections"));
    trouble.update(switches);
  } catch {
    // The event stream says that the simulator is gone.
  }
}

/** Ask for counts and switches soon, at most once a second. */
function onTraffic() {
  if (asked) return;
  asked = setTimeout(async () => {
    await refresh();
    asked = setTimeout(() => {
      asked = 0;
    }, 900);
  }, 50);
}

async function start() {
  const [health, description] = await Promise.all([ask("health"), ask("openapi.json")]);
  $("environment").textContent = health.environment;
  const { schemas } = description.components;
  const standard = Object.fromEntries(Object.entries(schemas.Chaos.properties).map(([name, { default: value }]) => [name, value]));
  trouble.start(standard, schemas.Reason.enum);
  reference.start(description);
  const types = description.paths["/api/v1/notifications"].get.parameters.find(({ name }) => name === "push_type").schema.examples;
  inbox.start({ reasons: schemas.Reason.enum, types, onDevice: trouble.aimAt, onSwitches: trouble.update, onTraffic });
  setInterval(() => document.hidden || onTraffic(), 5000);
}

/** Begin, however often that takes: the simulator may be about to start. */
async function begin() {
  for (;;) {
    try {
      await start();
      return;
    } catch (error) {
      toast(`The simulator does not answer: ${error.message}`);
      await new Promise((done) => setTimeout(done, 2000));
    }
  }
}

window.addEventListener("hashchange", route);
route();
begin();
