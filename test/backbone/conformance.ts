import { describe, expect, onTestFinished, test } from "vitest"
import { type OpenedBackbone, openShared, patienceMs, plenty } from "./conformance-kit.js"
import { describeLogs } from "./conformance-logs.js"
import { describeRetention, describeSubscriptions } from "./conformance-retention.js"
import { describeQueues, describeTables } from "./conformance-tables.js"

const testMs = 60_000

/** Tests every promise of the `Backbone` contract on one engine. */
export function describeBackbone(name: string, open: () => Promise<OpenedBackbone>): void {
  describe(`${name} as a backbone`, { timeout: testMs }, () => {
    const start = openShared(open)
    describeLogs(start)
    describeRetention(start)
    describeSubscriptions(start)
    describeTables(start)
    describeQueues(start)
    describeReopening(open)
  })
}

function describeReopening(open: () => Promise<OpenedBackbone>): void {
  test("written data is there after an engine is closed and opened again", async () => {
    const opened = await open()
    onTestFinished(() => opened.cleanup(), patienceMs)
    const { backbone } = opened
    if (opened.reopen === undefined) return
    const logs = await backbone.logs("lasting", plenty)
    const table = await backbone.table("lasting")
    await logs.append("a", "id-1", "1")
    const second = await logs.append("a", "id-2", "2")
    const dropped = await logs.append("b", "id-1", "1")
    await logs.drop("b")
    const revision = await table.put("row", "1")
    await table.put("gone", "1")
    await table.delete("gone")
    const again = await opened.reopen()
    expect(again.id).toBe(backbone.id)
    const logsAgain = await again.logs("lasting", plenty)
    const tableAgain = await again.table("lasting")
    expect((await logsAgain.read("a", 0, 10)).map(({ value }) => value)).toEqual(["1", "2"])
    expect((await logsAgain.append("a", "id-2", "2")).isDuplicate).toBe(true)
    expect((await logsAgain.append("a", "id-3", "3")).seq).toBeGreaterThan(second.seq)
    expect((await logsAgain.stat("b")).last).toBeGreaterThanOrEqual(dropped.seq)
    expect((await logsAgain.append("b", "id-2", "2")).seq).toBeGreaterThan(dropped.seq)
    expect(await tableAgain.rows()).toEqual([{ key: "row", value: "1", revision }])
    const next = await tableAgain.put("gone", "2", 0)
    expect(next).toBeGreaterThan(revision ?? Infinity)
  })
}
