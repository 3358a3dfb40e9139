// What a phone would make of a notification: a description, and drawings of it.

import { el, foreign, icon } from "./dom.js";

const SUFFIXES = [".push-type.liveactivity", ".push-type.widgets", ".push-type.controls", ".pushkit.fileprovider",
  ".location-query", ".complication", ".voip-ptt", ".voip"];
const IMAGES = ["media-url", "media_url", "mediaUrl", "attachment-url", "attachment_url", "attachmentUrl", "image-url",
  "image_url", "imageUrl", "image", "picture", "media", "attachment"];
const INLINE = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;
const OTHERS = {
  complication: "Updates a complication of a watch face.",
  controls: "Has the app's controls reload.",
  fileprovider: "Has a File Provider look for changes.",
  location: "Asks the app's extension for the location.",
  mdm: "Has a managed device ask its server for commands.",
  pushtotalk: "Begins or ends a transmission of Push to Talk.",
  widgets: "Has the app's widgets reload.",
};
const LEVELS = new Map([["time-sensitive", "Time Sensitive"], ["critical", "Critical"], ["passive", "Delivered quietly"]]);
const HUES = 10;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const words = (value) => (typeof value === "string" || typeof value === "number" ? String(value) : "");

/** A text of an alert: given, or named by a key into the app's own translations. */
function phrase(alert, plain, key, args) {
  const text = words(alert[plain]);
  if (text) return { text };
  const name = words(alert[key]);
  if (!name) return null;
  const values = Array.isArray(alert[args]) ? alert[args].map(words).filter(Boolean) : [];
  return { text: name, key: true, values };
}

function findImage(payload) {
  const places = [payload, payload.fcm_options, payload.data, payload.media, payload.attachment].filter(isObject);
  for (const place of places) {
    for (const name of [...IMAGES, "url"]) {
      if (name === "url" && (place === payload || place === payload.data)) continue;
      const value = place[name];
      if (typeof value !== "string") continue;
      if (INLINE.test(value)) return { data: value };
      if (/^https?:\/\/[^\s]+$/i.test(value)) return { url: value };
    }
  }
  return null;
}

function soundOf(aps) {
  const sound = aps.sound;
  if (isObject(sound)) {
    const volume = typeof sound.volume === "number" ? `, volume ${Math.round(sound.volume * 100)} %` : "";
    return { name: words(sound.name) || "default", critical: Boolean(sound.critical), more: volume };
  }
  return words(sound) ? { name: words(sound), critical: false, more: "" } : null;
}

function hueOf(text) {
  let sum = 7;
  for (const character of text) sum = (sum * 31 + character.codePointAt(0)) % 1_000_003;
  return sum % HUES;
}

/** The app that a topic belongs to. */
export function appOf(topic) {
  const suffix = SUFFIXES.find((ending) => topic.endsWith(ending)) ?? "";
  const bundle = topic.slice(0, topic.length - suffix.length);
  const last = bundle.split(".").filter(Boolean).pop() ?? "";
  const name = last ? last[0].toUpperCase() + last.slice(1) : "No topic";
  return { bundle, name, letter: last ? last[0].toUpperCase() : "?", hue: hueOf(bundle) };
}

/** What there is to draw. `kind`: alert, badge (no text, but a number or a sound), silent, live, call, other, none. */
export function describe(record) {
  const payload = isObject(record.payload) ? record.payload : {};
  const aps = isObject(payload.aps) ? payload.aps : {};
  const alert = isObject(aps.alert) ? aps.alert : { body: words(aps.alert) };
  const level = words(aps["interruption-level"]);
  const model = {
    app: appOf(record.topic),
    title: phrase(alert, "title", "title-loc-key", "title-loc-args"),
    subtitle: phrase(alert, "subtitle", "subtitle-loc-key", "subtitle-loc-args"),
    body: phrase(alert, "body", "loc-key", "loc-args"),
    badge: Number.isInteger(aps.badge) ? aps.badge : null,
    sound: soundOf(aps),
    category: words(aps.category),
    thread: words(aps["thread-id"]),
    image: findImage(payload),
    level,
    mutable: aps["mutable-content"] === 1,
    wakes: aps["content-available"] === 1,
    type: record.pushType,
    live: null,
  };
  const hasText = Boolean(model.title || model.subtitle || model.body);
  if (record.pushType === "liveactivity") {
    model.kind = "live";
    model.live = {
      event: words(aps.event) || "no event",
      state: isObject(aps["content-state"]) ? aps["content-state"] : null,
      attributes: isObject(aps.attributes) ? aps.attributes : null,
      type: words(aps["attributes-type"]),
      stale: aps["stale-date"],
      dismissal: aps["dismissal-date"],
    };
  } else if (record.pushType === "background") model.kind = "silent";
  else if (record.pushType === "voip") model.kind = "call";
  else if (Object.hasOwn(OTHERS, record.pushType)) model.kind = "other";
  else if (hasText) model.kind = "alert";
  else if (model.badge !== null || model.sound) model.kind = "badge";
  else model.kind = model.wakes ? "silent" : "none";
  return model;
}

