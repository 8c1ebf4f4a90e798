// The keys of the page. A key counts only where nobody is typing.

import { commandUsages } from "./commands.js"
import { h, replace } from "./dom.js"
import { t } from "./words.js"

/** Every key with what it does, as the words name it. */
export const keys = /** @type {const} */ ({
  n: "need",
  u: "unread",
  1: "talk",
  2: "agents",
  3: "work",
  4: "guards",
  j: "down",
  k: "up",
  c: "write",
  r: "reply",
  t: "thread",
  "/": "search",
  ":": "command",
  "?": "keys",
})
const others = /** @type {Record<string, string>} */ ({ ArrowDown: "down", ArrowUp: "up", Escape: "close" })

/**
 * Returns what a key press asks for; undefined if it is for a field, or for the browser.
 * @param {Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "isComposing">} event
 * @param {boolean} isTyping - true if a field has the focus
 */
export function actionOfKey({ key, ctrlKey, metaKey, altKey, isComposing }, isTyping) {
  if (ctrlKey || metaKey || altKey || isComposing) return undefined
  if (isTyping) return key === "Escape" ? "close" : undefined
  /** @type {Record<string, string>} */
  const all = { ...keys, ...others }
  return Object.hasOwn(all, key) ? all[key] : undefined
}

/** Fills the dialog with the keys and the commands. @param {HTMLDialogElement} dialog */
export function showKeys(dialog) {
  const pairs = Object.entries(keys).flatMap(([key, action]) => [
    h("dt", {}, h("kbd", {}, key)),
    h("dd", {}, t(`key.${action}`)),
  ])
  const usages = Object.values(commandUsages).map((usage) => h("li", {}, h("code", {}, `:${usage}`)))
  replace(
    dialog,
    h("h2", {}, t("keys.title")),
    h("dl", { class: "keys" }, ...pairs),
    h("h2", {}, t("keys.commands")),
    h("ul", { class: "usages" }, ...usages),
    h("form", { method: "dialog" }, h("button", { class: "primary", autofocus: true }, t("close"))),
  )
  dialog.setAttribute("aria-label", t("keys.title"))
  if (!dialog.open) dialog.showModal()
}
