import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Pair, proofOf, startTs } from "../cli/receipts/receipt-maker.js"
import { Browser } from "../kit/browser.js"
import { ReceiptMutator } from "../kit/mutated-receipts.js"
import { hasProgram } from "../kit/requires.js"
import { temporaryDirectory } from "../kit/temporary.js"
import { readFileVectors, readReceiptVectors } from "../kit/vector-lines.js"
import { ourVerdicts, pageVerdicts } from "../kit/verdicts.js"

const pagePath = join(import.meta.dirname, "../../verifiers/verify.html")
const { receipts, keys } = readReceiptVectors()

function hashesOf(html: string): { script: string; style: string } {
  const hash = (element: string) => {
    const text = new RegExp(`<${element}>([^]*)</${element}>`).exec(html)?.[1] ?? ""
    return `sha256-${createHash("sha256").update(text).digest("base64")}`
  }
  return { script: hash("script"), style: hash("style") }
}

describe("verify.html as a file", () => {
  it("allows only its own script and style; UPDATE_VECTORS=1 updates their hashes", () => {
    const html = readFileSync(pagePath, "utf8")
    const { script, style } = hashesOf(html)
    const policy = `default-src 'none'; script-src '${script}'; style-src '${style}'; base-uri 'none'; form-action 'none'`
    if (process.env["UPDATE_VECTORS"] !== undefined) {
      writeFileSync(pagePath, html.replace(/default-src 'none'[^"]*/, policy))
    }
    expect(readFileSync(pagePath, "utf8")).toContain(`content="${policy}"`)
  })

  it("never turns a text into markup or code", () => {
    const html = readFileSync(pagePath, "utf8")
    expect(html).not.toMatch(
      /innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|\bimport\(/,
    )
    expect(html).not.toMatch(/https?:|\bfetch\b|XMLHttp|WebSocket|sendBeacon|<(?:img|link|iframe|a)\b/)
  })
})

describe.runIf(hasProgram("chromium"))("verify.html in Chromium", () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await Browser.start()
    await browser.visit(pathToFileURL(pagePath).href)
  })
  afterAll(() => browser.close())

  /** Returns the verdict of the page on pasted text. */
  async function paste(text: string, keyLines: readonly string[] = []): Promise<Shown> {
    await forget()
    return (await browser.evaluate(`(async () => {
      document.querySelector("#text").value = ${JSON.stringify(text)}
      document.querySelector("#keys").value = ${JSON.stringify(keyLines.join("\n"))}
      document.querySelector("#check").click()
      ${seen}
    })()`)) as Shown
  }

  /** Returns the verdict of the page on the bytes of a file. */
  async function choose(bytes: Uint8Array): Promise<Shown> {
    await forget()
    const path = join(temporaryDirectory(), "receipts.jsonl")
    writeFileSync(path, bytes)
    await browser.chooseFile("#file", path)
    return (await browser.evaluate(`(async () => { ${seen} })()`)) as Shown
  }

  async function forget(): Promise<void> {
    await browser.evaluate(`document.querySelector("#total").textContent = ""`)
  }

  it.each(receipts)("$verdict: $why", async ({ bytes, keys: keyLines, verdict, proves }) => {
    const lines = keyLines.map((line) => `\n${line}`).join("")
    const shown = await choose(Buffer.concat([bytes, Buffer.from(lines)]))
    expect(shown.cards[0]?.status, JSON.stringify(shown.cards[0])).toBe(verdict)
    expect(shown.cards.slice(1).map(({ status }) => status)).toEqual(keyLines.map(() => "valid"))
    if (verdict === "valid") expect(shown.cards[0]?.rows["proven"]).toBe(proves.join(", "))
    else expect(shown.cards[0]?.rows).toEqual({ because: expect.stringMatching(/\S/) as string })
  })

  async function verdictsOf(bytes: Uint8Array): Promise<string[]> {
    await forget()
    const path = join(temporaryDirectory(), "receipts.jsonl")
    writeFileSync(path, bytes)
    await browser.chooseFile("#file", path)
    return (await browser.evaluate(`(async () => { ${pageVerdicts} })()`)) as string[]
  }

  it("agrees with every file", async () => {
    for (const { why, bytes, verdicts } of readFileVectors()) {
      expect([why, await verdictsOf(bytes)]).toEqual([why, verdicts])
    }
  })

  it("agrees with our own verifier on 3,000 changed lines and 60 changed files", async () => {
    const mutator = new ReceiptMutator(Number(process.env["RECEIPT_SEED"] ?? 1), receipts)
    const lines = Array.from({ length: 3_000 }, () => Buffer.concat([mutator.line(), Buffer.from("\n")]))
    const first = Buffer.from(`${String(receipts[0]?.bytes)}\n`)
    for (const bytes of [
      Buffer.concat([first, ...lines]),
      ...Array.from({ length: 60 }, () => mutator.file()),
    ]) {
      const path = join(temporaryDirectory(), "receipts.jsonl")
      writeFileSync(path, bytes)
      const ours = await ourVerdicts(path)
      const told = await verdictsOf(bytes)
      const at = ours.findIndex((verdict, index) => verdict !== told[index])
      const shown =
        at < 0 ? [] : [ours[at], told[at], bytes.toString().split("\n")[Number.parseInt(ours[at] ?? "") - 1]]
      expect(shown).toEqual([])
      expect(told).toHaveLength(ours.length)
    }
  })

  it.each(keys)("$verdict: $why", async ({ line, verdict }) => {
    expect((await choose(Buffer.from(line))).cards.map(({ status }) => status)).toEqual([verdict])
  })

  it("verifies pasted receipts, with pasted statements about keys", async () => {
    const revoked = receipts.find(({ why }) => why === "the key was revoked before its last word")
    const text = revoked?.bytes.toString() ?? ""
    const bare = await paste(`\n${text}\n\n`)
    expect(bare).toMatchObject({ total: "1 valid, 0 invalid, 0 undecided.", cards: [{ status: "valid" }] })
    expect(bare.cards[0]?.rows["not checked"]).toContain("revocation: no statement about the key of @")
    const told = await paste(text, revoked?.keys)
    expect(told).toMatchObject({ total: "0 valid, 1 invalid, 0 undecided.", cards: [{ status: "invalid" }] })
  })

  it("rejects a forged statement about a key", async () => {
    const [line] = receipts
    const forged = keys.find(({ why }) => why === "a revocation by another key")?.line ?? ""
    const shown = await paste(line?.bytes.toString() ?? "", [forged])
    expect(shown.cards.map(({ status }) => status)).toEqual(["undecided", "valid"])
  })

  it("shows texts of other agents as text", async () => {
    const hostile = receipts.find(({ why }) => why.startsWith("every optional member"))
    const shown = await paste(hostile?.bytes.toString() ?? "")
    expect(shown.cards[0]?.rows["task"]).toContain('Say "hello" & <b>bye</b> 😀')
    expect(await browser.evaluate(`document.querySelectorAll("b, img, a").length`)).toBe(0)
  })

  it("shows terms, times and reasons, which cannot hide or imitate the page", async () => {
    const pair = new Pair()
    const terms = `<img src=x onerror=alert(1)>\n\tno \u202eyadnus\u202c\u200b ${"x".repeat(3_000)}${"\n".repeat(500)}`
    const offer = { task: "a\u0007b", terms, payment_code: "PM1", expires: 3_600, dispute_window: 7_200 }
    const accepted = pair.accepted(offer)
    const id = { proposal_id: accepted.id }
    const at = (s: number) => startTs + s * 1_000
    const completed = pair.say(accepted, pair.recipient, { type: "COMPLETE", ...id, proof: "tx 1" }, at(2))
    const dispute = { type: "DISPUTE", ...id, reason: "\u2066late\u2069", fault: "other" } as const
    const disputed = pair.say(completed, pair.proposer, dispute, at(3))
    const { rows = {} } = (await paste(JSON.stringify(proofOf(disputed)))).cards[0] ?? {}
    expect(rows).toMatchObject({
      task: "a\\u{7}b",
      payment: "PM1",
      "accept by": "2026-01-15T11:00:00.000Z",
      "dispute by": "2026-01-15T12:00:02.000Z",
      accepted: "2026-01-15T10:00:01.000Z by the recipient",
      completed: "2026-01-15T10:00:02.000Z by the recipient",
      proof: "tx 1",
      disputed: "2026-01-15T10:00:03.000Z by the proposer",
      reason: "\\u{2066}late\\u{2069}",
      fault: "other, as who disputes sees it",
    })
    const head = "<img src=x onerror=alert(1)>\n\tno \\u{202e}yadnus\\u{202c}\\u{200b} "
    expect(rows["terms"]).toBe(`${head}${"x".repeat(3_000)}${"\n".repeat(500)}`)
    expect(
      await browser.evaluate(
        `Math.max(...Array.from(document.querySelectorAll("dd"), (row) => row.clientHeight))`,
      ),
    ).toBeLessThan(300)
    expect(await browser.evaluate(`document.querySelectorAll("article img, article script").length`)).toBe(0)
  })

  it("reports empty input", async () => {
    expect(await paste(" \n ")).toEqual({ total: "There is no receipt in it.", cards: [] })
  })

  it("verifies the elements of a JSON array", async () => {
    const [first, second] = receipts
    const shown = await paste(`[\n  ${String(first?.bytes)},\n  ${String(second?.bytes)}\n]`)
    expect(shown.total).toBe("2 valid, 0 invalid, 0 undecided.")
  })

  it("verifies a receipt that spans several lines, and names a tool for envelopes", async () => {
    const pretty = JSON.stringify(JSON.parse(String(receipts[0]?.bytes)), undefined, 2)
    expect((await paste(pretty)).total).toBe("1 valid, 0 invalid, 0 undecided.")
    expect((await paste(pretty.slice(0, -1))).cards).toEqual([
      { status: "undecided", rows: { because: "is not a receipt" } },
    ])
    const envelope = '{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[]}'
    expect((await paste(envelope)).cards).toEqual([
      {
        status: "undecided",
        rows: { because: "is an envelope, which `agentchat receipts verify` opens" },
      },
    ])
  })

  it("cannot decide in a browser without Ed25519", async () => {
    const script = `crypto.subtle.verify = () => Promise.reject(new Error("unknown"))`
    await browser.evaluate(script)
    const text = receipts[0]?.bytes.toString() ?? ""
    const shown = await paste(text)
    expect(shown.cards).toEqual([
      { status: "undecided", rows: { because: "this browser cannot check Ed25519 signatures" } },
    ])
    await browser.evaluate("crypto.subtle.verify = () => Promise.resolve(true)")
    expect((await paste(text)).cards[0]?.status).toBe("undecided")
    await browser.visit(pathToFileURL(pagePath).href)
    expect((await paste(text)).cards[0]?.status).toBe("valid")
  })

  it("makes no requests, and is not allowed to", async () => {
    const own = pathToFileURL(pagePath).href
    expect(browser.requests.filter((url) => url !== own && url !== "about:blank")).toEqual([])
    expect(browser.complaints).toEqual([])
    let heard = 0
    const server = createServer((_request, response) => {
      heard++
      response.end()
    })
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    const { port } = server.address() as AddressInfo
    const outcome = await browser.evaluate(
      `fetch("http://127.0.0.1:${port}/").then(() => "sent", () => "refused")`,
    )
    await new Promise((done) => server.close(done))
    expect({ outcome, heard }).toEqual({ outcome: "refused", heard: 0 })
  })
})

interface Shown {
  readonly total: string
  readonly cards: readonly { readonly status: string; readonly rows: Readonly<Record<string, string>> }[]
}

/** Waits until the page has said what came out, and reads it as a reader would. */
const seen = `
  const total = document.querySelector("#total")
  while (total.textContent === "" || total.textContent === "Checking…") await new Promise(requestAnimationFrame)
  const cards = Array.from(document.querySelectorAll("article"), (card) => {
    const rows = {}
    for (const name of card.querySelectorAll("dt")) {
      rows[name.textContent] = [rows[name.textContent], name.nextSibling.textContent].filter(Boolean).join("; ")
    }
    return { status: card.className, rows }
  })
  return { total: total.textContent, cards }`
