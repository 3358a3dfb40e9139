// The switches: every card changes some of them by the API, and shows what is in force.

import { $, ask, el, icon, toast } from "./dom.js";

let switches = null;
let defaults = null;
let reasons = [];

const number = (name, label, more = {}) => ({ name, label, type: "number", min: 0, ...more });
const CARDS = [
  { id: "fail", title: "Reject with a reason", help: "The next so many pushes that would be accepted are answered with a reason; or a share of all of them.",
    fields: [{ name: "reason", label: "Reason", type: "reason" }, number("count", "Next", { value: 1, max: 1e9 }), number("share", "Share of all, %", { value: 0, max: 100, step: "any" })],
    read: ({ reason, count, share }) => ({ failNext: having(switches.failNext, reason, count), errors: having(switches.errors, reason, share / 100) }), fixed: true },
  { id: "device", title: "One device", help: "What is sent to this device is answered with a reason, until you take it off.",
    fields: [{ name: "token", label: "Device token", type: "text", pattern: "[0-9a-fA-F]{1,400}", required: true, title: "hexadecimal digits" }, { name: "reason", label: "Reason", type: "reason", value: "Unregistered" }],
    read: ({ token, reason }) => ({ devices: { ...switches.devices, [token.trim().toLowerCase()]: reason } }), fixed: true },
  { id: "stall", title: "No answer", help: "Requests: recorded, never answered. Connection: nothing is read or written any more.",
    fields: [{ name: "stall", label: "What stalls", type: "choice", options: ["Off", "Requests", "Connection"] }] },
  { id: "latency", title: "Latency", help: "Between a request and its answer; the jitter comes on top, evenly spread.",
    fields: [number("latencyMs", "Latency, ms", { max: 600000, step: "any" }), number("jitterMs", "Jitter, ms", { max: 600000, step: "any" })] },
  { id: "streams", title: "Stream limit", help: "Requests that may be open at a time on a connection. A change is announced on all of them; APNs itself begins with 1 for provider tokens.",
    fields: [number("maxConcurrentStreams", "Limit", { max: 2147483647 }), { name: "adaptiveStreams", label: "Begins with 1", type: "choice", options: ["Off", "Token", "All"] }] },
  { id: "goaway", title: "GOAWAY", help: "Ends a connection in the orderly way, now or after so many requests. The last stream id says what the client may send again.",
    fields: [{ name: "goaway.lastStreamId", label: "Last stream id", type: "choice", options: ["Exact", "Lower", "Zero", "Graceful"] }, { name: "goaway.reason", label: "Reason", type: "text", maxlength: 200 }, number("goawayAfterRequests", "After requests", { max: 1e9 })],
    action: { now: "GoAway", label: "GOAWAY now" } },
  { id: "drop", title: "Connection cut", help: "Cuts connections without GOAWAY, now or at a certain request. After: the request was processed, and its answer is lost.",
    fields: [number("dropAfterRequests", "At request", { max: 1e9 }), { name: "dropMoment", label: "Moment", type: "choice", options: ["Before", "After"] }],
    action: { now: "Drop", label: "Cut all now" } },
  { id: "refuse", title: "Refused streams", help: "REFUSED_STREAM: not processed, and safe to be sent again.",
    fields: [number("refuseNext", "Next", { max: 1e9 }), number("refuseEvery", "Every n-th", { max: 1e9 })] },
];

/** The same with a value at a key, or without the key where the value is 0. */
function having(map, key, value) {
  const { [key]: _, ...rest } = map;
  return value ? { ...rest, [key]: value } : rest;
}

const look = (document, path) => path.split(".").reduce((value, name) => value?.[name], document);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function control(card, field) {
  const id = `t-${card.id}-${field.name.replace(".", "-")}`;
  const { label, type, options, value, ...attributes } = field;
  let input;
  if (type === "choice" || type === "reason") {
    input = el("select", { id, name: field.name }, (options ?? reasons).map((name) => el("option", { value: name }, name)));
  } else input = el("input", { ...attributes, id, type, autocomplete: "off", spellcheck: "false", required: type === "number" || attributes.required });
  if (value !== undefined) input.value = value;
  input.setAttribute("aria-describedby", `t-${card.id}-help`);
  return el("div", { class: `field field-${type}` }, el("label", { for: id }, label), input);
}

function patchOf(card, form) {
  const values = {};
  for (const field of card.fields) {
    const input = form.elements[field.name];
    values[field.name] = field.type === "number" ? Number(input.value) : input.value;
  }
  if (card.read) return card.read(values);
  const patch = {};
  for (const [name, value] of Object.entries(values)) {
    const [outer, inner] = name.split(".");
    if (inner) (patch[outer] ??= {})[inner] = value;
    else patch[outer] = value;
  }
  return patch;
}

