// The lane of what waits for the person: always visible, the oldest first.
import { act, app, attempt, notify, scopeText, timeOf } from "./app.js"
import { h, replace, showList } from "./dom.js"
import { answerForm, button } from "./parts.js"
import { t } from "./words.js"

/** @typedef {import("../shapes.js").Need} Need */
/** @typedef {(need: Need, isAnswered?: boolean) => void} Show */

/** Most characters of a text in the lane. */
const shownCharacters = 280
/** Most entries that are shown; the rest follows as these are done. */
const shownNeeds = 50

const symbols = /** @type {Record<string, string>} */ ({
  ...{ waiting: "◆", task: "?", asked: "@", direct: "@", proposal: "§", dispute: "!", guard: "■" },
  ...{ claims: "≠", mailbox: "✉", wake: "z" },
})

export class NeedsLane {
  #show
  #title = h("h2", { id: "needs-title" })
  #list = h("ol", { class: "needs-list" })
  #rest = h("p", { class: "hint" })
  #heading = ""
  element = h(
    "aside",
    { class: "needs", "aria-labelledby": "needs-title" },
    this.#title,
    this.#list,
    this.#rest,
  )

  /** @param {Show} show - opens in the page what an entry is about, on request ready to write the answer */
  constructor(show) {
    this.#show = show
  }

  update() {
    const { needs } = app.state
    const heading = `${t("needs.title")} ${needs.length}`
    if (heading !== this.#heading) {
      this.#heading = heading
      const count = h("span", { class: needs.length > 0 ? "count hot" : "count" }, needs.length)
      replace(this.#title, `${t("needs.title")} `, count)
    }
    this.element.classList.toggle("none", needs.length === 0)
    showList(this.#list, needs.slice(0, shownNeeds), {
      key: ({ id }) => id,
      make: (need) => this.#make(need),
      mark: (need) => JSON.stringify([need, choicesOf(need), app.state.me, t("needs.title")]),
    })
    const hidden = needs.length - shownNeeds
    this.#rest.textContent = needs.length === 0 ? t("needs.none") : hidden > 0 ? t("more", { n: hidden }) : ""
  }

  /** @param {Need} need */
  #make(need) {
    const { kind, facts, scope, sinceTs, text = "" } = need
    const lineFacts = scope === undefined ? facts : { ...facts, scope: scopeText(scope) }
    const open = h(
      "button",
      { type: "button", class: "need-open", "data-need": need.id, click: () => this.#show(need) },
      h("span", { class: "need-symbol", "aria-hidden": "true" }, symbols[kind] ?? "•"),
      h("span", { class: "need-line" }, t(`need.${kind}`, lineFacts)),
      timeOf(sinceTs),
    )
    const shown = text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text
    return h(
      "li",
      { class: `need need-${kind}` },
      open,
      shown !== "" && h("p", { class: "need-text", dir: "auto" }, shown),
      need.expiresTs !== undefined && endOf(need.expiresTs, need.fallback),
      ...actionsOf(need, this.#show),
    )
  }
}

/** Says how long an answer is waited for, and what counts without one. @param {number} ts @param {string} [fallback] */
function endOf(ts, fallback) {
  const words = fallback === undefined ? "" : ` · ${t("need.default", { answer: fallback })}`
  return h("p", { class: "hint need-text" }, timeOf(ts, "left"), words)
}

/**
 * Returns what the person can do about an entry.
 * @param {Need} need
 * @param {Show} show
 */
function actionsOf(need, show) {
  const { kind, scope, message } = need
  const { canWrite, hasKey } = app.state.me
  if (kind === "guard" && scope !== undefined)
    return [row(button(t("do.reset"), () => void perform("reset", { scope }), "primary"))]
  if (message !== undefined) {
    const settle = button(t("do.settle"), () => void perform("settle", { message }), "quiet")
    return [row(...(canWrite ? [button(t("do.reply"), () => show(need, true), "primary")] : []), settle)]
  }
  return canWrite && hasKey ? signedActionsOf(need) : []
}

/** Returns what needs the key of the person. @param {Need} need */
function signedActionsOf(need) {
  const { kind, task, deal } = need
  if (kind === "proposal" && deal !== undefined)
    return [
      row(
        button(t("do.accept"), () => void perform("decide", { deal, verb: "ACCEPT" }), "primary"),
        button(t("do.reject"), () => void perform("decide", { deal, verb: "REJECT" })),
      ),
    ]
  if (kind !== "task" || task === undefined) return []
  const choices = choicesOf(need)
  const send = (/** @type {string} */ text) => perform("answer", { task, text })
  if (choices.length > 0)
    return [row(...choices.map((each) => button(each, () => void send(each), "primary")))]
  return [answerForm({ label: t("do.answer.label"), action: t("do.answer"), name: "answer", send })]
}

/** @param {Need} need @returns {string[]} */
function choicesOf({ task }) {
  return [...(app.state.tasks.find((each) => each.task === task)?.choices ?? [])]
}

/** @param {HTMLElement[]} buttons */
function row(...buttons) {
  return h("div", { class: "row" }, ...buttons)
}

/** @param {string} action @param {object} body */
async function perform(action, body) {
  const isDone = await attempt(() => act(action, body))
  if (isDone) notify(t("done"))
  return isDone
}
