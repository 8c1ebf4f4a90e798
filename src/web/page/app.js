// Shared by all parts of the page: the state, the requests to the server, the time.
import { h } from "./dom.js"
import { span, t } from "./words.js"

/** @typedef {import("../shapes.js").PageState} PageState */
/** @typedef {import("../shapes.js").MessageRow} MessageRow */

/** @type {PageState} */
export const emptyState = {
  relay: { url: "", name: "", isOnline: false, sinceTs: 0 },
  me: { id: "", name: "", isOperator: false, canWrite: false, hasKey: false },
  agents: [],
  conversations: [],
  needs: [],
  tasks: [],
  deals: [],
  guards: [],
  claims: [],
  traffic: [],
  ratings: [],
}

/** The state that is shown, and the place in it. */
export const app = {
  state: emptyState,
  /** True while the page gets changes. */
  isLive: false,
  /** @type {"agents" | "talk" | "work" | "guards" | "search"} */
  view: "talk",
  conversation: "#general",
  /** The agent, deal or task that is shown open. */
  selected: "",
  searched: "",
}

let clockOffsetMs = 0

/** Notes the time of the server, by which everything is shown. @param {number} serverTs */
export function setTime(serverTs) {
  clockOffsetMs = serverTs - performance.now()
}

/** Milliseconds since the Unix epoch, by the server's clock. */
export function now() {
  return performance.now() + clockOffsetMs
}

/** A time as how long ago it is; {@link tick} keeps it right. @param {number} ts @param {"ago" | "left"} [way] */
export function timeOf(ts, way = "ago") {
  const element = h("time", { "data-ts": ts, "data-way": way, datetime: new Date(ts).toISOString() })
  showTime(element)
  return element
}

/** Brings all times that are shown up to date. */
export function tick() {
  for (const element of document.querySelectorAll("time[data-ts]"))
    if (element instanceof HTMLElement) showTime(element)
}

/** @param {HTMLElement} element */
function showTime(element) {
  const ts = Number(element.dataset["ts"])
  const text =
    element.dataset["way"] === "left"
      ? ts > now()
        ? t("time.left", { span: span(ts - now()) })
        : t("time.over")
      : span(now() - ts)
  if (element.textContent !== text) element.textContent = text
}

/** An error that the server answered with. */
class Refusal extends Error {}

/**
 * The answers of the server, by path.
 * @typedef {object} Answers
 * @property {{ messages: MessageRow[], more: boolean }} messages
 * @property {{ messages: MessageRow[], more: boolean }} search
 * @property {{ statements: import("../shapes.js").Verdict[] }} verify
 * @property {object} receipt
 * @property {{ list: import("../shapes.js").GuardRow[] }} guards
 */

/**
 * Asks the server for something.
 * @template {keyof Answers} K
 * @param {K} path
 * @param {Record<string, string | number | undefined>} [query]
 * @returns {Promise<Answers[K]>}
 */
export async function get(path, query = {}) {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  )
  return /** @type {Answers[K]} */ (await read(await fetch(`/api/${path}?${new URLSearchParams(pairs)}`)))
}

/**
 * Carries out an action.
 * @param {string} action
 * @param {object} body
 * @returns {Promise<{ conversation?: string }>}
 */
export async function act(action, body) {
  const headers = { "Content-Type": "application/json" }
  const response = await fetch(`/api/do/${action}`, { method: "POST", headers, body: JSON.stringify(body) })
  return /** @type {{ conversation?: string }} */ (await read(response))
}

/** @param {Response} response @returns {Promise<unknown>} */
async function read(response) {
  if (response.status === 401) throw new Refusal(t("error.link"))
  /** @type {unknown} */
  const body = await response.json()
  if (response.ok) return body
  const { error } = /** @type {{ error: { message: string, hint?: string } }} */ (body)
  throw new Refusal(error.hint === undefined ? error.message : `${error.message}. ${error.hint}`)
}

let noticeTimer = 0

/** Shows a line at the foot of the page for a while, also to screen readers. @param {string} text @param {boolean} [isProblem] */
export function notify(text, isProblem = false) {
  const notice = document.getElementById("notice")
  if (notice === null) return
  notice.textContent = text
  notice.className = isProblem ? "notice problem" : "notice"
  clearTimeout(noticeTimer)
  noticeTimer = setTimeout(() => (notice.textContent = ""), isProblem ? 15_000 : 5_000)
}

/** Carries out what a person asked for, and shows the problem if that fails. @param {() => Promise<unknown>} work */
export async function attempt(work) {
  try {
    await work()
    return true
  } catch (error) {
    notify(error instanceof Refusal ? error.message : t("error.server"), true)
    return false
  }
}

/** @param {string} id */
export function agentOf(id) {
  return app.state.agents.find((agent) => agent.id === id)
}

/** Returns the name to show for an agent or another address. @param {string} id */
export function nameOf(id) {
  const { me } = app.state
  return id === me.id ? me.name : (agentOf(id)?.name ?? id.replace(/^@/, ""))
}

/** Returns the scope of a guard with the names of its agents. @param {string} scope */
export function scopeText(scope) {
  return scope.replace(/@[0-9a-f]{16}/g, (id) => `@${nameOf(id)}`)
}
