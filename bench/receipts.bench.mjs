// Measures receipts: verification against the bare signature checks in them, rating a hundred thousand of them, and queries.
import { spawnSync } from "node:child_process"
import { createPublicKey, verify } from "node:crypto"
import { appendFileSync, mkdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { importBuilt, program } from "./kit/built.mjs"
import { cleanEnvironment, startHelper, startProgram, withCleanup } from "./kit/children.mjs"
import { waitUntil } from "./kit/clock.mjs"
import { requireProcFiles, residentKib } from "./kit/proc-files.mjs"
import { median, spread } from "./kit/statistics.mjs"
import { makeDirectory } from "./kit/temporary.mjs"
import { loadMaker, writeReceipts } from "./load/receipts.mjs"

const verified = 2_000
const verifyRounds = 5
const count = 100_000
const runs = 15
const warmUps = 2
const foldRounds = 3

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export function run() {
  requireProcFiles()
  return withCleanup(async (defer) => {
    const receiptLine = await loadMaker()
    const verifying = await measureVerifying(receiptLine)
    const directory = makeDirectory(defer)
    const home = join(directory, ".agentchat")
    mkdirSync(home, { mode: 0o700 })
    const path = join(home, "receipts.jsonl")
    writeReceipts(path, count, receiptLine)
    const cold = await measureCold(directory, defer)
    const folding = await measureFolding(join(home, "ratings.json"), defer)
    const asking = measureAsking(directory, () => appendFileSync(path, `${receiptLine(nextReceipt++)}\n`))
    return {
      goal: "0.5 of the bare signature checks or more; a warm answer at most 1.7 times --version",
      tables: [
        {
          caption: `${verified} receipts of three statements: median of ${verifyRounds} (least–most), in turn`,
          columns: ["", "signatures/s", "receipts/s", "ratio"],
          rows: verifying,
        },
        {
          caption: `${count} receipts, ${mebibytes(statSync(path).size)} MiB, of 1000 agents`,
          columns: ["", "seconds", "peak MiB"],
          rows: [
            [
              "ratings --recalculate: read, verify, rate, write",
              cold.seconds.toFixed(1),
              cold.mebibytes.toFixed(0),
            ],
            folding,
          ],
        },
        {
          caption: `Milliseconds of a whole process, with these receipts; median of ${runs} (least–most), in turn`,
          columns: ["", "ms", "ratio"],
          rows: asking,
        },
      ],
      notes: [
        "bare: OpenSSL's Ed25519 over the same bytes with the same keys, read before",
        `the fold takes facts from ratings.json (${mebibytes(statSync(join(home, "ratings.json")).size)} MiB); its peak includes reading them`,
        "one receipt more: the hash of the whole file, one receipt verified, all rated again, ratings.json written",
      ],
    }
  })
}

let nextReceipt = count

/** @param {(n: number) => string} receiptLine */
async function measureVerifying(receiptLine) {
  const { readReceipt } = /** @type {typeof import("../src/proposals/receipt.js")} */ (
    await importBuilt("proposals/receipt.js")
  )
  const { parsePlainJson } = /** @type {typeof import("../src/base/strict-json.js")} */ (
    await importBuilt("base/strict-json.js")
  )
  const { checkReceipt } = /** @type {typeof import("../src/proposals/receipt-check.js")} */ (
    await importBuilt("proposals/receipt-check.js")
  )
  const lines = Array.from({ length: verified }, (_, n) => receiptLine(n))
  const checks = await bareChecks(lines)
  /** @type {number[]} */
  const bare = []
  /** @type {number[]} */
  const ours = []
  for (let round = -1; round < verifyRounds; round++) {
    const bareSeconds = secondsOf(() => {
      for (const { message, key, signature } of checks) {
        if (!verify(null, message, key, signature)) throw new Error("a signature does not fit")
      }
    })
    const ourSeconds = secondsOf(() => {
      for (const line of lines) {
        if (checkReceipt(readReceipt(parsePlainJson(line))).status !== "valid")
          throw new Error("a receipt is not valid")
      }
    })
    if (round < 0) continue
    bare.push(bareSeconds)
    ours.push(ourSeconds)
  }
  const rates = (/** @type {number[]} */ seconds, /** @type {number} */ of) =>
    spread(
      seconds.map((s) => of / s),
      0,
    )
  return [
    ["bare signature checks", rates(bare, checks.length), rates(bare, verified), "1.00"],
    [
      "receipts, from the line to the verdict",
      rates(ours, checks.length),
      rates(ours, verified),
      (median(bare) / median(ours)).toFixed(2),
    ],
  ]
}

/** Runs the signature checks of these receipts with OpenSSL alone. @param {readonly string[]} lines */
async function bareChecks(lines) {
  const { canonicalize } = /** @type {typeof import("../src/identity/canonical-json.js")} */ (
    await importBuilt("identity/canonical-json.js")
  )
  const { formatPublicPem, parsePublicKey } = /** @type {typeof import("../src/identity/keys.js")} */ (
    await importBuilt("identity/keys.js")
  )
  /** @type {Map<string, import("node:crypto").KeyObject>} */
  const keys = new Map()
  const keyOf = (/** @type {string} */ did) => {
    const key = keys.get(did) ?? createPublicKey(formatPublicPem(parsePublicKey(did)))
    keys.set(did, key)
    return key
  }
  return lines.flatMap((line) => {
    const { proposal, accept, complete } = /** @type {import("../src/proposals/receipt.js").Receipt} */ (
      JSON.parse(line)
    )
    return [proposal, accept, ...complete].map(({ sig, ...body }) => {
      const [header = "", , signature = ""] = sig.split(".")
      const payload = Buffer.from(canonicalize(body)).toString("base64url")
      return {
        message: Buffer.from(`${header}.${payload}`),
        key: keyOf(body.from),
        signature: Buffer.from(signature, "base64url"),
      }
    })
  })
}

/** @param {() => void} work */
function secondsOf(work) {
  const startMs = performance.now()
  work()
  return (performance.now() - startMs) / 1_000
}

/** @param {string} cwd @param {import("./kit/children.mjs").Defer} defer */
async function measureCold(cwd, defer) {
  const startMs = performance.now()
  const child = startProgram("node", [program, "ratings", "--recalculate"], { cwd })
  defer(child.end)
  let kibibytes = 0
  await waitUntil(
    "all receipts to be rated",
    () => {
      if (child.hasEnded()) return true
      kibibytes = Math.max(kibibytes, residentKib(child.pid) || 0)
      return false
    },
    { timeoutMs: 1_200_000, everyMs: 50 },
  )
  if (!child.printed().includes(`Deals: ${count}\n`))
    throw new Error(`not all were rated:\n${child.printed()}`)
  return { seconds: (performance.now() - startMs) / 1_000, mebibytes: kibibytes / 1_024 }
}

/** @param {string} path @param {import("./kit/children.mjs").Defer} defer */
async function measureFolding(path, defer) {
  /** @type {import("./load/fold.mjs").FoldResult[]} */
  const results = []
  for (let round = 0; round < foldRounds; round++) {
    /** @type {import("./kit/children.mjs").Helper<import("./load/fold.mjs").FoldApi>} */
    const helper = startHelper(new URL("load/fold.mjs", import.meta.url), defer)
    results.push(await helper.ask("fold", { path }))
  }
  if (results.some(({ deals }) => deals !== count)) throw new Error("not all were folded")
  return [
    "the fold alone",
    median(results.map(({ ms }) => ms / 1_000)).toFixed(2),
    median(results.map((result) => result.mebibytes)).toFixed(0),
  ]
}

/** @param {string} cwd @param {() => void} addReceipt */
function measureAsking(cwd, addReceipt) {
  const agent = firstAgent(cwd)
  /** @type {readonly { label: string, args: readonly string[], prepare?: () => void }[]} */
  const commands = [
    { label: "agentchat --version", args: [program, "--version"] },
    { label: "agentchat inbox --help, for the parser", args: [program, "inbox", "--help"] },
    { label: "agentchat ratings @agent", args: [program, "ratings", agent] },
    { label: "agentchat ratings --leaderboard", args: [program, "ratings", "--leaderboard"] },
    {
      label: "agentchat ratings @agent, one receipt more",
      args: [program, "ratings", agent],
      prepare: addReceipt,
    },
  ]
  /** @type {number[][]} */
  const times = commands.map(() => [])
  for (let turn = -warmUps; turn < runs; turn++) {
    for (const [index, { args, prepare }] of commands.entries()) {
      prepare?.()
      const ms = secondsOf(() => runToEnd(args, cwd)) * 1_000
      if (turn >= 0) times[index]?.push(ms)
    }
  }
  const base = median(times[0] ?? [])
  return commands.map(({ label }, index) => {
    const found = times[index] ?? []
    return [label, spread(found, 0), (median(found) / base).toFixed(2)]
  })
}

/** @param {string} cwd */
function firstAgent(cwd) {
  const lines = readFileSync(join(cwd, ".agentchat", "ratings.json"), "utf8").split("\n", 2)
  return /"(@[0-9a-f]{16})"/.exec(lines[1] ?? "")?.[1] ?? ""
}

/** @param {readonly string[]} args @param {string} cwd */
function runToEnd(args, cwd) {
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd,
    env: cleanEnvironment,
    encoding: "utf8",
  })
  if (status !== 0) throw new Error(`${args.join(" ")}: ${stderr}`)
}

/** @param {number} bytes */
function mebibytes(bytes) {
  return (bytes / 2 ** 20).toFixed(0)
}
