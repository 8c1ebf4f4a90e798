// The messages that a search found; each leads to its place.
import { app, attempt, get, timeOf } from "./app.js"
import { h, replace, showList } from "./dom.js"
import { agentLabel, badge, button, empty } from "./parts.js"
import { t } from "./words.js"

/** @typedef {import("../shapes.js").MessageRow} MessageRow */

const filters = ["from:", "in:", "kind:", "before:", "after:"]
const shownCharacters = 400

export class SearchView {
  #show
  #refine
  #title = h("h1")
  #hint = h("p", { class: "hint" })
  #list = h("ol", { class: "rows found" })
  #rest = h("div")
  /** @type {readonly MessageRow[]} */
  #messages = []
  #isDone = false
  element = h(
    "section",
    { class: "view" },
    h("div", { class: "head" }, this.#title),
    this.#hint,
    this.#list,
    this.#rest,
  )

  /**
   * @param {(message: MessageRow) => void} show - opens the place of a message
   * @param {(filter: string) => void} refine - adds a filter to the search
   */
  constructor(show, refine) {
    this.#show = show
    this.#refine = refine
  }

  async search() {
    this.#isDone = false
    const wanted = app.searched
    await attempt(async () => {
      const { messages } = await get("search", { q: wanted })
      if (app.searched !== wanted) return
      this.#messages = messages
      this.#isDone = true
    })
    this.update()
  }

  update() {
    this.#title.textContent = t("search.title", { n: this.#messages.length, text: app.searched })
    replace(
      this.#hint,
      `${t("search.filters")} `,
      ...filters.map((filter) => button(filter, () => this.#refine(filter), "quiet")),
    )
    showList(this.#list, this.#messages, {
      key: ({ id }) => id,
      make: (message) => this.#make(message),
      mark: (message) => JSON.stringify([message, t("search.none")]),
    })
    replace(this.#rest, ...(this.#isDone && this.#messages.length === 0 ? [empty("search.none")] : []))
  }

  /** @param {MessageRow} message */
  #make(message) {
    const { from, name, text, ts, kind, conversation } = message
    const shown = text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "plain", click: () => this.#show(message) },
        h(
          "span",
          { class: "line" },
          badge(conversation),
          agentLabel(from, name),
          timeOf(ts),
          kind !== undefined && badge(t(`kind.${kind}`), `kind-${kind}`),
        ),
        h("span", { class: "text", dir: "auto" }, shown),
      ),
    )
  }
}
