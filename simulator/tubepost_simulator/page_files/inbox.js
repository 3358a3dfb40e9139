// The list: what the simulator tells as it happens, newest first.

import { $, ask, el, icon, toast } from "./dom.js";
import { pill, show, verdict } from "./detail.js";
import { card, describe, headline } from "./phone.js";

const FIRST = 100;
const MOST = 400;
const records = new Map(); // by number, oldest first
let source = null;
let instance = "";
let selected = 0;
let pending = [];
let drawing = false;
let unheard = [];
let unheardTimer = 0;
let handlers = { onDevice: () => {}, onSwitches: () => {}, onTraffic: () => {} };

const filters = () => [...new FormData($("filters")).entries()].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);

function query(more) {
  const parameters = new URLSearchParams();
  for (const [name, value] of filters()) {
    if (name !== "outcome") parameters.set(name, value);
    else if (value.startsWith("reason:")) parameters.set("reason", value.slice(7));
    else parameters.set("outcome", value);
  }
  for (const [name, value] of Object.entries(more)) parameters.set(name, value);
  return parameters.toString();
}

function time(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

function item(record) {
  const model = describe(record);
  const button = el("button", { type: "button", class: `card ${verdict(record).tone} kind-${model.kind}`, "data-number": record.number, "aria-current": record.number === selected ? "true" : null },
    el("span", { class: "card-head" }, el("bdi", { class: "card-app" }, model.app.name), pill(record), el("time", { datetime: new Date(record.receivedAt * 1000).toISOString() }, time(record.receivedAt))),
    el("span", { class: "card-body" }, card(model, record)));
  return el("li", { id: `n-${record.number}` }, button);
}

const cards = () => [...$("list").querySelectorAll(".card")];

function upsert(record) {
  records.set(record.number, record);
  const old = $(`n-${record.number}`);
  const hadFocus = old?.contains(document.activeElement);
  const made = item(record);
  if (old) {
    old.replaceWith(made);
    if (hadFocus) made.firstElementChild.focus({ preventScroll: true });
  } else {
    const list = $("list");
    // Nearly always the newest: looked for from the top.
    let before = list.firstElementChild;
    while (before && Number(before.firstElementChild.dataset.number) > record.number) before = before.nextElementSibling;
    list.insertBefore(made, before);
  }
  if (record.number === selected) draw(record);
  const topic = record.topic;
  const topics = $("topics");
  if (topic && topics.childElementCount < 100 && ![...topics.children].some((option) => option.value === topic)) topics.append(el("option", { value: topic }));
}

function trim() {
  const list = $("list");
  let cut = false;
  while (list.childElementCount > MOST) {
    const last = list.lastElementChild;
    if (last.contains(document.activeElement)) break;
    records.delete(Number(last.firstElementChild.dataset.number));
    last.remove();
    cut = true;
  }
  if (cut) $("older").hidden = false;
}

function refreshFrame() {
  const count = $("list").childElementCount;
  const filtered = filters().length > 0;
  $("reset-filters").hidden = !filtered;
  const empty = $("empty");
  empty.hidden = count > 0;
  if (count === 0) {
    empty.replaceChildren(icon(filtered ? "tag" : "device"),
      el("p", { class: "empty-title" }, filtered ? "Nothing matches" : "Waiting for notifications"),
      filtered ? el("p", {}, "What comes and matches appears here.") : el("p", {}, "They appear here as they arrive. Try one:"),
      filtered ? null : el("pre", { tabindex: "0", "aria-label": "Command to try" }, "tubepost send --domain apn_example.com \\\n  --token $(printf 'ab%.0s' {1..32}) \\\n  --alert 'You have mail'"));
  }
  if (!selected && window.matchMedia("(min-width: 60rem)").matches && count) select(Number(cards()[0].dataset.number), false);
  if (!count && !selected) idle();
}

function idle() {
  $("detail").replaceChildren(el("div", { class: "empty" }, icon("phone"), el("p", { class: "empty-title" }, "No notification chosen"), el("p", {}, "Choose one to see it as a phone would show it, with headers and JSON.")));
}

function draw(record) {
  const pane = $("detail");
  const top = pane.scrollTop;
  show(pane, record, { onBack: back, onDevice: handlers.onDevice });
  pane.scrollTop = top;
}

/** Show one in the pane; `go` moves there, where list and pane do not fit beside each other. */
function select(number, go) {
  const record = records.get(number);
  if (!record) return;
  selected = number;
  for (const button of cards()) {
    if (Number(button.dataset.number) === number) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  draw(record);
  $("detail").scrollTop = 0;
  if (go) {
    $("view-inbox").classList.add("reading");
    $("detail").focus({ preventScroll: true });
  }
}

function back() {
  $("view-inbox").classList.remove("reading");
  $(`n-${selected}`)?.firstElementChild.focus();
}

function hear(record) {
  unheard.push(record);
  if (unheardTimer) return;
  unheardTimer = setTimeout(() => {
    const latest = unheard[unheard.length - 1];
    const words = `${headline(describe(latest))}, ${verdict(latest).text}`.slice(0, 200);
    $("announcer").textContent = unheard.length === 1 ? `New notification: ${words}` : `${unheard.length} new notifications, the latest: ${words}`;
    unheard = [];
    unheardTimer = 0;
  }, 1500);
}

function flush() {
  drawing = false;
  const scroller = $("scroller");
  const away = scroller.scrollTop > 60;
  const height = scroller.scrollHeight;
  let arrived = 0;
  for (const { record, fresh } of pending) {
    if (fresh && !records.has(record.number)) {
      arrived += 1;
      hear(record);
    }
    upsert(record);
  }
  pending = [];
  trim();
  refreshFrame();
  if (away && arrived) {
    scroller.scrollTop += scroller.scrollHeight - height;
    const newer = $("newer");
    const waiting = arrived + Number(newer.dataset.count ?? 0);
    newer.dataset.count = waiting;
    newer.textContent = `${waiting} new, to the top`;
    newer.hidden = false;
  }
  handlers.onTraffic();
}

function take(record, fresh) {
  pending.push({ record, fresh });
  if (pending.length > MOST) pending.shift();
  if (drawing) return;
  drawing = true;
  // A page that is not looked at draws nothing by animation frames.
  if (document.hidden) setTimeout(flush, 100);
  else requestAnimationFrame(flush);
}

/** Take one off that the simulator does not keep any more. */
function forget(number) {
  records.delete(number);
  $(`n-${number}`)?.remove();
  if (number === selected) {
    selected = 0;
    back();
    idle();
  }
}

function empty() {
  records.clear();
  pending = [];
  selected = 0;
  $("list").replaceChildren();
  $("older").hidden = true;
  $("skipped").hidden = true;
  $("newer").hidden = true;
  $("view-inbox").classList.remove("reading");
  idle();
}

function state(name, text) {
  const box = $("live");
  box.dataset.state = name;
  box.textContent = text;
}

/** Listen by the present filters, from the newest notifications on. */
function listen() {
  source?.close();
  empty();
  connect({ limit: FIRST });
}

/** Listen no more: a browser has few connections to one host, and pages that are not looked at need none. */
function rest() {
  source?.close();
  source = null;
}

/** Listen again, from where it was. */
function resume() {
  if (source) return;
  const after = Math.max(0, ...records.keys());
  connect(after ? { after } : { limit: FIRST });
}

function connect(more) {
  source = new EventSource(`api/v1/events?${query(more)}`);
  const mine = source;
  let lastBefore = 0;
  const on = (name, listener) => source.addEventListener(name, (event) => mine === source && listener(JSON.parse(event.data)));
  on("hello", (hello) => {
    if (instance && instance !== hello.instance) {
      // Another run: its numbers begin anew, and `after` was one of the former.
      instance = hello.instance;
      listen();
      return;
    }
    instance = hello.instance;
    for (const number of [...records.keys()].filter((number) => number < hello.first)) forget(number);
    lastBefore = more.after ?? hello.last;
    state("live", "Live");
    refreshFrame();
    handlers.onTraffic();
  });
  on("notification", (record) => take(record, record.number > lastBefore));
  on("answered", ({ number }) => {
    const record = records.get(number);
    if (record) take({ ...record, answered: true }, false);
  });
  on("skipped", () => {
    const first = $("list").childElementCount === 0;
    if (first) $("older").hidden = false;
    else $("skipped").hidden = false;
  });
  on("cleared", () => {
    empty();
    refreshFrame();
    handlers.onTraffic();
  });
  on("switches", (switches) => handlers.onSwitches(switches));
  source.onerror = () => {
    if (mine !== source) return;
    state("lost", "Reconnecting");
    // What it was answered with was no stream: the browser does not try again by itself.
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => {
      if (mine !== source) return;
      rest();
      resume();
    }, 1000);
  };
}

async function older() {
  const oldest = Math.min(...records.keys());
  try {
    const { notifications } = await ask(`notifications?${query({ before: oldest, limit: FIRST })}`);
    const focusAt = notifications.at(-1)?.number;
    for (const record of notifications) upsert(record);
    $("older").hidden = notifications.length < FIRST;
    if (focusAt) $(`n-${focusAt}`).firstElementChild.focus();
    else toast("There are no older ones");
  } catch (error) {
    toast(error.message);
  }
}

function move(step) {
  const all = cards();
  if (!all.length) return;
  const focused = all.indexOf(document.activeElement);
  const from = focused >= 0 ? focused : all.findIndex((button) => Number(button.dataset.number) === selected) - (step > 0 ? 1 : 0);
  const next = all[Math.min(all.length - 1, Math.max(0, from + step))];
  next.focus();
  select(Number(next.dataset.number), false);
}

function onKey(event) {
  if ($("view-inbox").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "Escape") {
    if (typing) typing.blur();
    else if ($("detail").contains(document.activeElement) || $("view-inbox").classList.contains("reading")) back();
    return;
  }
  if (typing) return;
  const inList = event.target === document.body || event.target.closest(".list, main") === event.target || event.target.closest(".list");
  if (event.key === "/") $("f-q").focus();
  else if (event.key === "j" || (event.key === "ArrowDown" && inList)) move(1);
  else if (event.key === "k" || (event.key === "ArrowUp" && inList)) move(-1);
  else return;
  event.preventDefault();
}

/** Wire the view. `reasons` and `types` fill the filters. */
export function start({ reasons, types, ...given }) {
  handlers = given;
  $("f-type").append(...types.map((type) => el("option", { value: type }, type)));
  $("f-outcome").append(el("option", { value: "accepted" }, "Accepted"), el("option", { value: "rejected" }, "Rejected"), el("option", { value: "unanswered" }, "No answer yet"),
    el("optgroup", { label: "Rejected with" }, reasons.map((reason) => el("option", { value: `reason:${reason}` }, reason))));
  let timer = 0;
  const again = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(listen, delay);
  };
  $("filters").addEventListener("input", (event) => again(event.target.tagName === "SELECT" ? 0 : 200));
  $("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    again(0);
  });
  $("reset-filters").addEventListener("click", () => {
    $("filters").reset();
    $("f-q").focus();
    listen();
  });
  $("clear").addEventListener("click", async () => {
    try {
      const { cleared } = await ask("notifications", { method: "DELETE" });
      toast(`${cleared} forgotten`);
    } catch (error) {
      toast(error.message);
    }
  });
  $("older").addEventListener("click", older);
  const toTop = () => {
    $("newer").hidden = true;
    $("newer").dataset.count = 0;
  };
  $("newer").addEventListener("click", () => {
    $("scroller").scrollTop = 0;
    toTop();
    cards()[0]?.focus({ preventScroll: true });
  });
  $("scroller").addEventListener("scroll", () => $("scroller").scrollTop < 20 && toTop(), { passive: true });
  $("list").addEventListener("click", (event) => {
    const button = event.target.closest(".card");
    if (button) select(Number(button.dataset.number), true);
  });
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : resume()));
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", (event) => event.persisted && resume());
  listen();
}
