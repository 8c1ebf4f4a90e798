import { spawn } from "node:child_process"
import { once } from "node:events"
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { ReceiptsFile } from "../../../src/daemon/deals/receipts-file.js"
import { describeProcess } from "../../../src/daemon/files/process-record.js"
import { advanceDeal, openDeal } from "../../../src/proposals/deal.js"
import { formatReceipt, type Receipt, receiptOf } from "../../../src/proposals/receipt.js"
import { compiled } from "../../kit/compiled.js"
import { alice, answer, bob, propose } from "../../kit/deals.js"
import { isRoot, SmallDisk } from "../../kit/file-system.js"
import { parseReceipt } from "../../kit/receipt-line.js"
import { temporaryDirectory } from "../../kit/temporary.js"

/** The receipt of the `n`-th deal. */
function receipt(n: number, task = "x"): Receipt {
  let deal = openDeal(propose({ id: `prop_${String(n).padStart(4, "0")}`, task }))
  deal = advanceDeal(deal, answer(deal, "ACCEPT", bob))
  deal = advanceDeal(deal, answer(deal, "COMPLETE", alice))
  const found = receiptOf(deal)
  if (found === undefined) throw new Error("no receipt")
  return found
}

const owner = { process: describeProcess(process.pid), now: () => Date.now() }
const place = () => join(temporaryDirectory(), "receipts.jsonl")
const linesOf = (path: string) => readFileSync(path, "utf8").split("\n").slice(0, -1)

describe("receipts.jsonl", () => {
  it("contains each receipt once, however many writers append it", () => {
    const path = place()
    const [one, other] = [new ReceiptsFile(path, owner), new ReceiptsFile(path, owner)]
    expect(one.append([receipt(1), receipt(1)])).toBe(true)
    expect(other.append([receipt(1), receipt(2)])).toBe(true)
    expect(one.append([receipt(2), receipt(3)])).toBe(true)
    expect(new ReceiptsFile(path, owner).append([receipt(1), receipt(2), receipt(3)])).toBe(true)
    expect(linesOf(path)).toEqual([1, 2, 3].map((n) => formatReceipt(receipt(n))))
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  it("loses a partial line of a crash before the receipt is appended again", () => {
    const path = place()
    const line = formatReceipt(receipt(2))
    for (const cut of [1, 40, line.length]) {
      writeFileSync(path, `${formatReceipt(receipt(1))}\n${line.slice(0, cut)}`)
      expect(new ReceiptsFile(path, owner).append([receipt(2)])).toBe(true)
      expect(linesOf(path)).toEqual([formatReceipt(receipt(1)), line])
    }
  })

  it("recognizes a receipt that spans two reads, even with multi-byte characters", () => {
    const path = place()
    const long = Array.from({ length: 400 }, (_, n) => receipt(n, `${"é".repeat(1_900)}${n}`))
    expect(new ReceiptsFile(path, owner).append(long)).toBe(true)
    const { size } = { size: readFileSync(path).length }
    expect(size).toBeGreaterThan(1024 * 1024)
    expect(new ReceiptsFile(path, owner).append(long)).toBe(true)
    expect(readFileSync(path).length).toBe(size)
  })

  it("gets a receipt again after it was deleted or emptied", () => {
    const path = place()
    const file = new ReceiptsFile(path, owner)
    file.append([receipt(1), receipt(2)])
    rmSync(path)
    file.append([receipt(1)])
    expect(linesOf(path)).toHaveLength(1)
    writeFileSync(path, "")
    file.append([receipt(1)])
    expect(linesOf(path)).toHaveLength(1)
  })

  it("keeps lines that other programs wrote", () => {
    const path = place()
    appendFileSync(path, "nonsense\n")
    new ReceiptsFile(path, owner).append([receipt(1)])
    expect(linesOf(path)).toEqual(["nonsense", formatReceipt(receipt(1))])
  })

  it("is not written while another process holds the lock, unless that process died", () => {
    const path = place()
    const other = describeProcess(process.ppid)
    mkdirSync(`${path}.lock`)
    const holder = join(`${path}.lock`, "owner.json")
    writeFileSync(holder, JSON.stringify(other))
    const file = new ReceiptsFile(path, owner)
    expect(file.append([receipt(1)])).toBe(false)
    expect(existsSync(path)).toBe(false)
    writeFileSync(holder, JSON.stringify({ ...other, start_time: "1" }))
    expect(file.append([receipt(1)])).toBe(true)
    expect(linesOf(path)).toHaveLength(1)
  })

  it("contains each receipt once after concurrent writers were killed", {
    timeout: 60_000,
  }, async () => {
    const path = place()
    const program = compiled("test/kit/receipts-child.ts")
    const input = `${path}.input`
    const all = Array.from({ length: 60 }, (_, n) => formatReceipt(receipt(n)))
    writeFileSync(input, `${all.join("\n")}\n`)
    const run = () => spawn(process.execPath, [program, path, input], { stdio: "inherit" })
    const killed = run()
    const writers = [run(), run(), run()]
    setTimeout(() => killed.kill("SIGKILL"), 120)
    const codes = await Promise.all(writers.map((child) => once(child, "close")))
    expect(codes.map(([code]) => code as unknown)).toEqual([0, 0, 0])
    expect(linesOf(path).toSorted()).toEqual(all.toSorted())
    for (const line of linesOf(path)) parseReceipt(line)
  })
})

describe.runIf(isRoot())("receipts.jsonl on a full disk", () => {
  it("stays unchanged, and accepts the same receipts once there is room", () => {
    const disk = new SmallDisk(256 * 1024)
    const path = join(disk.path, "receipts.jsonl")
    const file = new ReceiptsFile(path, owner)
    file.append([receipt(1)])
    disk.fill()
    const many = Array.from({ length: 20 }, (_, n) => receipt(n + 2))
    expect(() => file.append(many)).toThrow(/ENOSPC/)
    expect(linesOf(path)).toHaveLength(1)
    disk.free()
    expect(file.append(many)).toBe(true)
    expect(linesOf(path)).toHaveLength(21)
  })
})
