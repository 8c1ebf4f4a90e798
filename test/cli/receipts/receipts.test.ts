import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Readable } from "node:stream"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parse as parseYaml } from "yaml"
import type { Context } from "../../../src/cli/context.js"
import { formatIsoTime } from "../../../src/cli/output/time.js"
import { openEnvelope, sealReceipt } from "../../../src/cli/receipts/in-toto.js"
import { KeyRing, readKeyStatement } from "../../../src/cli/receipts/key-statements.js"
import { exportReceipts } from "../../../src/cli/receipts/receipt-export.js"
import {
  collectReceipts,
  DecimalSum,
  formatSummary,
  summarize,
} from "../../../src/cli/receipts/receipt-facts.js"
import { withInputFile } from "../../../src/cli/receipts/receipt-source.js"
import { verifyReceipts } from "../../../src/cli/receipts/receipt-verify.js"
import { agentIdOf } from "../../../src/identity/keys.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { signRevocation, signRotation } from "../../../src/identity/succession.js"
import { formatReceipt, type Receipt } from "../../../src/proposals/receipt.js"
import { newIdentity } from "../../kit/identity.js"
import { temporaryDirectory } from "../../kit/temporary.js"
import { Pair, proofOf, startTs } from "./receipt-maker.js"

/** Creates a minimal context that records what a command prints. */
function printer(json = false) {
  const out: string[] = []
  const err: string[] = []
  const io = {
    out: (line: string) => void out.push(line),
    json: (value: unknown) => void out.push(JSON.stringify(value)),
    err: (line: string) => void err.push(line),
    note: (line: string) => void err.push(line),
    flush: async () => {},
  }
  return { out, err, context: { io, config: { json } } as unknown as Context }
}

function fileOf(...lines: readonly (string | Receipt | object)[]): string {
  const path = join(temporaryDirectory(), "receipts.jsonl")
  const texts = lines.map((line) =>
    typeof line === "string" ? line : "proposal" in line ? formatReceipt(line) : JSON.stringify(line),
  )
  writeFileSync(path, texts.map((text) => `${text}\n`).join(""))
  return path
}

async function verdictOn(path: string | number, keys = new KeyRing()) {
  const { out, err, context } = printer()
  const status = await verifyReceipts(context, path, keys)
  return { status, out: out.join("\n"), err }
}

describe("DecimalSum", () => {
  const sumOf = (...amounts: string[]) => {
    const sum = new DecimalSum()
    for (const amount of amounts) sum.add(amount)
    return sum.toString()
  }

  it("adds decimal fractions exactly", () => {
    expect(sumOf("0.1", "0.2")).toBe("0.3")
    expect(sumOf("0.05", "0.05", "0.05")).toBe("0.15")
    expect(sumOf("50", "0")).toBe("50")
    expect(sumOf()).toBe("0")
    expect(sumOf("999999999999999999999.999999999999999999", "0.000000000000000001")).toBe(
      "1000000000000000000000",
    )
  })

  it("adds like integers of the smallest unit", () => {
    const units = fc.bigInt({ min: 0n, max: 10n ** 30n })
    const textOf = (n: bigint) => {
      const digits = n.toString().padStart(19, "0")
      return `${digits.slice(0, -18)}.${digits.slice(-18)}`
    }
    fc.assert(
      fc.property(fc.array(units), (amounts) => {
        const total = textOf(amounts.reduce((a, b) => a + b, 0n)).replace(/\.?0+$/, "")
        expect(sumOf(...amounts.map(textOf))).toBe(total === "" ? "0" : total)
      }),
    )
  })
})

describe("formatIsoTime", () => {
  it("limits a time to the range of Date", () => {
    expect(formatIsoTime(startTs)).toBe("2026-01-15T10:00:00.000Z")
    expect(formatIsoTime(Number.MAX_SAFE_INTEGER)).toBe("+275760-09-13T00:00:00.000Z")
  })
})

