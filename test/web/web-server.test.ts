import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { ReadPositions } from "../../src/web/read-positions.js"
import type { MessageRow, PageState } from "../../src/web/shapes.js"
import type { WebServer } from "../../src/web/web-server.js"
import { until } from "../kit/condition.js"
import { enter, makeIdentity, serve, startTestRelay } from "../kit/page.js"

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** Sends a request with any headers, which `fetch` would not. */
function ask(url: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: body === undefined ? "GET" : "POST", headers }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => (text += chunk))
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
      )
    })
    sent.on("error", reject)
    sent.end(body)
  })
}

async function login(web: WebServer): Promise<string> {
  const { headers } = await ask(web.link)
  return String(headers["set-cookie"]).split(";")[0] ?? ""
}

async function makeBrowser(web: WebServer) {
  const cookie = await login(web)
  const origin = web.url.slice(0, -1)
  const json = async <T>(path: string) =>
    JSON.parse((await ask(`${web.url}api/${path}`, { cookie })).body) as T
  const read = (path: string) => json<{ messages: MessageRow[]; more: boolean }>(path)
  const act = (name: string, body: unknown) =>
    ask(
      `${web.url}api/do/${name}`,
      { cookie, origin },
      typeof body === "string" ? body : JSON.stringify(body),
    )
  return { cookie, origin, act, read, state: () => json<PageState>("state") }
}

