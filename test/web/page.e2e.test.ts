import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type BrowserContext, chromium, type Page } from "playwright-core"
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest"
import type { WebServer } from "../../src/web/web-server.js"
import { enter, makeIdentity, serve, startTestRelay } from "../kit/page.js"
import { hasProgram } from "../kit/requires.js"

const flags = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
]
/** Most elements of the page, whatever it shows. */
const maxElements = 9_000
const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>\u202e[x](javascript:alert(1))`

describe.runIf(hasProgram("chromium"))("the page in a browser", () => {
  let context: BrowserContext
  let folder: string
  let problems: string[]

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "agentchat-page-"))
    const options = { executablePath: "/usr/bin/chromium", args: flags, locale: "en-US" }
    context = await chromium.launchPersistentContext(folder, options)
  })
  beforeEach(() => {
    problems = []
  })
  afterAll(async () => {
    await context.close()
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  })

  /** Opens the page. Every error, message on the console and violated rule becomes a problem. */
  async function open(url: string): Promise<Page> {
    const page = await context.newPage()
    onTestFinished(() => page.close())
    page.on("console", (line) => problems.push(line.text()))
    page.on("pageerror", (error) => problems.push(String(error)))
    page.on("dialog", (dialog) => void dialog.dismiss())
    await page.addInitScript(
      "document.addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))",
    )
    await page.goto(url)
    await page.locator(".pill.live").waitFor()
    return page
  }

  const openNew = (web: WebServer) => open(web.link)

  it("shows who needs the person first, and answers from the lane with one key and a click", async () => {
    const relay = await startTestRelay()
    const bob = await enter(relay, "bob")
    const answers: string[] = []
    bob.on("message", ({ content }) => answers.push(content))
    await bob.setPresence("waiting", "needs the staging password")
    await bob.request({
      type: "MSG",
      to: "+human",
      content: "may I merge?",
      choices: ["yes", "no"],
      default: "no",
      ttl_s: 60,
    })
    const identity = makeIdentity()
    const page = await openNew(await serve(relay, identity))
    await bob.propose(identity.agentId, { task: "review the parser" })
    await bob.dm(identity.agentId, "shall I tag it?", { kind: "request" })
    const needs = page.locator(".need")
    await expect.poll(() => needs.count()).toBe(4)
    expect(await needs.first().textContent()).toContain("bob is waiting")
    await page.keyboard.press("n")
    await expect.poll(() => page.locator(":focus").getAttribute("data-need")).toBe(`waiting ${bob.id}`)
    await needs.locator("button", { hasText: /^yes$/ }).click()
    await expect.poll(() => answers).toContain("yes")
    await needs.locator("button", { hasText: "Accept" }).click()
    await expect.poll(() => needs.count()).toBe(2)
    await needs.locator("button", { hasText: "Reply" }).click()
    await page.locator(".answering").waitFor()
    await page.keyboard.type("yes, do")
    await page.keyboard.press("Enter")
    await expect.poll(() => answers).toContain("yes, do")
    await expect.poll(() => needs.count()).toBe(1)
    expect(problems).toEqual([])
  })

  it("shows channels with unread counts, the marker, replies, stages and what is older", async () => {
    const relay = await startTestRelay()
    const bob = await enter(relay, "bob")
    await bob.createChannel("#build")
    for (let n = 1; n <= 130; n++) await bob.send("#build", `line ${n}`)
    const web = await serve(relay)
    const page = await openNew(web)
    const { id } = await bob.send("#build", "is it green?")
    await bob.send("#build", "it is", { inReplyTo: id })
    await expect.poll(() => page.locator("[data-key='#build'] .count").textContent()).toBe("2")
    await page.locator("[data-key='#build']").click()
    await expect.poll(() => page.locator(".message").count()).toBe(100)
    expect(await page.locator(".message:has(.marker) .text").textContent()).toBe("is it green?")
    expect(await page.locator(".quote").textContent()).toContain("bob: is it green?")
    await expect.poll(() => page.locator("[data-key='#build'] .count").count()).toBe(0)
    await page.locator("button.older").click()
    await expect.poll(() => page.locator(".message").count()).toBe(132)
    await page.locator(".message button", { hasText: "1 reply" }).click()
    await expect.poll(() => page.locator(".message").count()).toBe(2)
    await page.keyboard.press("c")
    await page.keyboard.type("thank you")
    await page.keyboard.press("Enter")
    await page.locator("button", { hasText: "Whole conversation" }).click()
    const own = page.locator(".message.mine")
    await expect.poll(() => own.locator(".text").textContent()).toBe("thank you")
    await own.locator("summary").click()
    expect(await own.locator(".stage li").first().textContent()).toContain("the relay has it")
    expect(problems).toEqual([])
  })

  it("finds messages, opens their place, and obeys typed commands", async () => {
    const relay = await startTestRelay()
    const bob = await enter(relay, "bob")
    await bob.send("#general", "the needle is here")
    await bob.send("#general", "hay")
    const page = await openNew(await serve(relay))
    await page.keyboard.press("/")
    await page.keyboard.type("from:bob needle")
    await page.keyboard.press("Enter")
    await page.locator(".found button", { hasText: "the needle is here" }).click()
    expect(await page.locator(".message.selected .text").textContent()).toBe("the needle is here")
    await page.keyboard.press(":")
    await page.keyboard.type("send #general by command")
    await page.keyboard.press("Enter")
    await page.locator(".message .text", { hasText: "by command" }).waitFor()
    await page.keyboard.press(":")
    await page.keyboard.type("kick @bob")
    await page.keyboard.press("Enter")
    await expect.poll(() => page.locator("#notice").textContent()).toContain("kick #channel @agent")
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    expect(await page.locator("dialog").textContent()).toContain("mute @agent [1h] REASON")
    await page.keyboard.press("Escape")
    for (const [key, title] of [
      ["2", "Agents"],
      ["3", "Work"],
      ["4", "Guards"],
    ] as const) {
      await page.keyboard.press(key)
      await expect.poll(() => page.locator("main h1").textContent()).toBe(title)
    }
    expect(problems).toEqual([])
  })

  it("shows work: a deal with its statements, verified, a task with its lease, ratings and the graph", async () => {
    const identity = makeIdentity()
    const relay = await startTestRelay({ operators: [identity.did] })
    const [bob, cy] = [await enter(relay, "bob"), await enter(relay, "cy", { role: "tester" })]
    await cy.setPresence("idle")
    await bob.send("+tester", "run the tests")
    const { id } = await bob.propose(cy.id, { task: "move the parser", amount: "5", currency: "EUR" })
    await cy.accept(id)
    await cy.complete(id, "done")
    await bob.complete(id)
    await bob.send("#general", "well done")
    const page = await openNew(await serve(relay, identity))
    await page.keyboard.press("3")
    expect(await page.locator(".task").textContent()).toMatch(/\+tester.*cy has it.*left/)
    await page.locator(".deal-line").click()
    await page.locator("button", { hasText: "Verify" }).click()
    await expect.poll(() => page.locator(".timeline .good").count()).toBe(4)
    await expect.poll(() => page.locator(".leaders li").count()).toBe(2)
    expect(await page.locator(".curves .curve").count()).toBe(2)
    expect(await page.locator(".graph .edge").count()).toBeGreaterThan(0)
    expect(problems).toEqual([])
  })

  it("shows nothing of an agent as markup, on any view", async () => {
    const identity = makeIdentity()
    const relay = await startTestRelay({ operators: [identity.did] })
    const bob = await enter(relay, "constructor", { card: { description: hostile } })
    await bob.createChannel("#x", { description: hostile.slice(0, 200) })
    await bob.setPresence("waiting", hostile.slice(0, 200))
    const { id } = await bob.send("#x", hostile)
    await bob.send("#x", hostile, { inReplyTo: id, parts: [{ kind: "text", text: hostile }] })
    await bob.request({ type: "MSG", to: "+human", content: hostile, choices: [hostile.slice(0, 60), "no"] })
    const page = await openNew(await serve(relay, identity))
    await bob.propose(identity.agentId, { task: hostile, terms: hostile })
    await bob.dm(identity.agentId, hostile)
    await page.locator("[data-key='#x']").click()
    await expect.poll(() => page.locator(".message .text").first().textContent()).toBe(hostile)
    await page.keyboard.press("2")
    await page.locator(".agent-name", { hasText: "constructor" }).click()
    expect(await page.locator(".details").textContent()).toContain(hostile)
    await page.keyboard.press("3")
    await page.locator(".deal-line").click()
    await page.keyboard.press("4")
    await page.keyboard.press("/")
    await page.keyboard.type("img")
    await page.keyboard.press("Enter")
    await expect.poll(() => page.locator(".found li").count()).toBeGreaterThan(1)
    const strange =
      "script:not([src='/main.js']), img, iframe, object, embed, [onerror], [href^='javascript'], style"
    expect(await page.locator(strange).count()).toBe(0)
    expect(await page.title()).toMatch(/^\(\d+\) agentchat$/)
    expect(problems).toEqual([])
  })

  it("stays small with 10,000 messages and 200 agents", async () => {
    const relay = await startTestRelay()
    const web = await serve(relay)
    const { model } = web
    const base = { isMine: false, isForMe: false, stages: [], parts: 0, mentions: [], verified: true }
    for (let seq = 1; seq <= 10_000; seq++) {
      const from = `@${String(seq % 200).padStart(16, "0")}`
      const text = { text: `line ${seq}`, name: `agent-${seq % 200}`, ts: Date.now() - 10_000 + seq }
      model.addMessage(
        { ...base, ...text, id: `m${seq}`, conversation: "#general", from, seq },
        "#general",
        [],
      )
    }
    // The roster is asked for again every few seconds, so the agents are there as soon as the page is.
    const page = await openNew(web)
    model.setAgents(
      Array.from({ length: 200 }, (_, n) => ({
        ...{ id: `@${String(n).padStart(16, "0")}`, name: `agent-${n}`, state: "working", claims: 0 },
      })),
    )
    await expect.poll(() => page.locator(".message").count()).toBe(100)
    await page.keyboard.press("2")
    await expect.poll(() => page.locator(".agent").count()).toBeGreaterThan(0)
    await page.keyboard.press("1")
    await expect.poll(() => page.locator(".message").count()).toBe(100)
    for (let times = 0; times < 4; times++) {
      const shown = await page.locator(".message").count()
      await page.locator("button.older").click()
      await expect
        .poll(() => page.locator(".message").count())
        .toBeGreaterThanOrEqual(Math.min(shown + 1, 300))
    }
    expect(await page.locator(".message").count()).toBeLessThanOrEqual(300)
    expect(await page.evaluate("document.querySelectorAll('*').length")).toBeLessThan(maxElements)
    expect(model.conversations.size).toBeLessThanOrEqual(2_001)
    expect(problems).toEqual([])
  })

  it("marks what it shows as stale while the relay is away, in both tabs, and goes on", async () => {
    const relay = await startTestRelay()
    const bob = await enter(relay, "bob")
    await bob.send("#general", "before the storm")
    const web = await serve(relay)
    const first = await openNew(web)
    const second = await open(web.url)
    await first.locator(".message .text", { hasText: "before the storm" }).waitFor()
    await first.keyboard.press("c")
    await first.keyboard.type("hello from the first tab")
    await first.keyboard.press("Enter")
    await second.locator(".message .text", { hasText: "hello from the first tab" }).waitFor()
    await relay.stop()
    for (const page of [first, second]) {
      await page.locator("body.stale .pill.stale").waitFor()
      expect(await page.locator(".message .text").first().textContent()).toBe("before the storm")
    }
    await startTestRelay({ port: Number(new URL(relay.url).port) })
    await first.locator(".pill.live").waitFor()
    await second.locator(".pill.live").waitFor()
    expect(problems).toEqual([])
  })

  it("speaks Chinese, fits 400 pixels, and names every control", async () => {
    const relay = await startTestRelay()
    await enter(relay, `a-very-long-name-${"x".repeat(40)}`)
    const page = await openNew(await serve(relay))
    await page.locator("button", { hasText: /^ZH$/ }).click()
    await expect.poll(() => page.locator(".needs h2").textContent()).toContain("需要你处理")
    expect(await page.evaluate("document.documentElement.lang")).toBe("zh-CN")
    await page.setViewportSize({ width: 400, height: 800 })
    for (const key of ["1", "2", "3", "4"]) {
      await page.keyboard.press(key)
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(400)
      const nameless = await page.evaluate(`[...document.querySelectorAll("button, input, select, textarea")]
        .filter((each) => each.checkVisibility())
        .filter((each) => (each.getAttribute("aria-label") ?? each.textContent).trim() === "")
        .map((each) => each.outerHTML)`)
      expect(nameless).toEqual([])
    }
    await page.locator("button", { hasText: /^EN$/ }).click()
    expect(problems).toEqual([])
  })
})
