// The agents: state by shape and color, what they do, whether they can be woken, what waits for them.
import { app, now, timeOf } from "./app.js"
import { h, replace, showList } from "./dom.js"
import { agentLabel, badge, button, empty, stateIcon } from "./parts.js"
import { sortAgents } from "./store.js"
import { fullTime, number, short, span, t } from "./words.js"

/** @typedef {import("../shapes.js").AgentRow} AgentRow */
/** @typedef {{ write: (agent: string) => void, type: (command: string) => void, guards: (agent: string) => void }} Doors */

/** Most agents that are shown at once. */
const shownAgents = 200
const columns = ["agent", "activity", "wake", "unread", "unanswered", "tokens"]

export class AgentsView {
  #doors
  #title = h("h1")
  #filter = h("input", { type: "search", class: "filter", name: "filter", input: () => this.update() })
  #head = h("tr")
  #table = h("table", { class: "agents" }, h("thead", {}, this.#head))
  #rest = h("div")
  element = h(
    "section",
    { class: "view" },
    h("div", { class: "head" }, this.#title, this.#filter),
    this.#table,
    this.#rest,
  )

  /** @param {Doors} doors - what a person can go on with from an agent */
  constructor(doors) {
    this.#doors = doors
  }

  update() {
    this.#title.textContent = t("agents.title")
    this.#filter.placeholder = t("agents.filter")
    this.#filter.setAttribute("aria-label", t("agents.filter"))
    replace(this.#head, ...columns.map((name) => h("th", { scope: "col" }, t(`agents.${name}`))))
    const wanted = this.#filter.value.trim().toLowerCase()
    const all = sortAgents(app.state.agents).filter((agent) => matches(agent, wanted))
    const shown = all.slice(0, shownAgents)
    this.#table.hidden = shown.length === 0
    showList(this.#table, shown, { key: ({ id }) => id, make: (agent) => this.#make(agent), mark: markOf })
    if (all.length === 0) replace(this.#rest, empty(wanted === "" ? "agents.none" : "search.none"))
    else if (all.length > shown.length) replace(this.#rest, empty("more.filter"))
    else replace(this.#rest)
  }

  focus() {
    this.#filter.focus()
  }

  /** @param {AgentRow} agent */
  #make(agent) {
    const { id, name, state, activity, role, sinceTs, unread, unanswered, tokens } = agent
    const isOpen = app.selected === id
    const toggle = () => {
      app.selected = isOpen ? "" : id
      this.update()
    }
    const opener = h(
      "button",
      { type: "button", class: "plain agent-name", "aria-expanded": String(isOpen), click: toggle },
      stateIcon(state),
      agentLabel(id, name),
      role !== undefined && badge(role),
      id === app.state.me.id && badge(t("agents.you"), "me"),
    )
    const line = h(
      "tr",
      {},
      h("th", { scope: "row" }, opener),
      cell(
        "activity",
        h("span", { class: `word state-${state}` }, t(`state.${state}`)),
        " ",
        sinceTs !== undefined && timeOf(sinceTs),
        activity !== undefined && h("span", { class: "doing", dir: "auto" }, activity),
      ),
      cell("wake", wakeOf(agent)),
      cell("unread", unread === undefined ? "–" : count(unread)),
      cell("unanswered", count(unanswered)),
      cell("tokens", h("span", { class: tokens === 0 ? "zero" : "" }, short(tokens))),
    )
    const more =
      isOpen && h("tr", { class: "more" }, h("td", { colspan: columns.length }, this.#details(agent)))
    return h("tbody", { class: "agent", "data-id": id }, line, more)
  }

  /** @param {AgentRow} agent */
  #details(agent) {
    const { id, name, description } = agent
    const { me } = app.state
    const pairs = factsOf(agent).flatMap(([key, value]) =>
      value === undefined ? [] : [h("dt", {}, t(`agents.${key}`)), h("dd", {}, value)],
    )
    const { write, type, guards } = this.#doors
    return h(
      "div",
      { class: "details" },
      description !== undefined && h("p", { dir: "auto" }, description),
      h("dl", {}, ...pairs),
      h(
        "div",
        { class: "row" },
        me.canWrite && id !== me.id && button(t("do.write"), () => write(id), "primary"),
        me.isOperator && button(t("do.kick"), () => type(`kick ${app.conversation} @${name} 1h `)),
        me.isOperator && button(t("do.mute"), () => type(`mute @${name} 1h `)),
        me.isOperator && button(t("do.guards"), () => guards(id)),
      ),
    )
  }
}

/** Returns everything that a row shows, as one text. @param {AgentRow} agent */
function markOf({ tokens, ...agent }) {
  const { isOperator, canWrite } = app.state.me
  return JSON.stringify([
    agent,
    short(tokens),
    app.selected === agent.id,
    isOperator,
    canWrite,
    t("agents.title"),
  ])
}

/** @param {AgentRow} agent @returns {[string, string | undefined][]} */
function factsOf({ id, wake, readTs, answeredTs, seenTs, attention, claims }) {
  const proof = wake && {
    ...{ method: wake.method, latency: wake.latencyMs },
    ...{ proven: fullTime(wake.provenTs), expires: fullTime(wake.expiresTs) },
  }
  return [
    ["id", id],
    ["read", readTs === undefined ? undefined : fullTime(readTs)],
    ["answered", answeredTs === undefined ? undefined : fullTime(answeredTs)],
    ["seen", seenTs === undefined ? undefined : fullTime(seenTs)],
    ["attention", attention],
    ["claims", claims === 0 ? undefined : number(claims)],
    ["proof", proof && t("agents.proof.text", proof)],
  ]
}

/** @param {AgentRow} agent @param {string} wanted */
function matches({ name, id, role = "", activity = "", state }, wanted) {
  if (wanted === "") return true
  return [name, id, role, activity, state].some((text) => text.toLowerCase().includes(wanted))
}

/** @param {string} column @param {import("./dom.js").Child[]} children */
function cell(column, ...children) {
  return h("td", { class: column, "data-label": t(`agents.${column}`) }, ...children)
}

/** @param {number} n */
function count(n) {
  return h("span", { class: n === 0 ? "zero" : "some" }, number(n))
}

/** Says if an agent can be woken, and since when that is proven. @param {AgentRow} agent */
function wakeOf({ wake, wakeLostTs }) {
  if (wake !== undefined) {
    const facts = { method: wake.method, span: span(now() - wake.provenTs) }
    return badge(`✓ ${wake.method}`, "good", t("agents.proven", facts))
  }
  if (wakeLostTs !== undefined) return badge(`✕ ${t("agents.lost")}`, "bad", fullTime(wakeLostTs))
  return h("span", { class: "zero" }, t("agents.unproven"))
}
