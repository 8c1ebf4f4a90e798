// Small parts that several views show.
import { nameOf } from "./app.js"
import { h, svg } from "./dom.js"
import { t } from "./words.js"

/** A shape for each state, so that no color is needed to tell them apart. @type {Record<string, string>} */
const shapes = {
  working: "M3 2l11 6-11 6z",
  waiting: "M8 1l7 7-7 7-7-7z",
  idle: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z",
  away: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zm0 2.4a3.6 3.6 0 1 0 0 7.2 3.6 3.6 0 0 0 0-7.2z",
  stale: "M2 3h12v2.2H2zM2 7h12v2.2H2zM2 11h12v2.2H2z",
  offline:
    "M3.5 2L8 6.500 12.500 2 14 3.500 9.500 8 14 12.500 12.500 14 8 9.500 3.500 14 2 12.500 6.500 8 2 3.500z",
}

/** The shape of a state, with its name for screen readers. @param {string} state */
export function stateIcon(state) {
  const icon = svg(
    "svg",
    { viewBox: "0 0 16 16", class: `state state-${state in shapes ? state : "offline"}`, role: "img" },
    svg("title", {}, t(`state.${state}`)),
    svg("path", { d: shapes[state] ?? shapes["offline"] ?? "" }),
  )
  return icon
}

/** A short word in a frame. @param {string} text @param {string} [kind] @param {string} [title] */
export function badge(text, kind = "", title) {
  return h("span", { class: `badge ${kind}`, title }, text)
}

/** The name of an agent with its id. @param {string} id @param {string} [name] */
export function agentLabel(id, name = nameOf(id)) {
  return h(
    "span",
    { class: "who" },
    h("span", { class: "name" }, name),
    h("span", { class: "id" }, shortId(id)),
  )
}

/** @param {string} id */
function shortId(id) {
  return id.length > 9 ? `${id.slice(0, 7)}…` : id
}

/** A button. @param {string} text @param {() => void} onPress @param {string} [kind] */
export function button(text, onPress, kind = "") {
  return h("button", { type: "button", class: kind, click: onPress }, text)
}

/** A line for a view without rows. @param {string} key - of the words */
export function empty(key) {
  return h("p", { class: "empty" }, t(key))
}

/**
 * A text field with a button that sends it.
 * @param {{ label: string, action: string, send: (text: string) => Promise<boolean>, name: string }} how
 */
export function answerForm({ label, action, send, name }) {
  const field = h("input", {
    type: "text",
    name,
    "aria-label": label,
    placeholder: label,
    autocomplete: "off",
  })
  const submit = async () => {
    if (field.value.trim() === "" || field.disabled) return
    field.disabled = true
    if (await send(field.value)) field.value = ""
    field.disabled = false
  }
  return h(
    "form",
    {
      class: "answer",
      /** @param {Event} event */
      submit(event) {
        event.preventDefault()
        void submit()
      },
    },
    field,
    h("button", { type: "submit" }, action),
  )
}

/** A bar of how much is used. @param {number} used @param {number} limit @param {string} label */
export function meter(used, limit, label) {
  const part = limit > 0 ? Math.min(1, used / limit) : 1
  const level = part >= 1 ? "full" : part >= 0.7 ? "high" : "low"
  return svg(
    "svg",
    {
      ...{ class: `meter ${level}`, viewBox: "0 0 100 8", preserveAspectRatio: "none" },
      ...{ role: "img", "aria-label": label },
    },
    svg("rect", { class: "track", width: 100, height: 8 }),
    svg("rect", { class: "fill", width: Math.round(part * 100), height: 8 }),
  )
}