describe("summarize", () => {
  const collect = async (path: string) => {
    const { context, err } = printer()
    const found = await collectReceipts(context, path, { keys: new KeyRing(), wants: () => true, label: "r" })
    return { found, err, facts: found.map(({ facts }) => facts) }
  }

  it("formats the summary as documented", async () => {
    const me = generateKeyPair()
    const others = [1, 2, 3].map(() => generateKeyPair())
    const [a = me, b = me, c = me] = others
    const { facts } = await collect(
      fileOf(
        new Pair(me, a).receipt({ amount: 0.05, currency: "SOL" }),
        new Pair(b, me).receipt({ amount: "0.05", currency: "SOL" }, startTs + 5_000),
        new Pair(me, c).receipt({ amount: "0.050", currency: "SOL" }, startTs + 6_000),
        new Pair(me, a).receipt({ amount: 20, currency: "USDC" }, startTs + 90_000),
        new Pair(me, a).receipt({ amount: "30", currency: "USDC" }, startTs + 80_000),
      ),
    )
    const summary = formatSummary(summarize(facts, new Set([agentIdOf(me.publicKey)])))
    expect(summary).toEqual([
      "Receipt Summary:",
      "  Total receipts: 5",
      "  Date range: 2026-01-15T10:01:00.000Z to 2026-01-15T10:02:30.000Z",
      "  Counterparties (3):",
      ...others.map(({ publicKey }) => `    - ${agentIdOf(publicKey)}`).sort(),
      "  By currency:",
      "    SOL: 3 receipts, 0.15 total",
      "    USDC: 2 receipts, 50 total",
    ])
  })

  it("counts both parties if neither is the reader, and each deal once", async () => {
    const pair = new Pair()
    const deal = pair.accepted()
    const first = pair.say(deal, pair.recipient, { type: "COMPLETE", proposal_id: deal.id }, startTs + 2_000)
    const second = pair.say(first, pair.proposer, { type: "COMPLETE", proposal_id: deal.id }, startTs + 3_000)
    for (const order of [
      [first, second],
      [second, first],
    ]) {
      const { facts } = await collect(fileOf(...order.map(proofOf)))
      expect(summarize(facts, new Set())).toMatchObject({ total: 1, disputed: 0, currencies: [] })
      expect(summarize(facts, new Set()).counterparties).toHaveLength(2)
      expect(facts[0]?.completed_by).toHaveLength(2)
    }
  })

  it("skips a forged receipt and reports it", async () => {
    const text = formatReceipt(new Pair().receipt({ amount: 1, currency: "SOL" }))
    const { facts, err } = await collect(fileOf(text.replace('"amount":"1"', '"amount":"9"'), text))
    expect(summarize(facts, new Set()).currencies).toEqual([{ currency: "SOL", receipts: 1, total: "1" }])
    expect(err).toEqual([expect.stringMatching(/^r:1 is skipped: ACCEPT.prev: is not the hash/)])
  })

  it("accepts currency names such as constructor", async () => {
    const { facts } = await collect(fileOf(new Pair().receipt({ amount: 1, currency: "__proto__" })))
    expect(formatSummary(summarize(facts, new Set()))).toContain("    __proto__: 1 receipts, 1 total")
  })
})

