import { createHmac } from "node:crypto"
import { once } from "node:events"
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { expect, it, onTestFinished, vi } from "vitest"
import { noticeHandler } from "../../../src/daemon/hooks/desktop-notice.js"
import { type ConsumerOptions, InboxConsumer } from "../../../src/daemon/hooks/inbox-consumer.js"
import { commandHandler } from "../../../src/daemon/hooks/message-command.js"
import {
  checkWebhookUrl,
  postLine,
  webhookHandler,
  webhookSecret,
} from "../../../src/daemon/hooks/webhook.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { temporaryDirectory } from "../../kit/temporary.js"

/** An inbox in a directory, and consumers of it. */
function openInbox() {
  const dir = temporaryDirectory()
  const files = {
    inbox: join(dir, "inbox.jsonl"),
    segments: join(dir, "inbox"),
    cursors: join(dir, "cursors"),
  }
  mkdirSync(files.cursors)
  let seq = 0
  const clock = new FakeClock()
  const say = (content: string, type = "MSG") =>
    appendFileSync(files.inbox, `${JSON.stringify({ seq: ++seq, type, content, ts: clock.now() })}\n`)
  const consume = (handle: ConsumerOptions["handle"], lastSeq = 0) => {
    const isWanted = ({ type }: Readonly<Record<string, unknown>>) => type === "MSG"
    return new InboxConsumer({ files, reader: "test", clock, lastSeq, isWanted, handle, log: () => {} })
  }
  return { dir, clock, say, consume }
}

