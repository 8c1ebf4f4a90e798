import { statSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Sql } from "../../../src/backbone/sql/sql.js"
import { compactStore, exportStore, verifyStore } from "../../../src/backbone/sql/store-maintenance.js"
import type { StoreLine } from "../../../src/backbone/sql/worker-protocol.js"
import { isReadableEntry, isReadableRow } from "../../../src/server/stored-rows.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { storeOpener } from "../../kit/store.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const store = storeOpener()
const plenty = { maxEntries: 10_000, whenFull: "drop-oldest" } as const
const testMs = 60_000

/** A closed store of two logs with `entries` entries each, and of three rows. */
async function filled(entries: number, value = (n: number): string => `${n}`): Promise<string> {
  const dir = join(temporaryDirectory(), "store")
  const backbone = await store.open(dir, new FakeClock())
  const channels = await backbone.logs("channel", plenty)
  const inboxes = await backbone.logs("inbox", plenty)
  const table = await backbone.table("agent")
  const numbers = Array.from({ length: entries }, (_, i) => i + 1)
  await Promise.all(numbers.map((n) => channels.append("general", `c-${n}`, value(n))))
  await Promise.all(numbers.map((n) => inboxes.append("a\u0062c", `i-${n}`, `\0 ${n}`)))
  for (const key of ["x", "y", "z"]) await table.put(key, `row ${key}`)
  await backbone.close()
  return dir
}

/** Changes the file of a closed store. */
function tamper(dir: string, sqlText: string): void {
  const sql = new Sql(join(dir, "store.db"))
  sql.exec(sqlText)
  sql.close()
}

async function exported(dir: string): Promise<unknown[]> {
  const lines: unknown[] = []
  for await (const line of exportStore(dir, store.workerFile)) lines.push(line)
  return lines
}

test("verify counts logs, entries and rows", { timeout: testMs }, async () => {
  const dir = await filled(450)
  const report = await verifyStore(dir, { program: store.workerFile })
  expect(report).toEqual({ isWhole: true, logs: 2, entries: 900, rows: 3, faults: [] })
})

test.each([
  [
    "update log set last = 3 where family = 'channel'",
    'log "channel" "general": entry 10 is newer than its newest, 3',
  ],
  [
    "delete from entry where seq = 4 and log = 1",
    'log "channel" "general": has 9 entries of 10 bytes, expected 10 of 11',
  ],
  [
    "update entry set value = 'other' where seq = 4 and log = 1",
    'log "channel" "general": entry 4 is malformed',
  ],
  ["update entry set ts = 'soon' where seq = 4 and log = 1", 'log "channel" "general": entry 4 is malformed'],
  ["update row set revision = 99 where key = 'y'", 'row "y" of table "agent" is malformed'],
  ["update row set key = 'a/b' where key = 'y'", 'row "a/b" of table "agent" is malformed'],
  ["delete from log where family = 'inbox'", "10 entries belong to no log"],
])("verify finds the fault after: %s", { timeout: testMs }, async (change, fault) => {
  const dir = await filled(10)
  tamper(dir, change)
  const { isWhole, faults } = await verifyStore(dir, { program: store.workerFile })
  expect(faults).toEqual([fault])
  expect(isWhole).toBe(false)
})

test("verify finds rows and entries that a relay cannot read", { timeout: testMs }, async () => {
  const dir = await filled(2)
  const isReadable = (line: StoreLine) =>
    line.kind === "row"
      ? isReadableRow(line.table, line.key, line.value)
      : isReadableEntry(line.family, line.value)
  const { isWhole, faults } = await verifyStore(dir, { isReadable, program: store.workerFile })
  expect(isWhole).toBe(false)
  expect(faults).toEqual([
    'log "inbox" "abc": entry 1 is malformed',
    'log "inbox" "abc": entry 2 is malformed',
    ...["x", "y", "z"].map((key) => `row "${key}" of table "agent" is malformed`),
  ])
})

test("compact frees the space of removed entries and rows, and keeps the rest", {
  timeout: testMs,
}, async () => {
  const dir = await filled(200, () => "x".repeat(5_000))
  const backbone = await store.open(dir, new FakeClock())
  await (await backbone.logs("channel", plenty)).drop("general")
  await backbone.close()
  const { before, after } = await compactStore(dir, store.workerFile)
  expect(before).toBeGreaterThan(1_000_000)
  expect(after).toBeLessThan(200_000)
  expect(statSync(join(dir, "store.db")).size).toBe(after)
  const report = await verifyStore(dir, { program: store.workerFile })
  expect(report).toMatchObject({ isWhole: true, entries: 200, rows: 3 })
})

test("export yields every entry in order, then every row", { timeout: testMs }, async () => {
  const lines = await exported(await filled(450))
  const ts = new FakeClock().now()
  const numbers = Array.from({ length: 450 }, (_, i) => i + 1)
  expect(lines).toEqual([
    ...numbers.map((n) => ({ kind: "entry", family: "channel", key: "general", seq: n, ts, value: `${n}` })),
    ...numbers.map((n) => ({ kind: "entry", family: "inbox", key: "abc", seq: n, ts, value: `\0 ${n}` })),
    ...["x", "y", "z"].map((key, i) => ({
      kind: "row",
      table: "agent",
      key,
      revision: i + 1,
      value: `row ${key}`,
    })),
  ])
})

test("an export that is left early closes the store", { timeout: testMs }, async () => {
  const dir = await filled(450)
  for await (const line of exportStore(dir, store.workerFile)) {
    expect(line.kind).toBe("entry")
    break
  }
  expect((await verifyStore(dir, { program: store.workerFile })).isWhole).toBe(true)
})

test("a store in use is not opened, and a missing one is not created", { timeout: testMs }, async () => {
  const dir = await filled(1)
  const backbone = await store.open(dir, new FakeClock())
  const held = { code: "ALREADY_RUNNING" }
  await expect(verifyStore(dir, { program: store.workerFile })).rejects.toMatchObject(held)
  await expect(compactStore(dir, store.workerFile)).rejects.toMatchObject(held)
  await expect(exported(dir)).rejects.toMatchObject(held)
  await backbone.close()
  const nowhere = join(temporaryDirectory(), "nowhere")
  await expect(verifyStore(nowhere, { program: store.workerFile })).rejects.toMatchObject({
    code: "NOT_FOUND",
  })
})
