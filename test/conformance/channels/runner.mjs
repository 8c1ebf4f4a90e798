// Runs the cases of cases.yaml. It knows nothing of agentchat: a URL and a token are all it gets.
import { deepStrictEqual } from "node:assert"
import { readFileSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import { parse } from "yaml"

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
/** Ids of which one is free: a server with few channels has not made them all. */
const candidates = ["YY99", "ZZ88", "XX77", "WW66", "VV55"]

/** @typedef {Record<string, any>} Step */
/** @typedef {{ readonly id: string, readonly title: string, readonly fresh?: boolean, readonly steps: readonly Step[] }} Case */
/** @typedef {{ readonly base: string, readonly token?: string | undefined }} Target */
/** @typedef {{ readonly status: number, readonly headers: Headers, readonly text: string }} Answer */

/** @returns {readonly Case[]} */
export function readCases() {
  return parse(readFileSync(new URL("cases.yaml", import.meta.url), "utf8"))
}

/**
 * Runs a case.
 * @param {Case} given
 * @param {Target} target
 * @throws {Error} which names the step that failed
 */
export async function runCase({ fresh = true, steps }, target) {
  /** @type {Record<string, any>} */
  const saved = { unused: await findUnused(target) }
  if (fresh) {
    const made = valueOf(await request(target, "POST", "/agent-channel", { body: "{}" }))
    Object.assign(saved, { id: made.id, url: made.url })
  }
  await runSteps(steps, target, saved)
}

/** Returns an id that no channel has. @param {Target} target */
async function findUnused(target) {
  for (const id of candidates) {
    if ((await request(target, "GET", `/agent-channel/${id}`)).status === 404) return id
  }
  throw new Error(`channels of all these ids exist: ${candidates.join(", ")}`)
}

/** @param {readonly Step[]} steps @param {Target} target @param {Record<string, any>} saved */
async function runSteps(steps, target, saved) {
  for (const step of steps) {
    if (step["forEach"] === undefined) await runStep(step, target, saved)
    for (const item of step["forEach"] ?? []) {
      // A path with an encoded character is sent as it is.
      await runSteps(step["steps"], target, Object.assign(saved, { item }))
    }
  }
}

/** @param {Step} step @param {Target} target @param {Record<string, any>} saved */
async function runStep(step, target, saved) {
  const { times = 1, together = false } = step
  const one = async (/** @type {number} */ n) => {
    const scope = Object.assign(Object.create(saved), { n })
    const { method, path, body, headers } = requestOf(step, scope)
    const answer = await request(target, method, path, { body, headers })
    try {
      check(fill(step, scope), answer, saved)
    } catch (error) {
      const shown = `${method} ${path} ${body ?? ""}\n${answer.status} ${answer.text.slice(0, 2_000)}`
      throw new Error(`${/** @type {Error} */ (error).message}\n${shown}`, { cause: error })
    }
    return valueOf(answer)
  }
  const numbers = Array.from({ length: times }, (_, i) => i + 1)
  const values = []
  if (together) values.push(...(await Promise.all(numbers.map(one))))
  else for (const n of numbers) values.push(await one(n))
  if (step["distinct"] !== undefined) {
    const found = values.map((value) => at(value, step["distinct"]))
    if (new Set(found).size !== times) throw new Error(`${step["distinct"]}: not all are different`)
  }
}

/** @param {Step} step @param {Record<string, any>} scope */
function requestOf(step, scope) {
  const method = methods.find((each) => step[each] !== undefined)
  if (method === undefined) throw new Error(`no request: ${JSON.stringify(step)}`)
  const { json, text, headers = {}, [method]: path } = fill(step, scope)
  return { method, path, headers, body: json === undefined ? text : JSON.stringify(json) }
}

/**
 * @param {Target} target @param {string} method @param {string} path
 * @param {{ body?: string | undefined, headers?: Record<string, string> }} [content]
 * @returns {Promise<Answer>}
 */
async function request({ base, token }, method, path, { body, headers = {} } = {}) {
  const url = path.startsWith("http") ? path : base.replace(/\/$/, "") + path
  const response = await fetch(url, {
    method,
    headers: {
      ...(body !== undefined && { "Content-Type": "application/json" }),
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body !== undefined && { body }),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

/**
 * Demands of a step on its answer, by name.
 * @type {Readonly<Record<string, (wanted: any, value: any, answer: Answer, saved: Record<string, any>) => void>>}
 */
const checks = {
  body: (wanted, value) => hasMembers(value, wanted, "body"),
  equals: (wanted, value) => deepStrictEqual(value, wanted),
  same: (name, value, _answer, saved) => deepStrictEqual(value, saved[name]),
  different: (name, value, _answer, saved) =>
    expect(!isDeepStrictEqual(value, saved[name]), "the same answer"),
  type: (type, _value, answer) => expect(contentType(answer).startsWith(type), `type ${contentType(answer)}`),
  length: (length, value) => deepStrictEqual(value.length, length),
  keys: (keys, value) => hasKeys(value, keys),
  keysOf: (wanted, value) => eachOf(wanted, (path, keys) => hasKeys(at(value, path), keys)),
  lengths: (wanted, value) =>
    eachOf(wanted, (path, length) => deepStrictEqual(at(value, path).length, length)),
  match: (wanted, value) =>
    eachOf(wanted, (path, pattern) => {
      const found = String(at(value, path))
      expect(new RegExp(pattern, "u").test(found), `${path}: ${found} does not match ${pattern}`)
    }),
  each: (wanted, value) =>
    eachOf(wanted, (path, values) =>
      deepStrictEqual(
        value.map((/** @type {unknown} */ item) => at(item, path)),
        values,
      ),
    ),
  contains: (parts, _value, { text }) =>
    eachOf(parts, (_, part) => expect(text.includes(part), `${part} is missing`)),
  omits: (parts, _value, { text }) =>
    eachOf(parts, (_, part) => expect(!text.includes(part), `${part} is there`)),
  has: (wanted, value) => expect(hasItem(value, wanted), "the item is missing"),
  lacks: (wanted, value) => expect(!hasItem(value, wanted), "the item is there"),
  next: (name, _value, answer, saved) => {
    saved[name] = nextPage(answer, name === "none")
  },
  save: (wanted, value, _answer, saved) =>
    eachOf(wanted, (name, path) => {
      saved[name] = at(value, path)
    }),
}

/** @param {Step} step filled @param {Answer} answer @param {Record<string, any>} saved */
function check(step, answer, saved) {
  const statuses = [step["status"]].flat()
  expect(
    statuses.map(Number).includes(answer.status),
    `status ${answer.status}, expected ${statuses.join(" or ")}`,
  )
  for (const [name, run] of Object.entries(checks)) {
    if (step[name] !== undefined) run(step[name], valueOf(answer), answer, saved)
  }
}

/** @param {object} wanted @param {(key: string, member: any) => void} run */
function eachOf(wanted, run) {
  for (const [key, member] of Object.entries(wanted)) run(key, member)
}

/** @param {any} value @param {object} wanted */
function hasItem(value, wanted) {
  return value.some((/** @type {any} */ item) =>
    Object.entries(wanted).every(([key, each]) => item[key] === each),
  )
}

/** @param {Answer} answer @param {boolean} isLast */
function nextPage({ headers }, isLast) {
  const [, url] = /<([^>]+)>; rel="next"/.exec(headers.get("link") ?? "") ?? []
  expect((url === undefined) === isLast, `Link: ${headers.get("link")}`)
  return url
}

/** @param {Answer} answer */
function contentType({ headers }) {
  return headers.get("content-type") ?? ""
}

/** @param {Answer} answer @returns {any} */
function valueOf(answer) {
  const type = contentType(answer)
  if (type.startsWith("application/json")) return JSON.parse(answer.text)
  return type.startsWith("application/yaml") ? parse(answer.text) : answer.text
}

/** @param {any} value @param {readonly string[]} keys */
function hasKeys(value, keys) {
  deepStrictEqual(Object.keys(value).sort(), [...keys].sort())
}

/** @param {any} value @param {any} wanted @param {string} path */
function hasMembers(value, wanted, path) {
  if (typeof wanted !== "object" || wanted === null) {
    expect(Object.is(value, wanted), `${path}: ${JSON.stringify(value)}, expected ${JSON.stringify(wanted)}`)
    return
  }
  expect(typeof value === "object" && value !== null, `${path}: ${JSON.stringify(value)}`)
  for (const [key, member] of Object.entries(wanted)) hasMembers(value[key], member, `${path}.${key}`)
}

/** @param {any} value @param {string} path "." for all of it @returns {any} */
function at(value, path) {
  if (path === ".") return value
  return path.split(".").reduce((each, key) => each?.[key], value)
}

/** @param {boolean} isMet @param {string} problem */
function expect(isMet, problem) {
  if (!isMet) throw new Error(problem)
}

/**
 * Replaces `$name`, `$item.0`, `${x*200}`, `${lower:name}`, `${escape:name}`, `${url:name}` and `${json:name}`. A text that is only
 * one of them may become another value.
 * @param {any} value @param {Record<string, any>} scope @returns {any}
 */
function fill(value, scope) {
  if (Array.isArray(value)) return value.map((each) => fill(each, scope))
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, fill(each, scope)]))
  }
  if (typeof value !== "string") return value
  const [, alone] = /^\$([a-z]\w*(?:\.\d+)?)$/i.exec(value) ?? []
  if (alone !== undefined && at(scope, alone) !== undefined) return at(scope, alone)
  return value
    .replaceAll(/\$\{(?:(\w)\*(\d+)|(\w+):(\w+))\}/g, (_, char, count, change, name) =>
      char === undefined ? changed(change, String(scope[name])) : char.repeat(Number(count)),
    )
    .replaceAll(/\$([a-z]\w*(?:\.\d+)?)/gi, (text, name) => String(at(scope, name) ?? text))
}

/** @param {string} change @param {string} text */
function changed(change, text) {
  switch (change) {
    case "lower":
      return text.toLowerCase()
    case "escape":
      return text.replaceAll(/[.+]/g, String.raw`\$&`)
    case "url":
      return /https?:\/\/\S+/.exec(text)?.[0] ?? ""
    case "json":
      return text.slice(text.indexOf("{"))
    default:
      throw new Error(`no such change: ${change}`)
  }
}
