// Guards: what is used and left, as bars; an operator lifts what is stopped.
import { act, app, attempt, get, notify, scopeText, timeOf } from "./app.js"
import { h, replace, showList } from "./dom.js"
import { badge, button, empty, meter } from "./parts.js"
import { sortAgents } from "./store.js"
import { number, t } from "./words.js"

/** @typedef {import("../shapes.js").GuardRow} GuardRow */

/** Most agents in the choice, and most rows. */
const shownAgents = 200
const shownRows = 200

export class GuardsView {
  #title = h("h1")
  #choice = h("select", { name: "agent", change: () => void this.choose(this.#choice.value) })
  #reset = button("", () => void reset(undefined))
  #list = h("ol", { class: "rows guards" })
  #rest = h("div")
  #agent = ""
  /** Counts of the chosen agent. @type {readonly GuardRow[]} */
  #rows = []
  element = h(
    "section",
    { class: "view" },
    h("div", { class: "head" }, this.#title, h("div", { class: "row tools" }, this.#choice, this.#reset)),
    this.#list,
    this.#rest,
  )

  /** Shows the counts of an agent; of the person and of everything that is stopped for an empty id. @param {string} agent */
  async choose(agent) {
    this.#agent = agent
    this.#rows = []
    if (agent !== "")
      await attempt(async () => {
        const { list } = await get("guards", { agent })
        this.#rows = list
      })
    this.update()
  }

  update() {
    const { me, guards, agents } = app.state
    this.#title.textContent = t("guards.title")
    this.#choice.hidden = !me.isOperator
    this.#reset.hidden = !me.isOperator
    this.#reset.textContent = t("do.reset.all")
    this.#choice.setAttribute("aria-label", t("guards.agent"))
    if (document.activeElement !== this.#choice) {
      const options = sortAgents(agents)
        .slice(0, shownAgents)
        .map(({ id, name }) => h("option", { value: id }, name))
      replace(this.#choice, h("option", { value: "" }, t("guards.own")), ...options)
      this.#choice.value = this.#agent
    }
    const rows = (this.#agent === "" ? guards : this.#rows).toSorted(byUse).slice(0, shownRows)
    showList(this.#list, rows, {
      key: ({ layer, scope }) => `${layer} ${scope}`,
      make: guardItem,
      mark: (row) => JSON.stringify([row, me.isOperator, t("guards.title")]),
    })
    replace(this.#rest, ...(rows.length === 0 ? [empty("guards.none")] : []))
  }
}

/** @param {GuardRow} a @param {GuardRow} b */
function byUse(a, b) {
  return Number(b.tripped) - Number(a.tripped) || b.used / b.limit - a.used / a.limit
}

/** @param {GuardRow} row */
function guardItem({ layer, scope, used, limit, tripped, freeTs }) {
  const figures = t("guards.used", { used: number(Math.round(used)), limit: number(limit) })
  return h(
    "li",
    { class: `guard ${tripped ? "tripped" : ""}` },
    h(
      "div",
      { class: "line" },
      tripped ? badge(`■ ${t("guards.stopped")}`, "bad") : badge(`○ ${t("guards.open")}`, "good"),
      h("strong", {}, layer),
      h("span", { class: "scope", title: scope }, scopeText(scope)),
      h("span", { class: "figure" }, figures),
      freeTs !== undefined && timeOf(freeTs, "left"),
      tripped && app.state.me.isOperator && button(t("do.reset"), () => void reset(scope), "primary"),
    ),
    h("p", { class: "hint" }, t(`guard.${layer}`)),
    meter(used, limit, figures),
  )
}

/** @param {string | undefined} scope */
async function reset(scope) {
  if (await attempt(() => act("reset", scope === undefined ? {} : { scope }))) notify(t("done"))
}
