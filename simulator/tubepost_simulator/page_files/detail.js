// One notification: the phone, its headers and its JSON, and what can be done with it.

import { ask, coloured, copy, el, foreign, icon, toast } from "./dom.js";
import { describe, headline, phone } from "./phone.js";

let recipient = "device@apn_example.com";

/** The verdict as a word and a tone. */
export function verdict(record) {
  if (!record.answered) return { text: "No answer yet", tone: "waiting", symbol: "clock" };
  if (record.status === 200) return { text: "200 accepted", tone: "good", symbol: "check" };
  return { text: `${record.status} ${record.reason}`, tone: "bad", symbol: "cross" };
}

export function pill(record) {
  const { text, tone, symbol } = verdict(record);
  return el("span", { class: `pill ${tone}` }, icon(symbol), foreign(text));
}

function payloadText(record) {
  const bytes = Uint8Array.from(atob(record.payloadBase64), (character) => character.charCodeAt(0));
  return { text: new TextDecoder().decode(bytes), size: bytes.length };
}

function expiration(value) {
  if (value === null) return null;
  if (value === 0) return "0 (one try)";
  const date = new Date(value * 1000);
  return Number.isNaN(date.getTime()) ? String(value) : `${value} (${date.toLocaleString()})`;
}

function rows(record) {
  const facts = [
    ["apns-id", record.apnsId],
    ["apns-topic", record.topic],
    ["apns-push-type", record.pushType],
    ["apns-priority", record.priority],
    ["apns-expiration", expiration(record.expiration)],
    ["apns-collapse-id", record.collapseId],
    ["apns-channel-id", record.channelId],
    ["device token", record.token],
  ];
  const around = [
    ["authenticated by", record.auth ? `${record.auth}, ${record.identity}` : "nothing that was accepted"],
    ["connection", `${record.connection}, stream ${record.stream}`],
    ["attempt", record.attempt > 1 ? `${record.attempt} with this apns-id` : ""],
    ["switched behaviour", record.behaviour],
    ["why", record.detail],
  ];
  const list = (items) => el("dl", { class: "headers" }, items
    .filter(([, value]) => value !== null && value !== "" && value !== undefined)
    .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, foreign(value)))));
  return [list(facts), list(around)];
}

function looks(model) {
  const facts = [
    ["Badge", model.badge],
    ["Sound", model.sound && `${model.sound.name}${model.sound.critical ? ", critical" : ""}${model.sound.more}`],
    ["Category", model.category],
    ["Thread", model.thread],
    ["Interruption level", model.level],
    ["Image", model.image && (model.image.url ?? "inside the payload")],
    ["Extension", model.mutable && "the app's service extension may change it"],
    ["Stale at", model.live && words(model.live.stale)],
    ["Dismissed at", model.live && words(model.live.dismissal)],
  ].filter(([, value]) => value !== null && value !== "" && value !== false && value !== undefined);
  if (!facts.length) return null;
  return el("dl", { class: "looks" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, foreign(value)))));
}

function words(seconds) {
  return typeof seconds === "number" && Math.abs(seconds) < 8e12 ? new Date(seconds * 1000).toLocaleString() : "";
}

async function copyMessage(record) {
  try {
    const text = await ask(`notifications/${record.number}/message?recipient=${encodeURIComponent(recipient)}`);
    await copy(text.replaceAll("\r\n", "\n"), "MCMT message");
  } catch (error) {
    toast(`Not copied: ${error.message}`);
  }
}

function actions(record, { onDevice }) {
  const button = (label, symbol, listener, properties = {}) => el("button", { type: "button", ...properties, on: { click: listener } }, symbol ? icon(symbol) : null, label);
  return el("div", { class: "actions", role: "group", "aria-label": "Copy and try" },
    button("Copy as MCMT message", "copy", () => copyMessage(record), { class: "primary" }),
    button("Copy payload", "copy", () => copy(payloadText(record).text, "Payload")),
    record.token ? button("Copy token", "copy", () => copy(record.token, "Device token")) : null,
    record.token ? button("Trouble for this device", "bolt", () => onDevice(record.token)) : null);
}

function message(record) {
  const field = el("input", { id: "recipient", type: "text", maxlength: "254", spellcheck: "false", autocomplete: "off", on: { change: (event) => { recipient = event.target.value.trim() || recipient; } } });
  field.value = recipient;
  return el("p", { class: "recipient" }, el("label", { for: "recipient" }, "Recipient in the MCMT message"), field);
}

/** Draw a notification into the pane; `onBack` leads back to the list, on small screens. */
export function show(pane, record, handlers) {
  const model = describe(record);
  const { text, size } = payloadText(record);
  const at = new Date(record.receivedAt * 1000);
  const json = record.payload === null
    ? [el("p", { class: "hint" }, "This is not JSON."), el("pre", { class: "json", tabindex: "0", "aria-label": "Payload" }, text)]
    : [el("pre", { class: "json", tabindex: "0", "aria-label": "Payload" }, coloured(record.payload))];
  pane.setAttribute("aria-label", `Notification ${record.number}: ${headline(model)}`.slice(0, 200));
  pane.replaceChildren(
    el("div", { class: "detail-head" },
      el("button", { type: "button", class: "back quiet", on: { click: handlers.onBack } }, icon("back"), "Inbox"),
      el("h2", {}, `#${record.number}`),
      pill(record),
      el("time", { datetime: at.toISOString() }, at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }))),
    actions(record, handlers),
    el("div", { class: "beside" },
      el("div", { class: "left" }, phone(model, record), looks(model)),
      el("div", { class: "right" },
        el("h3", {}, "Headers"), rows(record),
        el("h3", {}, "Payload ", el("span", { class: "hint" }, `${size.toLocaleString()} bytes`)), json,
        record.payload === null ? null : el("details", {}, el("summary", {}, "As it came"), el("pre", { class: "json", tabindex: "0", "aria-label": "Payload as it came" }, text)),
        message(record))));
}