describe("the door of the page", () => {
  it("opens once for the token of the link, then for the cookie, and prints the next link", async () => {
    const links: string[] = []
    const web = await serve(await startTestRelay(), undefined, { onLink: (link) => links.push(link) })
    const { link, url } = web
    expect(await ask(url)).toMatchObject({ status: 401 })
    const first = await ask(link)
    expect(first.status).toBe(200)
    expect(String(first.headers["set-cookie"])).toMatch(
      /^agentchat_\d+=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/,
    )
    expect(links).toEqual([web.link])
    expect(web.link).not.toBe(link)
    expect(await ask(link)).toMatchObject({ status: 401 })
    const cookie = String(first.headers["set-cookie"]).split(";")[0] ?? ""
    expect(await ask(url, { cookie })).toMatchObject({ status: 200 })
    expect(await ask(`${url}api/state`, { cookie })).toMatchObject({ status: 200 })
    expect(await ask(`${url}api/state?token=${web.link.split("=")[1] ?? ""}`)).toMatchObject({ status: 401 })
    expect(await ask(url, { cookie: `${cookie}x` })).toMatchObject({ status: 401 })
  })

  it("sends headers that keep everything foreign out of the page", async () => {
    const web = await serve(await startTestRelay(), undefined)
    const { headers } = await ask(web.link)
    const policy = String(headers["content-security-policy"])
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
    expect(policy).toContain("require-trusted-types-for 'script'; trusted-types 'none'")
    expect(policy).not.toContain("unsafe")
    const others = {
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
    }
    expect(headers).toMatchObject(others)
  })

  it("stays closed to pages of other sites, whatever cookie comes along", async () => {
    const web = await serve(await startTestRelay(), undefined)
    const { cookie, origin } = await makeBrowser(web)
    const { port } = new URL(web.url)
    const refused: Record<string, string>[] = [
      { host: "evil.example" },
      { host: `evil.example:${port}`, origin: `http://evil.example:${port}` },
      { origin: "http://127.0.0.1:1" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors" },
    ]
    for (const headers of refused) {
      const answer = await ask(`${web.url}api/state`, { cookie, ...headers })
      expect([headers, answer.status]).toEqual([headers, 403])
    }
    const body = JSON.stringify({ to: "#general", text: "x" })
    expect(await ask(`${web.url}api/do/send`, { cookie }, body)).toMatchObject({ status: 403 })
    expect(await ask(`${web.url}api/do/send`, { cookie, origin }, body)).toMatchObject({ status: 200 })
    expect(await ask(`${web.url}api/do/send`, { origin }, body)).toMatchObject({ status: 401 })
  })

  it("serves the files of the page and nothing else", async () => {
    const web = await serve(await startTestRelay(), undefined)
    const { cookie } = await makeBrowser(web)
    const typeOf = async (path: string) => {
      const { status, headers } = await ask(`${web.url}${path}`, { cookie })
      return status === 200 ? String(headers["content-type"]) : status
    }
    expect(await typeOf("main.js")).toContain("text/javascript")
    expect(await typeOf("words/zh.json")).toBe("application/json")
    for (const path of [
      "tsconfig.json",
      "../web-server.ts",
      "%2e%2e/model.ts",
      "words/",
      "api/do/send",
      "__proto__",
      "api/nothing",
    ])
      expect([path, await typeOf(path)]).toEqual([path, 404])
  })
})

describe("the state of the page", () => {
  it("shows agents, channels with what was said before, and tasks", async () => {
    const relay = await startTestRelay()
    const bob = await enter(relay, "bob")
    await bob.createChannel("#build", { description: "what is built" })
    for (let n = 0; n < 30; n++) await bob.send("#build", `line ${n}`)
    await bob.setPresence("waiting", "for the key")
    await bob.send("+tester", "test it")
    const { state, read } = await makeBrowser(await serve(relay))
    const shown = await state()
    expect(shown.agents).toContainEqual(
      expect.objectContaining({ name: "bob", state: "waiting", activity: "for the key" }),
    )
    expect(shown.conversations).toContainEqual(
      expect.objectContaining({ key: "#build", description: "what is built", count: 30 }),
    )
    expect(shown.tasks).toMatchObject([{ role: "tester", content: "test it" }])
    expect(shown.needs).toMatchObject([{ kind: "waiting", agent: bob.id }])
    const page = await read("messages?in=%23build&limit=5")
    expect(page).toMatchObject({
      more: true,
      messages: [{ seq: 26 }, {}, {}, {}, { seq: 30, text: "line 29", verified: true }],
    })
    const older = await read(
      `messages?in=%23build&limit=5&before=${encodeURIComponent(page.messages[0]?.id ?? "")}`,
    )
    expect(older.messages.map(({ seq }) => seq)).toEqual([21, 22, 23, 24, 25])
  })

  it("goes back over the relay where its own messages end, and searches there", async () => {
    const relay = await startTestRelay()
    const bob = await enter(relay, "bob")
    for (let n = 1; n <= 260; n++) await bob.send("#general", `line ${n}`)
    const { read } = await makeBrowser(await serve(relay))
    let [oldest] = (await read("messages?in=%23general&limit=200")).messages
    const seen = new Set<number>()
    for (let pages = 0; pages < 9 && oldest !== undefined; pages++) {
      const before = `before=${encodeURIComponent(oldest.id)}&beforeTs=${oldest.ts}`
      const { messages, more } = await read(`messages?in=%23general&limit=40&${before}`)
      for (const { seq = 0 } of messages) seen.add(seq)
      oldest = more ? messages[0] : undefined
    }
    expect(seen.has(1)).toBe(true)
    const { messages } = await read(
      `search?q=${encodeURIComponent("from:bob in:#general 'line' 7".replaceAll("'", ""))}`,
    )
    expect(messages.some(({ text }) => text === "line 7")).toBe(true)
  })

  it("marks what a person has read, for every browser and the next start", async () => {
    const folder = mkdtempSync(join(tmpdir(), "agentchat-web-"))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const relay = await startTestRelay()
    const bob = await enter(relay, "bob")
    const path = join(folder, "anna.read.json")
    const web = await serve(relay, makeIdentity(), { positions: new ReadPositions(path) })
    const { act, state } = await makeBrowser(web)
    await bob.send("#general", "one")
    const unreadOf = async () => (await state()).conversations.find(({ key }) => key === "#general")
    const { lastTs } = await until("the message", async () => {
      const row = await unreadOf()
      return row?.unread === 1 && row
    })
    await act("read", { conversation: "#general", ts: lastTs })
    expect(await unreadOf()).toMatchObject({ unread: 0 })
    await web.close()
    expect(JSON.parse(readFileSync(path, "utf8"))).toHaveProperty(
      ["relays", relay.serverId, "#general"],
      lastTs,
    )
    await bob.send("#general", "two")
    const again = await makeBrowser(
      await serve(relay, makeIdentity(), { positions: new ReadPositions(path) }),
    )
    const row = await until("the second message", async () =>
      (await again.state()).conversations.find(({ key, count }) => key === "#general" && count === 2),
    )
    expect(row).toMatchObject({ unread: 1 })
  })
})

describe("an action of the page", () => {
  it("sends, answers a person's task with a signature, and decides a deal", async () => {
    const relay = await startTestRelay()
    const bob = await enter(relay, "bob")
    const heard: { content: string; verified: boolean; answer?: unknown }[] = []
    bob.on("message", (message) => heard.push(message))
    const identity = makeIdentity()
    const { act, state } = await makeBrowser(await serve(relay, identity))
    await act("send", { to: "#general", text: "hello" })
    await until("the message", () => heard.some(({ content, verified }) => content === "hello" && verified))
    await bob.request({ type: "MSG", to: "+human", content: "merge?", choices: ["yes", "no"] })
    await bob.propose(identity.agentId, { task: "review" })
    const needs = await until("the task and the deal", async () => {
      const { needs } = await state()
      return needs.length === 2 && needs
    })
    expect(needs.map(({ kind }) => kind)).toEqual(["task", "proposal"])
    const { task = "" } = needs[0] ?? {}
    const { deal = "" } = needs[1] ?? {}
    expect(JSON.parse((await act("answer", { task, text: "maybe" })).body)).toMatchObject({
      error: { code: "INVALID_MSG" },
    })
    expect(await act("answer", { task, text: "yes" })).toMatchObject({ status: 200 })
    await until("the signed answer", () =>
      heard.some(({ content, answer }) => content === "yes" && answer !== undefined),
    )
    expect(await act("decide", { deal, verb: "ACCEPT" })).toMatchObject({ status: 200 })
    expect((await state()).deals).toMatchObject([
      { id: deal, state: "accepted", actions: ["COMPLETE", "DISPUTE"] },
    ])
  })

  it("says which field is wrong, and carries out no unknown one", async () => {
    const web = await serve(await startTestRelay(), undefined)
    const { act } = await makeBrowser(web)
    const errorOf = async (name: string, body: unknown) =>
      (JSON.parse((await act(name, body)).body) as { error: { message: string } }).error.message
    expect(await errorOf("send", { to: "general", text: "x" })).toContain("general")
    expect(await errorOf("send", { to: "#general" })).toBe("text: is missing")
    expect(await errorOf("send", { to: "#general", text: "x", by: "eve" })).toBe("by: is no field of send")
    expect(await errorOf("send", "{")).toBe("body: must be JSON")
    expect(await errorOf("send", "x".repeat(2_000_000))).toContain("more than 1048576 bytes")
    expect(await errorOf("toString", {})).toBe("there is no action toString")
    expect(await errorOf("mode", {})).toBe("there is no action mode")
  })

  it("lets an operator kick, mute and lift, and nobody else", async () => {
    const identity = makeIdentity()
    const relay = await startTestRelay({ operators: [identity.did] })
    const bob = await enter(relay, "bob")
    const kick = { action: "kick", agent: "@bob", channel: "#general", reason: "spam", forMs: 60_000 }
    const other = await makeBrowser(await serve(relay))
    expect(JSON.parse((await other.act("moderate", kick)).body)).toMatchObject({
      error: { code: "OPERATOR_REQUIRED" },
    })
    expect(await other.state()).toMatchObject({ me: { isOperator: false } })
    const { act, state } = await makeBrowser(await serve(relay, identity))
    expect(await state()).toMatchObject({ me: { isOperator: true } })
    expect(await act("moderate", kick)).toMatchObject({ status: 200 })
    await expect(bob.join("#general")).rejects.toMatchObject({ code: "FORBIDDEN" })
    expect(await act("reset", {})).toMatchObject({ status: 200 })
  })
})

describe("the stream of changes", () => {
  /** Opens the stream. @returns the text so far, and an end */
  function follow(web: WebServer, cookie: string, lastId?: string) {
    const stream = { text: "", close: () => sent.destroy() }
    const headers = { cookie, ...(lastId !== undefined && { "last-event-id": lastId }) }
    const sent = request(`${web.url}api/events`, { headers }, (response) => {
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => (stream.text += chunk))
      response.on("error", () => {})
    })
    sent.on("error", () => {})
    sent.end()
    onTestFinished(() => void stream.close())
    return stream
  }

  it("begins with the state, goes on after the last event a page has, or begins anew", async () => {
    const relay = await startTestRelay()
    const bob = await enter(relay, "bob")
    const web = await serve(relay)
    const { cookie } = await makeBrowser(web)
    const first = follow(web, cookie)
    await until("the state", () => first.text.includes("event: state"))
    await bob.send("#general", "first words")
    await until("the change", () => first.text.includes("first words"))
    const ids = [...first.text.matchAll(/^id: (.+)$/gm)].map(([, id = ""]) => id)
    first.close()
    await bob.send("#general", "second words")
    await until("the model has it", () =>
      JSON.stringify(web.model.conversations.page("#general", undefined, 9)).includes("second words"),
    )
    const second = follow(web, cookie, ids.at(-1))
    await until("what was missed", () => second.text.includes("second words"))
    expect(second.text).not.toContain("event: state")
    expect(second.text).not.toContain("first words")
    const third = follow(web, cookie, "of-another-process-1")
    await until("everything", () => third.text.includes("event: state"))
  })
})

it("keeps the last state while the relay is away, and goes on when it is back", async () => {
  const relay = await startTestRelay()
  const bob = await enter(relay, "bob")
  await bob.send("#general", "before")
  const { state, act } = await makeBrowser(await serve(relay))
  await relay.stop()
  const away = await until("the end of the session", async () => {
    const now = await state()
    return !now.relay.isOnline && now
  })
  expect(away.agents).toContainEqual(expect.objectContaining({ name: "bob" }))
  expect(away.conversations).toContainEqual(expect.objectContaining({ key: "#general", count: 1 }))
  expect(JSON.parse((await act("send", { to: "#general", text: "x" })).body)).toMatchObject({
    error: { code: "UNREACHABLE" },
  })
  await startTestRelay({ port: Number(new URL(relay.url).port) })
  await until("the next session", async () => (await state()).relay.isOnline)
})