/** In a few words, for lists and for those who hear the page. */
export function headline(model) {
  if (model.kind === "live") return `Live Activity: ${model.live.event}`;
  if (model.kind === "silent") return "Background notification";
  if (model.kind === "call") return "Incoming call";
  if (model.kind === "other") return OTHERS[model.type];
  const first = model.title ?? model.subtitle ?? model.body;
  if (first) return first.text;
  if (model.kind === "badge") return model.badge === null ? "Sound only" : `Badge ${model.badge}`;
  return "Nothing to show";
}

/** Why nothing, or something else than a banner, appears. */
function explanation(model) {
  if (model.kind === "silent")
    return model.wakes
      ? "Nothing appears. The app is woken in the background."
      : "Nothing appears, and without content-available the app is not woken either.";
  if (model.kind === "none") return "Nothing appears: the payload has no alert, badge or sound.";
  if (model.kind === "other") return `Nothing appears. ${OTHERS[model.type]}`;
  return "";
}

function line(phraseOf, name) {
  if (!phraseOf) return null;
  if (!phraseOf.key) return foreign(phraseOf.text.slice(0, 4000), { class: name });
  const args = phraseOf.values.length ? ` (${phraseOf.values.join(", ")})` : "";
  return el("span", { class: `${name} loc` }, foreign(phraseOf.text), args);
}

export function appIcon(model, withBadge = true) {
  const letter = el("span", { class: `app hue-${model.app.hue}`, "aria-hidden": "true" }, model.app.letter);
  const holder = el("span", { class: "app-holder" }, letter);
  if (withBadge && model.badge) {
    const shown = model.badge > 9999 ? "9999+" : String(model.badge);
    holder.append(el("span", { class: "badge" }, el("span", { class: "unseen" }, "Badge "), shown));
  }
  return holder;
}

function picture(image) {
  if (!image) return null;
  if (image.data) return el("img", { class: "picture", src: image.data, alt: "Image of the notification" });
  let host = "";
  try {
    host = new URL(image.url).host;
  } catch {
    return null;
  }
  return el("span", { class: "picture remote" }, icon("image"), el("span", {}, "Image at ", foreign(host), ", not loaded"));
}

function valuesOf(state) {
  const rows = Object.entries(state).slice(0, 8).map(([name, value]) => {
    const shown = isObject(value) || Array.isArray(value) ? JSON.stringify(value) : String(value);
    const row = el("div", { class: "live-value" }, el("dt", {}, foreign(name)), el("dd", {}, foreign(shown.slice(0, 200))));
    if (typeof value === "number" && /progress|fraction|percent/i.test(name)) {
      const share = value > 1 ? value / 100 : value;
      row.append(el("dd", { class: "live-bar" }, el("progress", { max: 1, value: Math.min(1, Math.max(0, share)), "aria-label": name.slice(0, 60) })));
    }
    return row;
  });
  return el("dl", { class: "live-values" }, rows);
}

function liveCard(model) {
  const { event, state, attributes, type } = model.live;
  return el("div", { class: "live-card" },
    el("div", { class: "live-head" }, appIcon(model, false), foreign(type || model.app.name, { class: "live-type" }),
      foreign(event, { class: `live-event event-${["start", "update", "end"].includes(event) ? event : "other"}` })),
    attributes && Object.keys(attributes).length ? valuesOf(attributes) : null,
    state && Object.keys(state).length ? valuesOf(state) : el("p", { class: "live-empty" }, "No content-state"),
  );
}