describe("verifyReceipts", () => {
  it("prints what is proven and what was not checked", async () => {
    const { status, out } = await verdictOn(fileOf(new Pair().receipt()))
    expect(status).toBe(0)
    expect(out).toMatch(/^line 1: valid: /)
    expect(out).toMatch(/proven: integrity, accepted-by-both, completed-by-one/)
    expect(out).toMatch(/not checked: time: /)
    expect(out).toMatch(/not checked: revocation: /)
    expect(out).toMatch(/^valid: 1 valid, 0 invalid, 0 undecided$/m)
  })

  it("exits with 1 if one of several receipts is invalid", async () => {
    const receipt = new Pair().receipt({ task: "the task" })
    const forged = formatReceipt(receipt).replace("the task", "the tusk")
    const { status, out } = await verdictOn(fileOf(receipt, forged))
    expect(status).toBe(1)
    expect(out).toMatch(/^line 2: invalid: /m)
    expect((await verdictOn(fileOf(forged))).out).not.toContain("integrity")
  })

  it.each([
    ["nothing", []],
    ["empty lines", ["", "  "]],
    ["something else", ["hello"]],
    ["another kind of object", ['{"type":"MSG","v":1}']],
    ["an unknown version", ['{"type":"RECEIPT","v":2}']],
    ["a list of nothing", ["[]"]],
  ])("exits with 2 for %s", async (_, lines) => {
    const { status, out } = await verdictOn(fileOf(...lines))
    expect(status).toBe(2)
    expect(out).toMatch(/^undecided: 0 valid, 0 invalid/m)
  })

  it("reads a receipt that spans several lines, and exits with 2 for half of one", async () => {
    const lines = JSON.stringify(new Pair().receipt(), undefined, 2).split("\n")
    expect((await verdictOn(fileOf(...lines))).status).toBe(0)
    expect((await verdictOn(fileOf(...lines.slice(0, -1)))).status).toBe(2)
    expect((await verdictOn(fileOf(...lines, ...lines))).status).toBe(2)
  })

  it("names a byte order mark as the problem", async () => {
    const { status, out } = await verdictOn(fileOf(`\uFEFF${formatReceipt(new Pair().receipt())}`))
    expect(status).toBe(1)
    expect(out).toContain("line 1: invalid: starts with a byte order mark")
  })

  it("exits with 2 if it cannot decide on some lines", async () => {
    const { status } = await verdictOn(fileOf(new Pair().receipt(), '{"type":"RECEIPT","v":2}'))
    expect(status).toBe(2)
  })

  it.each([
    ["a line cut off", '{"accept":{'],
    ["a key that occurs twice", '{"type":"RECEIPT","v":1,"v":1}'],
    ["a receipt without its statements", '{"type":"RECEIPT","v":1}'],
    ["a revocation nobody signed", '{"type":"REVOCATION","v":1,"from":"did:key:z6Mk","ts":1,"sig":"x"}'],
  ])("exits with 1 for %s", async (_, line) => {
    expect((await verdictOn(fileOf(line))).status).toBe(1)
  })

  it("exits with 3 for a missing file and for a directory", async () => {
    for (const path of [join(temporaryDirectory(), "none"), temporaryDirectory()]) {
      await expect(verdictOn(path)).rejects.toMatchObject({ code: "NOT_FOUND" })
    }
  })

  it("rejects signatures made after the end of a key, wherever the statement is", async () => {
    const pair = new Pair()
    const receipt = pair.receipt()
    const early = signRevocation(pair.recipient, startTs + 30_000)
    const late = signRevocation(pair.recipient, startTs + 70_000)
    const rotated = signRotation(pair.proposer, generateKeyPair(), startTs)
    const foreign = signRevocation(generateKeyPair(), startTs)
    expect((await verdictOn(fileOf(receipt, early))).out).toContain("revoked at 2026-01-15T10:00:30.000Z")
    expect((await verdictOn(fileOf(rotated, receipt))).status).toBe(1)
    expect((await verdictOn(fileOf(foreign, receipt))).out).toContain("not checked: revocation")
    const { status, out } = await verdictOn(fileOf(late, receipt))
    expect(status).toBe(0)
    expect(out.match(/not checked: revocation/g)).toHaveLength(1)
    expect(() => readKeyStatement({ ...late, constructor: 1 })).toThrow("is not a ROTATION or REVOCATION")
    expect(() => readKeyStatement({ ...late, reason: "other" })).toThrow()
  })

  it.each(["[", "{", '{"type":'])(
    "applies a statement about a key after a damaged line: %s",
    async (line) => {
      const pair = new Pair()
      const end = signRevocation(pair.recipient, startTs + 30_000)
      const { out } = await verdictOn(fileOf(pair.receipt(), line, end))
      expect(out).toContain("line 1: invalid: ")
      expect(out).toContain("revoked at 2026-01-15T10:00:30.000Z")
    },
  )

  it("escapes texts of other agents", async () => {
    const { out } = await verdictOn(fileOf(new Pair().receipt({ task: "a\u001b[2J\nline 2: valid: \u202e" })))
    expect(out).toContain("a\\u{1b}[2J line 2: valid: \\u{202e}")
    expect(out).not.toMatch(/[\u001b\u202e]|^line 2/m)
  })

  it("prints the documented JSON", async () => {
    const { out, context } = printer(true)
    expect(await verifyReceipts(context, fileOf(new Pair().receipt(), "{"), new KeyRing())).toBe(1)
    expect(JSON.parse(out.join("\n"))).toMatchObject({
      ok: false,
      verdict: "invalid",
      valid: 1,
      invalid: 1,
      undecided: 0,
      receipts: [
        { line: 1, status: "valid", proves: ["integrity", "accepted-by-both", "completed-by-one"] },
        { line: 2, status: "invalid" },
      ],
    })
  })

  it("reads standard input as lines and as a document", async () => {
    const text = formatReceipt(new Pair().receipt())
    const pretty = JSON.stringify(JSON.parse(text), undefined, 2)
    for (const document of [text, pretty, `[${text}]`]) {
      const input = Readable.from([document.slice(0, 50), document.slice(50)])
      expect(await withInputFile(input, async (file) => (await verdictOn(file)).status)).toBe(0)
    }
  })
})

