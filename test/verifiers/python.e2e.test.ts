import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { ReceiptMutator } from "../kit/mutated-receipts.js"
import { hasProgram } from "../kit/requires.js"
import { temporaryDirectory } from "../kit/temporary.js"
import { readFileVectors, readReceiptVectors } from "../kit/vector-lines.js"
import { ourVerdicts, pythonVerdicts } from "../kit/verdicts.js"
import ed25519 from "../vectors/ed25519.json" with { type: "json" }
import refused from "../vectors/refused-keys.json" with { type: "json" }
import wycheproof from "../vectors/wycheproof-ed25519.json" with { type: "json" }

const folder = join(import.meta.dirname, "../../verifiers")
const { receipts, keys } = readReceiptVectors()
const fileVectors = readFileVectors()
/** Milliseconds for thousands of signatures in Python on a busy machine. */
const pythonMs = 240_000
/** Another number changes other lines. */
const seed = Number(process.env["RECEIPT_SEED"] ?? 1)
const oneLine = receipts[0]?.bytes.toString() ?? ""
const tampered = oneLine.replace("echo hello", "echo hellO")

/** Writes a file and returns its path. */
function written(bytes: Uint8Array): string {
  const path = join(temporaryDirectory(), "receipts.jsonl")
  writeFileSync(path, bytes)
  return path
}

/** Runs the file as a user would. */
function run(args: readonly string[], input: string | Uint8Array = "") {
  const { status, stdout, stderr } = spawnSync("python3", [join(folder, "receipts.py"), ...args], {
    input,
    encoding: "utf8",
    timeout: pythonMs,
  })
  return { status, stdout, stderr }
}

/** Runs a program that imports the file and answers one JSON text. */
function ask(program: string, input: unknown): unknown {
  const { stdout, stderr } = spawnSync("python3", ["-c", program], {
    input: JSON.stringify(input),
    encoding: "utf8",
    env: { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: "1" },
    timeout: pythonMs,
  })
  expect(stderr).toBe("")
  return JSON.parse(stdout)
}

/** Runs the file once for each pair of arguments and standard input, all in one process: a start costs more than a run. */
const runAll = `
import base64, contextlib, io, json, sys
import receipts
outcomes = []
runs = json.load(sys.stdin)
for arguments, text in runs:
    sys.stdin = io.TextIOWrapper(io.BytesIO(base64.b64decode(text)), "utf-8")
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = receipts.main(arguments)
        except SystemExit as end:
            status = end.code
    outcomes.append({"status": status, "stdout": out.getvalue(), "stderr": err.getvalue()})
print(json.dumps(outcomes))
`

function runTogether(
  runs: readonly (readonly [args: readonly string[], input: string | Uint8Array])[],
): ReturnType<typeof run>[] {
  return ask(
    runAll,
    runs.map(([args, input]) => [args, base64(input)]),
  ) as ReturnType<typeof run>[]
}

/** Judges many files at once, for one start of Python takes longer than a hundred of them. */
const judgeAll = `
import base64, functools, json, sys
import receipts
# Changed lines repeat a few signatures.
receipts.ed25519_verify = functools.lru_cache(None)(receipts.ed25519_verify)
answers = []
for file in json.load(sys.stdin):
    lines = [receipts.Line.parse("file", at + 1, base64.b64decode(text)) for at, text in enumerate(file)]
    receipts.judge(lines, [])
    answers.append([receipts.as_record(line) for line in lines])
print(json.dumps(answers))
`
const verifyAll = `
import json, sys
import receipts
print(json.dumps([receipts.ed25519_verify(*map(bytes.fromhex, vector)) for vector in json.load(sys.stdin)]))
`

interface Answer {
  readonly status: string
  readonly problem?: string
  readonly proves?: readonly string[]
}

const base64 = (text: string | Uint8Array) => Buffer.from(text as string).toString("base64")