async function change(patch, said, place) {
  try {
    update(await ask("chaos", { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify(patch) }));
    if (place) place.textContent = "";
    toast(said);
    return true;
  } catch (error) {
    if (place) place.textContent = error.message;
    else toast(error.message);
    return false;
  }
}

function build(card) {
  const fault = el("p", { class: "fault", role: "alert" });
  const form = el("form", { id: `t-${card.id}`, class: "trouble-card", "aria-labelledby": `t-${card.id}-title` },
    el("h2", { id: `t-${card.id}-title` }, card.title, el("span", { class: "on-mark", hidden: true }, "on")),
    el("p", { id: `t-${card.id}-help`, class: "hint" }, card.help),
    el("div", { class: "fields" }, card.fields.map((field) => control(card, field))),
    fault,
    el("div", { class: "buttons" }, el("button", { type: "submit" }, "Apply"),
      card.action ? el("button", { type: "button", class: "danger", on: { click: async () => (await change(patchOf(card, form), "Set", fault)) && change({ now: card.action.now }, `${card.action.label}: done`, fault) } }, card.action.label) : null));
  form.addEventListener("input", () => form.classList.add("dirty"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await change(patchOf(card, form), `${card.title}: applied`, fault)) form.classList.remove("dirty");
  });
  return form;
}

/** What differs from a simulator in good health: name, words, and the patch that ends it. */
function troubles() {
  const found = [];
  for (const [name, value] of Object.entries(switches)) {
    if (same(value, defaults[name])) continue;
    if (["failNext", "errors", "devices"].includes(name)) {
      for (const [key, amount] of Object.entries(value)) {
        if (!amount) continue;
        const words = { failNext: `next ${amount}: ${key}`, errors: `${+(amount * 100).toFixed(4)} %: ${key}`, devices: `${key.length > 14 ? `${key.slice(0, 10)}…` : key}: ${amount}` }[name];
        const rest = { ...value };
        delete rest[key];
        found.push({ name, words, off: { [name]: rest } });
      }
    } else found.push({ name, words: `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`, off: { [name]: null } });
  }
  return found;
}

/** Show the switches that are in force. */
export function update(current) {
  switches = current;
  if (!defaults) return;
  const found = troubles();
  const count = $("trouble-count");
  count.hidden = found.length === 0;
  count.replaceChildren(String(found.length), el("span", { class: "unseen" }, " switched on"));
  $("calm").disabled = found.length === 0;
  const focused = document.activeElement?.closest?.("#active") !== null;
  $("active").replaceChildren(...(found.length ? found.map(({ words, off }) => el("li", {}, el("bdi", {}, words),
    el("button", { type: "button", "aria-label": `Switch off: ${words}`, on: { click: () => change(off, "Switched off") } }, icon("cross"))))
    : [el("li", { class: "calm" }, icon("check"), "APNs in good health: nothing is switched on.")]));
  if (focused && !$("active").contains(document.activeElement)) $("trouble-title").closest(".view").querySelector("button")?.focus();
  for (const card of CARDS) {
    const form = $(`t-${card.id}`);
    const names = { fail: ["failNext", "errors"], device: ["devices"] }[card.id] ?? card.fields.map((field) => field.name.split(".")[0]);
    form.querySelector(".on-mark").hidden = !found.some(({ name }) => names.includes(name));
    if (card.fixed || form.classList.contains("dirty")) continue;
    for (const field of card.fields) {
      const input = form.elements[field.name];
      if (input !== document.activeElement) input.value = look(switches, field.name) ?? "";
    }
  }
}

/** Put a device's token into its card, and go there. */
export function aimAt(token) {
  location.hash = "#trouble";
  const form = $("t-device");
  form.elements.token.value = token;
  requestAnimationFrame(() => {
    form.scrollIntoView({ block: "center" });
    form.elements.reason.focus();
  });
}

/** Wire the view. `standard` are the switches of a simulator in good health. */
export function start(standard, allReasons) {
  defaults = standard;
  reasons = allReasons;
  $("cards").replaceChildren(...CARDS.map(build));
  $("calm").addEventListener("click", () => {
    for (const form of $("cards").children) form.classList.remove("dirty");
    change(Object.fromEntries(Object.keys(defaults).map((name) => [name, null])), "All switched off");
  });
  if (switches) update(switches);
}
