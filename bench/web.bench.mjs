// The web page with 10,000 messages and 200 agents: first paint, the time of an update, memory over 50,000 updates.
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { chromium } from "playwright-core"
import { importBuilt } from "./kit/built.mjs"
import { startHelper, withCleanup } from "./kit/children.mjs"
import { sleep } from "./kit/clock.mjs"
import { startRelay } from "./kit/relay.mjs"
import { median } from "./kit/statistics.mjs"

const messages = 10_000
const agents = 200
const visits = 5
const updates = 50_000
const updatesAtOnce = 500
const mebibyte = 2 ** 20

setFlagsFromString("--expose-gc")
const collect = /** @type {() => void} */ (runInNewContext("gc"))

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  return withCleanup(async (defer) => {
    const { url } = await startRelay(defer)
    const { AgentChatClient } = /** @type {typeof import("../src/index.js")} */ (
      await importBuilt("index.js")
    )
    const { WebServer } = /** @type {typeof import("../src/web/web-server.js")} */ (
      await importBuilt("web/web-server.js")
    )
    /** @type {import("./kit/children.mjs").Helper<import("./load/web-speakers.mjs").SpeakersApi>} */
    const speakers = startHelper(new URL("load/web-speakers.mjs", import.meta.url), defer)
    const lines = (/** @type {string} */ words, /** @type {number} */ from) =>
      Array.from({ length: updatesAtOnce }, (_, n) => `${words} ${from + n}`)
    await speakers.ask("connect", { server: url, agents })
    const person = new AgentChatClient({ server: url, name: "anna" })
    const options = { client: person, relayUrl: url, identity: undefined, name: "anna", positions: undefined }
    const { systemClock: clock } = /** @type {typeof import("../src/base/clock.js")} */ (
      await importBuilt("base/clock.js")
    )
    const where = { host: "127.0.0.1", port: 0, clock, log: console.error }
    const web = await WebServer.start({ ...options, ...where })
    defer(() => web.close())
    for (let n = 0; n < messages; n += updatesAtOnce) await speakers.ask("say", lines("message number", n))
    const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: flags })
    defer(() => browser.close())
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(web.link)
    const paints = []
    for (let visit = 0; visit < visits; visit++) {
      await page.goto(web.url)
      await page.locator(".message").first().waitFor()
      paints.push(
        Number(await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")),
      )
    }
    const times = await timeUpdates(page, (text) => speakers.ask("say", [text]))
    const session = await context.newCDPSession(page)
    const heaps = async () => {
      collect()
      await session.send("HeapProfiler.collectGarbage")
      const used = await page.evaluate("performance.memory.usedJSHeapSize")
      const nodes = await page.evaluate("document.querySelectorAll('*').length")
      return [process.memoryUsage().heapUsed, Number(used), Number(nodes)]
    }
    const rows = []
    for (let done = 0; done <= updates; done += updatesAtOnce) {
      if (done % (updates / 2) === 0) {
        const [server = 0, browserHeap = 0, nodes = 0] = await heaps()
        rows.push([
          `after ${done.toLocaleString("en")} updates`,
          (server / mebibyte).toFixed(1),
          (browserHeap / mebibyte).toFixed(1),
          String(nodes),
        ])
      }
      await speakers.ask("say", lines("line", done))
    }
    return {
      goal: "first paint within 1 s, an update within 100 ms, memory flat over 50,000 updates",
      notes: [
        `${messages.toLocaleString("en")} messages of ${agents} agents; first paint ${median(paints).toFixed(0)} ms (median of ${visits})`,
        `an update, from the sender's call until it is on the page: ${median(times)} ms, at most ${Math.max(...times)} ms (${times.length} times)`,
      ],
      tables: [
        {
          caption: "What is in use after garbage collection",
          columns: ["", "server, heap (MiB)", "page, heap (MiB)", "elements of the page"],
          rows,
        },
      ],
    }
  })
}

/**
 * Measures the time from the call that sends a message until it is the last one on the page.
 * @param {import("playwright-core").Page} page
 * @param {(text: string) => Promise<unknown>} send
 * @returns {Promise<number[]>} milliseconds
 */
async function timeUpdates(page, send) {
  const times = []
  for (let n = 0; n < 30; n++) {
    const text = `update ${n} of the page`
    const last = `document.querySelector(".message:last-child .text")?.textContent`
    const look = `const look = () => ${last} === ${JSON.stringify(text)} ? done(Date.now()) : requestAnimationFrame(look)`
    const seen = page.evaluate(`new Promise((done) => { ${look}; look() })`)
    await sleep(20)
    const sentMs = Date.now()
    await send(text)
    times.push(Number(await seen) - sentMs)
  }
  return times
}
