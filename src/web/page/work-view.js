// Work: tasks with the rest of their lease, deals as timelines of signed statements, ratings, and who writes to whom.
import { act, app, attempt, get, nameOf, notify, timeOf } from "./app.js"
import { ratingCurves, trafficGraph, trafficTable } from "./charts.js"
import { h, replace, showList } from "./dom.js"
import { agentLabel, badge, button } from "./parts.js"
import { fullTime, number, t } from "./words.js"

/** @typedef {import("../shapes.js").TaskRow} TaskRow */
/** @typedef {import("../shapes.js").DealRow} DealRow */

/** Most rows of a list. */
const shownRows = 100

export class WorkView {
  #title = h("h1")
  #tasks = new Section("tasks")
  #deals = new Section("deals")
  #ratings = new Section("ratings")
  #graph = new Section("graph")
  #leaders = h("ol", { class: "leaders" })
  #drawn = ""
  /** The checked statements of deals. @type {Map<string, Map<string, string>>} */
  #checked = new Map()
  element = h(
    "section",
    { class: "view work" },
    h("div", { class: "head" }, this.#title),
    this.#tasks.element,
    this.#deals.element,
    this.#ratings.element,
    this.#graph.element,
  )

  update() {
    const { tasks, deals, ratings, traffic } = app.state
    this.#title.textContent = t("work.title")
    this.#tasks.show(tasks.length)
    showList(this.#tasks.list, sortTasks(tasks).slice(0, shownRows), {
      key: ({ task }) => task,
      make: taskItem,
      mark,
    })
    this.#deals.show(deals.length)
    showList(this.#deals.list, deals.slice(0, shownRows), {
      key: ({ id }) => id,
      make: (deal) => this.#dealItem(deal),
      mark: (deal) => mark([deal, app.selected === deal.id, [...(this.#checked.get(deal.id) ?? [])]]),
    })
    this.#ratings.show(ratings.length)
    this.#graph.show(traffic.length)
    const drawn = mark([ratings, traffic, app.state.agents.map(({ id, name }) => [id, name])])
    if (drawn === this.#drawn) return
    this.#drawn = drawn
    this.#draw()
  }

  #draw() {
    const { ratings, traffic } = app.state
    replace(
      this.#leaders,
      ...ratings
        .slice(0, 20)
        .map(({ id, name, rating, deals }) =>
          h(
            "li",
            {},
            agentLabel(id, name),
            h("strong", {}, number(rating)),
            h("small", {}, t(deals === 1 ? "ratings.deal" : "ratings.deals", { n: deals })),
          ),
        ),
    )
    replace(
      this.#ratings.list,
      ...(ratings.length > 0 ? [h("li", { class: "wide" }, this.#leaders, ratingCurves(ratings))] : []),
    )
    replace(
      this.#graph.list,
      ...(traffic.length > 0
        ? [h("li", { class: "wide" }, trafficGraph(traffic), trafficTable(traffic))]
        : []),
    )
  }

  /** @param {string} deal */
  select(deal) {
    app.selected = deal
    this.update()
    this.#deals.list.querySelector(`[data-id="${CSS.escape(deal)}"]`)?.scrollIntoView({ block: "center" })
  }

  /** @param {DealRow} deal */
  #dealItem(deal) {
    const { id, state, task, price, parties, lastTs } = deal
    const isOpen = app.selected === id
    const toggle = () => {
      app.selected = isOpen ? "" : id
      this.update()
    }
    return h(
      "li",
      { class: `deal ${isOpen ? "open" : ""}`, "data-id": id },
      h(
        "button",
        { type: "button", class: "plain deal-line", "aria-expanded": String(isOpen), click: toggle },
        badge(t(`deal.${state}`), `deal-${state}`),
        h("span", { class: "deal-task", dir: "auto" }, task),
        h("span", { class: "names" }, parties.map(({ name }) => name).join(" → ")),
        price !== undefined && badge(price),
        timeOf(lastTs),
      ),
      isOpen && this.#dealDetails(deal),
    )
  }

  /** @param {DealRow} deal */
  #dealDetails({ id, statements, terms, state, expiresTs, actions }) {
    const checked = this.#checked.get(id)
    const steps = statements.map((statement) =>
      h(
        "li",
        {},
        h("span", { class: `verb verb-${statement.type}` }, t(`verb.${statement.type}`)),
        agentLabel(statement.from, statement.name),
        h("time", { title: fullTime(statement.ts) }, fullTime(statement.ts)),
        checked !== undefined && verdict(checked.get(statement.id)),
        statement.text !== "" && h("p", { dir: "auto" }, statement.text),
      ),
    )
    const verbs = app.state.me.canWrite ? actions : []
    return h(
      "div",
      { class: "details" },
      terms !== undefined && h("p", { class: "terms", dir: "auto" }, terms),
      state === "pending" && h("p", { class: "hint" }, timeOf(expiresTs, "left")),
      h("ol", { class: "timeline" }, ...steps),
      h(
        "div",
        { class: "row" },
        button(t("do.verify"), () => void this.#verify(id)),
        ["completed", "disputed"].includes(state) && button(t("do.receipt"), () => void showReceipt(id)),
        ...verbs.map((verb) =>
          button(t(`do.${verb}`), () => void decide(id, verb), verb === "ACCEPT" ? "primary" : ""),
        ),
      ),
    )
  }

  /** @param {string} deal */
  async #verify(deal) {
    await attempt(async () => {
      const { statements } = await get("verify", { deal })
      /** @type {[string, string][]} */
      const results = statements.map(({ id, problem = "" }) => [id, problem])
      this.#checked.set(deal, new Map(results))
      this.update()
    })
  }
}

/** A heading with a list below it. */
class Section {
  #name
  #heading = h("h2")
  #none = h("p", { class: "empty" })
  list = h("ol", { class: "rows" })
  element = h("section", { class: "part" }, this.#heading, this.#none, this.list)

  /** @param {string} name - of the words */
  constructor(name) {
    this.#name = name
  }

  /** @param {number} count */
  show(count) {
    this.#heading.textContent = t(`work.${this.#name}`)
    this.#none.textContent =
      count === 0 ? t(`work.${this.#name}.none`) : count > shownRows ? t("more.first", { n: shownRows }) : ""
    this.#none.hidden = this.#none.textContent === ""
  }
}

/** @param {readonly TaskRow[]} tasks */
function sortTasks(tasks) {
  return tasks.toSorted((a, b) => (a.role < b.role ? -1 : a.role > b.role ? 1 : a.ts - b.ts))
}

/** @param {TaskRow} task */
function taskItem({ role, name, from, content, attempt: tries, ts, worker, leaseUntilTs }) {
  return h(
    "li",
    { class: "task" },
    h(
      "div",
      { class: "line" },
      badge(`+${role}`, "role"),
      worker === undefined
        ? badge(`○ ${t("task.waiting")}`, "waiting")
        : badge(`● ${t("task.claimed", { name: nameOf(worker) })}`, "good"),
      leaseUntilTs !== undefined && timeOf(leaseUntilTs, "left"),
      tries > 1 && badge(t("task.attempt", { n: tries }), "bad"),
      h("span", { class: "names" }, t("task.from"), " ", agentLabel(from, name)),
      timeOf(ts),
    ),
    h("p", { class: "text", dir: "auto" }, content),
  )
}

/** @param {unknown} value */
function mark(value) {
  return `${JSON.stringify(value)} ${app.state.me.canWrite} ${t("work.title")}`
}

/** @param {string | undefined} problem */
function verdict(problem) {
  if (problem === undefined) return undefined
  return problem === "" ? badge(`✓ ${t("verify.good")}`, "good") : badge(`✕ ${problem}`, "bad")
}

/** @param {string} deal @param {string} verb */
async function decide(deal, verb) {
  const needsText = verb === "DISPUTE"
  const text = needsText ? window.prompt(t("do.DISPUTE.why")) : ""
  if (text === null || (needsText && text === "")) return
  if (await attempt(() => act("decide", { deal, verb, ...(text !== "" && { text }) }))) notify(t("done"))
}

/** Offers the receipt of a deal as a file. @param {string} deal */
async function showReceipt(deal) {
  await attempt(async () => {
    const receipt = await get("receipt", { deal })
    const url = URL.createObjectURL(new Blob([`${JSON.stringify(receipt)}\n`], { type: "application/json" }))
    h("a", { href: url, download: `receipt-${deal}.json` }).click()
    setTimeout(() => URL.revokeObjectURL(url), 10_000)
  })
}