describe.runIf(hasProgram("python3"))("receipts.py", { timeout: pythonMs }, () => {
  it("agrees with every shared vector", () => {
    const files = receipts.map(({ bytes, keys: lines }) => [base64(bytes), ...lines.map(base64)])
    const answers = ask(judgeAll, files) as Answer[][]
    const told = answers.map(([first], index) => {
      return [receipts[index]?.why, first?.status, first?.proves ?? []]
    })
    expect(told).toEqual(receipts.map(({ why, verdict, proves }) => [why, verdict, proves]))
    for (const { problem } of answers.flat()) expect(problem ?? "none").toMatch(/^[ -~]+$/)
  })

  it("agrees with every file, and so does our own verifier", async () => {
    const paths = fileVectors.map(({ bytes }) => written(bytes))
    const told = ask(pythonVerdicts, paths) as string[][]
    for (const [index, { why, verdicts }] of fileVectors.entries()) {
      expect([why, await ourVerdicts(paths[index] ?? "")]).toEqual([why, verdicts])
      expect([why, told[index]]).toEqual([why, verdicts])
    }
  })

  it("agrees with our own verifier on changed lines and changed files", async () => {
    const mutator = new ReceiptMutator(seed, receipts)
    const lines = Array.from({ length: 3_000 }, () => mutator.line())
    const all = Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")]))
    // The first line keeps the file from being one document.
    const files = [
      Buffer.concat([Buffer.from(`${oneLine}\n`), all]),
      ...Array.from({ length: 300 }, () => mutator.file()),
    ]
    const paths = files.map(written)
    const told = ask(pythonVerdicts, paths) as string[][]
    for (const [index, path] of paths.entries()) {
      const ours = await ourVerdicts(path)
      const differences = ours.filter((verdict, at) => verdict !== told[index]?.[at])
      const shown = differences.slice(0, 5).map((verdict) => {
        const line = files[index]?.toString().split("\n")[Number.parseInt(verdict, 10) - 1]
        return [verdict, index === 0 ? line : files[index]?.toString()]
      })
      expect([seed, index, shown]).toEqual([seed, index, []])
      expect(told[index]).toHaveLength(ours.length)
    }
    const [ofLines = []] = told
    for (const status of ["valid", "invalid", "undecided"]) {
      expect(ofLines.filter((verdict) => verdict.endsWith(` ${status}`)).length).toBeGreaterThan(30)
    }
  })

  it("agrees with every statement about a key", () => {
    const answers = ask(
      judgeAll,
      keys.map(({ line }) => [base64(line)]),
    ) as Answer[][]
    expect(answers.map(([answer], index) => [keys[index]?.why, answer?.status])).toEqual(
      keys.map(({ why, verdict }) => [why, verdict]),
    )
  })

  it("verifies the examples of RFC 8032 section 7.1, and rejects changed ones", () => {
    const vectors = ed25519.vectors.map(({ publicKey, message, signature }) => [
      publicKey,
      message,
      signature,
    ])
    const changed = vectors.map(([key, message, signature]) => [key, `${String(message)}00`, signature])
    expect(ask(verifyAll, [...vectors, ...changed])).toEqual([
      ...vectors.map(() => true),
      ...changed.map(() => false),
    ])
  })

  it("agrees with Wycheproof", () => {
    const vectors = wycheproof.vectors.map(({ publicKey, message, signature }) => [
      publicKey,
      message,
      signature,
    ])
    expect(ask(verifyAll, vectors)).toEqual(wycheproof.vectors.map(({ valid }) => valid))
  })

  it("rejects weak keys and keys in another encoding", () => {
    const signature = `01${"00".repeat(63)}`
    const answers = ask(
      verifyAll,
      refused.keys.map(({ hex }) => [hex, "", signature]),
    )
    expect(answers).toEqual(refused.keys.map(() => false))
  })

  it("prints what a valid receipt proves and what was not checked, and exits with 0", () => {
    const path = join(temporaryDirectory(), "receipts.jsonl")
    writeFileSync(path, `${oneLine}\n`)
    expect(run([path])).toEqual({
      status: 0,
      stderr: "",
      stdout: `${path}:1: valid
  deal: prop_0001 of 2027-01-15
  between: @34750f98bd59fcfc and @6a3803d5f059902a
  task: "echo hello"
  proven: integrity, accepted-by-both, completed-by-one
  not checked: time: each statement states its own time, and nobody else confirms it
  not checked: revocation: no statement about the key of @34750f98bd59fcfc was given
  not checked: revocation: no statement about the key of @6a3803d5f059902a was given
`,
    })
  })

  it("names the problem of each line, and exits with 1 if one is invalid", () => {
    const { status, stdout } = run(["-"], `${oneLine}\n\n${tampered}\r\n${oneLine}`)
    expect(status).toBe(1)
    expect(stdout.split("\n").filter((line) => line.startsWith("stdin"))).toEqual([
      "stdin:1: valid",
      "stdin:3: INVALID: accept.prev: is not the hash of the statement before",
      "stdin:4: valid",
    ])
  })

  it("exits with 2 if it cannot decide", () => {
    const version2 = oneLine.replace(/"v":1\}$/, '"v":2}')
    const inputs = ["", "\n \n", "hello", keys[0]?.line ?? "", `${oneLine}\n${version2}`]
    const [none, noFile, invalid, ...undecided] = runTogether([
      [[join(temporaryDirectory(), "none")], ""],
      [[], ""],
      [["-"], `${tampered}\n${version2}`],
      ...inputs.map((input) => [["-"], input] as const),
    ])
    expect(undecided.map(({ status }) => status)).toEqual(inputs.map(() => 2))
    expect(none).toMatchObject({ status: 2, stdout: "" })
    expect(noFile?.status).toBe(2)
    expect(invalid?.status).toBe(1)
  })

  it("applies statements about keys from the file, another file, and an exported identity", () => {
    const revoked = receipts.find(({ why }) => why === "the key was revoked before its last word")
    const [, statement = ""] = revoked?.keys ?? []
    const identity = { did: "x", created_ts: 1, rotations: [], revocation: JSON.parse(statement) as unknown }
    const foreign = keys.find(({ why }) => why === "a revocation by another key")?.line ?? ""
    const files = [statement, JSON.stringify(identity), JSON.stringify(identity, undefined, 2), foreign]
    const [after, before, ...others] = runTogether([
      [["-"], `${oneLine}\n${statement}\n`],
      [["-"], `${statement}\n${oneLine}\n`],
      ...files.map((text) => [["-", "--keys", written(Buffer.from(text))], oneLine] as const),
    ])
    expect([after?.status, before?.status]).toEqual([1, 1])
    expect(others.pop()).toMatchObject({ status: 2, stdout: "" })
    expect(others).toHaveLength(3)
    for (const { stdout } of others) expect(stdout).toContain("its key was revoked before it was signed")
  })

  it("reads a JSON array that spans several lines", () => {
    const list = JSON.stringify([JSON.parse(oneLine), JSON.parse(oneLine)], undefined, 2)
    const [records, whole, cut] = runTogether([
      [["-", "--json"], list],
      [["-"], list],
      [["-"], list.slice(0, -1)],
    ])
    expect(records?.stdout.trim().split("\n")).toHaveLength(2)
    expect([whole?.status, cut?.status]).toEqual([0, 2])
  })

  it("reads a receipt that spans several lines; half of one is undecided", () => {
    const pretty = JSON.stringify(JSON.parse(oneLine), undefined, 2)
    const inputs = [
      `\n${pretty}\n`,
      pretty.replace("echo hello", "echo hellO"),
      pretty.slice(0, -1),
      `${pretty}\n${pretty}`,
    ]
    const outcomes = runTogether(inputs.map((input) => [["-"], input]))
    expect(outcomes.map(({ status }) => status)).toEqual([0, 1, 2, 2])
    expect(outcomes[0]?.stdout).toMatch(/^stdin:1: valid\n/)
  })

  it("names a tool for envelopes, and an unreadable file", () => {
    const envelope = '{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[]}'
    const folder = temporaryDirectory()
    const [opened, unreadable] = runTogether([
      [["-"], envelope],
      [[folder], ""],
    ])
    expect(opened).toMatchObject({
      status: 2,
      stdout: "stdin:1: cannot decide: is an envelope, which `agentchat receipts verify` opens\n",
    })
    expect(unreadable?.stderr).toBe(`cannot decide: ${folder} cannot be read (Is a directory)\n`)
  })

  it("does not exit with 1 if its reader closes the pipe", () => {
    const path = join(temporaryDirectory(), "many.jsonl")
    // Far more is to be said of it than a pipe holds.
    writeFileSync(path, "hello\n".repeat(20_000))
    const program = `set -o pipefail; python3 "$0" "$1" | head -n 1 > /dev/null`
    const script = join(folder, "receipts.py")
    const { status, stderr } = spawnSync("bash", ["-c", program, script, path], { encoding: "utf8" })
    expect({ status, stderr }).toEqual({ status: 2, stderr: "" })
  })

  it("prints texts of other agents on one line, escaped", () => {
    const hostile = receipts.find(({ why }) => why.startsWith("every optional member"))
    const { status, stdout } = run(["-"], hostile?.bytes)
    expect(status).toBe(0)
    expect(stdout).toMatch(/^[\n -~]+$/)
    expect(stdout.split("\n")).toHaveLength(10)
    expect(stdout).toContain("\n  amount: 0.050 SOL\n")
  })

  it("rejects a line with any byte changed", () => {
    const bytes = Buffer.from(oneLine)
    // Every fifth byte: all of them are tried with the program itself.
    const places = Array.from(bytes.keys()).filter((at) => at % 5 === 0)
    const files = places.map((at) => {
      const changed = Buffer.from(bytes)
      changed.writeUInt8(bytes.readUInt8(at) ^ ([1, 2, 0x20, 0x80][at % 4] ?? 1), at)
      return [changed.toString("base64")]
    })
    const statuses = (ask(judgeAll, files) as Answer[][]).map(([answer]) => answer?.status)
    expect(statuses).toHaveLength(places.length)
    expect(statuses).not.toContain("valid")
  })
})
