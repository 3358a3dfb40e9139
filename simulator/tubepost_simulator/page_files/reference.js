// The API, as its own description has it.

import { $, copy, el, icon } from "./dom.js";

function examples(base) {
  const api = `${base}api/v1`;
  return [
    ["Shell", `API=${api}\ncurl -X DELETE $API/notifications\n# ... your program sends ...\ncurl "$API/wait?count=1&timeout=10"\ncurl "$API/notifications?outcome=accepted"`],
    ["Python", `import httpx\n\napi = httpx.Client(base_url="${api}")\nassert api.get("/wait?count=1").json()["reached"]\n(push,) = api.get("/notifications").json()["notifications"]\nassert push["payload"]["aps"]["alert"] == "Hello"`],
    ["Trouble", `API=${api}\ncurl -X PATCH $API/chaos \\\n  -d '{"failNext": {"Unregistered": 1}}'\ncurl -X PATCH $API/chaos \\\n  -d '{"latencyMs": 200, "now": "GoAway"}'`],
  ];
}

function table(parameters) {
  return el("table", {}, el("thead", {}, el("tr", {}, ["parameter", "type", "meaning"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, parameters.map(({ name, required, schema, description }) => el("tr", {},
      el("th", { scope: "row" }, el("code", {}, name), required ? el("span", { class: "hint" }, " required") : null),
      el("td", {}, schema.enum ? schema.enum.join(", ") : [schema.type ?? ""].flat().join(", ")), el("td", {}, prose(description))))));
}

/** Words with `code` between backquotes. */
function prose(text) {
  return text.split("`").map((piece, index) => (index % 2 ? el("code", {}, piece) : piece));
}

function route(path, method, operation) {
  const parts = [];
  if (operation.description) parts.push(el("pre", { class: "plain", tabindex: "0", "aria-label": `Events of ${path}` }, operation.description));
  if (operation.parameters) parts.push(table(operation.parameters));
  const head = [el("span", { class: `method ${method}` }, method.toUpperCase()), el("code", {}, path), el("span", { class: "route-help" }, prose(operation.summary))];
  if (!parts.length) return el("div", { class: "route" }, el("div", { class: "route-head" }, head));
  return el("details", { class: "route" }, el("summary", { class: "route-head" }, head), parts);
}

/** Draw the view from the OpenAPI document. */
export function start(description) {
  const base = new URL(".", location.href).href;
  $("examples").replaceChildren(...examples(base).map(([title, text]) => el("section", { class: "example" },
    el("h2", {}, title, el("button", { type: "button", class: "quiet", "aria-label": `Copy the example ${title}`, on: { click: () => copy(text, title) } }, icon("copy"), "Copy")),
    el("pre", { tabindex: "0", "aria-label": `Example ${title}` }, text))));
  $("routes").replaceChildren(...Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => route(path, method, operation))));
}
