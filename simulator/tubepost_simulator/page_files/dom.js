// Elements without markup in strings: whatever a sender has put into a payload is text here, and nothing else.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  copy: "M9 9h10v11H9zM5 15V4h10",
  sound: "M5 10v4h3l4 4V6L8 10zM16 9a4 4 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.2h.1",
  thread: "M4 5h16v10H9l-5 4z",
  tag: "M4 4h8l8 8-8 8-8-8zM8.5 8.5h.1",
  moon: "M19 14.5A8 8 0 0 1 9.5 5a8 8 0 1 0 9.5 9.5z",
  device: "M7 3h10v18H7zM11 18h2",
  bolt: "M13 3 5 14h6l-1 7 8-11h-6z",
  back: "M14 6l-6 6 6 6",
  phone: "M6 4h4l1.5 5-2.5 1.5a12 12 0 0 0 4.5 4.5L15 12.5l5 1.5v4a2 2 0 0 1-2 2A15 15 0 0 1 4 6a2 2 0 0 1 2-2z",
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M6 6l12 12M18 6L6 18",
  clock: "M12 4a8 8 0 1 0 .1 0M12 8v4.5l3 2",
  broadcast: "M12 12h.1M8 8a5.5 5.5 0 0 0 0 8M16 8a5.5 5.5 0 0 1 0 8M5 5a10 10 0 0 0 0 14M19 5a10 10 0 0 1 0 14",
};

/** Make an element. `properties`: attributes; `class`, and `on` for listeners. Strings become text. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** A decorative icon. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export const $ = (id) => document.getElementById(id);

/** Foreign text, isolated so that its direction turns nothing around it. */
export const foreign = (text, properties = {}) => el("bdi", properties, text);

let toastTimer = 0;

/** Say something to everybody, for a while. */
export function toast(text) {
  const box = $("toast");
  box.textContent = text;
  box.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    box.classList.remove("shown");
    box.textContent = "";
  }, 4000);
}

/** Put text on the clipboard, also where the page was not loaded securely, which forbids the modern way. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const focused = document.activeElement;
    const area = el("textarea", { class: "unseen", readonly: true, "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    if (!done) {
      toast("The browser does not let this page copy");
      return;
    }
  }
  toast(`${what} copied`);
}

/** Ask the API. Throws an Error with its words. */
export async function ask(path, options) {
  const response = await fetch(`api/v1/${path}`, options);
  const isJson = (response.headers.get("Content-Type") ?? "").startsWith("application/json");
  const answer = isJson ? await response.json() : await response.text();
  if (!response.ok) throw new Error([answer.field, answer.error].filter(Boolean).join(": ") || response.statusText);
  return answer;
}

/** JSON, indented, with the parts of a colour of their own. */
export function coloured(value) {
  const text = JSON.stringify(value, null, 2);
  const pieces = text.split(/("(?:\\.|[^"\\])*"\s*:|"(?:\\.|[^"\\])*"|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/);
  return pieces.map((piece, index) => {
    if (index % 2 === 0) return piece;
    const kind = piece.endsWith(":") ? "key" : piece.startsWith('"') ? "string" : "value";
    return el("span", { class: `json-${kind}` }, piece);
  });
}