function banner(model, when) {
  const level = LEVELS.get(model.level);
  return el("div", { class: "banner" },
    appIcon(model),
    el("div", { class: "banner-text" },
      el("div", { class: "banner-head" }, el("span", { class: "level" }, level ?? foreign(model.app.name)), el("span", {}, when)),
      line(model.title, "title"), line(model.subtitle, "subtitle"), line(model.body, "body"), picture(model.image)));
}

function call(model) {
  return el("div", { class: "call" }, appIcon(model, false), el("p", { class: "call-who" }, foreign(model.app.name)),
    el("p", {}, "Incoming call, as the app reports it"),
    el("div", { class: "call-buttons", "aria-hidden": "true" }, el("span", { class: "decline" }, icon("phone")), el("span", { class: "accept" }, icon("phone"))));
}

/** The screen of a phone with the notification on it. */
export function phone(model, record) {
  const at = new Date(record.receivedAt * 1000);
  const clock = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = at.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  const screen = el("div", { class: "screen" },
    el("div", { class: "island", "aria-hidden": "true" }),
    el("p", { class: "day", "aria-hidden": "true" }, day), el("p", { class: "clock", "aria-hidden": "true" }, clock));
  const shown = el("div", { class: "shown" });
  const why = explanation(model);
  if (why) shown.append(el("p", { class: "nothing" }, icon("moon"), el("span", {}, why)));
  if (model.kind === "alert") shown.append(banner(model, "now"));
  if (model.kind === "call") shown.append(call(model));
  if (model.kind === "badge")
    shown.append(el("div", { class: "home-icon" }, appIcon(model), el("span", {}, foreign(model.app.name))),
      el("p", { class: "nothing" }, "No banner: the payload has no text."));
  if (model.kind === "live") {
    shown.append(liveCard(model));
    if (model.title || model.body) shown.append(banner(model, "now"));
  }
  if (record.status !== 200)
    shown.append(el("p", { class: "nothing refused" }, icon("cross"), el("span", {}, "APNs refused it: no device gets this.")));
  screen.append(shown);
  return el("figure", { class: `phone ${record.status === 200 ? "" : "not-delivered"}` }, screen,
    el("figcaption", { class: "unseen" }, `As a phone shows it: ${headline(model)}`));
}

/** The same, as small as the list has it. */
export function card(model, record) {
  const facts = el("span", { class: "facts" });
  const fact = (name, text, label) => facts.append(el("span", { class: "fact" }, icon(name), el("span", { class: "unseen" }, `${label} `), foreign(text)));
  if (model.kind === "silent") facts.append(el("span", { class: "fact silent" }, icon("moon"), "Silent"));
  if (model.kind === "live") facts.append(el("span", { class: "fact live-fact" }, icon("bolt"), "Live Activity"));
  if (record.channelId) facts.append(el("span", { class: "fact" }, icon("broadcast"), "Broadcast"));
  if (!["alert", "background", "liveactivity", ""].includes(record.pushType)) fact("bolt", record.pushType, "Type");
  if (model.sound) fact("sound", model.sound.critical ? `${model.sound.name}, critical` : model.sound.name, "Sound");
  if (model.image) facts.append(el("span", { class: "fact" }, icon("image"), "Image"));
  if (model.category) fact("tag", model.category, "Category");
  if (model.thread) fact("thread", model.thread, "Thread");
  if (record.token) fact("device", record.token.length > 12 ? `${record.token.slice(0, 8)}…` : record.token, "Device");
  const second = model.kind === "live" && model.live.state ? { text: Object.entries(model.live.state).slice(0, 3).map(([name, value]) => `${name} ${isObject(value) ? "…" : value}`).join(" · ") } : null;
  const title = model.title && model.kind !== "live" ? line(model.title, "title") : model.body && model.kind === "alert" && !model.title ? null : el("bdi", { class: "title" }, headline(model));
  return [
    appIcon(model),
    el("span", { class: "card-text" },
      title, model.kind === "live" ? null : line(model.subtitle, "subtitle"),
      line(second ?? (model.kind === "live" ? null : model.body), "body"), facts),
  ];
}