/** A receiver that answers with the statuses, and then with 200. */
async function openReceiver(statuses: number[] = []) {
  const got: { readonly request: IncomingMessage; readonly body: string }[] = []
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk: Buffer) => (body += chunk.toString()))
    request.on("end", () => {
      got.push({ request, body })
      response.writeHead(statuses.shift() ?? 200, { location: "/elsewhere" }).end()
    })
  }).listen(0, "127.0.0.1")
  onTestFinished(() => void server.close())
  await once(server, "listening")
  return { got, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` }
}

it("hands over new lines one at a time, in order, and after a restart goes on behind the last one", async () => {
  const { say, consume } = openInbox()
  for (const text of ["a", "b"]) say(text)
  say("left out", "AGENT_JOINED")
  const handled: string[] = []
  let running = 0
  const handle: ConsumerOptions["handle"] = async ({ fields }) => {
    expect(++running).toBe(1)
    await Promise.resolve()
    running--
    handled.push(String(fields["content"]))
    return "done"
  }
  const first = consume(handle)
  first.poke()
  first.poke()
  await vi.waitFor(() => expect(handled).toEqual(["a", "b"]))
  first.close()
  say("c")
  consume(handle).poke()
  await vi.waitFor(() => expect(handled).toEqual(["a", "b", "c"]))
})

it("begins behind what was there before its first start", async () => {
  const { say, consume } = openInbox()
  say("old")
  const handled: unknown[] = []
  const consumer = consume(({ fields }) => {
    handled.push(fields["content"])
    return Promise.resolve("done")
  }, 1)
  say("new")
  consumer.poke()
  await vi.waitFor(() => expect(handled).toEqual(["new"]))
})

it("repeats a line that was being handled when the daemon ended, and tries a failed one again later", async () => {
  const { say, consume, clock } = openInbox()
  say("a")
  let starts = 0
  const first = consume(() => {
    starts++
    return new Promise(() => {})
  })
  first.poke()
  first.close()
  const failures: number[] = []
  consume((_, before) => {
    failures.push(before)
    return Promise.resolve(before < 2 ? "retry" : "done")
  }).poke()
  for (let tries = 1; tries < 3; tries++) {
    await vi.waitFor(() => expect(failures).toHaveLength(tries))
    await new Promise((resolve) => void setImmediate(resolve))
    clock.advance(1_000 * 2 ** (tries - 1))
  }
  await vi.waitFor(() => expect(failures).toEqual([0, 1, 2]))
  expect(starts).toBe(1)
})

it("passes a line to a command on its input, never on its command line, and leaves it out after eight failures", async () => {
  const dir = temporaryDirectory()
  const log: string[] = []
  const text = JSON.stringify({ seq: 1, content: "$(touch broken); `touch broken`" })
  const entry = { seq: 1, text, fields: {} }
  const { signal } = new AbortController()
  const copy = commandHandler("cat > got", dir, (line) => log.push(line))
  expect(await copy(entry, 0, signal)).toBe("done")
  expect(readFileSync(join(dir, "got"), "utf8")).toBe(`${text}\n`)
  expect(existsSync(join(dir, "broken"))).toBe(false)
  const fail = commandHandler("exit 3", dir, (line) => log.push(line))
  expect(await fail(entry, 0, signal)).toBe("retry")
  expect(await fail(entry, 7, signal)).toBe("done")
  expect(log).toEqual([
    "on-message: line 1: exit status 3",
    "on-message: line 1: exit status 3; it is left out",
  ])
})

it("signs what it sends, with its time, and follows no redirect", async () => {
  const { got, url } = await openReceiver([302])
  const clock = new FakeClock()
  const webhook = { url, secret: "0123456789abcdef", clock }
  const text = '{"seq":7,"content":"hi"}'
  expect(await postLine(webhook, { seq: 7, text })).toBe("status 302")
  expect(await postLine(webhook, { seq: 7, text })).toBeUndefined()
  expect(got.map(({ request }) => request.url)).toEqual(["/hook", "/hook"])
  const headers: Readonly<Record<string, unknown>> = got[1]?.request.headers ?? {}
  const timestamp = String(headers["x-agentchat-timestamp"])
  expect(Number(timestamp)).toBe(Math.floor(clock.now() / 1_000))
  const expected = createHmac("sha256", webhook.secret)
    .update(`${timestamp}.${got[1]?.body ?? ""}`)
    .digest("hex")
  expect(headers).toMatchObject({ "x-agentchat-delivery": "7", "x-agentchat-signature": `v1=${expected}` })
  expect(got[1]?.body).toBe(text)
})

it("keeps a line that was not taken for a day, and goes on with the next", async () => {
  const { url } = await openReceiver([500, 500])
  const { dir, clock } = openInbox()
  const dead = join(dir, "dead.jsonl")
  const handle = webhookHandler({ url, secret: "0123456789abcdef", clock }, dead, () => {})
  const entry = { seq: 1, text: '{"seq":1}', fields: { ts: clock.now() } }
  const { signal } = new AbortController()
  expect(await handle(entry, 0, signal)).toBe("retry")
  expect(existsSync(dead)).toBe(false)
  clock.advance(24 * 3_600_000)
  expect(await handle(entry, 1, signal)).toBe("done")
  expect(JSON.parse(readFileSync(dead, "utf8"))).toMatchObject({
    seq: 1,
    error: "status 500",
    line: '{"seq":1}',
  })
})

it("makes a secret that only its owner can read, and refuses addresses that are none or show a password", () => {
  const path = join(temporaryDirectory(), "webhook.secret")
  const secret = webhookSecret(path)
  expect(secret.length).toBeGreaterThan(40)
  expect(webhookSecret(path)).toBe(secret)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  for (const url of ["file:///etc/passwd", "example.org", "https://a:b@example.org"])
    expect(() => checkWebhookUrl(url)).toThrow(/--webhook/)
})

it("shows a notice with the name as an argument of its own, without the text, and at most every ten seconds", async () => {
  const clock = new FakeClock()
  const started: (readonly string[])[] = []
  const notify = noticeHandler(
    clock,
    () => {},
    (program, args) => {
      started.push([program, ...args])
      return Promise.resolve(program === "osascript")
    },
  )
  const entry = { seq: 1, text: "", fields: { type: "MSG", name: "--help\u202e$(x)", content: "a secret" } }
  await notify(entry)
  await notify(entry)
  expect(started.map(([program]) => program)).toEqual(["notify-send", "osascript"])
  expect(started[0]?.slice(-3)).toEqual([
    "--",
    "agentchat: --help\\u{202e}$(x)",
    "needs you: agentchat inbox",
  ])
  expect(JSON.stringify(started)).not.toContain("secret")
})