describe("exportReceipts", () => {
  const hostile = "a\u001b[2J \u202e\u{e0041}\u2028 'b' \"c\": - # yes\n  end\\"
  const receipts = [
    new Pair().receipt({ task: hostile, amount: "0.10", currency: "1e3" }),
    new Pair().receipt({ task: "x".repeat(1_000), terms: "y: &a *a\n".repeat(30) }),
  ]
  const exported = async (form: Parameters<typeof exportReceipts>[2], some = receipts) => {
    const { out, context } = printer()
    await exportReceipts(context, some, form)
    const text = out.join("\n")
    expect(text).not.toMatch(/[\u001b\u202e\u2028]/)
    return text
  }

  it("writes one JSON array that verifies", async () => {
    const text = await exported({ format: "json" })
    expect(JSON.parse(text)).toEqual(receipts)
    const path = join(temporaryDirectory(), "export.json")
    writeFileSync(path, text)
    expect((await verdictOn(path)).status).toBe(0)
    writeFileSync(path, text.replace("0.10", "0.20"))
    expect((await verdictOn(path)).status).toBe(1)
  })

  it("writes YAML with the same content", async () => {
    expect(parseYaml(await exported({ format: "yaml" }))).toEqual(receipts)
  })

  it("writes an empty list without receipts", async () => {
    expect(await exported({ format: "json" }, [])).toBe("[]")
    expect(parseYaml(await exported({ format: "yaml" }, []))).toEqual([])
    expect(await exported({ format: "in-toto", signer: newIdentity() }, [])).toBe("")
  })

  it("writes one signed envelope per line, which verifies", async () => {
    const lines = (await exported({ format: "in-toto", signer: newIdentity() })).split("\n")
    const { status, out } = await verdictOn(fileOf(...lines))
    expect(status).toBe(0)
    expect(out).toContain("valid: 2 valid")
    const [first = ""] = lines
    const { payload } = JSON.parse(first) as { payload: string }
    expect(JSON.parse(Buffer.from(payload, "base64").toString())).toMatchObject({
      _type: "https://in-toto.io/Statement/v1",
      subject: [
        { name: receipts[0]?.proposal.id, digest: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) } },
      ],
      predicate: receipts[0],
    })
  })

  it("rejects a changed envelope", () => {
    const [receipt = new Pair().receipt()] = receipts
    const envelope = sealReceipt(receipt, newIdentity())
    const [signature] = envelope.signatures
    expect(openEnvelope(envelope)).toEqual(receipt)
    const other = sealReceipt(new Pair().receipt(), newIdentity())
    for (const changed of [
      { ...envelope, payload: other.payload },
      { ...envelope, signatures: other.signatures },
      { ...envelope, signatures: [] },
      { ...envelope, signatures: [signature, { ...signature, keyid: other.signatures[0].keyid }] },
      { ...envelope, payloadType: "text/plain" },
      { ...envelope, more: 1 },
    ]) {
      expect(() => openEnvelope(changed)).toThrow("envelope")
    }
  })
})
